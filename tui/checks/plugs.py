"""Guests' NICs: down, plugged into nothing, two with one MAC or address, tags that differ, filtered on their bridge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, INFO, NETWORK_PARTS, WARNING, AnyCheck, Check, Rule, Scene, Subject, act, run
from tui.checks.links import inside, subject_of
from tui.checks.networks import bridge_of
from tui.model.domain import DomainState
from tui.model.finding import Verdict
from tui.model.kind import Kind

if TYPE_CHECKING:
    from tui.model.finding import Fact, Finding, Hop
    from tui.model.link import Link
    from tui.topology.guests import GuestNic
    from tui.topology.trace_scene import Flow

_AT_WORK = (DomainState.RUNNING, DomainState.BLOCKED)
_LOOSE = Rule("nic.loose", ERROR, "Whatever the guest sends ends in its own tap.")
_TAP_DOWN = Rule("nic.tap-down", ERROR, "Nothing passes it; the guest sees a link that is up, and nobody answers.")
_UNPLUGGED = Rule("nic.link-down", INFO, "The guest sees a cable that is pulled, which may be meant.")
_MAC = Rule("nic.duplicate-mac", ERROR, "Each takes the other's frames away, and both may get the same address.")
_IP = Rule("nic.duplicate-ip", ERROR, "Whoever asks for the address reaches now the one, now the other.")
_TAG = Rule(
    "ovs.tag-mismatch", ERROR, "It is in another VLAN than its configuration says, and reaches others than it should."
)
_OVS = Rule("ovs.port-error", ERROR, "Nothing passes this port.")
_FILTERED = Rule("network.filtered", ERROR, "What its guests send out, or the answers to it, is dropped on this host.")
_BRIDGED = Rule(
    "bridge.filtered",
    ERROR,
    "Frames between its ports go through iptables (bridge-nf-call-iptables), which drops them.",
)


def guest_subject(nic: GuestNic) -> Subject:
    """Return the subject that the guest of a NIC is."""
    return Subject(Kind.DOMAIN if nic.domain is not None else Kind.PROCESS, nic.guest, nic.key)


def _loose(scene: Scene) -> Iterable[Finding]:
    """Of NICs that name a bridge of the kernel's; of those that name a network the network says it."""
    bridges = [link for link in scene.wiring.links.values() if link.kind == "bridge"]
    for nic in scene.guests.nics:
        if nic.kind != "bridge" or nic.tap is None or not nic.expected or not nic.running:
            continue
        tap = scene.wiring.links[nic.tap]
        bridge = next((b for b in bridges if (b.name, b.netns) == (nic.expected, tap.netns)), None)
        if bridge is not None and scene.wiring.master(nic.tap) is None and tap.master is None:
            plug = inside(scene, tap, "ip", "link", "set", tap.raw_name, "master", bridge.raw_name)
            yield _LOOSE.of(
                guest_subject(nic),
                f"net{nic.index} ({tap.name}) is plugged into nothing; {nic.expected} is meant",
                run("plug it in", *plug),
                part=f"net{nic.index}",
            )


def _down(scene: Scene) -> Iterable[Finding]:
    """The host's end of NICs of guests that run: libvirt itself sets a paused guest's macvtap down, and the tap of a
    NIC whose link is down may be as well."""
    for nic in scene.guests.nics:
        tap = scene.wiring.link(nic.tap or "")
        domain = nic.domain
        if not nic.running or (domain is not None and domain.state not in _AT_WORK):
            continue
        if not nic.link_up and domain is not None:
            yield _UNPLUGGED.of(
                guest_subject(nic),
                f"the link of net{nic.index} ({nic.mac}) is set down",
                act("set it up", "domain.nic-link", domain.key, nic=nic.mac, state="up"),
                part=f"net{nic.index}",
            )
        elif tap is not None and not tap.up:
            yield _TAP_DOWN.of(
                guest_subject(nic),
                f"net{nic.index}: its link on the host, {tap.name}, is set down",
                run("set it up", *inside(scene, tap, "ip", "link", "set", tap.raw_name, "up")),
                part=f"net{nic.index}",
                # One that was started by hand may be at work on its links yet.
                severity=ERROR if domain is not None else WARNING,
            )


def _macs(scene: Scene) -> Iterable[Finding]:
    by_mac: dict[str, list[GuestNic]] = {}
    for nic in scene.guests.nics:
        if nic.mac and nic.running and not nic.linkless:
            by_mac.setdefault(nic.mac, []).append(nic)
    for mac, nics in by_mac.items():
        for nic in nics if len(nics) > 1 else ():
            if (other := next((o for o in nics if o is not nic and _meet(scene, nic, o)), None)) is not None:
                yield _MAC.of(
                    guest_subject(nic),
                    f"net{nic.index} has the MAC {mac}, and so has {other.name}",
                    run("give one of them another MAC, at its next boot"),
                    part=f"net{nic.index}",
                )


def _meet(scene: Scene, one: GuestNic, other: GuestNic) -> bool:
    """Whether frames get from one to the other. Two NICs of one guest with one MAC may be a pair that takes turns."""
    if one.key == other.key or one.tap is None or other.tap is None:
        return False
    return other.tap in scene.wiring.segment(one.tap)


