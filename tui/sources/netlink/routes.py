"""Routes of a namespace (RTM_GETROUTE), the nexthop objects that they may name (RTM_GETNEXTHOP), and its rules."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from tui.model.link import NextHop, Route, link_key
from tui.sources.netlink.addresses import scope_name
from tui.sources.netlink.kinds import address, network
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attributes, number

_GET_ROUTE, _GET_NEXTHOP = 26, 106
_HEAD = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, destination and source prefix, TOS, table, protocol, scope, type, flags."""
_HOP_HEAD = struct.Struct("=HBBi")
"""struct rtnexthop: length, flags, weight - 1, index."""
_V4, _V6 = 2, 10
_LOCAL_TABLE = 255
_DESTINATION, _OUT, _GATEWAY, _METRIC, _SOURCE, _MULTIPATH, _TABLE, _VIA, _NEXTHOP_ID = 1, 4, 5, 6, 7, 9, 15, 18, 30
_KINDS = (
    "unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw",
    "nat", "xresolve",
)  # fmt: skip
_PROTOCOLS = {
    1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra", 12: "bird",
    13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 17: "mrouted", 18: "keepalived", 42: "babel", 99: "openr",
    186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}  # fmt: skip
_HOP_FLAGS = ((1, "dead"), (2, "pervasive"), (4, "onlink"), (8, "offload"), (16, "linkdown"), (32, "unresolved"))
_CLONED = 0x200
MOST = 4000
"""How many routes of one namespace are kept: a full BGP table is of no use on a screen."""

Hops = Mapping[int, tuple[NextHop, ...]]
"""Nexthop objects by their id."""


def read_routes(inside: NetlinkSocket, netns: str) -> tuple[Route, ...]:
    """Return the routes of the socket's namespace, whose key is `netns`, without the table local, IPv4 first; at most
    MOST. Raises NetlinkError."""
    found = inside.dump(_GET_ROUTE, _HEAD.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))
    bodies = [body for body in found if body[4] != _LOCAL_TABLE and body[0] in (_V4, _V6)][:MOST]
    objects = read_nexthops(inside, netns) if any(_needs_object(body) for body in bodies) else {}
    return parse_routes(bodies, netns, objects)


def _needs_object(body: bytes) -> bool:
    parts = attributes(body, _HEAD.size)
    return _NEXTHOP_ID in parts and _OUT not in parts and _MULTIPATH not in parts


def parse_routes(bodies: Iterable[bytes], netns: str, objects: Hops) -> tuple[Route, ...]:
    """Return the routes that messages tell, in their order; those of the table local and of the cache are left out."""
    routes = (_route(body, netns, objects) for body in bodies)
    return tuple(route for route in routes if route is not None)[:MOST]


def _route(body: bytes, netns: str, objects: Hops) -> Route | None:
    family, prefix, _source_prefix, _tos, table, protocol, scope, kind, flags = _HEAD.unpack_from(body)
    parts = attributes(body, _HEAD.size)
    table = number(parts.get(_TABLE)) or table
    if table == _LOCAL_TABLE or flags & _CLONED:
        return None
    return Route(
        netns=netns,
        destination=_destination(family, prefix, parts.get(_DESTINATION)),
        hops=_hops(parts, flags, netns, objects),
        table=table,
        kind=_KINDS[kind] if kind < len(_KINDS) else str(kind),
        metric=number(parts.get(_METRIC)),
        protocol=_PROTOCOLS.get(protocol, str(protocol) if protocol else ""),
        source=address(parts.get(_SOURCE)),
        scope=scope_name(scope),
        ipv6=family == _V6,
    )


def _destination(family: int, prefix: int, content: bytes | None) -> str:
    if prefix == 0 and not content:
        return "default"
    return network(content, prefix, ipv6=family == _V6)


def _hops(parts: dict[int, bytes], flags: int, netns: str, objects: Hops) -> tuple[NextHop, ...]:
    if _MULTIPATH in parts:
        return tuple(_each_hop(parts[_MULTIPATH], netns))
    out = number(parts.get(_OUT))
    if not out and _NEXTHOP_ID in parts:
        return objects.get(number(parts[_NEXTHOP_ID]) or 0, ())
    gateway = _gateway(parts)
    if not out and not gateway:
        return ()
    return (NextHop(link_key(netns, out) if out else None, gateway, flags=_flags(flags)),)


def _each_hop(content: bytes, netns: str) -> Iterable[NextHop]:
    start = 0
    while start + _HOP_HEAD.size <= len(content):
        length, flags, weight, index = _HOP_HEAD.unpack_from(content, start)
        if length < _HOP_HEAD.size:
            return
        parts = attributes(content[start : start + length], _HOP_HEAD.size)
        yield NextHop(link_key(netns, index) if index else None, _gateway(parts), weight + 1, _flags(flags))
        start += (length + 3) & ~3


def _gateway(parts: dict[int, bytes]) -> str:
    """RTA_VIA holds a gateway of the other family behind two bytes that name it."""
    return address(parts.get(_GATEWAY) or parts.get(_VIA, b"")[2:] or None)


def _flags(flags: int) -> tuple[str, ...]:
    return tuple(word for bit, word in _HOP_FLAGS if flags & bit)


def read_nexthops(inside: NetlinkSocket, netns: str) -> dict[int, tuple[NextHop, ...]]:
    """Return the nexthop objects of the socket's namespace by id, none where the kernel has none; raises
    NetlinkError."""
    try:
        return parse_nexthops(inside.dump(_GET_NEXTHOP, b"\0" * 8), netns)
    except NetlinkError as error:
        if error.unsupported:
            return {}
        raise


def parse_nexthops(bodies: Iterable[bytes], netns: str) -> dict[int, tuple[NextHop, ...]]:
    """Return the nexthop objects that messages tell; a group has the hops of its members with their weights."""
    single: dict[int, tuple[NextHop, ...]] = {}
    groups: dict[int, bytes] = {}
    for body in bodies:
        parts = attributes(body, 8)
        name, out = number(parts.get(1)) or 0, number(parts.get(5))
        if 2 in parts:
            groups[name] = parts[2]
        elif out:
            flags = struct.unpack_from("=I", body, 4)[0]
            single[name] = (NextHop(link_key(netns, out), address(parts.get(6)), flags=_flags(flags)),)
    return single | {name: tuple(_members(content, single)) for name, content in groups.items()}


def _members(content: bytes, single: Hops) -> Iterable[NextHop]:
    """struct nexthop_grp: id, weight - 1, and three bytes more."""
    for member, weight in struct.iter_unpack("=IBxxx", content[: len(content) // 8 * 8]):
        for hop in single.get(member, ()):
            yield NextHop(hop.link, hop.gateway, weight + 1, hop.flags)
