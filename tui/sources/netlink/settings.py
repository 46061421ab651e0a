"""Switches of a namespace: forwarding and rp_filter (RTM_GETNETCONF), and what of br_netfilter counts in it."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from tui.model.link import NetSettings
from tui.sources.netlink.links import Conf
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attributes, flag, number

_GET_NETCONF = 82
_V4, _V6 = 2, 10
_HEAD = bytes(4)
"""struct netconfmsg: the family, none for all, and padding."""
_FORWARDING, _RP_FILTER = 2, 3
_INDEX = struct.Struct("=i")
_INDEX_AT = 8
# NETCONFA_IFINDEX_ALL: what conf/all says.
_ALL, _ALL_BYTES = -1, b"\xff" * 4
_BRIDGE = Path("/proc/sys/net/bridge")


def read_settings(inside: NetlinkSocket) -> tuple[NetSettings, dict[int, Conf]]:
    """Return the switches of the namespace that the calling thread and the socket are in, and those of its links by
    ifindex, of IPv4; raises NetlinkError."""
    try:
        bodies = inside.dump(_GET_NETCONF, _HEAD)
    except NetlinkError as error:
        if not error.unsupported:
            raise
        bodies = []
    v4 = parse_confs(body for body in bodies if body[0] == _V4)
    # Of IPv6 only what counts for all is of interest; on a host of thousands of links the rest is half the work.
    v6 = parse_confs(body for body in bodies if body[0] == _V6 and body[_INDEX_AT : _INDEX_AT + 4] == _ALL_BYTES)
    everywhere = v4.pop(_ALL, Conf())
    settings = NetSettings(
        ipv4_forwarding=everywhere.forwarding,
        ipv6_forwarding=v6.get(_ALL, Conf()).forwarding,
        rp_filter=everywhere.rp_filter,
        bridge_nf_iptables=_bridge_nf("iptables"),
        bridge_nf_ip6tables=_bridge_nf("ip6tables"),
        bridge_nf_arptables=_bridge_nf("arptables"),
    )
    return settings, {index: conf for index, conf in v4.items() if index > 0}


def parse_confs(bodies: Iterable[bytes]) -> dict[int, Conf]:
    """Return what messages tell, by ifindex, -1 for all and -2 for those to come."""
    found = {}
    for body in bodies:
        # The index comes first, and behind it most links say the same.
        index, rest = _INDEX.unpack_from(body, _INDEX_AT)[0], body[_INDEX_AT + _INDEX.size :]
        found[index] = _conf(rest)
    return found


@lru_cache(maxsize=256)
def _conf(content: bytes) -> Conf:
    parts = attributes(content)
    return Conf(flag(parts.get(_FORWARDING)), number(parts.get(_RP_FILTER)))


def _bridge_nf(table: str) -> bool | None:
    """Below /proc/sys/net a thread sees the switches of the namespace that it is in. Where br_netfilter is not loaded
    there is no such folder, and bridged packets pass by the tables."""
    try:
        return (_BRIDGE / f"bridge-nf-call-{table}").read_text().strip() != "0"
    except FileNotFoundError:
        return False
    except OSError:
        return None
