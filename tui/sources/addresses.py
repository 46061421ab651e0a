"""Guest addresses, from where they can be had cheaply: DHCP leases in bulk, the agent, the kernel's neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import libvirt

from tui.model.domain import Address, Domain
from tui.model.text import clean

_NEIGHBOURS = Path("/proc/net/arp")
_COMPLETE = 0x2
_LOOPBACK = "00:00:00:00:00:00"
AGENT_TIMEOUT_S = 2


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
    domains: Iterable[Domain], leases: Mapping[str, list[Address]], neighbours: Mapping[str, list[Address]]
) -> dict[str, tuple[Address, ...]]:
    """Return addresses by domain UUID for running domains: leases first, neighbours where there is no lease."""
    found: dict[str, tuple[Address, ...]] = {}
    for domain in domains:
        if not domain.active or domain.config is None:
            continue
        macs = [nic.mac.lower() for nic in domain.config.nics]
        addresses = [address for mac in macs for address in leases.get(mac) or neighbours.get(mac) or ()]
        if addresses:
            found[domain.key] = tuple(addresses)
    return found


def read_interface_addresses(handle: Any, source: int, word: str) -> tuple[Address, ...]:
    """Return one domain's addresses by virDomainInterfaceAddresses from `source`; () where there are none to be had.
    Asking the agent may take AGENT_TIMEOUT_S seconds."""
    try:
        if source == libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT:
            handle.agentSetResponseTimeout(AGENT_TIMEOUT_S)
        interfaces = handle.interfaceAddresses(source)
    except libvirt.libvirtError:
        return ()
    return tuple(
        Address(clean(str(entry["addr"])), entry.get("prefix"), clean(str(interface.get("hwaddr") or "")), word)
        for name, interface in interfaces.items()
        if name != "lo"
        for entry in interface.get("addrs") or ()
    )
