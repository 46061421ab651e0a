"""The graph of what is plugged into what on a host: the data; tui.topology makes it from a snapshot and draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

_NOTHING: Mapping[str, str | int | bool | None] = MappingProxyType({})


class NodeKind(StrEnum):
    """What a node is."""

    DOMAIN = "domain"
    PROCESS = "process"
    """An unmanaged QEMU, or another program that holds a tap."""
    NIC = "nic"
    """A NIC of a guest that has no link on the host: user-mode, or not seen."""
    LINK = "link"
    BRIDGE = "bridge"
    OVS_BRIDGE = "ovs-bridge"
    OVS_PORT = "ovs-port"
    """A port of Open vSwitch that no link of the host stands for: patch, tunnel, userspace."""
    NETNS = "netns"
    NETWORK = "network"
    """A libvirt network."""
    DNSMASQ = "dnsmasq"
    FAR_END = "far-end"
    """The other side of a tunnel, or of an uplink."""


class EdgeKind(StrEnum):
    """How two nodes hang together."""

    PORT = "port"
    """a is a port of b (bridge, bond, VRF, Open vSwitch)."""
    PEER = "peer"
    """The two ends of a veth, or of a pair of patch ports."""
    PARENT = "parent"
    """a lies on b (VLAN, macvtap, tunnel)."""
    TAP = "tap"
    """a is a guest, b the link or NIC that it has on the host."""
    OWNER = "owner"
    """a has b: a process its tap, a libvirt network its bridge, a namespace its links where they are routed."""
    ROUTE = "route"
    """Packets from link a leave by link b, in the same namespace."""
    NAT = "nat"
    """The same, with their source address rewritten."""
    TUNNEL = "tunnel"
    """a is a tunnel, b its far end."""


@dataclass(frozen=True, slots=True)
class Node:
    """A thing of the graph."""

    id: str
    """Stable for as long as the thing exists: `domain:UUID`, `link:NETNS:IFINDEX`, `ovs-port:UUID` ..."""
    kind: NodeKind
    name: str
    netns: str
    """The name of its namespace, "" for things that are in none."""
    state: str
    """up, down, no-carrier, blocking, listening, learning, disabled, running, off, unknown ..."""
    facts: Mapping[str, str | int | bool | None] = field(default_factory=lambda: _NOTHING)
    """What is particular to its kind, by the model's own names."""
    key: str = ""
    """The key of the thing in the snapshot: domain UUID, process key, link key, netns key, network UUID."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A tie between two nodes, by their ids."""

    a: str
    b: str
    kind: EdgeKind
    label: str = ""
    """What is written on the line: VLAN numbers, an OVS tag, a tunnel's id."""


@dataclass(frozen=True, slots=True)
class Graph:
    """All nodes by id, and all edges; the order is that of the drawing."""

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    limits: tuple[str, ...] = ()
    """What cannot be seen and why."""
