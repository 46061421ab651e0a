"""The way of a packet from a guest's NIC, or from a link, to an address, and what is wrong with it: a pure function of
a snapshot and of what the kernel answers. It names its questions; with their answers it is called again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.model.finding import Fact, Hop, Layer, Trace, Verdict
from tui.topology import trace_ovs
from tui.topology.trace_cause import cause_of
from tui.topology.trace_ends import dead_end, heard, next_hop, no_router, tunnel_facts
from tui.topology.trace_facts import broken, good, mend, unknown
from tui.topology.trace_filter import bridge_hop, forward_hop, led_elsewhere, link_facts, nat_hop, without_nat
from tui.topology.trace_gateway import Place, find_gateway, locate, same_network, some_address
from tui.topology.trace_guest import guest_hop
from tui.topology.trace_legs import Leg, leg_as_far, leg_between, leg_out
from tui.topology.trace_links import LegJudge
from tui.topology.trace_proof import answers_ping, with_counts
from tui.topology.trace_router import Router, resolved
from tui.topology.trace_scene import OUTSIDE, Scene, flow_to

if TYPE_CHECKING:
    from tui.model.link import Link
    from tui.model.route import Answers, Question
    from tui.topology.guests import GuestNic
    from tui.topology.trace_router import Turn
    from tui.topology.trace_scene import Ground, Query

MOST_ROUTERS = 12
"""Namespaces that one packet passes; more are a loop."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace, and what is still to be asked to make it whole."""

    trace: Trace
    questions: tuple[Question, ...]


def trace(ground: Ground, query: Query, answers: Answers) -> Traced:
    """Return the way that `query` asks for, as far as `answers` let it be known."""
    scene = Scene(ground.snapshot, answers, ground=ground, probe=query.probe)
    walk = _Walk(scene, query)
    walk.run()
    hops = tuple(walk.hops)
    made = Trace(walk.source, query.to or OUTSIDE, hops, cause_of(hops))
    return Traced(made, tuple(scene.questions))


