"""libvirt's networks: down, without their bridge, DHCP server or rules, out of leases, their guests unplugged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, INFO, WARNING, AnyCheck, Check, Rule, Scene, Subject, act, run
from tui.model.firewall_facts import nat_of
from tui.model.kind import Kind
from tui.model.network_guests import of_network, orphans, plugged

if TYPE_CHECKING:
    from tui.model.dnsmasq import DhcpRange, Dnsmasq
    from tui.model.finding import Finding
    from tui.model.firewall import Firewall
    from tui.model.link import Link
    from tui.model.network import Network
    from tui.model.network_guests import Plugged

_MOST_NAMES = 3
_NEARLY = 0.95

_INACTIVE = Rule("network.inactive", WARNING, "Domains that are plugged into it cannot be started.")
_BRIDGE_GONE = Rule("network.bridge-missing", ERROR, "Its guests reach nobody, and none can be started there.")
_BRIDGE_DOWN = Rule("network.bridge-down", ERROR, "Its guests reach nobody, not even each other.")
_BRIDGE_BARE = Rule("network.address-missing", ERROR, "Its guests have no gateway, and get no address and no names.")
_ORPHANS = Rule(
    "network.orphans",
    ERROR,
    "They reach nobody: their taps are ports of no bridge, as after a restart of the network under them.",
)
_DNSMASQ = Rule(
    "network.dnsmasq-dead", ERROR, "Guests get no address and no names; those that have one lose it in time."
)
_LEASES = Rule("network.leases-out", ERROR, "The next guest gets no address.")
_FORWARDING = Rule("network.forwarding-off", ERROR, "The host passes none of its guests' packets on.")
_NO_NAT = Rule(
    "network.nat-missing",
    ERROR,
    "Packets leave with private addresses that nobody can answer; somebody flushed libvirt's rules.",
)
_STOLEN = Rule(
    "network.route-stolen", ERROR, "The answers to its guests go elsewhere: a VPN or another network took them."
)


def _subject(network: Network) -> Subject:
    return Subject(Kind.NETWORK, network.name, network.key)


def _all(scene: Scene) -> Iterable[Network]:
    networks = scene.snapshot.networks
    return networks.networks.values() if networks is not None else ()


def _guests(scene: Scene, network: Network) -> tuple[Plugged, ...]:
    return of_network(plugged(scene.snapshot.domains.values()), network)


def _names(ones: Iterable[Plugged]) -> str:
    names = list(dict.fromkeys(one.domain.name for one in ones))
    return ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )


def bridge_of(scene: Scene, network: Network) -> Link | None:
    """Return the bridge that libvirt made for an active network, in whatever namespace its daemon is; None: not
    found, or not told from others of that name."""
    links = scene.snapshot.links
    config = network.config
    found = [link for link in links.links.values() if link.raw_name == config.raw_bridge] if links is not None else []
    if config.mac:
        found = [link for link in found if link.mac.lower() == config.mac.lower()]
    return found[0] if len(found) == 1 else None


def _own_bridge(network: Network) -> bool:
    """Whether the bridge is libvirt's own making."""
    return not network.config.macvtap and network.config.mode in ("", "nat", "route", "open")


def _made(scene: Scene) -> Iterator[tuple[Network, Link]]:
    """The active networks whose bridge is libvirt's, with it."""
    for network in _all(scene):
        if network.active and _own_bridge(network) and (bridge := bridge_of(scene, network)) is not None:
            yield network, bridge


def _state(scene: Scene) -> Iterable[Finding]:
    for network in _all(scene):
        if network.active or not network.autostart:
            continue
        ones = _guests(scene, network)
        remedy = act("start it", "network.start", network.key)
        words = "starts with the host, and is not active"
        words += f"; {_names(ones)} {'needs' if len({o.domain.key for o in ones}) == 1 else 'need'} it" if ones else ""
        yield _INACTIVE.of(_subject(network), words, remedy, severity=WARNING if ones else INFO)


def _bridges(scene: Scene) -> Iterable[Finding]:
    links = scene.snapshot.links
    for network, bridge in _made(scene):
        if not bridge.up:
            command = run(f"set {bridge.name} up", *_inside(scene, bridge, "ip", "link", "set", bridge.raw_name, "up"))
            yield _BRIDGE_DOWN.of(_subject(network), f"its bridge {bridge.name} is set down", command)
        else:
            yield from _bare(scene, network, bridge)
    if links is None or links.limits:
        return
    names = {link.raw_name for link in links.links.values()}
    for network in _all(scene):
        if network.active and _own_bridge(network) and network.config.raw_bridge not in names | {""}:
            remedy = act("stop it; then start it, and plug its guests in again", "network.destroy", network.key)
            yield _BRIDGE_GONE.of(_subject(network), f"its bridge {network.config.bridge} is gone", remedy)