def _ips(scene: Scene) -> Iterable[Finding]:
    """By leases and agents alone: what the neighbour tables say may be of yesterday."""
    told = {
        key: {a.address for a in found if a.source in ("lease", "agent")}
        for key, found in scene.snapshot.addresses.items()
    }
    by_address: dict[str, list[GuestNic]] = {}
    for nic in scene.guests.nics:
        for address in nic.addresses if nic.running else ():
            if address in told.get(nic.key, ()):
                by_address.setdefault(address, []).append(nic)
    for address, nics in by_address.items():
        for nic in nics if len(nics) > 1 else ():
            other = next((o for o in nics if o.mac != nic.mac and _meet(scene, nic, o)), None)
            if other is not None:
                yield _IP.of(
                    guest_subject(nic),
                    f"net{nic.index} has the address {address}, and so has {other.name}",
                    run("give one of them another address"),
                    part=f"net{nic.index}",
                )


def _ovs(scene: Scene) -> Iterable[Finding]:
    for node, (_bridge, port, interface) in scene.wiring.ovs_ports.items():
        link = scene.wiring.link(node)
        subject = subject_of(scene, link) if link is not None else Subject(Kind.HOST, interface.name, port.key)
        if interface.error:
            yield _OVS.of(
                subject,
                f"Open vSwitch cannot use it: {interface.error}",
                run("see what it says", "ovs-vsctl", "list", "interface", interface.raw_name),
            )
        nic = scene.guests.by_tap.get(node)
        wanted = _tag_of(nic) if nic is not None else None
        if nic is not None and wanted is not None and port.tag != wanted and not port.trunks:
            has = "none" if port.tag is None else str(port.tag)
            yield _TAG.of(
                guest_subject(nic),
                f"net{nic.index} has the VLAN tag {has} in Open vSwitch, not {wanted}",
                run("set it", "ovs-vsctl", "set", "port", port.raw_name, f"tag={wanted}"),
                part=f"net{nic.index}",
            )


def _tag_of(nic: GuestNic) -> int | None:
    """The one VLAN that its configuration says; None: none, or several."""
    config = nic.domain.config if nic.domain is not None else None
    if config is None or nic.index >= len(config.nics):
        return None
    vlan = config.nics[nic.index].vlan
    return int(vlan) if vlan.isdecimal() else None


# Filters, by the judges of the path trace


def broken_fact(hop: Hop | None) -> Fact | None:
    """Return what breaks a hop."""
    facts = hop.facts if hop is not None else ()
    return next((fact for fact in facts if fact.verdict is Verdict.BROKEN), None)


def way_out(scene: Scene, netns: str) -> Link | None:
    """Return the link of a namespace's default route."""
    links = scene.snapshot.links
    for route in links.routes.get(netns, ()) if links is not None else ():
        if route.destination == "default" and not route.ipv6 and route.kind == "unicast" and route.hops:
            return scene.wiring.link(route.hops[0].link or "")
    return None


def flow_from(source: str) -> Flow:
    """Return a ping from an address to outside."""
    from tui.topology.trace_scene import flow_to

    return flow_to("", (source,))


def _filtered(scene: Scene) -> Iterable[Finding]:
    """What the host does with a packet from a routed network of libvirt to outside, and with its answer."""
    from tui.topology.trace_filter import forward_hop

    networks = scene.snapshot.networks
    for network in networks.networks.values() if networks is not None else ():
        bridge = bridge_of(scene, network) if network.active and network.config.mode in ("nat", "route") else None
        out = way_out(scene, bridge.netns) if bridge is not None else None
        source = next((_next_to(a.address) for a in network.config.addresses if not a.ipv6), "")
        if bridge is None or out is None or not source or out.key == bridge.key:
            continue
        fact = broken_fact(forward_hop(scene.traced, bridge.netns, bridge, out, flow_from(source)))
        if fact is not None:
            yield _FILTERED.of(Subject(Kind.NETWORK, network.name, network.key), fact.words, *fact.remedies)


def _next_to(address: str) -> str:
    """The address after one: some guest's."""
    from ipaddress import ip_address

    return str(ip_address(address) + 1)


def _bridged(scene: Scene) -> Iterable[Finding]:
    """Each bridge that guests are plugged into and whose frames iptables gets to see, from a guest to its way out."""
    from tui.topology.trace_filter import bridge_hop

    for bridge, tap, nic in _called(scene):
        outs = [key for key in scene.wiring.ports.get(bridge.key, ()) if key not in scene.guests.by_tap]
        out = next((link for key in outs if (link := scene.wiring.link(key)) is not None), None)
        source = next((address for address in nic.addresses if ":" not in address), "")
        if out is None or not source:
            continue
        fact = broken_fact(bridge_hop(scene.traced, bridge, tap, out, flow_from(source)))
        if fact is not None:
            yield _BRIDGED.of(subject_of(scene, bridge), fact.words, *fact.remedies)


def _called(scene: Scene) -> Iterator[tuple[Link, Link, GuestNic]]:
    seen: set[str] = set()
    for key, nic in scene.guests.by_tap.items():
        tap = scene.wiring.links[key]
        bridge = scene.wiring.link(tap.master or "")
        if bridge is None or bridge.kind != "bridge" or bridge.key in seen:
            continue
        netns = scene.wiring.namespaces.get(bridge.netns)
        own = bridge.bridge is not None and bridge.bridge.nf_iptables
        if own or (netns is not None and netns.settings.bridge_nf_iptables):
            seen.add(bridge.key)
            yield bridge, tap, nic


CHECKS: tuple[AnyCheck, ...] = (
    Check(_loose, NETWORK_PARTS),
    Check(_down, NETWORK_PARTS),
    Check(_macs, NETWORK_PARTS),
    Check(_ips, NETWORK_PARTS),
    Check(_ovs, ("ovs", "links", "domains", "processes", "networks")),
    Check(_filtered, ("networks", "links", "firewalls")),
    Check(_bridged, ("firewalls", *NETWORK_PARTS)),
)
