"""The host's links in every network namespace, and what hangs on them, as the kernel tells over rtnetlink(7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class NetnsKind(StrEnum):
    """How a network namespace is known: as our own, by a name, by a container, or by a process in it alone."""

    HOME = "home"
    NAMED = "named"
    CONTAINER = "container"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class NetSettings:
    """Switches of one namespace that decide whether it passes packets on; None: could not be read. Sources:
    RTM_GETNETCONF, /proc/sys/net/bridge."""

    ipv4_forwarding: bool | None = None
    ipv6_forwarding: bool | None = None
    rp_filter: int | None = None
    """`conf/all/rp_filter`: 0 off, 1 strict, 2 loose; of a link the greater of this and its own counts."""
    bridge_nf_iptables: bool | None = None
    """Whether bridged IPv4 packets go through iptables; None: unknown, False also where br_netfilter is not loaded."""
    bridge_nf_ip6tables: bool | None = None
    bridge_nf_arptables: bool | None = None


@dataclass(frozen=True, slots=True)
class Netns:
    """A network namespace."""

    key: str
    """The inode number of its nsfs file, in decimal: the same for as long as it exists."""
    name: str
    """The name to show: of its file (`ip netns`), its container, or its main process; "host" for our own."""
    raw_name: str
    kind: NetnsKind
    paths: tuple[str, ...] = ()
    """Every file it is mounted on, raw; a mount namespace other than ours may be meant."""
    pid: int | None = None
    """The oldest process in it; None: none, or it cannot be seen; not told of our own."""
    nsid: int | None = None
    """Its number as our own namespace counts."""
    settings: NetSettings = field(default_factory=NetSettings)
    problem: str = ""
    """Why it cannot be read; "" when it can. Its links are not known then, or as they were before."""

    @property
    def home(self) -> bool:
        """Whether it is the namespace that virtdeck runs in."""
        return self.kind is NetnsKind.HOME


class PortState(StrEnum):
    """States of a bridge port in the order of the kernel's BR_STATE_*."""

    DISABLED = "disabled"
    LISTENING = "listening"
    LEARNING = "learning"
    FORWARDING = "forwarding"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class PortVlan:
    """A range of VLANs that a bridge port (or the bridge itself) is in; source: IFLA_AF_SPEC of an AF_BRIDGE dump."""

    first: int
    last: int
    pvid: bool = False
    """Whether untagged packets that come in belong to it."""
    untagged: bool = False
    """Whether its packets go out without a tag."""


@dataclass(frozen=True, slots=True)
class BridgeFacts:
    """What is particular to a bridge (IFLA_BR_*); times in seconds."""

    stp: bool | None = None
    forward_delay_s: float | None = None
    ageing_s: float | None = None
    priority: int | None = None
    vlan_filtering: bool | None = None
    default_pvid: int | None = None
    multicast_snooping: bool | None = None
    bridge_id: str = ""
    root_id: str = ""
    nf_iptables: bool | None = None
    """IFLA_BR_NF_CALL_IPTABLES: whether this bridge calls iptables even where the namespace does not."""


@dataclass(frozen=True, slots=True)
class PortFacts:
    """What is particular to a bridge port (IFLA_BRPORT_*)."""

    state: PortState
    cost: int | None = None
    priority: int | None = None
    hairpin: bool = False
    isolated: bool = False
    learning: bool = True
    flooding: bool = True
    guard: bool = False
    """Whether a BPDU that comes in takes it down (bpdu guard)."""


@dataclass(frozen=True, slots=True)
class TunnelFacts:
    """The far end of a VXLAN, GRE, Geneve, IPIP or SIT link; addresses cleaned, "" for any."""

    id: int | None = None
    """VNI or GRE key (output); None: none, or it comes from outside."""
    local: str = ""
    remote: str = ""
    """The far end, or the multicast group of a VXLAN."""
    port: int | None = None
    """The UDP port it sends to, for VXLAN and Geneve."""
    collect_metadata: bool = False
    """Whether far end and id come from outside (external, as Open vSwitch uses it)."""


