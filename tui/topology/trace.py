"""The way of a packet from a guest's NIC, or from a link, to an address, and what is wrong with it: a pure function of
a snapshot and of what the kernel answers. It names its questions; with their answers it is called again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.model.finding import Fact, Hop, Layer, Trace, Verdict
from tui.topology import trace_ovs
from tui.topology.trace_cause import cause_of
from tui.topology.trace_facts import broken, good, mend, unknown
from tui.topology.trace_filter import bridge_hop, forward_hop, ingress_facts, nat_hop, without_nat
from tui.topology.trace_gateway import Place, find_gateway, locate, same_network
from tui.topology.trace_guest import guest_hop
from tui.topology.trace_legs import Leg, leg_as_far, leg_between, leg_out
from tui.topology.trace_links import LegJudge
from tui.topology.trace_router import Router, resolved
from tui.topology.trace_scene import OUTSIDE, Query, Scene, flow_to

if TYPE_CHECKING:
    from tui.model.link import Link
    from tui.model.route import Answers, Question
    from tui.model.snapshot import HostSnapshot
    from tui.topology.guests import GuestNic
    from tui.topology.trace_router import Turn

MOST_ROUTERS = 12
"""Namespaces that one packet passes; more are a loop."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace, and what is still to be asked to make it whole."""

    trace: Trace
    questions: tuple[Question, ...]


