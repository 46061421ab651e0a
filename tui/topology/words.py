"""How things of the graph are written on a line: their sign, their name, and what hangs on them, in both views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tui.model.finding import Verdict
from tui.model.topology import EdgeKind, NodeKind
from tui.model.verdict_words import SIGNS
from tui.topology.drawing import Piece, Row, elide
from tui.topology.shape import Shape

RATE_CELLS = 14
"""The cells of a link's rates, as in "↓24.7M ↑12.4M", and of the blank before them."""

_LONGEST_NAME = 48
_LONGEST_LABEL = 24
_SIGNS = {
    "up": ("●", "good"),
    "running": ("●", "good"),
    "active": ("●", "good"),
    "sleeping": ("●", "good"),
    "no-carrier": ("◌", "warn"),
    "listening": ("◐", "warn"),
    "learning": ("◐", "warn"),
    "blocking": ("◐", "warn"),
    "paused": ("◐", "warn"),
    "pmsuspended": ("◐", "warn"),
    "in shutdown": ("◐", "warn"),
    "stopped": ("◐", "warn"),
    "disabled": ("○", "bad"),
    "down": ("○", "bad"),
    "inactive": ("○", "dim"),
    "crashed": ("✖", "bad"),
    "error": ("⚠", "bad"),
}
STATE_SIGNS = frozenset(sign for sign, _style in _SIGNS.values())
"""What a state may be drawn as."""

_FINE = frozenset({"up", "running", "active", "sleeping", "remote", "multicast"})
_NO_ADDRESS = frozenset({NodeKind.BRIDGE, NodeKind.OVS_BRIDGE})


TIES = {"─": " ─ ", "═": " ═ ", "⇢": " ⇢ "}
"""What stands between two things on one line, by the line that ties them."""


class Tie(NamedTuple):
    """How a row goes on: by what line, and with what."""

    line: str
    row: Row


