"""Where a packet has to get to on its segment: the guest's gateway, which nothing on the host names, or any address."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.model.dnsmasq import Dnsmasq
    from tui.model.link import Link
    from tui.topology.guests import GuestNic
    from tui.topology.trace_scene import Scene


_SERVES = 4
"""What a DHCP server counts for; a libvirt network counts twice that."""


@dataclass(frozen=True, slots=True)
class Place:
    """Who has an address."""

    address: str
    """"" where the one that should have it has none."""
    link: Link | None = None
    nic: GuestNic | None = None
    """A guest's NIC in place of a link; neither: it is beyond what can be seen."""
    why: str = ""
    """How it was found."""
    bare: bool = False
    """Whether it lacks the address that it needs to serve the segment."""

    @property
    def node(self) -> str | None:
        """Its link, or the tap of its guest."""
        return self.link.key if self.link is not None else self.nic.tap if self.nic is not None else None


def find_gateway(scene: Scene, start: str, source: str) -> Place | None:
    """Return the router that a guest behind the link `start` most likely uses; None where nothing tells."""
    ends = [link for link in scene.wiring.endpoints(start) if link.key != start]
    # Where the segment leads out of the host the gateway may be there: then it takes more than an address.
    least = _SERVES if scene.wiring.way_out(start) is not None else 1
    if not source:
        return _best(scene, ends, lambda link: _own(scene, link), "", least)
    near = [link for link in ends if scene.shares(link, source)]
    for link in near:
        gateway = scene.default_gateway(link)
        if gateway and scene.shares(link, gateway):
            place = locate(scene, start, gateway)
            why = f"the default gateway of {link.name}, on the same segment"
            return Place(gateway, place.link, place.nic, why)
    best = _best(scene, near, lambda link: scene.own_address(link, _version(source), source), source, least)
    if best is not None:
        return best
    return _bare(scene, ends, source, served=least == _SERVES) or _apart(scene, start, source)


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _own(scene: Scene, link: Link) -> str:
    return scene.own_address(link, 4)


def _best(scene: Scene, links: list[Link], address: Callable[[Link], str], source: str, least: int = 1) -> Place | None:
    scored = [(_score(scene, link, address(link), source), -at, link) for at, link in enumerate(links)]
    best = max(scored, default=None, key=lambda item: item[:2])
    if best is None or best[0] < least:
        return None
    own = address(best[2])
    return Place(own, best[2], why=_why(scene, best[2], source)) if own else None


def _score(scene: Scene, link: Link, own: str, source: str) -> int:
    """How much a link looks like a gateway: that of a libvirt network, one with a DHCP server, one of a namespace that
    has other links as well, the first address of its network."""
    score = 2 * _SERVES * _of_network(scene, link) + _SERVES * _has_dhcp(scene, link, source)
    score += 2 * _leads_on(scene, link)
    return score + (1 if own.endswith((".1", ".254", "::1")) else 0)


def _why(scene: Scene, link: Link, source: str) -> str:
    if _of_network(scene, link):
        return "the bridge of a libvirt network"
    if _has_dhcp(scene, link, source):
        return "a DHCP server listens there"
    return "it is in the guest's network and leads on" if source else "it is on the segment and leads on"


def _of_network(scene: Scene, link: Link) -> bool:
    networks = scene.snapshot.networks
    if networks is None or link.netns != scene.wiring.home:
        return False
    found = (network for network in networks.networks.values() if network.active)
    return any(network.config.bridge == link.name and network.config.addresses for network in found)


def _has_dhcp(scene: Scene, link: Link, source: str) -> bool:
    found = (server for server in scene.snapshot.dnsmasqs if server.netns == link.netns)
    return any(
        link.raw_name in server.interfaces or (not server.interfaces and source and _gives(server, source))
        for server in found
    )


def _gives(server: Dnsmasq, source: str) -> bool:
    try:
        return any(_between(item.first, source, item.last) for item in server.ranges)
    except ValueError:
        return False


def _between(first: str, wanted: str, last: str) -> bool:
    low, address, high = ip_address(first), ip_address(wanted), ip_address(last)
    return low.version == address.version and int(low) <= int(address) <= int(high)


