"""What routers do with the packets of single guests: reverse path filters, and rules against one guest's address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, INFO, NETWORK_PARTS, AnyCheck, Check, Rule, Scene, run
from tui.checks.plugs import broken_fact, flow_from, guest_subject, way_out
from tui.topology.trace_facts import conf_of, inside
from tui.topology.trace_filter import forward_hop
from tui.topology.trace_refused import rp_filter_of

if TYPE_CHECKING:
    from tui.model.finding import Finding
    from tui.model.firewall import Firewall
    from tui.model.link import Link, Route
    from tui.topology.guests import GuestNic

_MAIN = 254
_STRICT = 1
_REVERSED = Rule(
    "nic.rp-filter", ERROR, "The router drops all that this guest sends, and counts it nowhere but in its own table."
)
_SINGLED = Rule("nic.filtered", INFO, "A rule is against this guest's own address, which may be meant.")


def _told(scene: Scene) -> list[tuple[GuestNic, str]]:
    """The NICs of guests that run, with the IPv4 addresses that a DHCP server or the guest itself told of."""
    nics = [nic for nic in scene.guests.nics if nic.running and nic.tap is not None]
    return [(nic, address) for nic in nics for address in scene.guests.told_of(nic) if ":" not in address]


def _routers(scene: Scene) -> Iterator[tuple[Link, list[IPv4Network]]]:
    """The links that guests may have as their gateway, with their networks: of a namespace that forwards, and whose
    own way out is another link. Where it is the same, the gateway of all is further out."""
    for link in scene.wiring.links.values():
        netns = scene.wiring.namespaces.get(link.netns)
        networks = [IPv4Network(f"{a.address}/{a.prefix}", strict=False)
                    for a in scene.wiring.addresses(link) if not a.ipv6]  # fmt: skip
        if not networks or netns is None or not link.up or not scene.wiring.is_endpoint(link):
            continue
        out = way_out(scene, link.netns)
        forwards = link.forwarding if link.forwarding is not None else netns.settings.ipv4_forwarding
        if forwards and (out is None or out.key != link.key):
            yield link, networks


def _behind(
    scene: Scene, link: Link, networks: list[IPv4Network], told: Iterable[tuple[GuestNic, str]]
) -> Iterator[tuple[GuestNic, str]]:
    """Those of the NICs whose frames get to a link, and whose addresses are in its networks."""
    segment = frozenset(scene.wiring.segment(link.key))
    for nic, address in told:
        if nic.tap in segment and any(IPv4Address(address) in network for network in networks):
            yield nic, address


def _best(routes: Iterable[Route], address: str) -> Route | None:
    """The route of a table that counts for an address: the narrowest, of those the one of the lowest metric."""
    wanted, best, rank = IPv4Address(address), None, (-1, 0)
    for route in routes:
        network = IPv4Network("0.0.0.0/0" if route.destination == "default" else route.destination)
        if wanted in network:
            this = network.prefixlen, -(route.metric or 0)
            if best is None or this > rank:
                best, rank = route, this
    return best


def _reversed(scene: Scene) -> Iterable[Finding]:
    """Where the router would answer by another link than the one that the guest's packets come in by, and is strict.
    With policy rules the main table does not tell."""
    links = scene.snapshot.links
    if links is None:
        return
    told = _told(scene)
    for link, networks in _routers(scene):
        if links.rules.get(link.netns) or rp_filter_of(scene.traced, link) != _STRICT:
            continue
        routes = [route for route in links.routes.get(link.netns, ()) if not route.ipv6 and route.table == _MAIN]
        for nic, address in _behind(scene, link, networks, told):
            route = _best(routes, address)
            if route is not None and route.kind == "unicast" and all(hop.link != link.key for hop in route.hops):
                yield _reversed_finding(scene, nic, address, link, route)


def _reversed_finding(scene: Scene, nic: GuestNic, address: str, link: Link, route: Route) -> Finding:
    out = scene.wiring.link(route.hops[0].link or "") if route.hops else None
    words = (
        f"{scene.wiring.netns_name(link.netns) or 'the host'} drops what net{nic.index} sends from {address}: its way "
        f"back to it is {out.name if out is not None else 'another link'}, not {link.name} (rp_filter)"
    )
    command = inside(scene.wiring.namespaces.get(link.netns), "sysctl", "-w", f"{conf_of(link, 'rp_filter')}=2")
    remedy = run(f"route {address} back by {link.name}, or filter loosely", *command)
    return _REVERSED.of(guest_subject(nic), words, remedy, part=f"net{nic.index}")


def _singled(scene: Scene) -> Iterable[Finding]:
    """What the host's rules say of a guest's own address; what they say of its whole network is the network's."""
    named = {key: _single(found) for key, found in scene.snapshot.firewalls.items()}
    if not any(named.values()):
        return
    told = _told(scene)
    for link, networks in _routers(scene):
        ones = [(nic, address) for nic, address in told if address in named.get(link.netns, ())]
        out = way_out(scene, link.netns) if ones else None
        if out is None:
            continue
        for nic, address in _behind(scene, link, networks, ones):
            fact = broken_fact(forward_hop(scene.traced, link.netns, link, out, flow_from(address)))
            if fact is not None:
                words = f"net{nic.index}, {address}: {fact.words}"
                yield _SINGLED.of(guest_subject(nic), words, *fact.remedies, part=f"net{nic.index}")


def _single(firewall: Firewall) -> frozenset[str]:
    """The addresses that rules which drop ask for alone."""
    rules = [rule for chain in firewall.chains for rule in chain.rules if rule.verdict in ("drop", "reject")]
    asked = [text for rule in rules for text in (rule.source, rule.destination) if text]
    return frozenset(text.removesuffix("/32") for text in asked if "/" not in text or text.endswith("/32"))


_CALM = ("domains", "processes", "addresses")
CHECKS: tuple[AnyCheck, ...] = (
    Check(_reversed, NETWORK_PARTS, calm=_CALM),
    Check(_singled, ("firewalls", *NETWORK_PARTS), calm=_CALM),
)