@dataclass(frozen=True, slots=True)
class BondFacts:
    """What is particular to a bond (IFLA_BOND_*)."""

    mode: str
    """balance-rr, active-backup, 802.3ad ..."""
    active: str | None = None
    """The link key of the active slave, in modes that have one."""
    miimon_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BondSlaveFacts:
    """What is particular to a slave of a bond (IFLA_BOND_SLAVE_*)."""

    active: bool
    up: bool
    """Whether the bond's own watch (MII, ARP) finds it up."""
    failures: int = 0


@dataclass(frozen=True, slots=True)
class TapFacts:
    """What is particular to a tun or tap (IFLA_TUN_*)."""

    mode: str
    """tun or tap."""
    persistent: bool
    multi_queue: bool = False
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A network device. Counters are apart (LinkUsage), so that traffic alone changes no link."""

    key: str
    """Namespace key, a colon and the ifindex: stable for as long as the link stays where it is."""
    netns: str
    """The key of its namespace."""
    index: int
    name: str
    raw_name: str
    kind: str
    """The kernel's word (IFLA_INFO_KIND): bridge, veth, tun, vlan, vxlan, bond, macvtap, openvswitch ...; where it has
    none: ethernet, loopback, or wireless."""
    mac: str
    mtu: int
    up: bool
    """Whether it was set up (IFF_UP)."""
    carrier: bool
    """Whether it has a carrier (IFF_LOWER_UP); means nothing while it is not up."""
    operstate: str
    """up, down, lowerlayerdown, dormant, unknown ... (RFC 2863)."""
    master: str | None = None
    """The key of the bridge, bond, VRF or Open vSwitch datapath it is a port of."""
    master_kind: str = ""
    """The kind of that master (IFLA_INFO_SLAVE_KIND); "" for none."""
    peer: str | None = None
    """Of a veth or netkit: the key of the other end; None: not in a namespace that can be seen."""
    parent: str | None = None
    """Of a VLAN, macvlan, macvtap, ipvlan or tunnel: the key of the link it lies on."""
    parent_netns_unseen: bool = False
    """Whether its peer or parent is in a namespace that cannot be seen."""
    promiscuous: bool = False
    """Whether somebody wants all packets that it sees (IFLA_PROMISCUITY), as the bridge of a port does."""
    altnames: tuple[str, ...] = ()
    alias: str = ""
    vlan_id: int | None = None
    vlan_protocol: str = ""
    """802.1Q or 802.1ad."""
    mode: str = ""
    """Of a macvlan, macvtap or ipvlan: bridge, private, vepa, passthru, l2, l3 ..."""
    vrf_table: int | None = None
    bridge: BridgeFacts | None = None
    port: PortFacts | None = None
    vlans: tuple[PortVlan, ...] = ()
    """The VLANs of a port, or of the bridge itself."""
    tunnel: TunnelFacts | None = None
    bond: BondFacts | None = None
    slave: BondSlaveFacts | None = None
    tap: TapFacts | None = None
    forwarding: bool | None = None
    """`conf/LINK/forwarding` of IPv4; None: not read."""
    rp_filter: int | None = None
    """`conf/LINK/rp_filter`; None: not read."""
    physical: bool = False
    """Whether there is a device under it (IFLA_PARENT_DEV_NAME)."""
    speed_mbit: int | None = None
    """Mbit/s; None: not told. Read of devices, VLANs and bonds: drivers of other kinds make it up. Source:
    ETHTOOL_MSG_LINKMODES_GET."""
    duplex: str = ""
    """full, half or ""."""


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """An address of a link (RTM_GETADDR)."""

    address: str
    prefix: int
    peer: str = ""
    """The far end of a point-to-point address."""
    scope: str = ""
    """global, link, host ..."""
    flags: tuple[str, ...] = ()
    """permanent, dynamic, tentative, dadfailed, deprecated ..."""

    @property
    def ipv6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.address


@dataclass(frozen=True, slots=True)
class NextHop:
    """One way that a route takes."""

    link: str | None
    """The key of the link it goes out by."""
    gateway: str = ""
    weight: int = 1
    flags: tuple[str, ...] = ()
    """dead, onlink, linkdown, pervasive ..."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a namespace (RTM_GETROUTE); the tables local and 255 are left out."""

    netns: str
    destination: str
    """Network and prefix as in 10.0.0.0/24, or default."""
    hops: tuple[NextHop, ...]
    table: int
    kind: str = "unicast"
    """unicast, blackhole, unreachable, prohibit ..."""
    metric: int | None = None
    protocol: str = ""
    """kernel, boot, static, dhcp, ra, bird ..."""
    source: str = ""
    scope: str = ""
    ipv6: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy routing rule other than the three that every namespace has (RTM_GETRULE)."""

    netns: str
    priority: int
    table: int
    text: str
    """As `ip rule` writes it, without the priority; cleaned."""
    ipv6: bool = False


@dataclass(frozen=True, slots=True)
class LinkNeighbour:
    """An entry of a link's neighbour table (RTM_GETNEIGH); `state` is reachable, stale, failed, permanent ..."""

    address: str
    mac: str
    state: str
    router: bool = False


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """An entry of a bridge's or a VXLAN's forwarding table (RTM_GETNEIGH of AF_BRIDGE), at the port it leads to."""

    mac: str
    vlan: int | None = None
    remote: str = ""
    """The far end, on a VXLAN."""
    flags: tuple[str, ...] = ()
    """self, master, extern_learn, sticky ..."""
    permanent: bool = False
    """Whether it is an address of the port itself or was set by hand, rather than learned."""