def _leads_on(scene: Scene, link: Link) -> bool:
    """Whether the namespace of a link has an address on another one."""
    others = (o for o in scene.wiring.links.values() if o.netns == link.netns and o.key != link.key)
    return any(o.kind != "loopback" and scene.wiring.addresses(o) for o in others)


def _bare(scene: Scene, ends: list[Link], source: str, *, served: bool) -> Place | None:
    """A link of the segment that should be the gateway and has no address in the guest's network; only one that serves
    it, if `served` is asked for."""
    for link in ends:
        serves = _of_network(scene, link) or _has_dhcp(scene, link, source)
        leads = link.kind != "bridge" and not scene.wiring.addresses(link) and _leads_on(scene, link)
        if serves or (leads and not served):
            return Place("", link, why=_why(scene, link, source), bare=True)
    return None


def _apart(scene: Scene, start: str, source: str) -> Place | None:
    """A link that has the guest's network and that no way leads to: a plug is pulled. Where one leads out of the host
    the gateway is more likely there."""
    wiring = scene.wiring
    if wiring.way_out(start) is not None:
        return None
    reached = set(wiring.segment(start))
    found = [
        link
        for link in wiring.links.values()
        if link.key not in reached and link.kind != "loopback" and scene.shares(link, source)
        and _wired_near(scene, start, link.key)
        and scene.own_address(link, _version(source), source) != source
    ]  # fmt: skip
    pulled = [link for link in found if _is_loose(scene, start) or _is_loose(scene, link.key)]
    return _best(scene, pulled, lambda link: scene.own_address(link, _version(source), source), source)


def _is_loose(scene: Scene, node: str) -> bool:
    """Whether the way from a link ends before it comes to a bridge."""
    return not scene.wiring.is_bridge(scene.wiring.stem(node)[-1])


def _wired_near(scene: Scene, start: str, node: str) -> bool:
    """Whether two links, or the other ends of their pairs, are in one namespace: only there a plug that is pulled may
    have joined them. That of another may have the same networks and nothing to do with it."""
    wiring = scene.wiring
    here, there = ({link.netns for one in wiring.stem(end) if (link := wiring.link(one))} for end in (start, node))
    return bool(here & there)


def locate(scene: Scene, start: str, address: str) -> Place:
    """Return who has an address, seen from a link: one that frames get to before one that they do not, and that only
    where a plug seems pulled."""
    wiring = scene.wiring
    links = [link for link in wiring.links.values() if any(a.address == address for a in wiring.addresses(link))]
    nics = [nic for nic in scene.guests.with_address(address) if nic.tap is not None]
    reached = set(wiring.segment(start))
    for link in links:
        if link.key in reached and wiring.is_endpoint(link):
            return Place(address, link)
    for nic in nics:
        if nic.tap in reached:
            return Place(address, nic=nic)
    if wiring.way_out(start) is None:
        for link in links:
            if _wired_near(scene, start, link.key) and (_is_loose(scene, start) or _is_loose(scene, link.key)):
                return Place(address, link)
        for nic in nics:
            if nic.tap is None or not _wired_near(scene, start, nic.tap):
                continue
            if _is_loose(scene, start) or _is_loose(scene, nic.tap):
                return Place(address, nic=nic)
    return Place(address)


def same_network(scene: Scene, place: Place | None, a: str, b: str) -> bool:
    """Whether two addresses are in one network of the gateway's link; without a link, in one /24 (/64)."""
    if not a or not b or _version(a) != _version(b):
        return False
    link = place.link if place is not None else None
    if link is not None and scene.shares(link, a):
        return scene.shares(link, b) and a != b
    return ip_address(b) in ip_network(f"{a}/{64 if ':' in a else 24}", strict=False)


def some_address(scene: Scene, link: Link, gateway: str) -> str:
    """Return an address of the gateway's network that stands for that of a guest of which none is known."""
    own = next((a for a in scene.wiring.addresses(link) if a.address == gateway), None)
    if own is None:
        return ""
    hosts = ip_network(f"{own.address}/{own.prefix}", strict=False).hosts()
    return next((str(host) for host, _ in zip(hosts, range(3), strict=False) if str(host) != gateway), "")
