"""libvirt's networks (virConnectListAllNetworks), with the leases and the ports of the active ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.dnsmasq import Lease
from tui.model.network import Network, NetworkConfig, Networks
from tui.model.network_xml import parse_network_xml
from tui.model.text import clean
from tui.sources.connection import is_alive
from tui.sources.errors import NO_CALL, is_lost, words

_UNKNOWN = NetworkConfig("", "", "?", "")
_BROKEN = "libvirt tells of it in XML that cannot be read: a name in it holds quotes or angle brackets"


@dataclass(frozen=True, slots=True)
class _Flags:
    """The UUIDs of the networks that are so, each of one call for all."""

    active: frozenset[str]
    persistent: frozenset[str]
    autostart: frozenset[str]


class NetworkReader:
    """Reads the networks of one connection on the caller's thread. XML is parsed when it changed, ports are asked for
    their MAC once; a network that is the same stays the same object."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._configs: dict[str, NetworkConfig] = {}
        self._macs: dict[str, str] = {}
        self._missing: set[str] = set()
        self._last: Networks | None = None

    def read(self, stop: Callable[[], bool] = lambda: False) -> Networks | None:
        """Return all networks; the same object while nothing changed. None when `stop` became true meanwhile, and
        where the driver has no networks. Raises libvirtError when the connection is lost, and where the call for all of
        them fails: its daemon may not run."""
        try:
            handles = self._connection.listAllNetworks(0)
            flags = self._flags()
        except libvirt.libvirtError as error:
            if error.get_error_code() not in NO_CALL or self._ended(error):
                raise
            return None
        found: dict[str, Network] = {}
        configs: dict[str, NetworkConfig] = {}
        ports: dict[str, str] = {}
        for handle in handles:
            if stop():
                return None
            network = self._network(handle, flags, configs, ports)
            if network is not None:
                found[network.key] = network
        self._configs, self._macs = configs, ports
        if self._last is None or found != self._last.networks:
            before = {} if self._last is None else self._last.networks
            kept = {key: old if (old := before.get(key)) == network else network for key, network in found.items()}
            self._last = Networks(kept, time.time_ns())
        return self._last

    def _flags(self) -> _Flags:
        def those(flag: int) -> frozenset[str]:
            return frozenset(handle.UUIDString() for handle in self._connection.listAllNetworks(flag))

        return _Flags(
            those(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE),
            those(libvirt.VIR_CONNECT_LIST_NETWORKS_PERSISTENT),
            those(libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART),
        )

    def _network(
        self, handle: Any, flags: _Flags, configs: dict[str, NetworkConfig], ports: dict[str, str]
    ) -> Network | None:
        """The network, None when it is gone."""
        key, name = handle.UUIDString(), handle.name()
        active, persistent = key in flags.active, key in flags.persistent
        problem = ""
        try:
            xml = handle.XMLDesc(0)
            inactive = _inactive(handle, xml) if active and persistent else xml if persistent else ""
        except libvirt.libvirtError as error:
            if self._ended(error):
                raise
            return None
        macs: frozenset[str] | None = None
        leases: tuple[Lease, ...] | None = None
        config = configs[xml] = self._parse(xml)
        later = None
        if inactive:
            later = configs[inactive] = self._parse(inactive)
        if active:
            leases, problem = self._leases(handle, config)
            macs = self._ports(handle, ports)
        return Network(
            key=key,
            name=clean(name),
            raw_name=name,
            active=active,
            autostart=key in flags.autostart,
            persistent=persistent,
            config=config,
            persistent_config=later,
            leases=leases,
            ports=None if macs is None else len(macs),
            problem=problem or (_BROKEN if config is _UNKNOWN else ""),
            xml=xml,
            persistent_xml=inactive,
            port_macs=macs,
        )

    def _parse(self, xml: str) -> NetworkConfig:
        """libvirt (9.0) does not escape names of hosts, portgroups and DNS domains: its XML may be none."""
        try:
            return self._configs.get(xml) or parse_network_xml(xml)
        except ET.ParseError:
            return _UNKNOWN

    def _leases(self, handle: Any, config: NetworkConfig) -> tuple[tuple[Lease, ...] | None, str]:
        """The leases of an active network, and why they cannot be read; () where libvirt serves no DHCP."""
        if not config.serves_dhcp:
            return (), ""
        if "leases" in self._missing:
            return None, ""
        try:
            told = handle.DHCPLeases()
        except libvirt.libvirtError as error:
            return None, self._refused("leases", error)
        return tuple(sorted((_lease(lease) for lease in told), key=lambda lease: (lease.mac, lease.address))), ""

    def _ports(self, handle: Any, ports: dict[str, str]) -> frozenset[str] | None:
        """The MACs of the NICs that are plugged in; None where it cannot be told."""
        if "ports" in self._missing:
            return None
        macs = set()
        try:
            for port in handle.listAllPorts(0):
                key = port.UUIDString()
                ports[key] = self._macs.get(key) or _mac_of(port.XMLDesc(0))
                macs.add(ports[key])
        except libvirt.libvirtError as error:
            self._refused("ports", error)
            return None
        return frozenset(macs)

    def _ended(self, error: libvirt.libvirtError) -> bool:
        """Whether the connection is lost: calls on a closed one fail with code 1, which says nothing by itself."""
        return is_lost(error) or not is_alive(self._connection)

    def _refused(self, what: str, error: libvirt.libvirtError) -> str:
        """Note what the driver has no call for, and return what libvirt says of anything else; raises on a lost
        connection."""
        if self._ended(error):
            raise error
        if error.get_error_code() in NO_CALL:
            self._missing.add(what)
            return ""
        # It was stopped or removed while it was read: the next reading says so.
        gone = error.get_error_code() in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_NETWORK)
        return "" if gone else f"{what}: {words(error)}"


def _inactive(handle: Any, xml: str) -> str:
    """The persistent XML; a driver that has one side alone does not know the flag."""
    try:
        return str(handle.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
    except libvirt.libvirtError as error:
        if error.get_error_code() in (*NO_CALL, libvirt.VIR_ERR_INVALID_ARG):
            return xml
        raise


def _lease(told: dict[str, Any]) -> Lease:
    expires = told.get("expirytime")
    return Lease(
        address=clean(str(told.get("ipaddr") or "")),
        mac=clean(str(told.get("mac") or "").lower()),
        host=clean(str(told.get("hostname") or "")),
        expires_s=int(expires) if expires else None,
    )


def _mac_of(port: str) -> str:
    try:
        found = ET.fromstring(port).find("mac")
    except ET.ParseError:
        return ""
    return "" if found is None else clean(found.get("address", "").lower())
