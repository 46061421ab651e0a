"""Counters of links (RTM_GETSTATS), and what came of them between two readings."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tui.model.link import LinkUsage
from tui.model.rates import rate_per_s
from tui.sources.netlink.sockets import NetlinkSocket
from tui.sources.netlink.wire import attributes

_GET_STATS = 94
_HEAD = struct.Struct("=BxxxII")
"""struct if_stats_msg: family, index, filter."""
_LINK_64 = 1
_COUNTERS = struct.Struct("=8Q")
"""The first of struct rtnl_link_stats64: packets, bytes, errors and drops, each received and sent."""

Counters = tuple[int, int, int, int, int, int, int, int]


def read_counters(inside: NetlinkSocket) -> dict[int, Counters]:
    """Return the counters of all links of the socket's namespace by ifindex; raises NetlinkError."""
    return parse_counters(inside.dump(_GET_STATS, _HEAD.pack(0, 0, 1 << (_LINK_64 - 1))))


def parse_counters(bodies: Iterable[bytes]) -> dict[int, Counters]:
    """Return the counters that messages tell, by ifindex."""
    found: dict[int, Counters] = {}
    for body in bodies:
        content = attributes(body, _HEAD.size).get(_LINK_64, b"")
        if len(content) >= _COUNTERS.size:
            found[_HEAD.unpack_from(body)[1]] = _COUNTERS.unpack_from(content)
    return found


def usage_of(now: Counters, before: Counters | None, elapsed_ns: int) -> LinkUsage:
    """Return the usage of a link from its counters and those of the reading before, `elapsed_ns` ago."""
    old: tuple[int | None, ...] = before or (None,) * len(now)
    rates = [rate_per_s(then, value, elapsed_ns) for then, value in zip(old[:4], now[:4], strict=True)]
    return LinkUsage(
        rx_packets=now[0],
        tx_packets=now[1],
        rx_bytes=now[2],
        tx_bytes=now[3],
        rx_errors=now[4],
        tx_errors=now[5],
        rx_dropped=now[6],
        tx_dropped=now[7],
        rx_packets_per_s=rates[0],
        tx_packets_per_s=rates[1],
        rx_bytes_per_s=rates[2],
        tx_bytes_per_s=rates[3],
        new_errors=_more(now, before, 4) + _more(now, before, 5),
        new_drops=_more(now, before, 6) + _more(now, before, 7),
    )


def _more(now: Counters, before: Counters | None, which: int) -> int:
    return max(0, now[which] - before[which]) if before is not None else 0
