"""libvirt's networks: what they are, who has an address of them, who is plugged in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tui.model.dnsmasq import DhcpRange, Lease


@dataclass(frozen=True, slots=True)
class DhcpHost:
    """A `<host>` of `<dhcp>`: who always gets the same address."""

    address: str
    mac: str
    name: str
    xml: str = ""
    """The element as it was read, for putting it back."""
    duid: str = ""
    """What an IPv6 client is known by (`id`); "" where it is the MAC or the name."""


@dataclass(frozen=True, slots=True)
class DnsHost:
    """A `<host>` of `<dns>`: names of an address."""

    address: str
    names: tuple[str, ...]
    xml: str = ""


@dataclass(frozen=True, slots=True)
class NetworkAddress:
    """An `<ip>` of a network: the bridge's own address, and what DHCP gives out in it."""

    address: str
    prefix: int | None
    ranges: tuple[DhcpRange, ...] = ()
    hosts: tuple[DhcpHost, ...] = ()
    tftp_root: str = ""

    @property
    def ipv6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.address


@dataclass(frozen=True, slots=True)
class PortGroup:
    """A `<portgroup>`: a set of VLANs and limits that a guest's NIC may name."""

    name: str
    default: bool
    vlans: tuple[int, ...] = ()
    trunk: bool = False
    raw_name: str = ""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What virtdeck uses of one network XML, live or persistent."""

    bridge: str
    raw_bridge: str
    mode: str
    """nat, route, open, bridge, private, vepa, passthrough, hostdev; "" for an isolated one."""
    device: str
    """The link that traffic is forwarded to; "" for any."""
    interfaces: tuple[str, ...] = ()
    """The pool of links of a macvtap or hostdev network."""
    addresses: tuple[NetworkAddress, ...] = ()
    domain: str = ""
    dns_hosts: tuple[DnsHost, ...] = ()
    virtualport: str = ""
    """openvswitch ...; "" for none."""
    portgroups: tuple[PortGroup, ...] = ()
    vlans: tuple[int, ...] = ()
    stp: bool | None = None
    mtu: int | None = None
    mac: str = ""
    macvtap: bool = False
    """Whether guests get a macvtap on a link of the host."""
    delay_s: int | None = None
    """The forward delay of its bridge."""

    @property
    def words(self) -> str:
        """The mode in the words of libvirt's documentation: isolated, macvtap where libvirt says bridge for both."""
        if self.macvtap:
            return "macvtap"
        return "ovs" if self.virtualport == "openvswitch" else self.mode or "isolated"

    @property
    def serves_dhcp(self) -> bool:
        """Whether libvirt runs a DHCP server for it."""
        return any(address.ranges or address.hosts for address in self.addresses)


@dataclass(frozen=True, slots=True)
class Network:
    """A libvirt network."""

    key: str
    """The UUID."""
    name: str
    raw_name: str
    active: bool
    autostart: bool
    persistent: bool
    config: NetworkConfig
    """Of the live XML when active, else of the persistent one."""
    persistent_config: NetworkConfig | None = None
    """None when it is transient."""
    leases: tuple[Lease, ...] | None = None
    """None: not read, or the driver has none to tell."""
    ports: int | None = None
    """How many ports libvirt counts (virNetworkListAllPorts): 0 after a restart that orphaned the guests' taps; None:
    not told."""
    problem: str = ""
    xml: str = ""
    """The live XML when active, else the persistent one."""
    persistent_xml: str = ""
    """"" when it is transient."""
    port_macs: frozenset[str] | None = None
    """The MACs of the guests' NICs that libvirt has plugged in, in lower case; None: not told."""

    @property
    def state(self) -> str:
        """active or inactive."""
        return "active" if self.active else "inactive"


@dataclass(frozen=True, slots=True)
class Networks:
    """All networks by UUID."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    read_ns: int = field(default=0, compare=False)

    def named(self, raw_name: str) -> Network | None:
        """Return the network of that name; None when there is none."""
        return next((network for network in self.networks.values() if network.raw_name == raw_name), None)