def _bare(scene: Scene, network: Network, bridge: Link) -> Iterable[Finding]:
    """Of a bridge that is up: one that is set down loses its IPv6 addresses by that."""
    links, netns = scene.snapshot.links, scene.wiring.namespaces.get(bridge.netns)
    if links is None or netns is None or netns.problem:
        return
    there = {ip_address(one.address) for one in links.addresses.get(bridge.key, ())}
    for one in network.config.addresses:
        if one.prefix is None or ip_address(one.address) in there:
            continue
        own = f"{one.address}/{one.prefix}"
        wide = () if one.ipv6 else ("brd", "+")
        command = _inside(scene, bridge, "ip", "address", "add", own, *wide, "dev", bridge.raw_name)
        severity = ERROR if _runs(scene, network) else WARNING
        words = f"its bridge {bridge.name} has lost the address {own}"
        yield _BRIDGE_BARE.of(
            _subject(network), words, run("give it back", *command), severity=severity, part=one.address
        )


def _inside(scene: Scene, link: Link, *command: str) -> tuple[str, ...]:
    from tui.topology.trace_facts import inside

    return inside(scene.wiring.namespaces.get(link.netns), *command)


def _orphans(scene: Scene) -> Iterable[Finding]:
    for network in _all(scene):
        ones = orphans(scene.snapshot, network, _guests(scene, network)) if network.active else None
        if ones:
            remedy = act("plug them in again", "network.replug", network.key)
            yield _ORPHANS.of(_subject(network), f"running and plugged into nothing: {_names(ones)}", remedy)


# DHCP


_RELOAD = ("systemctl", "reload", "libvirtd")
_RESTART = ("systemctl", "restart", "libvirtd")
"""A reload fills its chains again but does not put back the jumps to them (measured, libvirt 9.0). Guests run on."""


def _dhcp(scene: Scene) -> Iterable[Finding]:
    """Where processes of all users can be seen alone: a server that cannot be seen is no dead one."""
    seen = scene.snapshot
    if seen.links is None or seen.links.limits:
        return
    for network, bridge in _made(scene):
        if not network.config.serves_dhcp or network.config.virtualport:
            continue
        if not any(_serves(server, network, bridge) for server in seen.dnsmasqs):
            remedies = (
                run("have libvirt start it again; guests run on", *_RELOAD),
                run("or stop and start the network, then plug its guests in again: until then they reach nobody"),
            )
            yield _DNSMASQ.of(_subject(network), "its dnsmasq does not run: no DHCP, no DNS", *remedies)
    yield from _leases(scene)


def _serves(server: Dnsmasq, network: Network, bridge: Link) -> bool:
    if server.netns and server.netns != bridge.netns:
        return False
    return server.network == network.name or bridge.raw_name in server.interfaces


def _leases(scene: Scene) -> Iterable[Finding]:
    for network in _all(scene):
        if not network.active:
            continue
        for address in network.config.addresses:
            for pool in address.ranges if not address.ipv6 else ():
                size = _size(pool)
                taken = _taken(scene, network, pool) if size else None
                if taken is not None and taken >= size * _NEARLY and size - taken < 2:
                    words = f"{taken} of the {size} addresses {pool.first} to {pool.last} are leased"
                    remedy = run("widen its range, or shorten its leases", "virsh", "net-edit", network.raw_name)
                    yield _LEASES.of(
                        _subject(network), words, remedy, severity=ERROR if taken >= size else INFO, part=pool.first
                    )


def _size(pool: DhcpRange) -> int:
    try:
        return int(ip_address(pool.last)) - int(ip_address(pool.first)) + 1
    except ValueError:
        return 0


def _taken(scene: Scene, network: Network, pool: DhcpRange) -> int | None:
    """How many addresses of a range are leased; the server's own file before libvirt's word."""
    own = next((server for server in scene.snapshot.dnsmasqs if server.network == network.name), None)
    leases = own.leases if own is not None and own.leases is not None else network.leases
    if leases is None:
        return None
    first, last = int(ip_address(pool.first)), int(ip_address(pool.last))
    return sum(first <= int(ip_address(lease.address)) <= last for lease in leases if ":" not in lease.address)


# Routing