def trace(snapshot: HostSnapshot, query: Query, answers: Answers) -> Traced:
    """Return the way that `query` asks for, as far as `answers` let it be known."""
    scene = Scene(snapshot, answers)
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
        self._passed: set[str] = set()
        self.hops: list[Hop] = []
        self.source = ""

    def run(self) -> None:
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
        self._flow = flow_to(self._query.to, nic.addresses, nic.mac)
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

    def _missing_tap(self, nic: GuestNic) -> None:
        if not self._wiring.links:
            fact = unknown("the links of this host are not seen", "RTM_GETLINK")
        elif not nic.target:
            fact = unknown("nothing tells which link of the host is its own", "domain XML")
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
        self._to_place(start, gateway, expected, first=True, gateway=gateway)

    def _without_gateway(self, start: str, expected: str) -> None:
        leg = self._way_out(start, "") or leg_as_far(self._wiring, start)
        if expected and start in leg.loose:
            leg = replace(leg, bridge=expected)
        self._cross(leg, first=True)
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
            self._note_resolved(oif, place.address)
        if place.nic is not None:
            self.hops.append(guest_hop(self._scene, place.nic))
            if place.address != self._flow.destination:
                fact = unknown("a guest: what it does with the packet is not seen", "")
                self.hops[-1] = replace(self.hops[-1], facts=(*self.hops[-1].facts, fact))
        elif place.link is not None:
            self._through(place.link.netns, place.link, gateway)

    def _note_resolved(self, oif: Link, address: str) -> None:
        """What the router knows of the next one's address belongs to the last hop of the segment."""
        fact = resolved(self._scene, oif, address)
        if fact is not None and fact.verdict is Verdict.BROKEN:
            self.hops[-1] = replace(self.hops[-1], facts=(*self.hops[-1].facts, fact))

    def _to_unseen(self, start: str, place: Place, expected: str, *, first: bool, oif: Link | None) -> None:
        entry = self._scene.neighbour(oif.key, place.address) if oif is not None else None
        leg = self._way_out(start, entry.mac if entry is not None else "")
        ends = leg is None
        leg = leg or leg_as_far(self._wiring, start)
        if expected and start in leg.loose:
            leg = replace(leg, bridge=expected)
        self._cross(leg, first=first)
        answers = entry is not None and entry.mac != ""
        if ends and not answers and not leg.loose and self._is_dead_end(leg):
            self._no_uplink()
        self._beyond(leg, oif, place.address)

    def _is_dead_end(self, leg: Leg) -> bool:
        """Whether a leg ends in a bridge that only guests are plugged into besides."""
        ports = self._wiring.ports.get(leg.nodes[-1], ())
        others = [port for port in ports if port not in leg.nodes and port not in self._scene.guests.by_tap]
        return self._wiring.is_bridge(leg.nodes[-1]) and not others

    def _no_uplink(self) -> None:
        """The segment ends in a bridge that nothing leads out of."""
        bridge = self.hops[-1]
        words = f"no port of {bridge.name} leads out of this host, nor to the next hop"
        remedy = mend(f"plug the uplink into {bridge.name}", "ip", "link", "set", "UPLINK", "master", bridge.name)
        fact = broken(words, "IFLA_MASTER", "bridge-no-uplink", Layer.L2, remedy)
        self.hops[-1] = replace(bridge, facts=(*bridge.facts, fact))

    def _beyond(self, leg: Leg, oif: Link | None, address: str) -> None:
        """What is behind the cable: known by what was heard of it."""
        if address:
            fact = resolved(self._scene, oif, address) if oif is not None else None
            if fact is None and oif is not None and self._is_point_to_point(oif):
                fact = good("at the other end of the link", "RTM_GETADDR")
            netns = self._wiring.netns_name(oif.netns) if oif is not None else ""
            key = oif.key if oif is not None else ""
            self._add("next-hop", address, netns, key, fact or self._heard(leg, f"{address} was not asked yet"))
        else:
            self._add("outside", OUTSIDE, "", "", self._heard(leg, "what is there cannot be seen from here"))

    def _is_point_to_point(self, link: Link) -> bool:
        return any(address.peer for address in self._wiring.addresses(link)) or link.kind in ("wireguard", "ppp")

    def _heard(self, leg: Leg, otherwise: str) -> Fact:
        """Whether the bridge has learned anybody behind the link that leads out."""
        last = leg.nodes[-1]
        macs = self._scene.learned().get(last, frozenset())
        if macs and self._wiring.leads_out(last):
            link = self._wiring.link(last)
            name = link.name if link is not None else "the uplink"
            return good(f"the bridge hears {len(macs)} addresses behind {name}", "RTM_GETNEIGH AF_BRIDGE")
        return unknown(otherwise, "RTM_GETNEIGH")

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
            hop = judge.hop(at)
            extra = [*trace_ovs.port_facts(self._scene, leg, at), *self._ingress(link)]
            self.hops.append(replace(hop, facts=(*hop.facts, *extra)))
            self._filter_at(leg, at)

    def _ingress(self, link: Link) -> list[Fact]:
        return [fact for fact in ingress_facts(self._scene, link, self._flow) if fact.verdict is not Verdict.GOOD]

    def _filter_at(self, leg: Leg, at: int) -> None:
        """Behind a bridge that the frame crosses: what filters do with it there."""
        bridge = self._wiring.link(leg.nodes[at])
        if bridge is None or bridge.kind != "bridge" or not 0 < at < len(leg.nodes) - 1:
            return
        into, out = self._wiring.link(leg.nodes[at - 1]), self._wiring.link(leg.nodes[at + 1])
        if into is None or out is None:
            return
        hop = bridge_hop(self._scene, bridge, into, out, self._flow)
        if hop is not None:
            self.hops.append(hop)

    # Namespaces that pass it on

    def _through(self, netns: str, inl: Link | None, gateway: Place | None, out: Link | None = None) -> None:
        if netns in self._passed or len(self._passed) >= MOST_ROUTERS:
            name = self._wiring.netns_name(netns)
            loop = broken("the packet comes by here again: a loop", "RTM_GETROUTE", "loop", Layer.L3)
            self._add("router", name, name, netns, loop)
            return
        self._passed.add(netns)
        turn = Router(self._scene, netns, inl, self._flow).turn(gateway)
        name = self._wiring.netns_name(netns)
        self._add("router" if inl is not None else "host", name, name, netns, *turn.facts)
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
