"""What routers do with the packets of single guests: reverse path filters, and rules against one guest's address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, ip_address, ip_network
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, INFO, NETWORK_PARTS, AnyCheck, Check, Rule, Scene, run
from tui.checks.plugs import broken_fact, flow_from, guest_subject, way_out
from tui.topology.trace_facts import inside
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


def _told(scene: Scene) -> Iterator[tuple[GuestNic, str]]:
    """The NICs of guests that run, with the IPv4 addresses that a DHCP server or the guest itself told of."""
    for nic in scene.guests.nics:
        if nic.running and nic.tap is not None:
            yield from ((nic, address) for address in scene.guests.told_of(nic) if ":" not in address)


def _routers(scene: Scene, nic: GuestNic, address: str) -> Iterator[Link]:
    """The links that a guest may have as its gateway: of its segment, in its network, of a namespace that forwards."""
    for link in scene.wiring.endpoints(nic.tap or ""):
        netns = scene.wiring.namespaces.get(link.netns)
        if link.key == nic.tap or netns is None or not link.up or not scene.traced.shares(link, address):
            continue
        if link.forwarding if link.forwarding is not None else netns.settings.ipv4_forwarding:
            yield link


def _best(routes: Iterable[Route], address: str) -> Route | None:
    """The route that the main table has for an address: the narrowest, of those the one of the lowest metric."""
    wanted, best, rank = ip_address(address), None, (-1, 0)
    for route in routes:
        if route.ipv6 or route.table != _MAIN:
            continue
        network = ip_network("0.0.0.0/0" if route.destination == "default" else route.destination)
        if isinstance(network, IPv4Network) and wanted in network:
            this = network.prefixlen, -(route.metric or 0)
            if best is None or this > rank:
                best, rank = route, this
    return best


def _reversed(scene: Scene) -> Iterable[Finding]:
    """Where the router would answer by another link than the one that the guest's packets come in by, and is strict.
    With policy rules the main table does not tell."""
    links = scene.snapshot.links
    for nic, address in _told(scene) if links is not None else ():
        for link in _routers(scene, nic, address):
            if links is None or links.rules.get(link.netns) or rp_filter_of(scene.traced, link) != _STRICT:
                continue
            route = _best(links.routes.get(link.netns, ()), address)
            if route is None or route.kind != "unicast" or any(hop.link == link.key for hop in route.hops):
                continue
            out = scene.wiring.link(route.hops[0].link or "") if route.hops else None
            where = scene.wiring.netns_name(link.netns) or "the host"
            words = (
                f"{where} drops what net{nic.index} sends from {address}: its way back to it is "
                f"{out.name if out is not None else 'another link'}, not {link.name} (rp_filter)"
            )
            loose = ("sysctl", "-w", f"net.ipv4.conf.{link.raw_name}.rp_filter=2")
            command = inside(scene.wiring.namespaces.get(link.netns), *loose)
            remedy = run(f"route {address} back by {link.name}, or filter loosely", *command)
            yield _REVERSED.of(guest_subject(nic), words, remedy, part=f"net{nic.index}")


def _singled(scene: Scene) -> Iterable[Finding]:
    """What the host's rules say of a guest's own address; what they say of its whole network is the network's."""
    named: Mapping[str, frozenset[str]] = {key: _single(found) for key, found in scene.snapshot.firewalls.items()}
    if not any(named.values()):
        return
    for nic, address in _told(scene):
        for link in _routers(scene, nic, address):
            out = way_out(scene, link.netns) if address in named.get(link.netns, ()) else None
            if out is None or out.key == link.key:
                continue
            fact = broken_fact(forward_hop(scene.traced, link.netns, link, out, flow_from(address)))
            if fact is not None:
                yield _SINGLED.of(
                    guest_subject(nic), f"net{nic.index}, {address}: {fact.words}", *fact.remedies,
                    part=f"net{nic.index}",
                )  # fmt: skip


def _single(firewall: Firewall) -> frozenset[str]:
    """The addresses that rules ask for alone."""
    asked = (text for chain in firewall.chains for rule in chain.rules for text in (rule.source, rule.destination))
    return frozenset(text.removesuffix("/32") for text in asked if text and ("/" not in text or text.endswith("/32")))


CHECKS: tuple[AnyCheck, ...] = (
    Check(_reversed, NETWORK_PARTS),
    Check(_singled, ("firewalls", *NETWORK_PARTS)),
)