def _forwarding(scene: Scene) -> Iterable[Finding]:
    for network, bridge in _made(scene):
        netns = scene.wiring.namespaces.get(bridge.netns)
        ipv4 = any(not address.ipv6 for address in network.config.addresses)
        if network.config.mode not in ("nat", "route") or netns is None or not ipv4:
            continue
        if netns.settings.ipv4_forwarding is False and bridge.forwarding is not True:
            command = _inside(scene, bridge, "sysctl", "-w", "net.ipv4.ip_forward=1")
            severity = ERROR if _runs(scene, network) else WARNING
            yield _FORWARDING.of(
                _subject(network),
                "the host does not forward (net.ipv4.ip_forward=0)",
                run("let it forward", *command),
                severity=severity,
            )


def _runs(scene: Scene, network: Network) -> bool:
    return any(one.live for one in _guests(scene, network))


def _nat(scene: Scene) -> Iterable[Finding]:
    for network, bridge in _made(scene):
        firewall = scene.snapshot.firewalls.get(bridge.netns)
        if network.config.mode != "nat" or firewall is None or not _is_known(firewall):
            continue
        sources = [nat.source for nat in nat_of(firewall) if nat.family in ("ip", "inet")]
        for address in network.config.addresses:
            if address.ipv6 or address.prefix is None:
                continue
            if not any(_covers(source, f"{address.address}/{address.prefix}") for source in sources):
                where = ip_interface(f"{address.address}/{address.prefix}").network
                remedy = run("restart libvirt: it makes its rules again, guests run on", *_RESTART)
                severity = ERROR if _runs(scene, network) else WARNING
                yield _NO_NAT.of(
                    _subject(network),
                    f"no rule hides {where}: its NAT is gone",
                    remedy,
                    severity=severity,
                    part=address.address,
                )


def _is_known(firewall: Firewall) -> bool:
    """Whether all rules that rewrite sources can be followed."""
    if firewall.problem:
        return False
    legacy = any(chain.origin == "iptables-legacy" for chain in firewall.chains)
    if any(table.endswith(" nat") for table in firewall.legacy) and not legacy:
        return False
    return not any(rule.verdict == "vmap" for c in firewall.chains if c.kind == "nat" for rule in c.rules)


def _covers(source: str, network: str) -> bool:
    """Whether a rule that asks for a source may mean packets of a network; what is not understood may."""
    if not source or source.startswith("!"):
        return True
    try:
        return ip_network(source, strict=False).overlaps(ip_interface(network).network)
    except (ValueError, TypeError):
        return True


def _stolen(scene: Scene) -> Iterable[Finding]:
    """A route to the guests by another link that is as narrow or narrower than the network's own, and wins."""
    links = scene.snapshot.links
    for network, bridge in _made(scene) if links is not None else ():
        if network.config.mode not in ("nat", "route") or links is None or links.rules.get(bridge.netns):
            continue
        routes = [route for route in links.routes.get(bridge.netns, ()) if not route.ipv6 and route.table == 254]
        for address in network.config.addresses:
            if address.ipv6 or address.prefix is None:
                continue
            own = IPv4Network(f"{address.address}/{address.prefix}", strict=False)
            for route in routes:
                if route.destination == "default" or any(hop.link == bridge.key for hop in route.hops):
                    continue
                other = IPv4Network(route.destination, strict=False)
                # Equal ones are told apart by their metric, which the kernel's own routes have lowest.
                if other != own and other.subnet_of(own) and _takes_many(own, other):
                    words = f"{route.destination} of its {own} goes out by {_by(scene, route.hops[0].link)}"
                    yield _STOLEN.of(
                        _subject(network),
                        words,
                        run("take that route away, or renumber the network"),
                        part=route.destination,
                    )


def _takes_many(own: IPv4Network, other: IPv4Network) -> bool:
    """A route to a single guest is somebody's purpose; one to half of them is a clash."""
    return other.prefixlen - own.prefixlen <= 2


def _by(scene: Scene, key: str | None) -> str:
    link = scene.wiring.link(key or "")
    return link.name if link is not None else "another link"


_PARTS = ("networks", "links", "domains")
CHECKS: tuple[AnyCheck, ...] = (
    Check(_state, ("networks", "domains")),
    Check(_bridges, _PARTS),
    Check(_orphans, _PARTS),
    Check(_dhcp, ("networks", "links", "dnsmasqs")),
    Check(_forwarding, _PARTS),
    Check(_nat, (*_PARTS, "firewalls")),
    Check(_stolen, _PARTS),
)
