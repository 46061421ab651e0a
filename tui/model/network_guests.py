"""Which guests are plugged into a libvirt network, and whose taps lost their bridge when it was stopped under them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model.network_new import OWN_BRIDGE

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.domain_config import Nic
    from tui.model.link import Link, Links
    from tui.model.network import Network
    from tui.model.snapshot import HostSnapshot

NETWORK = "network"
"""The kind of a NIC that names a libvirt network."""


@dataclass(frozen=True, slots=True)
class Plugged:
    """A NIC of a domain in a network; `live`: as the domain runs now, `persistent`: as it boots next."""

    domain: Domain
    nic: Nic
    live: bool
    persistent: bool


def plugged(domains: Iterable[Domain]) -> dict[str, tuple[Plugged, ...]]:
    """Return the NICs in each libvirt network, by the network's name as libvirt has it: running guests first, then by
    the domain's name."""
    found: dict[str, list[Plugged]] = {}
    for domain in domains:
        for name, one in _of(domain):
            found.setdefault(name, []).append(one)
    return {name: tuple(sorted(ones, key=lambda p: (not p.live, p.domain.name))) for name, ones in found.items()}


def _of(domain: Domain) -> Iterable[tuple[str, Plugged]]:
    live = _nics(domain.config.nics) if domain.active and domain.config is not None else {}
    later = _nics(domain.persistent_config.nics) if domain.persistent_config is not None else {}
    for key, nic in {**later, **live}.items():
        yield key[0], Plugged(domain, nic, key in live, key in later)


def _nics(nics: Iterable[Nic]) -> dict[tuple[str, str], Nic]:
    return {(nic.raw_source, nic.mac.lower()): nic for nic in nics if nic.kind == NETWORK}


def orphans(seen: HostSnapshot, network: Network, ones: Iterable[Plugged]) -> tuple[Plugged, ...] | None:
    """Return the running guests' NICs whose tap has no bridge although their network is active: it was stopped and
    started again under them. By the tap itself where the links of its host are known, else by the ports that libvirt
    counts; None: neither is known."""
    found = []
    for one in ones:
        if not one.live or not one.nic.raw_target:
            continue
        lost = is_orphan(seen, network, one)
        if lost is None:
            return None
        if lost:
            found.append(one)
    return tuple(found)


def is_orphan(seen: HostSnapshot, network: Network, one: Plugged) -> bool | None:
    """Return whether the tap of one running NIC has no bridge; None: not known."""
    # Nobody takes a tap out of an Open vSwitch when the network stops, and the kernel does not show it there.
    if not network.active or network.config.words in ("macvtap", "ovs"):
        return False
    tap = tap_of(seen.links, one.nic)
    if tap is not None:
        return tap.master is None
    if network.config.words not in OWN_BRIDGE:
        # The bridge is the host's, and stays when the network stops.
        return False
    return None if network.port_macs is None else one.nic.mac.lower() not in network.port_macs


def tap_of(links: Links | None, nic: Nic) -> Link | None:
    """Return the host's end of a running NIC, in whatever namespace libvirt has it: of its name, and of its MAC with
    another first byte, as libvirt makes it."""
    if links is None:
        return None
    tail = nic.mac.lower()[2:]
    return next((link for link in _named(links).get(nic.raw_target, ()) if link.mac.lower()[2:] == tail), None)


class _Named:
    """The links of a host by name, of the last picture that was asked for: thousands of NICs look theirs up."""

    def __init__(self) -> None:
        self._of: tuple[Links, Mapping[str, list[Link]]] | None = None

    def __call__(self, links: Links) -> Mapping[str, list[Link]]:
        """Return them, from every namespace."""
        known = self._of
        if known is not None and known[0] is links:
            return known[1]
        found: dict[str, list[Link]] = {}
        for link in links.links.values():
            found.setdefault(link.raw_name, []).append(link)
        self._of = (links, found)
        return found


_named = _Named()


def of_network(guests: Mapping[str, tuple[Plugged, ...]], network: Network) -> tuple[Plugged, ...]:
    """Return who is plugged into a network, of what `plugged` returned."""
    return guests.get(network.raw_name, ())
