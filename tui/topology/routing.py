"""Namespaces as hosts and routers: whose links they are, what they pass on, what they rewrite, what serves DHCP."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tui.model.firewall_facts import link_fits, nat_of
from tui.model.text import clean
from tui.model.topology import EdgeKind, NodeKind

if TYPE_CHECKING:
    from tui.model.dnsmasq import Dnsmasq
    from tui.model.firewall_facts import Nat
    from tui.model.link import Link, Netns
    from tui.topology.parts import Parts

Net = ipaddress.IPv4Network | ipaddress.IPv6Network
_ALL_PAIRS = 6


def add_namespaces(parts: Parts) -> None:
    """Add the namespaces that own links: every one but our own, and that where it passes packets on. Of more than six
    routed links only the ways to and from those with a default route are told: all lead to each other."""
    if parts.seen is None:
        return
    links: dict[str, list[Link]] = {}
    for link in parts.links.values():
        if link.key in parts.node_of:
            links.setdefault(link.netns, []).append(link)
    lower = {link.parent for link in parts.links.values()} | {link.master for link in parts.links.values()}
    for link in parts.links.values():
        if link.physical and link.key in parts.node_of:
            parts.tell(parts.node_of[link.key], uplink=True)
    for netns in parts.seen.namespaces.values():
        _mark_way_out(parts, netns)
        _add_namespace(parts, netns, links.get(netns.key, []), lower)


def _mark_way_out(parts: Parts, netns: Netns) -> None:
    assert parts.seen is not None
    for route in parts.seen.routes.get(netns.key, ()):
        for hop in route.hops if route.destination == "default" and route.kind == "unicast" else ():
            if (id := parts.node_of.get(hop.link or "")) is not None:
                parts.tell(id, uplink=True, gateway=parts.facts[id].get("gateway") or hop.gateway)


def _add_namespace(parts: Parts, netns: Netns, links: Sequence[Link], lower: set[str | None]) -> None:
    routed = [link for link in links if parts.addresses(link) and link.kind != "loopback"]
    forwards = bool(netns.settings.ipv4_forwarding or netns.settings.ipv6_forwarding)
    router = forwards and len(routed) >= 2
    if netns.home and not router:
        return
    ends = [] if netns.home else [link for link in links if _is_end(link, lower)]
    owned = list({link.key: link for link in (*routed, *ends)}.values())
    if not owned and not netns.problem:
        return
    settings = netns.settings
    id = parts.node(
        f"netns:{netns.key}", NodeKind.NETNS, netns.name, "unknown" if netns.problem else "up", netns=netns.name,
        key=netns.key, netns_kind=netns.kind.value, pid=netns.pid, ipv4_forwarding=settings.ipv4_forwarding,
        ipv6_forwarding=settings.ipv6_forwarding, rp_filter=settings.rp_filter, router=router or None,
        path=", ".join(clean(path) for path in netns.paths), problem=netns.problem,
    )  # fmt: skip
    for link in owned:
        parts.edge(id, parts.node_of[link.key], EdgeKind.OWNER)
    if router:
        _add_routes(parts, netns, routed)


def _is_end(link: Link, lower: set[str | None]) -> bool:
    """Whether packets end here: a link without an address yet, that is part of nothing else."""
    return link.master is None and link.key not in lower and link.kind not in ("bridge", "openvswitch", "loopback")


def _add_routes(parts: Parts, netns: Netns, routed: Sequence[Link]) -> None:
    rewrites = _rewrites(parts, netns)
    out = {link.key for link in routed if parts.facts[parts.node_of[link.key]].get("gateway")}
    translated = False
    for a, b in _pairs(routed, out):
        ways = [(one, two, words) for one, two in ((a, b), (b, a)) if (words := _nat_words(parts, rewrites, one, two))]
        for one, two, words in ways:
            parts.edge(parts.node_of[one.key], parts.node_of[two.key], EdgeKind.NAT, words)
        translated = translated or bool(ways)
        if not ways:
            parts.edge(parts.node_of[a.key], parts.node_of[b.key], EdgeKind.ROUTE)
    firewall = parts.snapshot.firewalls.get(netns.key)
    known = firewall is not None and not firewall.problem
    parts.tell(f"netns:{netns.key}", nat=translated if known else None)
    if not known:
        parts.tell(f"netns:{netns.key}", nat_unknown=firewall.problem if firewall is not None else "firewall not read")


def _pairs(routed: Sequence[Link], out: set[str]) -> Iterable[tuple[Link, Link]]:
    """Two links each, the one with a default route last."""
    ordered = sorted(routed, key=lambda link: link.key in out)
    for index, a in enumerate(ordered):
        for b in ordered[index + 1 :]:
            if len(ordered) <= _ALL_PAIRS or not out or b.key in out:
                yield a, b


def _rewrites(parts: Parts, netns: Netns) -> list[Nat]:
    firewall = parts.snapshot.firewalls.get(netns.key)
    return nat_of(firewall) if firewall is not None else []


def _net(text: str) -> Net | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _nat_words(parts: Parts, rewrites: Sequence[Nat], a: Link, b: Link) -> str:
    """What becomes of the source of packets from a that leave by b; "" where no rule says."""
    for nat in rewrites:
        if link_fits(nat.oif, b.raw_name) and link_fits(nat.iif, a.raw_name) and _comes_from(parts, nat, a):
            return f"{nat.kind} {nat.to}".strip()
    return ""


def _comes_from(parts: Parts, nat: Nat, link: Link) -> bool:
    """Whether what lies behind a link can be of the source that a rule asks for."""
    source = _net(nat.source.removeprefix("!"))
    if source is None:
        return True
    nets = [net for address in parts.addresses(link) if (net := _net(f"{address.address}/{address.prefix}"))]
    nets += [net for text in _routed_by(parts, link) if (net := _net(text))]
    if nat.source.startswith("!"):
        return any(not _within(net, source) for net in nets)
    return any(net.version == source.version and net.overlaps(source) for net in nets)


def _within(net: Net, other: Net) -> bool:
    return net.version == other.version and net.subnet_of(other)  # type: ignore[arg-type]


def _routed_by(parts: Parts, link: Link) -> Iterable[str]:
    assert parts.seen is not None
    for route in parts.seen.routes.get(link.netns, ()):
        if route.destination != "default" and any(hop.link == link.key for hop in route.hops):
            yield route.destination


def add_dnsmasqs(parts: Parts) -> None:
    """Add every dnsmasq and tie it to the links that it serves; to those in its ranges where it names none."""
    for dnsmasq in parts.snapshot.dnsmasqs:
        links = _served(parts, dnsmasq)
        id = parts.node(
            f"dnsmasq:{dnsmasq.key}", NodeKind.DNSMASQ, f"dnsmasq[{dnsmasq.pid}]", "running",
            netns=parts.netns_name(dnsmasq.netns), key=dnsmasq.key, pid=dnsmasq.pid, network=dnsmasq.network,
            dhcp_ranges=", ".join(f"{span.first}-{span.last}" for span in dnsmasq.ranges),
            leases=len(dnsmasq.leases) if dnsmasq.leases is not None else None,
        )  # fmt: skip
        for link in links:
            parts.edge(id, parts.node_of[link.key], EdgeKind.OWNER, "dhcp" if dnsmasq.ranges else "dns")


def _served(parts: Parts, dnsmasq: Dnsmasq) -> list[Link]:
    netns = dnsmasq.netns or parts.home
    here = [link for link in parts.links.values() if link.netns == netns and link.key in parts.node_of]
    if dnsmasq.interfaces:
        asked = [name for name in dnsmasq.interfaces if name != "lo"]
        return [link for link in here if any(link_fits(name, link.raw_name) for name in asked)]
    if dnsmasq.addresses:
        return [link for link in here if {address.address for address in parts.addresses(link)} & {*dnsmasq.addresses}]
    firsts = [net for span in dnsmasq.ranges if (net := _net(span.first))]
    return [link for link in here if any(_holds(parts, link, first) for first in firsts)]


def _holds(parts: Parts, link: Link, host: Net) -> bool:
    nets = (_net(f"{address.address}/{address.prefix}") for address in parts.addresses(link))
    return any(net is not None and _within(host, net) for net in nets)
