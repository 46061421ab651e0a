"""Switches of a namespace: forwarding and rp_filter (RTM_GETNETCONF), and what of br_netfilter counts in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tui.model.link import NetSettings
from tui.sources.netlink.links import Conf
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attributes, flag, number, signed

_GET_NETCONF = 82
_V4, _V6 = 2, 10
_INDEX, _FORWARDING, _RP_FILTER = 1, 2, 3
_ALL = -1
"""NETCONFA_IFINDEX_ALL: what conf/all says."""
_BRIDGE = Path("/proc/sys/net/bridge")


def read_settings(inside: NetlinkSocket) -> tuple[NetSettings, dict[int, Conf]]:
    """Return the switches of the namespace that the calling thread and the socket are in, and those of its links by
    ifindex; raises NetlinkError."""
    v4, v6 = parse_confs(_dump(inside, _V4)), parse_confs(_dump(inside, _V6))
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


def _dump(inside: NetlinkSocket, family: int) -> list[bytes]:
    try:
        return inside.dump(_GET_NETCONF, bytes((family, 0, 0, 0)))
    except NetlinkError as error:
        if error.unsupported:
            return []
        raise


def parse_confs(bodies: Iterable[bytes]) -> dict[int, Conf]:
    """Return what messages tell, by ifindex, -1 for all and -2 for those to come."""
    found = {}
    for body in bodies:
        parts = attributes(body, 4)
        found[signed(parts.get(_INDEX)) or 0] = Conf(flag(parts.get(_FORWARDING)), number(parts.get(_RP_FILTER)))
    return found


def _bridge_nf(table: str) -> bool | None:
    """Below /proc/sys/net a thread sees the switches of the namespace that it is in. Where br_netfilter is not loaded
    there is no such folder, and bridged packets pass by the tables."""
    try:
        return (_BRIDGE / f"bridge-nf-call-{table}").read_text().strip() != "0"
    except FileNotFoundError:
        return False
    except OSError:
        return None
