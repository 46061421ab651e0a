"""What is particular to a kind of link: IFLA_INFO_DATA, and IFLA_INFO_SLAVE_DATA of its ports (linux/if_link.h)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from tui.model.link import (
    BondFacts,
    BondSlaveFacts,
    BridgeFacts,
    PortFacts,
    PortState,
    TapFacts,
    TunnelFacts,
    link_key,
)
from tui.sources.netlink.wire import attributes, big_endian, chosen, flag, number

Attributes = Mapping[int, bytes]
Facts = dict[str, Any]

PEERED = frozenset({"veth", "netkit", "vxcan"})
"""Kinds whose IFLA_LINK is the other end of a pair, not a link below."""
_TICKS_PER_S = 100
# USER_HZ, in which the bridge tells its times.
_PORT_STATES = tuple(PortState)
_BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
_MACVLAN_MODES = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
_IPVLAN_MODES = ("l2", "l3", "l3s")
_VLAN_PROTOCOLS = {0x8100: "802.1Q", 0x88A8: "802.1ad"}
_TUN_TYPES = {1: "tun", 2: "tap"}
_OF_BRIDGE_PORT = frozenset({1, 2, 3, 4, 5, 8, 9, 33})
_GRE_KEY = 0x2000
_NOBODY = 0xFFFFFFFF


def address(content: bytes | None) -> str:
    """Return an IPv4 or IPv6 address as text; "" for none, and for that of no host."""
    if content is None or not any(content):
        return ""
    if len(content) == 4:
        return socket.inet_ntop(socket.AF_INET, content)
    return socket.inet_ntop(socket.AF_INET6, content) if len(content) == 16 else content.hex(":")


def network(content: bytes | None, prefix: int, *, ipv6: bool) -> str:
    """Return a network as in 10.0.0.0/24."""
    return f"{address(content) or ('::' if ipv6 else '0.0.0.0')}/{prefix}"


def _bridge(data: Attributes, _netns: str) -> Facts:
    delay, ageing = number(data.get(1)), number(data.get(4))
    return {
        "bridge": BridgeFacts(
            stp=flag(data.get(5)),
            forward_delay_s=None if delay is None else delay / _TICKS_PER_S,
            ageing_s=None if ageing is None else ageing / _TICKS_PER_S,
            priority=number(data.get(6)),
            vlan_filtering=flag(data.get(7)),
            default_pvid=number(data.get(39)),
            multicast_snooping=flag(data.get(23)),
            bridge_id=_bridge_id(data.get(11)),
            root_id=_bridge_id(data.get(10)),
            nf_iptables=flag(data.get(36)),
        )
    }


def _bridge_id(content: bytes | None) -> str:
    return "" if content is None else f"{content[:2].hex()}.{content[2:].hex(':')}"


def _vlan(data: Attributes, _netns: str) -> Facts:
    protocol = big_endian(data.get(5))
    words = "" if protocol is None else _VLAN_PROTOCOLS.get(protocol, f"{protocol:#06x}")
    return {"vlan_id": number(data.get(1)), "vlan_protocol": words}


def _vxlan(data: Attributes, _netns: str) -> Facts:
    outside = bool(flag(data.get(25)))
    return {
        "tunnel": TunnelFacts(
            id=None if outside else number(data.get(1)),
            local=address(data.get(4) or data.get(17)),
            remote=address(data.get(2) or data.get(16)),
            port=big_endian(data.get(15)),
            collect_metadata=outside,
        )
    }


def _gre(data: Attributes, _netns: str) -> Facts:
    keyed = (big_endian(data.get(3)) or 0) & _GRE_KEY
    return {
        "tunnel": TunnelFacts(
            id=big_endian(data.get(5)) if keyed else None,
            local=address(data.get(6)),
            remote=address(data.get(7)),
            collect_metadata=18 in data,
        )
    }


def _ip_tunnel(data: Attributes, _netns: str) -> Facts:
    """ipip, sit and ip6tnl."""
    return {"tunnel": TunnelFacts(local=address(data.get(2)), remote=address(data.get(3)), collect_metadata=19 in data)}


def _vti(data: Attributes, _netns: str) -> Facts:
    key = big_endian(data.get(3))
    return {"tunnel": TunnelFacts(id=key or None, local=address(data.get(4)), remote=address(data.get(5)))}


def _geneve(data: Attributes, _netns: str) -> Facts:
    return {
        "tunnel": TunnelFacts(
            id=None if 6 in data else number(data.get(1)),
            remote=address(data.get(2) or data.get(7)),
            port=big_endian(data.get(5)),
            collect_metadata=6 in data,
        )
    }


def _bond(data: Attributes, netns: str) -> Facts:
    active, mode = number(data.get(2)), number(data.get(1)) or 0
    return {
        "bond": BondFacts(
            mode=_BOND_MODES[mode] if mode < len(_BOND_MODES) else str(mode),
            active=link_key(netns, active) if active else None,
            miimon_ms=number(data.get(3)),
        )
    }


def _tun(data: Attributes, _netns: str) -> Facts:
    owner = number(data.get(1))
    return {
        "tap": TapFacts(
            mode=_TUN_TYPES.get(number(data.get(3)) or 0, ""),
            persistent=bool(flag(data.get(6))),
            multi_queue=bool(flag(data.get(7))),
            uid=None if owner == _NOBODY else owner,
        )
    }


def _macvlan(data: Attributes, _netns: str) -> Facts:
    return {"mode": _MACVLAN_MODES.get(number(data.get(1)) or 0, "")}


def _ipvlan(data: Attributes, _netns: str) -> Facts:
    mode = number(data.get(1)) or 0
    return {"mode": _IPVLAN_MODES[mode] if mode < len(_IPVLAN_MODES) else ""}


def _vrf(data: Attributes, _netns: str) -> Facts:
    return {"vrf_table": number(data.get(1))}


_KINDS: Mapping[str, Callable[[Attributes, str], Facts]] = MappingProxyType(
    {
        "bridge": _bridge,
        "vlan": _vlan,
        "vxlan": _vxlan,
        "gre": _gre,
        "gretap": _gre,
        "erspan": _gre,
        "ip6gre": _gre,
        "ip6gretap": _gre,
        "ip6erspan": _gre,
        "ipip": _ip_tunnel,
        "sit": _ip_tunnel,
        "ip6tnl": _ip_tunnel,
        "vti": _vti,
        "vti6": _vti,
        "geneve": _geneve,
        "bond": _bond,
        "tun": _tun,
        "macvlan": _macvlan,
        "macvtap": _macvlan,
        "ipvlan": _ipvlan,
        "ipvtap": _ipvlan,
        "vrf": _vrf,
    }
)


def lower_index(kind: str, data: Attributes) -> int | None:
    """Return the ifindex of the link below that the kind's own data tell; None where they tell none. IFLA_LINK has it
    for most kinds, but not for all on all kernels."""
    if kind == "vxlan":
        return number(data.get(3))
    return None


def facts_of_kind(kind: str, data: Attributes, netns: str) -> Facts:
    """Return the fields of Link that only this kind of link has."""
    read = _KINDS.get(kind)
    return {} if read is None else read(data, netns)


def _bridge_port(content: bytes) -> Facts:
    data = chosen(content, _OF_BRIDGE_PORT)
    state = number(data.get(1)) or 0
    return {
        "port": PortFacts(
            state=_PORT_STATES[state] if state < len(_PORT_STATES) else PortState.DISABLED,
            cost=number(data.get(3)),
            priority=number(data.get(2)),
            hairpin=bool(flag(data.get(4))),
            isolated=bool(flag(data.get(33))),
            learning=flag(data.get(8)) is not False,
            flooding=flag(data.get(9)) is not False,
            guard=bool(flag(data.get(5))),
        )
    }


def _bond_slave(content: bytes) -> Facts:
    data = attributes(content)
    return {
        "slave": BondSlaveFacts(
            active=not flag(data.get(1)), up=number(data.get(2)) == 0, failures=number(data.get(3)) or 0
        )
    }


def facts_of_port(master_kind: str, content: bytes) -> Facts:
    """Return the fields of Link that only a port of this kind of master has, from its IFLA_INFO_SLAVE_DATA."""
    if master_kind == "bridge":
        return _bridge_port(content)
    return _bond_slave(content) if master_kind == "bond" else {}
