"""Where what can be seen ends: the cable, the tunnel, a bridge that leads nowhere, and who was heard behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.finding import Fact, Layer, Verdict
from tui.model.route import RouteQuestion
from tui.topology.trace_facts import broken, good, inside, mend, unknown
from tui.topology.trace_router import KERNEL, resolved

if TYPE_CHECKING:
    from tui.model.link import Link
    from tui.topology.trace_legs import Leg
    from tui.topology.trace_scene import Scene

_FDB = "RTM_GETNEIGH AF_BRIDGE"
_ASKED = 3
"""How many of a segment are asked what they know of an address."""
_POINT_TO_POINT = frozenset({"wireguard", "ppp"})


def next_hop(scene: Scene, leg: Leg, oif: Link | None, address: str) -> Fact:
    """Return what is known of a next hop behind the cable; `oif` is the router's link, None where a guest asks."""
    fact = _known_on_segment(scene, leg, address) if oif is None else resolved(scene, oif, address)
    if fact is None and oif is not None and _is_point_to_point(scene, oif):
        fact = good("at the other end of the link", "RTM_GETADDR")
    return fact or heard(scene, leg, f"{address} was not asked yet")


def _known_on_segment(scene: Scene, leg: Leg, address: str) -> Fact | None:
    """What anybody on the segment knows: a silence may be theirs alone."""
    ends = [link for link in scene.wiring.endpoints(leg.nodes[0]) if link.key != leg.nodes[0]]
    known = [resolved(scene, link, address) for link in ends[:_ASKED]]
    return next((fact for fact in known if fact is not None and fact.verdict is Verdict.GOOD), None)


def _is_point_to_point(scene: Scene, link: Link) -> bool:
    return any(address.peer for address in scene.wiring.addresses(link)) or link.kind in _POINT_TO_POINT


def heard(scene: Scene, leg: Leg, otherwise: str) -> Fact:
    """Return whether the bridge has learned anybody behind the link that leads out; `otherwise` says what is not
    known."""
    last = leg.nodes[-1]
    macs = scene.learned().get(last, frozenset())
    if not macs or not scene.wiring.leads_out(last):
        return unknown(otherwise, "RTM_GETNEIGH")
    link = scene.wiring.link(last)
    name = link.name if link is not None else "the uplink"
    return good(f"the bridge hears {len(macs)} addresses behind {name}", _FDB)


def tunnel_facts(scene: Scene, link: Link) -> list[Fact]:
    """Return whether the namespace of a tunnel has a way to its far end; nothing of what is no tunnel."""
    tunnel = link.tunnel
    if tunnel is None or not tunnel.remote:
        return []
    answer = scene.route(RouteQuestion(link.netns, tunnel.remote, tunnel.local))
    if answer is None or answer.problem:
        return [unknown(f"whether {tunnel.remote} can be reached is not known", KERNEL)]
    if answer.refused:
        words = f"has no way to its far end {tunnel.remote}: {answer.word}"
        return [broken(words, KERNEL, "tunnel-no-route", Layer.L3)]
    return [good(f"to {tunnel.remote}", "IFLA_INFO_DATA")]


def dead_end(scene: Scene, leg: Leg, name: str) -> list[Fact]:
    """Return what is wrong where a leg ends in a bridge, called `name`, that only guests are plugged into besides."""
    wiring = scene.wiring
    ports = wiring.ports.get(leg.nodes[-1], ())
    others = [port for port in ports if port not in leg.nodes and port not in scene.guests.by_tap]
    if leg.loose or others or not wiring.is_bridge(leg.nodes[-1]):
        return []
    words = f"no port of {name} leads out of this host, nor to the next hop"
    remedy = mend(f"plug the uplink into {name}", *_plug_in(scene, leg, "UPLINK"))
    return [broken(words, "IFLA_MASTER", "bridge-no-uplink", Layer.L2, remedy)]


def _plug_in(scene: Scene, leg: Leg, what: str) -> tuple[str, ...]:
    """The command that plugs something into the bridge that a leg ends in."""
    bridge = scene.wiring.link(leg.nodes[-1])
    if bridge is not None:
        return inside(scene.netns(bridge.netns), "ip", "link", "set", what, "master", bridge.raw_name)
    switch = scene.wiring.ovs_bridges.get(leg.nodes[-1])
    return ("ovs-vsctl", "add-port", switch.raw_name, what) if switch is not None else ()


def no_router(scene: Scene, leg: Leg, name: str, source: str) -> list[Fact]:
    """Return what is wrong where nothing on the segment of a guest with the address `source` is a router, and nothing
    leads out; a guest with several NICs may be one."""
    if leg.loose or not source or not scene.wiring.is_bridge(leg.nodes[-1]):
        return []
    taps = [nic for node in scene.wiring.segment(leg.nodes[0]) if (nic := scene.guests.by_tap.get(node)) is not None]
    if any(len(scene.guests.of(nic.key)) > 1 for nic in taps if nic.tap != leg.nodes[0]):
        return []
    words = f"nothing behind {name} has an address in the network of {source}, and nothing leads out of the host"
    remedy = mend(f"plug the router or the uplink into {name}", *_plug_in(scene, leg, "LINK"))
    return [broken(words, "IFLA_MASTER", "bridge-no-router", Layer.L2, remedy)]
