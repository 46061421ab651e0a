"""Policy routing rules of a namespace (RTM_GETRULE, linux/fib_rules.h)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from tui.model.link import Rule
from tui.model.text import clean
from tui.sources.netlink.kinds import network
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attributes, number, text

_GET_RULE = 34
_HEAD = struct.Struct("=BBBBBxxBI")
"""struct fib_rule_hdr: family, destination and source prefix, TOS, table, action, flags."""
_V4, _V6 = 2, 10
_DESTINATION, _SOURCE, _IN, _GOTO, _PRIORITY, _MARK, _SUPPRESS, _TABLE = 1, 2, 3, 4, 6, 10, 14, 15
_MARK_MASK, _OUT, _L3MDEV, _UIDS, _IP_PROTOCOL, _SOURCE_PORTS, _PORTS = 16, 17, 19, 20, 22, 23, 24
_INVERT = 0x2
_LOOKUP, _GOES = 1, 2
_ACTIONS = {3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_TABLES = {253: "default", 254: "main", 255: "local"}
_EVERYWHERE = frozenset({(0, 255), (32766, 254), (32767, 253)})
_ALL_BITS, _NONE = 0xFFFFFFFF, 0xFFFFFFFF
_IP_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}

Parts = Mapping[int, bytes]


def read_rules(inside: NetlinkSocket, netns: str) -> tuple[Rule, ...]:
    """Return the rules of the socket's namespace, whose key is `netns`, by family and priority; raises NetlinkError."""
    try:
        return tuple(parse_rules(inside.dump(_GET_RULE, _HEAD.pack(0, 0, 0, 0, 0, 0, 0)), netns))
    except NetlinkError as error:
        # A kernel without policy routing.
        if error.unsupported:
            return ()
        raise


def parse_rules(bodies: Iterable[bytes], netns: str) -> list[Rule]:
    """Return the rules that messages tell, but for the three that every namespace has."""
    rules = []
    for body in bodies:
        family, to_bits, from_bits, tos, table, action, flags = _HEAD.unpack_from(body)
        if family not in (_V4, _V6):
            continue
        parts = attributes(body, _HEAD.size)
        table = number(parts.get(_TABLE)) or table
        priority = number(parts.get(_PRIORITY)) or 0
        words = [
            *(["not"] if flags & _INVERT else []),
            "from",
            network(parts[_SOURCE], from_bits, ipv6=family == _V6) if _SOURCE in parts else "all",
            *(["to", network(parts[_DESTINATION], to_bits, ipv6=family == _V6)] if _DESTINATION in parts else []),
            *([f"tos {tos:#04x}"] if tos else []),
            *(word for kind, write in _SELECTORS.items() if kind in parts and (word := write(parts))),
        ]
        if len(words) == 2 and (priority, table) in _EVERYWHERE:
            continue
        rules.append(Rule(netns, priority, table, " ".join([*words, _does(action, table, parts)]), family == _V6))
    return rules


def _does(action: int, table: int, parts: Parts) -> str:
    if action == _LOOKUP:
        suppress = number(parts.get(_SUPPRESS))
        behind = f" suppress_prefixlength {suppress}" if suppress not in (None, _NONE) else ""
        return ("lookup [l3mdev-table]" if _flagged(parts, _L3MDEV) else f"lookup {_TABLES.get(table, table)}") + behind
    if action == _GOES:
        return f"goto {number(parts.get(_GOTO))}"
    return _ACTIONS.get(action, f"action {action}")


def _flagged(parts: Parts, kind: int) -> bool:
    return bool(number(parts.get(kind)))


def _mark(parts: Parts) -> str:
    mark, mask = number(parts[_MARK]) or 0, number(parts.get(_MARK_MASK))
    if not mark and not mask:
        return ""
    return f"fwmark {mark:#x}" + (f"/{mask:#x}" if mask not in (None, _ALL_BITS) else "")


def _range(word: str, kind: int, form: str) -> Callable[[Parts], str]:
    def write(parts: Parts) -> str:
        first, last = struct.unpack_from(form, parts[kind])
        return f"{word} {first}-{last}" if first != last or kind == _UIDS else f"{word} {first}"

    return write


def _protocol(parts: Parts) -> str:
    found = number(parts[_IP_PROTOCOL]) or 0
    return f"ipproto {_IP_PROTOCOLS.get(found, found)}"


_SELECTORS: Mapping[int, Callable[[Parts], str]] = MappingProxyType(
    {
        _MARK: _mark,
        _IN: lambda parts: f"iif {clean(text(parts[_IN]))}",
        _OUT: lambda parts: f"oif {clean(text(parts[_OUT]))}",
        _UIDS: _range("uidrange", _UIDS, "=II"),
        _IP_PROTOCOL: _protocol,
        _SOURCE_PORTS: _range("sport", _SOURCE_PORTS, "=HH"),
        _PORTS: _range("dport", _PORTS, "=HH"),
    }
)
