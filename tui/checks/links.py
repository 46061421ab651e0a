"""Links: bridges that lead nowhere, ports that pass nothing, dead slaves, MTUs, tunnels, drops."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, INFO, NETWORK_PARTS, WARNING, AnyCheck, Check, Rule, Scene, Subject, run
from tui.model.kind import Kind
from tui.model.link import PortState

if TYPE_CHECKING:
    from tui.model.finding import Finding, Remedy
    from tui.model.link import Link, LinkUsage
    from tui.topology.guests import GuestNic

SETTLE_S = 45.0
"""What spanning tree may take before a port forwards: twice 15 s, and a change meanwhile."""
DROP_SHARE, DROPS = 0.01, 20
_OVERHEAD = {"vxlan": 50, "geneve": 50, "gretap": 38}
FLAPS = 4

_BRIDGE_DOWN = Rule("bridge.down", ERROR, "Guests plugged into it reach nobody.")
_NO_UPLINK = Rule("bridge.uplink-dead", ERROR, "Guests reach each other, and nothing beyond this host.")
_ALONE = Rule("bridge.no-uplink", INFO, "Guests there reach each other alone, which may be meant.")
_PORT = Rule("port.not-forwarding", ERROR, "The bridge takes nothing from this port and sends nothing to it.")
_MTU = Rule("link.mtu", WARNING, "Small packets pass and large ones are lost: pings work, transfers hang.")
_TUNNEL_MTU = Rule("tunnel.mtu", INFO, "Each full packet is cut in two, or lost where that is forbidden.")
_SLAVE = Rule("bond.slave-dead", WARNING, "The bond lives on what is left; the next failure cuts it off.")
_BOND = Rule("bond.dead", ERROR, "Nothing passes it.")
_FAR = Rule("tunnel.unreachable", ERROR, "What is sent into it arrives nowhere.")
_DROPS = Rule("link.drops", WARNING, "Lost packets are sent again after a pause, which slows transfers to a crawl.")
_FLAPS = Rule("bridge.mac-flaps", WARNING, "Frames for it go now here, now there: a loop, or two with the same MAC.")
_LEFT = Rule("tap.left-over", INFO, "Nobody uses it; it was left behind.")


def subject_of(scene: Scene, link: Link) -> Subject:
    """Return the subject that a link is, with its namespace where that is not our own."""
    netns = scene.wiring.namespaces.get(link.netns)
    where = f"@{netns.name}" if netns is not None and not netns.home else ""
    return Subject(Kind.LINK, link.name + where, link.key)


def inside(scene: Scene, link: Link, *command: str) -> tuple[str, ...]:
    """Return the command that does the same in the link's namespace."""
    from tui.topology.trace_facts import inside as within

    return within(scene.wiring.namespaces.get(link.netns), *command)


def _names(nics: Iterable[GuestNic]) -> str:
    names = list(dict.fromkeys(nic.guest for nic in nics))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _of_libvirt(scene: Scene) -> set[str]:
    """The bridges that libvirt's networks have made: what is wrong with those is said of the network."""
    networks = scene.snapshot.networks
    return {n.config.raw_bridge for n in networks.networks.values() if n.active} if networks is not None else set()


def _bridge(scene: Scene) -> Iterable[Finding]:
    own = _of_libvirt(scene)
    for bridge, ports, nics in scene.bridges:
        if bridge.raw_name in own:
            continue
        if not bridge.up:
            yield _BRIDGE_DOWN.of(
                subject_of(scene, bridge),
                f"is set down, with {_names(nics)} plugged in",
                run("set it up", *inside(scene, bridge, "ip", "link", "set", bridge.raw_name, "up")),
            )
            continue
        routed = bool(scene.wiring.addresses(bridge))
        # A pair may be a container's beside the guests: what is behind it is no uplink where the host itself is one.
        out = [port for port in ports if _leads_on(scene, port) and not (routed and port.kind in ("veth", "netkit"))]
        dead = [port for port in out if not (port.up and port.carrier)]
        if out and len(dead) == len(out):
            why = "is set down" if not dead[0].up else "has no carrier"
            words = (
                f"its only uplink {dead[0].name} {why}" if len(out) == 1 else f"none of its {len(out)} uplinks is up"
            )
            up = inside(scene, dead[0], "ip", "link", "set", dead[0].raw_name, "up")
            remedy = run("set it up", *up) if not dead[0].up else run("plug the cable, or set the other end up")
            yield _NO_UPLINK.of(subject_of(scene, bridge), f"{words}; {_names(nics)} behind it", remedy)
        elif not out and not routed:
            yield _ALONE.of(
                subject_of(scene, bridge),
                f"has no uplink and no address; {_names(nics)} plugged in",
                run("plug a link in, if they are to reach others"),
            )


def _leads_on(scene: Scene, port: Link) -> bool:
    """Whether a port is not a guest's: a cable, a bond, a VLAN, a tunnel, a pair to elsewhere."""
    return port.kind not in ("tun", "macvtap", "dummy", "ifb") and port.key not in scene.guests.by_tap