@dataclass(frozen=True, slots=True)
class TapOwner:
    """A process that holds a tun or tap open; source: `iff:` of /proc/PID/fdinfo."""

    pid: int
    name: str
    """The name of the program, cleaned."""
    queues: int = 1


@dataclass(frozen=True, slots=True)
class Offload:
    """Something that a driver does in place of the kernel, by the kernel's name (tx-checksum-ip-generic ...)."""

    name: str
    on: bool
    changeable: bool


@dataclass(frozen=True, slots=True)
class LinkDetail:
    """What is read of the link alone that is open in the detail."""

    key: str
    offloads: tuple[Offload, ...] = ()
    """By name; source: ETHTOOL_MSG_FEATURES_GET."""
    driver: str = ""
    """The kernel module below it, where there is a device; source: /sys/class/net/LINK/device/driver."""
    problem: str = ""
    """Why the offloads cannot be read; "" when they can."""


@dataclass(frozen=True, slots=True)
class LinkUsage:
    """Counters of a link and what came of them since the reading before (IFLA_STATS64); rates a second, None: only one
    reading so far. The deltas of errors and drops are since the reading before as well."""

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_errors: int
    tx_errors: int
    rx_dropped: int
    tx_dropped: int
    rx_bytes_per_s: float | None = None
    tx_bytes_per_s: float | None = None
    rx_packets_per_s: float | None = None
    tx_packets_per_s: float | None = None
    new_errors: int = 0
    """How many more errors, both ways."""
    new_drops: int = 0
    """How many more drops, both ways."""


@dataclass(frozen=True, slots=True)
class Links:
    """Everything that rtnetlink tells of this machine; mappings are by link key where nothing else is said, and never
    change once published. A part that did not change is the same object as in the reading before."""

    namespaces: Mapping[str, Netns]
    """By namespace key; our own first."""
    links: Mapping[str, Link]
    read_ns: int
    addresses: Mapping[str, tuple[LinkAddress, ...]] = field(default_factory=lambda: _NOTHING)
    routes: Mapping[str, tuple[Route, ...]] = field(default_factory=lambda: _NOTHING)
    """By namespace key."""
    rules: Mapping[str, tuple[Rule, ...]] = field(default_factory=lambda: _NOTHING)
    """By namespace key."""
    neighbours: Mapping[str, tuple[LinkNeighbour, ...]] = field(default_factory=lambda: _NOTHING)
    fdb: Mapping[str, tuple[FdbEntry, ...]] = field(default_factory=lambda: _NOTHING)
    """By the key of the port, or of the bridge itself for its own addresses."""
    owners: Mapping[str, tuple[TapOwner, ...]] = field(default_factory=lambda: _NOTHING)
    """Who holds a tun or tap open."""
    limits: tuple[str, ...] = ()
    """What cannot be seen here and why, as "other namespaces: not root"."""

    @property
    def home(self) -> Netns | None:
        """The namespace that virtdeck runs in."""
        return next((netns for netns in self.namespaces.values() if netns.home), None)


def link_key(netns: str, index: int) -> str:
    """Return the key of a link: the key of its namespace and its ifindex."""
    return f"{netns}:{index}"
