"""Guest addresses, from where they can be had cheaply: DHCP leases in bulk, the agent, the kernel's neighbours."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import libvirt

from tui.model.domain import Address, Domain
from tui.model.text import clean
from tui.sources.errors import is_lost

_NEIGHBOURS = Path("/proc/net/arp")
_COMPLETE = 0x2
_LOOPBACK = "00:00:00:00:00:00"


def read_leases(connection: Any) -> dict[str, list[Address]]:
    """Return DHCP leases of all active libvirt networks by MAC in lower case; one call a network."""
    found: dict[str, list[Address]] = {}
    try:
        networks = connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    except libvirt.libvirtError as error:
        _unless_unsupported(error)
        return found
    for network in networks:
        try:
            leases = network.DHCPLeases()
        except libvirt.libvirtError as error:
            _unless_unsupported(error)
            continue
        for lease in leases:
            mac = str(lease.get("mac") or "").lower()
            address = Address(clean(str(lease["ipaddr"])), lease.get("prefix"), clean(mac), "lease")
            found.setdefault(mac, []).append(address)
    return found


def _unless_unsupported(error: libvirt.libvirtError) -> None:
    """A driver without leases, or a network that went away meanwhile, has none to tell; a lost connection raises."""
    if error.get_error_code() not in (
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_OPERATION_INVALID,
        libvirt.VIR_ERR_NO_NETWORK,
    ):
        raise error


def read_neighbours(path: Path = _NEIGHBOURS) -> dict[str, list[Address]]:
    """Return the IPv4 neighbours that this machine's kernel has resolved, by MAC (/proc/net/arp, proc(5))."""
    found: dict[str, list[Address]] = {}
    try:
        lines = path.read_text().splitlines()[1:]
    except OSError:
        return found
    for line in lines:
        fields = line.split()
        if len(fields) >= 6 and int(fields[2], 16) & _COMPLETE and fields[3] != _LOOPBACK:
            mac = fields[3].lower()
            found.setdefault(mac, []).append(Address(clean(fields[0]), None, clean(mac), "neighbour"))
    return found


def join(
    domains: Iterable[Domain],
    leases: Mapping[str, list[Address]],
    agents: Mapping[str, tuple[Address, ...]],
    neighbours: Mapping[str, list[Address]],
) -> dict[str, tuple[Address, ...]]:
    """Return addresses by domain UUID for running domains; each NIC's from the first source that knows any: its DHCP
    lease, the guest's agent, the kernel's neighbours."""
    found: dict[str, tuple[Address, ...]] = {}
    for domain in domains:
        if not domain.active or domain.config is None:
            continue
        told = agents.get(domain.key, ())
        macs = [nic.mac.lower() for nic in domain.config.nics]
        addresses = [
            address
            for mac in macs
            for address in leases.get(mac) or [a for a in told if a.mac.lower() == mac] or neighbours.get(mac) or ()
        ]
        addresses += [address for address in told if address.mac.lower() not in macs]
        if addresses:
            found[domain.key] = tuple(addresses)
    return found


def read_agent_addresses(handle: Any) -> tuple[Address, ...]:
    """Return what the guest's agent says (virDomainInterfaceAddresses), without loopback, link-local last; () where
    there is none to be had. May take as long as the agent does."""
    try:
        interfaces = handle.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        return ()
    found = [
        Address(clean(str(entry["addr"])), entry.get("prefix"), clean(str(interface.get("hwaddr") or "")), "agent")
        for interface in interfaces.values()
        for entry in interface.get("addrs") or ()
    ]
    return tuple(sorted((address for address in found if _reach(address) < _LOOPBACK_REACH), key=_reach))


_LOOPBACK_REACH = 2


def _reach(address: Address) -> int:
    """0: to be reached from elsewhere, 1: on its own link alone, 2: from within alone."""
    try:
        parsed = ipaddress.ip_address(address.address)
    except ValueError:
        return 0
    return _LOOPBACK_REACH if parsed.is_loopback else 1 if parsed.is_link_local else 0