def _ports(scene: Scene) -> Iterable[Finding]:
    """A port that spanning tree closes because there are two ways is as it should be; a guest's is not."""
    for bridge, ports, _nics in scene.bridges:
        forwarding = [port for port in ports if port.port is not None and port.port.state is PortState.FORWARDING]
        for port in ports:
            state = port.port.state if port.port is not None else PortState.FORWARDING
            if state is PortState.FORWARDING or not (port.up and port.carrier and bridge.up):
                continue
            nic = scene.guests.by_tap.get(port.key)
            if state is PortState.BLOCKING and nic is None and any(_leads_on(scene, other) for other in forwarding):
                continue
            if state in (PortState.LISTENING, PortState.LEARNING) and not _lasts(scene, port):
                continue
            whose = f" of {nic.guest}" if nic is not None else ""
            words = f"the port{whose} of {bridge.name} is {state.value}"
            opened = inside(scene, port, "bridge", "link", "set", "dev", port.raw_name, "state", "3")
            loop = bridge.bridge is not None and bridge.bridge.stp
            remedy = (
                run("see where the loop is", *inside(scene, port, "bridge", "-d", "link"))
                if loop
                else run("let it forward", *opened)
            )
            yield _PORT.of(subject_of(scene, port), words, remedy)


def _lasts(scene: Scene, port: Link) -> bool:
    return scene.history.state_for_s(port.key, scene.snapshot.taken_ns) > SETTLE_S


def _mtus(scene: Scene) -> Iterable[Finding]:
    """A guest's tap that takes larger packets than a way out of its bridge; the other way round is no trouble."""
    for bridge, ports, nics in scene.bridges:
        out = [port for port in ports if _leads_on(scene, port) and port.up]
        if not out:
            continue
        narrow = min(out, key=lambda port: port.mtu)
        wide = [nic for nic in nics if (tap := scene.wiring.link(nic.tap or "")) is not None and tap.mtu > narrow.mtu]
        if wide:
            tap = scene.wiring.links[wide[0].tap or ""]
            words = f"MTU {narrow.mtu}, and {tap.mtu} at {_names(wide)} on {bridge.name}"
            yield _MTU.of(subject_of(scene, narrow), words, _same_mtu(scene, narrow, tap.mtu))
    for link in scene.wiring.links.values():
        peer = scene.wiring.link(link.peer or "") if link.kind in ("veth", "netkit") else None
        if peer is not None and link.mtu < peer.mtu and link.up and peer.up:
            name = subject_of(scene, peer).name
            yield _MTU.of(
                subject_of(scene, link),
                f"MTU {link.mtu} here, {peer.mtu} at its other end {name}",
                run(
                    "give both the same MTU",
                    *inside(scene, link, "ip", "link", "set", link.raw_name, "mtu", str(peer.mtu)),
                ),
            )


def _same_mtu(scene: Scene, narrow: Link, wide: int) -> Remedy:
    """A tunnel is as narrow as what it lies on leaves it."""
    if narrow.tunnel is not None:
        return run(f"give those guests an MTU of {narrow.mtu}: <mtu size='{narrow.mtu}'/> of the NIC or network")
    command = inside(scene, narrow, "ip", "link", "set", narrow.raw_name, "mtu", str(wide))
    return run("give all the same MTU, the switch beyond as well", *command)


def _bonds(scene: Scene) -> Iterable[Finding]:
    slaves: dict[str, list[Link]] = {}
    for link in scene.wiring.links.values():
        if link.slave is not None and link.master is not None:
            slaves.setdefault(link.master, []).append(link)
    for key, found in slaves.items():
        bond = scene.wiring.link(key)
        if bond is None or bond.kind != "bond" or not bond.up:
            continue
        dead = [link for link in found if not (link.up and link.carrier and (link.slave is None or link.slave.up))]
        if not dead:
            continue
        names = ", ".join(link.name for link in dead)
        if len(dead) == len(found):
            yield _BOND.of(
                subject_of(scene, bond), f"none of its slaves is up: {names}", run("see to cables and switch")
            )
            continue
        # One that is set down was set down by somebody.
        severity = WARNING if any(link.up for link in dead) else INFO
        words = f"{len(dead)} of {len(found)} slaves {'is' if len(dead) == 1 else 'are'} not up: {names}"
        yield _SLAVE.of(subject_of(scene, bond), words, run("see to cable and switch port"), severity=severity)


