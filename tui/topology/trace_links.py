"""What is right and wrong with the links, ports and bridges of a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.finding import Fact, Hop, Layer
from tui.model.link import PortState
from tui.topology.trace_facts import broken, good, inside, mend, warning

if TYPE_CHECKING:
    from tui.model.finding import Remedy
    from tui.model.link import Link, PortVlan
    from tui.topology.trace_legs import Leg
    from tui.topology.trace_scene import Flow, Scene

_FLAGS, _MASTER, _STATE, _MTU = "IFLA_IFINFO flags", "IFLA_MASTER", "IFLA_BRPORT_STATE", "IFLA_MTU"
_VLANS, _FDB = "IFLA_AF_SPEC", "RTM_GETNEIGH AF_BRIDGE"
_CAUSES = {
    PortState.DISABLED: "port-disabled",
    PortState.LISTENING: "stp-listening",
    PortState.LEARNING: "stp-learning",
    PortState.BLOCKING: "stp-blocking",
}


class LegJudge:
    """Makes the hops of one leg."""

    def __init__(self, scene: Scene, leg: Leg, flow: Flow, *, first: bool) -> None:
        """`first` tells whether the leg begins at the guest, so that its MAC is to be learned."""
        self._scene = scene
        self._wiring = scene.wiring
        self._leg = leg
        self._flow = flow
        self._first = first
        self._narrow = self._narrowest()

    def hop(self, at: int) -> Hop:
        """Return the hop of the node at a place; a part of Open vSwitch has no facts here."""
        link = self._wiring.link(self._leg.nodes[at])
        assert link is not None
        facts = self._bridge(at, link) if self._is_crossed(at) else self._link(at, link)
        return Hop(self._kind(at, link), link.name, self._wiring.netns_name(link.netns), link.key, tuple(facts))

    # What a link is

    def _kind(self, at: int, link: Link) -> str:
        if link.kind == "bridge":
            return "bridge"
        if link.tap is not None or link.kind in ("tun", "macvtap"):
            return "tap"
        if at == len(self._leg.nodes) - 1 and self._wiring.leads_out(link.key):
            return "uplink"
        return link.kind if link.kind in ("veth", "vlan", "bond", "team", "macvlan") else "link"

    def _is_crossed(self, at: int) -> bool:
        """Whether the node is a bridge; the last one too, whose own stack may be meant."""
        return self._wiring.is_bridge(self._leg.nodes[at])

    def _command(self, link: Link, *words: str) -> tuple[str, ...]:
        return inside(self._scene.netns(link.netns), "ip", "link", "set", link.raw_name, *words)

    # A link, and its port

    def _link(self, at: int, link: Link) -> list[Fact]:
        facts = [self._admin(link)]
        if link.up:
            facts.append(self._carrier(link))
        facts += self._plug(link)
        facts += self._port(at, link)
        facts += self._mtu(at, link)
        return facts

    def _admin(self, link: Link) -> Fact:
        if link.up:
            return good("is up", _FLAGS)
        remedy = mend(f"set {link.name} up", *self._command(link, "up"))
        return broken(f"{link.name} is set down", _FLAGS, "link-down", Layer.ADMIN, remedy)

    def _carrier(self, link: Link) -> Fact:
        if link.carrier:
            return good("has a carrier", _FLAGS)
        peer = self._wiring.link(self._wiring.peer(link.key) or link.parent or "")
        if peer is not None and not peer.up:
            words = f"has no carrier: {peer.name} is down"
            return broken(words, _FLAGS, "no-carrier", Layer.SYMPTOM)
        if link.kind == "bridge":
            return broken("has no carrier: none of its ports forwards", _FLAGS, "no-carrier", Layer.SYMPTOM)
        if link.tap is not None and not self._scene.guests.owners(link.key):
            remedy = mend("start the guest, or whatever holds this tap")
            return broken("no process holds this tap", "/proc/PID/fdinfo", "tap-unheld", Layer.PROCESS, remedy)
        remedy = mend("plug the cable, or set the other end up")
        return broken(f"{link.name} has no carrier", _FLAGS, "no-carrier", Layer.CARRIER, remedy)

    def _plug(self, link: Link) -> list[Fact]:
        if link.key not in self._leg.loose:
            return []
        bridge = self._wiring.link(self._leg.bridge)
        if bridge is None:
            return [broken(f"{link.name} is plugged into no bridge", _MASTER, "not-enslaved", Layer.L2)]
        remedy = mend(f"plug {link.name} into {bridge.name}", *self._command(link, "master", bridge.raw_name))
        other = self._wiring.link(self._wiring.master(link.key) or "")
        if other is not None:
            words = f"{link.name} is plugged into {other.name}; its configuration says {bridge.name}"
            return [broken(words, _MASTER, "wrong-bridge", Layer.L2, remedy)]
        words = f"{link.name} is plugged into no bridge; {bridge.name} is meant"
        return [broken(words, _MASTER, "not-enslaved", Layer.L2, remedy)]

    def _port(self, at: int, link: Link) -> list[Fact]:
        bridge = self._bridge_beside(at, link)
        if link.port is None or bridge is None:
            return []
        facts = [self._port_state(link, bridge)]
        facts += self._isolated(at, link)
        facts += self._vlans(at, link, bridge)
        return facts

    def _bridge_beside(self, at: int, link: Link) -> Link | None:
        master = self._wiring.link(self._wiring.master(link.key) or "")
        nodes = self._leg.nodes
        beside = nodes[max(at - 1, 0) : at + 2]
        return master if master is not None and master.kind == "bridge" and master.key in beside else None

    def _port_state(self, link: Link, bridge: Link) -> Fact:
        assert link.port is not None
        state = link.port.state
        if state is PortState.FORWARDING:
            return good(f"port of {bridge.name}, forwarding", _STATE)
        words = f"its port of {bridge.name} is {state.value}"
        if not (link.up and link.carrier and bridge.up):
            return broken(f"{words}, as it is down", _STATE, _CAUSES[state], Layer.SYMPTOM)
        return broken(words, _STATE, _CAUSES[state], Layer.L2, *self._port_remedies(link, bridge))

    def _port_remedies(self, link: Link, bridge: Link) -> tuple[Remedy, ...]:
        if bridge.bridge is not None and bridge.bridge.stp:
            words = "wait until spanning tree has decided, or switch it off where there is no loop"
            return (mend(words, *self._command(bridge, "type", "bridge", "stp_state", "0")),)
        where = inside(self._scene.netns(link.netns), "bridge", "link", "set", "dev", link.raw_name, "state", "3")
        return (mend(f"let the port of {link.name} forward", *where),)

    def _isolated(self, at: int, link: Link) -> list[Fact]:
        assert link.port is not None
        other = self._other_port(at)
        if other is None or other.port is None or not (link.port.isolated and other.port.isolated):
            return []
        remedy = mend("let one of the two reach the other", *self._command_isolated(link))
        words = f"is isolated, and so is {other.name}: they do not reach each other"
        return [broken(words, "IFLA_BRPORT_ISOLATED", "port-isolated", Layer.L2, remedy)]

    def _command_isolated(self, link: Link) -> tuple[str, ...]:
        return inside(self._scene.netns(link.netns), "bridge", "link", "set", "dev", link.raw_name, "isolated", "off")

    def _other_port(self, at: int) -> Link | None:
        """The port that the frame left the same bridge's other side by, or comes in by; named once, at the second."""
        nodes = self._leg.nodes
        if at >= 2 and self._wiring.is_bridge(nodes[at - 1]):
            return self._wiring.link(nodes[at - 2])
        return None

    # VLANs

    def _vlans(self, at: int, link: Link, bridge: Link) -> list[Fact]:
        if bridge.bridge is None or not bridge.bridge.vlan_filtering:
            return []
        if not link.vlans:
            words = f"is in no VLAN of {bridge.name}, which filters by VLAN"
            return [broken(words, _VLANS, "vlan-none", Layer.L2, self._vlan_remedy(link, 1))]
        entering = at + 1 < len(self._leg.nodes) and self._leg.nodes[at + 1] == bridge.key
        if entering:
            pvid = _pvid(link.vlans)
            if pvid is None:
                words = "has no VLAN for untagged frames (PVID)"
                return [broken(words, _VLANS, "vlan-no-pvid", Layer.L2, self._vlan_remedy(link, 1))]
            return [good(f"untagged frames are in VLAN {pvid}", _VLANS)]
        return self._leaving_vlan(at, link)

    def _leaving_vlan(self, at: int, link: Link) -> list[Fact]:
        before = self._other_port(at) or self._own_bridge(at)
        vlan = _pvid(before.vlans) if before is not None else None
        if before is None or vlan is None:
            return []
        if not _carries(link.vlans, vlan):
            words = f"is not in VLAN {vlan}, which the frames of {before.name} are in"
            return [broken(words, _VLANS, "vlan-mismatch", Layer.L2, self._vlan_remedy(link, vlan))]
        return [good(f"is in VLAN {vlan}", _VLANS)]

    def _own_bridge(self, at: int) -> Link | None:
        """The bridge whose own stack sends the frame out by its port at a place."""
        return self._wiring.link(self._leg.nodes[0]) if at == 1 and self._wiring.is_bridge(self._leg.nodes[0]) else None

    def _own_vlans(self, at: int, link: Link) -> list[Fact]:
        """A bridge is a port of itself: what its own stack says is in a VLAN, and it hears only those it is in."""
        if link.bridge is None or not link.bridge.vlan_filtering:
            return []
        where = inside(self._scene.netns(link.netns), "bridge", "vlan", "add", "dev", link.raw_name, "vid")
        if at == 0 and len(self._leg.nodes) > 1:
            if _pvid(link.vlans) is not None:
                return []
            remedy = mend(f"put {link.name} itself into a VLAN", *where, "1", "pvid", "untagged", "self")
            words = f"{link.name} itself has no VLAN for untagged frames (PVID)"
            return [broken(words, _VLANS, "vlan-no-pvid", Layer.L2, remedy)]
        before = self._wiring.link(self._leg.nodes[at - 1]) if self._leg.arrives and at else None
        vlan = _pvid(before.vlans) if before is not None else None
        if before is None or vlan is None or at != len(self._leg.nodes) - 1:
            return []
        if _carries(link.vlans, vlan):
            return [good(f"is in VLAN {vlan} itself", _VLANS)]
        remedy = mend(f"put {link.name} itself into the VLAN", *where, str(vlan), "self")
        words = f"{link.name} itself is not in VLAN {vlan}, which the frames of {before.name} are in"
        return [broken(words, _VLANS, "vlan-mismatch", Layer.L2, remedy)]

    def _vlan_remedy(self, link: Link, vlan: int) -> Remedy:
        words = ("bridge", "vlan", "add", "dev", link.raw_name, "vid", str(vlan), "pvid", "untagged")
        return mend(f"put {link.name} into the VLAN", *inside(self._scene.netns(link.netns), *words))

    # MTU

    def _narrowest(self) -> tuple[int, int, str] | None:
        """The place of the link with the smallest MTU of the leg, the largest MTU, and whose that is."""
        links = [(at, self._wiring.link(node)) for at, node in enumerate(self._leg.nodes)]
        last = len(links) - 1
        sizes = [
            (link.mtu, at, link.name)
            for at, link in links
            if link is not None and (link.kind != "bridge" or at in (0, last))
        ]
        if not sizes or min(sizes)[0] == max(sizes)[0]:
            return None
        return min(sizes)[1], max(sizes)[0], max(sizes)[2]

    def _mtu(self, at: int, link: Link) -> list[Fact]:
        if self._narrow is None or self._narrow[0] != at:
            return []
        _, largest, name = self._narrow
        remedy = mend("give both the same MTU", *self._command(link, "mtu", str(largest)))
        words = f"MTU {link.mtu} here, {largest} at {name}: small pings pass, larger packets are lost"
        return [warning(words, _MTU, "mtu-mismatch", Layer.L2, remedy)]

    # Bridges

    def _bridge(self, at: int, link: Link) -> list[Fact]:
        facts = [self._admin_of_bridge(link)]
        crossed = 0 < at < len(self._leg.nodes) - 1
        if link.up and not link.carrier and not crossed:
            facts.append(self._carrier(link))
        if self._leg.apart and at > 0 and self._wiring.is_bridge(self._leg.nodes[at - 1]):
            words = f"nothing joins {self._name(at - 1)} and {link.name}"
            facts.append(broken(words, _MASTER, "bridges-apart", Layer.L2))
        facts += self._own_vlans(at, link)
        facts += self._learned(at, link)
        facts += self._mtu(at, link)
        return facts

    def _admin_of_bridge(self, link: Link) -> Fact:
        if link.up:
            return good("is up", _FLAGS)
        remedy = mend(f"set {link.name} up", *self._command(link, "up"))
        return broken(f"bridge {link.name} is set down", _FLAGS, "bridge-down", Layer.ADMIN, remedy)

    def _name(self, at: int) -> str:
        link = self._wiring.link(self._leg.nodes[at])
        return link.name if link is not None else "the bridge"

    def _learned(self, at: int, link: Link) -> list[Fact]:
        """Where the bridge has learned the guest's MAC."""
        mac = self._flow.mac
        if not self._first or not mac or at == 0:
            return []
        learned = self._scene.learned()
        behind = [port for port in self._wiring.ports.get(link.key, ()) if mac in learned.get(port, ())]
        if not behind:
            # It forgets whom it has not heard for five minutes.
            return []
        port = self._leg.nodes[at - 1]
        if port in behind:
            return [good(f"has learned {mac} behind {self._name(at - 1)}", _FDB)]
        other = self._wiring.link(behind[0])
        words = f"has learned {mac} behind {other.name if other else '?'}, not behind {self._name(at - 1)}"
        return [warning(words, _FDB, "mac-elsewhere", Layer.L2)]


def _pvid(vlans: tuple[PortVlan, ...]) -> int | None:
    return next((vlan.first for vlan in vlans if vlan.pvid), None)


def _carries(vlans: tuple[PortVlan, ...], number: int) -> bool:
    return any(vlan.first <= number <= vlan.last for vlan in vlans)