class Pen:
    """Writes rows, and remembers what was drawn: each thing is drawn once and referred to afterwards."""

    def __init__(self, shape: Shape, seen: Iterable[str] = (), *, rates: bool = False) -> None:
        self.shape = shape
        self.rates = rates
        self.seen = set(seen)

    def fork(self) -> Pen:
        """Return a pen that has drawn the same, for trying."""
        return Pen(self.shape, self.seen, rates=self.rates)

    def sign(self, id: str) -> Piece:
        """Return the sign of a node's state."""
        text, style = self.sign_of(id)
        return Piece(text, style)

    def sign_of(self, id: str) -> tuple[str, str]:
        """Return the sign of a node's state and its style token."""
        node = self.shape.node(id)
        if id == self.shape.broken:
            return SIGNS[Verdict.BROKEN]
        if node.facts.get("problem"):
            return "⚠", "bad"
        text, style = _SIGNS.get(node.state, ("?", "unknown"))
        return text, "dim" if style == "bad" and node.state == "down" and not self.shape.neighbours[id] else style

    def odd_sign(self, id: str) -> Row:
        """Return the sign of a node and a blank, where it is not simply up or running."""
        node = self.shape.node(id)
        if node.state in _FINE and not node.facts.get("problem") and id != self.shape.broken:
            return ()
        return (self.sign(id), Piece(" "))

    def mark(self, id: str) -> Row:
        """Return the mark of what has no sign of its own, where it breaks the path that is lit."""
        return (self.sign(id), Piece(" ")) if id == self.shape.broken else ()

    def name(self, id: str, style: str = "") -> Piece:
        """Return the name of a node that is drawn here, or a reference where it was drawn before, or is a bus."""
        if id in self.seen or id in self.shape.is_bus:
            return self.ref(id)
        self.seen.add(id)
        return Piece(elide(self.shape.node(id).name, _LONGEST_NAME) or "?", style, id)

    def word(self, id: str, text: str, style: str = "") -> Piece:
        """Return a node that is written by another word than its name."""
        if id in self.seen:
            return Piece(f"▸{text}", "accent", id, ref=True)
        self.seen.add(id)
        return Piece(text, style, id)

    def ref(self, id: str) -> Piece:
        """Return a reference to a node that is drawn elsewhere."""
        return Piece("▸" + elide(self.shape.node(id).name, _LONGEST_NAME), "accent", id, ref=True)

    def rate(self, id: str) -> Row:
        """Return room for the rates of a link."""
        key = str(self.shape.node(id).facts.get("link") or "")
        return (Piece(" " * RATE_CELLS, "dim", rate=key, drop=5),) if self.rates and key else ()

    # Links

    def link(self, id: str, netns: str) -> Row:
        """Return a link as it is seen from a namespace: sign, name, whose it is, addresses, the way out."""
        if id in self.seen or id in self.shape.is_bus:
            return (self.ref(id),)
        return (*self.odd_sign(id), self.name(id), *self.owner(id, netns), *self.particulars(id))

    def owner(self, id: str, netns: str) -> Row:
        """Return "@" and the namespace of a link, where it is another one or has a box."""
        owner, node = self.shape.netns_of(id), self.shape.node(id)
        if owner is not None and (node.netns != netns or owner in self.shape.is_box):
            name = (self.ref(owner),) if owner in self.shape.is_box else (*self.mark(owner), self.name(owner, "title"))
            return (Piece("@", "dim"), *name)
        return (Piece(f"@{elide(node.netns, _LONGEST_NAME)}", "dim"),) if node.netns != netns and node.netns else ()

    def particulars(self, id: str) -> Row:
        """Return what is worth saying of a link behind its name."""
        row: list[Piece] = []
        if (addresses := self.shape.fact(id, "addresses")) and self.shape.node(id).kind not in _NO_ADDRESS:
            first, _, more = addresses.partition(", ")
            row.append(Piece(f" {first}" + ("+" if more else ""), drop=2))
        row += self.way_out(id)
        row += [piece for one in self.shape.networks(id) for piece in (Piece(" "), self.name(one, "accent"))]
        row += self.served(id)
        return tuple(row)

    def way_out(self, id: str) -> Row:
        """Return what tells an uplink: the default route's gateway, else that a device is under it, and its speed."""
        shape = self.shape
        gateway, speed = shape.fact(id, "gateway"), shape.fact(id, "speed_mbit")
        row: list[Piece] = []
        if speed:
            row.append(Piece(" " + speed_words(int(speed)), "dim", drop=6))
        if gateway:
            row.append(Piece(f" ⇒ {gateway}", "accent", drop=3))
        elif shape.fact(id, "uplink"):
            text, style = (" ⇒ uplink", "accent") if shape.neighbours[id] else (" unused", "dim")
            row.append(Piece(text, style, drop=4))
        return tuple(row)

    def served(self, id: str) -> Row:
        """Return the dnsmasqs that serve a link, as "dhcp" or "dns"."""
        row: list[Piece] = []
        for server in self.shape.servers(id):
            row += [
                Piece(" "),
                self.word(server, "dhcp" if self.shape.fact(server, "dhcp_ranges") else "dns", "accent"),
            ]
        return tuple(row)

    def label(self, words: str) -> Row:
        """Return what is written on a line: VLANs, tags, a tunnel's number."""
        return (Piece(f" [{elide(words, _LONGEST_LABEL)}]", "accent"),) if words else ()

    # What hangs on a link

    def beyond(self, id: str, came: frozenset[str], netns: str) -> list[Tie]:
        """Return everything that hangs on a link and is not where one came from, each with all that hangs on it."""
        return [
            *self._guests(id, came),
            *self._peer(id, came, netns),
            *self._far(id, came, netns),
            *self._others(id, came, netns),
        ]

    def _guests(self, id: str, came: frozenset[str]) -> list[Tie]:
        rows = []
        for guest in self.shape.guests(id):
            if guest in came:
                continue
            address = self.shape.fact(id, "guest_address")
            down = self.shape.fact(id, "link_state") == "down"
            rows.append(
                (
                    *self.odd_sign(guest),
                    self.name(guest, "title"),
                    *((Piece(f" {address}", drop=2),) if address else ()),
                    *((Piece(" link down", "bad", drop=1),) if down else ()),
                )
            )
        return [Tie("─", row) for row in rows]

    def _peer(self, id: str, came: frozenset[str], netns: str) -> list[Tie]:
        peer = self.shape.peer(id)
        if peer is None:
            unseen = self.shape.node(id).facts.get("peer_unseen") and self.shape.fact(id, "link_kind") in (
                "veth",
                "netkit",
            )
            return [Tie("═", (Piece("? (not seen)", "unknown"),))] if unseen else []
        if peer in came:
            return []
        known = peer in self.seen or peer in self.shape.is_bus
        row = list(self.link(peer, netns))
        bus = self.shape.bus_of(peer)
        if bus is not None and bus not in came:
            row += [*self.label(self._port_label(peer, bus)), Piece(" "), self.ref(bus)]
        if not known:
            row += self.flat(self.beyond(peer, frozenset({id, *came}), self.shape.node(peer).netns))
        return [Tie("═", tuple(row))]

    def _port_label(self, port: str, bus: str) -> str:
        return next((edge.label for edge in self.shape.plugs(bus) if edge.a == port), "")

    def _far(self, id: str, came: frozenset[str], netns: str) -> list[Tie]:
        ties = []
        for far, words in self.shape.far_ends(id):
            if far not in came:
                remote = self.shape.node(far).kind is NodeKind.FAR_END
                row = (self.name(far),) if remote else (self.ref(far), *self.owner(far, netns))
                ties.append(Tie("⇢", (Piece(f"[{words}] ", "accent", drop=1), *row)))
        return ties

    def _others(self, id: str, came: frozenset[str], netns: str) -> list[Tie]:
        """Slaves of a bond or VRF, what a link lies on, what lies on it and is drawn nowhere else."""
        shape = self.shape
        slaves = [edge.a for edge in shape.slaves(id) if edge.a not in came]
        ties = [Tie("─", self._with_more(slave, id, came, netns)) for slave in slaves]
        for edge in shape.parents(id):
            if edge.b not in came:
                row = self._with_more(edge.b, id, came, netns)
                ties.append(Tie("─", (Piece(f"[{edge.label}] on ", "accent"), *row)))
        for edge in shape.upper(id) if id not in shape.is_bus else ():
            if edge.a not in came and shape.place(edge.a) is None:
                row = self._with_more(edge.a, id, came, netns)
                ties.append(Tie("─", (Piece(f"[{edge.label}] ", "accent"), *row)))
        master = shape.master(id)
        if master is not None and master not in came and master not in shape.is_bus:
            ties.append(Tie("─", (Piece("in ", "dim"), *self._with_more(master, id, came, netns))))
        return ties

    def _with_more(self, id: str, before: str, came: frozenset[str], netns: str) -> Row:
        """A link that is drawn here with all that hangs on it, or a reference where it has a place of its own."""
        shape = self.shape
        if id in self.seen or id in shape.is_bus or shape.place(id) not in (None, *came):
            return (self.ref(id),)
        row = (self.sign(id), Piece(" "), self.name(id), *self.owner(id, netns), *self.particulars(id))
        return (*row, *self.flat(self.beyond(id, frozenset({before, *came}), shape.node(id).netns)))

    @staticmethod
    def flat(ties: Sequence[Tie]) -> Row:
        """Return ties one behind the other."""
        return tuple(piece for tie in ties for piece in (Piece(TIES[tie.line], "dim"), *tie.row))

    # Buses and boxes

    def bus_words(self, id: str, *, tree: bool = False) -> Row:
        """Return what is worth saying of a bus below or behind its name; with a reference to the box that it is a link
        of, where that is drawn already, and in the tree."""
        shape, node = self.shape, self.shape.node(id)
        row: list[Piece] = []

        def gap() -> Row:
            return (Piece(" "),) if row else ()

        def say(text: str, style: str = "dim", drop: int = 5) -> None:
            row.extend([*gap(), Piece(text, style, drop=drop)])

        if node.netns and node.netns != "host":
            say(f"@{elide(node.netns, _LONGEST_NAME)}", "title", 4)
        owner = shape.netns_of(id)
        if owner is not None and owner not in shape.is_box:
            row += [*gap(), self.name(owner, "title")]
        elif owner is not None and (tree or owner in self.seen):
            row += [*gap(), self.ref(owner)]
        if (addresses := shape.fact(id, "addresses")) and owner not in shape.is_box:
            say(addresses.partition(", ")[0], "", 2)
        for one in shape.networks(id):
            row += [*gap(), self.name(one, "accent")]
        if owner not in shape.is_box:
            row += self.served(id)
        words = {"ovs": node.kind is NodeKind.OVS_BRIDGE, "vlan-aware": node.facts.get("vlan_filtering"),
                 "stp": node.facts.get("stp")}  # fmt: skip
        for word, on in words.items():
            if on:
                say(word)
        if node.kind is NodeKind.LINK:
            say(" ".join(filter(None, (shape.fact(id, "link_kind"), shape.fact(id, "bond_mode")))))
        return tuple(row)

    def box_title(self, id: str) -> Row:
        """Return name and abilities of a namespace."""
        shape, facts = self.shape, self.shape.node(id).facts
        row = [*self.mark(id), self.name(id, "title")]
        forwarding = facts.get("ipv4_forwarding")
        if forwarding or facts.get("ipv6_forwarding"):
            row.append(Piece(" fwd", "good"))
        elif forwarding is False and len(shape.links_of(id)) > 1:
            row.append(Piece(" no fwd", "warn"))
        if facts.get("nat"):
            row.append(Piece(" NAT", "good"))
        elif facts.get("nat_unknown"):
            row.append(Piece(" NAT?", "unknown"))
        if problem := shape.fact(id, "problem"):
            row.append(Piece(f" ⚠ {problem}", "bad", drop=1))
        return tuple(row)

    def box_notes(self, id: str) -> list[Row]:
        """Return what a namespace does between its links: rewriting, serving."""
        shape, rows = self.shape, list[Row]()
        rewritten: dict[tuple[str, str], list[str]] = {}
        for edge in shape.ways(id):
            if edge.kind is EdgeKind.NAT:
                rewritten.setdefault((shape.node(edge.a).name, edge.label), []).append(shape.node(edge.b).name)
        for (name, label), out in rewritten.items():
            gap = Piece(" ", drop=8)
            words = (Piece(f" {name}"), gap, Piece("→"), gap, Piece(", ".join(out)))
            rows.append((Piece("NAT", "good"), *words, Piece(f" {label}", "dim", drop=6)))
        servers = dict.fromkeys(server for link in shape.links_of(id) for server in shape.servers(link))
        for server in servers:
            rows.append(self.server_row(server))
        return rows

    def server_row(self, id: str) -> Row:
        """Return a dnsmasq with its ranges and leases."""
        ranges, leases = self.shape.fact(id, "dhcp_ranges"), self.shape.node(id).facts.get("leases")
        row = [self.word(id, "dhcp" if ranges else "dns", "accent")]
        links = ", ".join(self.shape.node(link).name for link in self.shape.serves(id))
        row += [Piece(f" {links}", drop=3)] if links else []
        row += [Piece(f" {ranges}", drop=4)] if ranges else []
        row += [Piece(f" · {_leases(int(leases))}", "dim", drop=6)] if leases is not None else []
        return tuple(row)


def _leases(count: int) -> str:
    return "1 lease" if count == 1 else f"{count} leases"


def speed_words(mbit: int) -> str:
    """Return a speed as in "1G", "100M"."""
    return f"{mbit / 1000:g}G" if mbit >= 1000 else f"{mbit}M"