class _Walk:
    """Goes along with one packet and collects the hops."""

    def __init__(self, scene: Scene, query: Query) -> None:
        self._scene = scene
        self._wiring = scene.wiring
        self._query = query
        self._flow = flow_to(query.to, ())
        self._nat: tuple[int, Link] | None = None
        """The NAT hop that left the source as it was, and the link behind it."""
        self._passed: list[tuple[str, str]] = []
        """The namespaces that the packet came by, in their order, and by which of their links."""
        self.hops: list[Hop] = []
        self.source = ""

    def run(self) -> None:
        """Walk the whole way."""
        self._start()
        if self._passed and self.hops:
            self._append(*answers_ping(self._scene, self._passed[0][0], self._flow))
        self.hops = with_counts(self._scene, self.hops)

    def _start(self) -> None:
        """Start where the query says."""
        if self._query.link:
            self._from_link()
            return
        nics = {nic.index: nic for nic in self._scene.guests.of(self._query.guest)}
        nic = nics.get(self._query.nic)
        if nic is None:
            self.source = self._query.guest
            self._add("guest", self._query.guest, "", self._query.guest, unknown("has no such NIC", "domain XML"))
            return
        self._from_guest(nic)

    # Where it begins

    def _from_link(self) -> None:
        link = self._wiring.link(self._query.link)
        if link is None:
            self.source = self._query.link
            self._add("link", self._query.link, "", "", unknown("the link is gone", "RTM_GETLINK"))
            return
        nic = self._scene.guests.by_tap.get(link.key)
        if nic is not None:
            self._from_guest(nic)
            return
        peer = self._wiring.link(self._wiring.peer(link.key) or "")
        if peer is not None and not self._wiring.is_endpoint(link) and self._wiring.is_endpoint(peer):
            # The port of a container: what comes in by it is the container's.
            link = peer
        self.source = f"{link.name}@{self._wiring.netns_name(link.netns)}"
        if link.tap is not None or not self._wiring.is_endpoint(link):
            macs = sorted(self._scene.learned().get(link.key, ()))
            known = [address for mac in macs for address in self._scene.guests.addresses_of(mac)]
            self._flow = flow_to(self._query.to, tuple(known), macs[0] if len(macs) == 1 else "")
            self._on_segment(link.key, "")
            return
        own = tuple(address.address for address in self._wiring.addresses(link))
        # Which of its addresses the namespace sends from is for the kernel to choose.
        self._flow = replace(flow_to(self._query.to, own), source="")
        self._through(link.netns, None, None, out=link)

    def _from_guest(self, nic: GuestNic) -> None:
        self.source = nic.name
        self._flow = flow_to(self._query.to, self._likely(nic), nic.mac)
        self.hops.append(guest_hop(self._scene, nic))
        if nic.tap is not None:
            self._on_segment(nic.tap, self._expected(nic))
        elif nic.linkless and nic.running:
            words = f"{nic.kind}: its QEMU passes its packets on as its own"
            self._add("nat", nic.kind, "", nic.key, good(words, "domain XML"))
            self._flow = replace(self._flow, source="", mac="")
            self._through(self._wiring.home, None, None)
        elif nic.running:
            self._missing_tap(nic)

    def _likely(self, nic: GuestNic) -> tuple[str, ...]:
        """The addresses of a guest, those first that somebody on its segment shares the network of: a MAC may be known
        elsewhere as well."""
        ends = self._wiring.endpoints(nic.tap) if nic.tap is not None else []
        near = [address for address in nic.addresses if any(self._scene.shares(link, address) for link in ends)]
        return tuple(dict.fromkeys((*near, *nic.addresses)))

    def _missing_tap(self, nic: GuestNic) -> None:
        if not self._wiring.links:
            fact = unknown("the links of this host are not seen", "RTM_GETLINK")
        elif not nic.target:
            fact = unknown("nothing tells which link of the host is its own", "domain XML")
        elif any(link.name == nic.target for link in self._wiring.links.values()):
            words = f"which {nic.target} is its own is not known: others hold what can be seen, or there are several"
            fact = unknown(words, "/proc/PID/fdinfo")
        else:
            remedy = mend("detach the NIC and attach it again")
            fact = broken(f"there is no link {nic.target}", "RTM_GETLINK", "tap-missing", Layer.ADMIN, remedy)
        self._add("tap", nic.target or "?", "", "", fact)

    def _expected(self, nic: GuestNic) -> str:
        """The bridge that the configuration names, as a node, in the namespace of the tap."""
        tap = self._wiring.link(nic.tap or "")
        if not nic.expected:
            return ""
        switches = (node for node, bridge in self._wiring.ovs_bridges.items() if bridge.name == nic.expected)
        if (switch := next(switches, None)) is not None:
            return switch
        found = [link for link in self._wiring.links.values() if link.name == nic.expected]
        return next((link.key for link in found if tap is not None and link.netns == tap.netns), "")

    def _add(self, kind: str, name: str, netns: str, key: str, *facts: Fact) -> None:
        self.hops.append(Hop(kind, name, netns, key, facts))

    def _append(self, *facts: Fact) -> None:
        """More facts of the last hop."""
        self.hops[-1] = replace(self.hops[-1], facts=(*self.hops[-1].facts, *facts))

    # The first segment

    def _on_segment(self, start: str, expected: str) -> None:
        """From a tap or a port: to the destination itself where it is near, else to the gateway."""
        flow = self._flow
        gateway = find_gateway(self._scene, start, flow.source)
        if expected and self._wiring.master(start) not in (None, expected) and (gateway is None or gateway.bare):
            # In another bridge than the configuration says, and nothing serves it there.
            gateway = find_gateway(self._scene, expected, flow.source)
        if not flow.outside and same_network(self._scene, gateway, flow.source, flow.destination):
            self._to_place(start, locate(self._scene, start, flow.destination), expected, first=True)
            return
        near = locate(self._scene, start, flow.destination) if not flow.outside else Place("")
        if near.link is not None and self._wiring.path(start, near.link.key) is not None and not flow.source:
            self._to_place(start, near, expected, first=True)
            return
        if gateway is None:
            self._without_gateway(start, expected)
            return
        if not flow.source and gateway.link is not None:
            self._flow = replace(flow, source=some_address(self._scene, gateway.link, gateway.address))
        self._to_place(start, gateway, expected, first=True, gateway=gateway)

    def _without_gateway(self, start: str, expected: str) -> None:
        leg = self._way_out(start, "")
        ends = leg is None
        leg = leg or leg_as_far(self._wiring, start)
        if expected and start in leg.loose:
            leg = replace(leg, bridge=expected)
        self._cross(leg, first=True)
        if ends:
            self._append(*no_router(self._scene, leg, self.hops[-1].name, self._flow.source))
        self._beyond(leg, None, self._flow.destination if not self._flow.outside else "")

    def _way_out(self, start: str, mac: str) -> Leg | None:
        return leg_out(self._wiring, start, mac, dict(self._scene.learned()))

    def _to_place(
        self, start: str, place: Place, expected: str, *, first: bool, gateway: Place | None = None,
        oif: Link | None = None,
    ) -> None:  # fmt: skip
        """Across the segment to whoever has the address, and on from there."""
        if place.node is None:
            self._to_unseen(start, place, expected, first=first, oif=oif)
            return
        leg = leg_between(self._wiring, start, place.node, expected)
        self._cross(leg, first=first)
        if oif is not None and self.hops:
            self._note_resolved(oif, place)
        if place.nic is not None:
            self.hops.append(guest_hop(self._scene, place.nic))
            if place.address != self._flow.destination:
                fact = unknown("a guest: what it does with the packet is not seen", "")
                self._append(fact)
        elif place.link is not None:
            self._through(place.link.netns, place.link, gateway)

    def _note_resolved(self, oif: Link, place: Place) -> None:
        """What the router knows of the next one's address belongs to the last hop of the segment."""
        mac = place.nic.mac if place.nic is not None else place.link.mac if place.link is not None else ""
        fact = resolved(self._scene, oif, place.address, mac)
        if fact is not None and (fact.verdict is not Verdict.GOOD or self._query.probe):
            self._append(fact)

    def _to_unseen(self, start: str, place: Place, expected: str, *, first: bool, oif: Link | None) -> None:
        askers = [oif] if oif is not None else self._wiring.endpoints(start)
        known = (self._scene.neighbour(link.key, place.address) for link in askers)
        entry = next((entry for entry in known if entry is not None and entry.mac), None)
        leg = self._way_out(start, entry.mac if entry is not None else "")
        ends = leg is None
        leg = leg or leg_as_far(self._wiring, start)
        if expected and start in leg.loose:
            leg = replace(leg, bridge=expected)
        self._cross(leg, first=first)
        if ends and entry is None:
            self._append(*dead_end(self._scene, leg, self.hops[-1].name))
        self._beyond(leg, oif, place.address)

    def _beyond(self, leg: Leg, oif: Link | None, address: str) -> None:
        """What is behind the cable: known by what was heard of it."""
        if not address:
            self._add("outside", OUTSIDE, "", "", heard(self._scene, leg, "what is there cannot be seen from here"))
            return
        netns = self._wiring.netns_name(oif.netns) if oif is not None else ""
        key = oif.key if oif is not None else ""
        self._add("next-hop", address, netns, key, next_hop(self._scene, leg, oif, address))

    def _cross(self, leg: Leg, *, first: bool) -> None:
        """Add the hops of a leg, each link and bridge once."""
        judge = LegJudge(self._scene, leg, self._flow, first=first)
        for at, node in enumerate(leg.nodes):
            if node in self._wiring.ovs_bridges:
                self.hops.append(trace_ovs.bridge_hop(self._scene, leg, at, self._flow, first=first))
                continue
            link = self._wiring.link(node)
            if link is None:
                self.hops.append(trace_ovs.port_hop(self._scene, leg, at))
                continue
            self.hops.append(judge.hop(at))
            self._append(*trace_ovs.port_facts(self._scene, leg, at), *self._filters_of(leg, at, link))
            self._append(*tunnel_facts(self._scene, link))
            self._filter_at(leg, at)

    def _filters_of(self, leg: Leg, at: int, link: Link) -> list[Fact]:
        """What is wrong by the chains on a link itself."""
        wiring, last = self._wiring, at == len(leg.nodes) - 1
        into_bridge = not last and wiring.master(link.key) == leg.nodes[at + 1]
        up_the_stack = last and link.tap is None and wiring.is_endpoint(link) and not wiring.leads_out(link.key)
        facts = link_facts(self._scene, link, self._flow, inbound=into_bridge or up_the_stack)
        return [fact for fact in facts if fact.verdict is not Verdict.GOOD]

    def _filter_at(self, leg: Leg, at: int) -> None:
        """Behind a bridge that the frame crosses, or begins or ends in: what filters do with it there."""
        bridge, last = self._wiring.link(leg.nodes[at]), len(leg.nodes) - 1
        if bridge is None or bridge.kind != "bridge" or not last:
            return
        into = self._wiring.link(leg.nodes[at - 1]) if at else None
        out = self._wiring.link(leg.nodes[at + 1]) if at < last else None
        if (at and into is None) or (at < last and out is None):
            return
        hop = bridge_hop(self._scene, bridge, into, out, self._flow)
        if hop is not None:
            self.hops.append(hop)

    # Namespaces that pass it on

    def _through(self, netns: str, inl: Link | None, gateway: Place | None, out: Link | None = None) -> None:
        name, entry = self._wiring.netns_name(netns), (netns, inl.key if inl is not None else "")
        if entry in self._passed or len(self._passed) >= MOST_ROUTERS:
            loop = broken("the packet comes by here again: a loop", "RTM_GETROUTE", "loop", Layer.L3)
            self._add("router", name, name, netns, loop)
            return
        self._passed.append(entry)
        turn = Router(self._scene, netns, inl, self._flow).turn(gateway)
        self._add("router" if inl is not None else "host", name, name, netns, *turn.facts)
        if out is not None and turn.oif is not None and turn.oif.key != out.key:
            self._append(good(f"leaves by {turn.oif.name}, not by {out.name}", "RTM_GETROUTE"))
        if inl is not None:
            self._append(*led_elsewhere(self._scene, netns, inl, self._flow))
        self._settle_nat()
        if turn.arrived:
            if inl is not None:
                self.hops.append(forward_hop(self._scene, netns, inl, None, self._flow))
            return
        if turn.oif is None:
            self._guess_on(netns, inl, out)
            return
        self.hops.append(forward_hop(self._scene, netns, inl, turn.oif, self._flow))
        self._leave(netns, inl, turn, turn.oif)

    def _leave(self, netns: str, inl: Link | None, turn: Turn, oif: Link) -> None:
        """Out by the link that the kernel chose, towards the next hop."""
        if inl is not None:
            nat = nat_hop(self._scene, netns, inl, oif, self._flow, turn.gateway)
            self.hops.append(nat.hop)
            self._nat = None if nat.done else (len(self.hops) - 1, oif)
            self._flow = replace(self._flow, source=nat.source, mac="")
        elif not self._flow.source:
            own = turn.source or self._scene.own_address(oif, self._flow.version, turn.gateway)
            self._flow = replace(self._flow, source=own)
        address = turn.gateway or self._flow.destination
        place = locate(self._scene, oif.key, address)
        if place.node is None and self._nat is not None:
            at, behind = self._nat
            self.hops[at] = without_nat(self._scene, self.hops[at], self._flow, behind, proven=False)
        self._to_place(oif.key, place, "", first=False, oif=oif)

    def _settle_nat(self) -> None:
        """A next router that knows no way back to a private source: the one before should have rewritten it."""
        if self._nat is None:
            return
        at, oif = self._nat
        last = self.hops[-1]
        if any(fact.cause == "no-return-route" for fact in last.facts):
            self.hops[at] = without_nat(self._scene, self.hops[at], self._flow, oif, proven=True)
            if self.hops[at].verdict is Verdict.BROKEN:
                facts = [replace(f, layer=Layer.SYMPTOM) if f.cause == "no-return-route" else f for f in last.facts]
                self.hops[-1] = replace(last, facts=tuple(facts))
            self._nat = None

    def _guess_on(self, netns: str, inl: Link | None, out: Link | None) -> None:
        """Without a route: on by the link that the packet would most likely leave by, since a link that is down takes
        its routes with it; only where it is the only one."""
        if not any(fact.verdict is Verdict.BROKEN for fact in self.hops[-1].facts):
            return
        others = [
            link
            for link in self._wiring.links.values()
            if link.netns == netns and link.kind != "loopback" and (inl is None or link.key != inl.key)
            and self._wiring.is_endpoint(link) and (link.kind != "bridge" or self._wiring.addresses(link))
        ]  # fmt: skip
        if out is not None:
            others = [out]
        if len(others) != 1:
            others = [link for link in others if not link.up]
        if len(others) == 1:
            self._cross(self._way_out(others[0].key, "") or leg_as_far(self._wiring, others[0].key), first=False)