def _tunnels(scene: Scene) -> Iterable[Finding]:
    links = scene.snapshot.links
    for link in scene.wiring.links.values():
        tunnel = link.tunnel
        if links is None or tunnel is None or tunnel.collect_metadata or not link.up:
            continue
        below = scene.wiring.link(link.parent or "")
        if below is not None and (overhead := _OVERHEAD.get(link.kind)) and link.mtu + overhead > below.mtu:
            words = f"MTU {link.mtu} with {overhead} bytes around it does not fit {below.name}, which has {below.mtu}"
            fit = inside(scene, link, "ip", "link", "set", link.raw_name, "mtu", str(below.mtu - overhead))
            yield _TUNNEL_MTU.of(subject_of(scene, link), words, run("make it smaller", *fit))
        netns = below.netns if below is not None else link.netns
        if tunnel.remote and (why := _unreachable(scene, netns, tunnel.remote)):
            yield _FAR.of(
                subject_of(scene, link),
                f"its far end {tunnel.remote} cannot be reached: {why}",
                run("see the way there", *inside(scene, below or link, "ip", "route", "get", tunnel.remote)),
            )


def _unreachable(scene: Scene, netns: str, address: str) -> str:
    """Why an address cannot be reached from a namespace; "" where it can, or nobody knows. Policy routing is not
    simulated."""
    links = scene.snapshot.links
    try:
        wanted = ip_address(address)
    except ValueError:
        return ""
    if links is None or wanted.is_multicast or links.rules.get(netns) or netns not in links.routes:
        return ""
    ways = []
    for route in links.routes[netns]:
        if route.ipv6 != (wanted.version == 6):
            continue
        if route.destination == "default":
            ways.append((-1, route))
        elif wanted in ip_network(route.destination, strict=False):
            ways.append((ip_network(route.destination, strict=False).prefixlen, route))
    if not ways:
        own = any(
            a.address == address for key, found in links.addresses.items() for a in found if key.startswith(f"{netns}:")
        )
        return "" if own else "no route leads there"
    _, best = max(ways, key=lambda way: way[0])
    if best.kind != "unicast":
        return f"its route says {best.kind}"
    hop = best.hops[0] if len(best.hops) == 1 else None
    out = scene.wiring.link(hop.link or "") if hop is not None else None
    if hop is None or out is None:
        return ""
    if not (out.up and out.carrier):
        return f"{out.name} on the way there is down"
    entry = scene.traced.neighbour(out.key, hop.gateway or address)
    return f"{hop.gateway or address} does not answer ARP" if entry is not None and entry.state == "failed" else ""


def _drops(scene: Scene) -> Iterable[Finding]:
    """What a guest that does not run drops is no matter."""
    for key in scene.snapshot.link_usage:
        link = scene.wiring.link(key)
        if link is None or not scene.history.lasting_link(key, _loses):
            continue
        nic = scene.guests.by_tap.get(key)
        if nic is not None and nic.domain is not None and nic.domain.state != "running":
            continue
        drops = sum(usage.new_drops for usage in scene.history.link_usage[key])
        whose = f": {nic.guest} does not fetch them in time" if nic is not None else ""
        words = f"drops more than {DROP_SHARE:.0%} of its packets, {_coarse(drops)} or more lately{whose}"
        yield _DROPS.of(
            subject_of(scene, link),
            words,
            run("see what it counts", *inside(scene, link, "ip", "-s", "link", "show", link.raw_name)),
        )


def _loses(usage: LinkUsage) -> bool:
    rates = (usage.rx_packets_per_s or 0.0) + (usage.tx_packets_per_s or 0.0)
    # By the second: counters are read every one to two.
    return usage.new_drops >= DROPS and usage.new_drops >= 2 * rates * DROP_SHARE


def _coarse(count: int) -> int:
    return int(10 ** (len(str(count)) - 1))


def _flaps(scene: Scene) -> Iterable[Finding]:
    for (bridge, mac), times in scene.history.moves(scene.snapshot.taken_ns).items():
        link = scene.wiring.link(bridge)
        if link is not None and times >= FLAPS:
            yield _FLAPS.of(
                subject_of(scene, link),
                f"{mac} moved between its ports {FLAPS} times or more in a minute",
                run(
                    "look for a loop or a second guest with it",
                    *inside(scene, link, "bridge", "fdb", "show", "br", link.raw_name),
                ),
                part=mac,
            )


def _left_over(scene: Scene) -> Iterable[Finding]:
    """Persistent taps that bear libvirt's names and that nothing holds."""
    links = scene.snapshot.links
    if links is None or links.limits:
        return
    targets = {nic.target for nic in scene.guests.nics}
    for link in links.links.values():
        tap = link.tap
        if tap is None or not tap.persistent or not link.raw_name.startswith("vnet"):
            continue
        if link.name not in targets and not links.owners.get(link.key) and not link.carrier:
            yield _LEFT.of(
                subject_of(scene, link),
                "is a tap that no process holds",
                run("delete it", *inside(scene, link, "ip", "link", "delete", link.raw_name)),
            )


_PARTS = ("links", "ovs", "networks", "domains", "processes")
CHECKS: tuple[AnyCheck, ...] = (
    Check(_bridge, _PARTS),
    Check(_ports, _PARTS),
    Check(_mtus, _PARTS),
    Check(_bonds, ("links",)),
    Check(_tunnels, ("links",)),
    Check(_drops, ("link_usage", *NETWORK_PARTS)),
    Check(_flaps, ("links",)),
    Check(_left_over, _PARTS),
)
