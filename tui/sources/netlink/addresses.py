"""Addresses of links (RTM_GETADDR), their neighbours, and forwarding tables of bridges and VXLANs (RTM_GETNEIGH)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tui.model.link import FdbEntry, LinkAddress, LinkNeighbour
from tui.sources.netlink.kinds import address
from tui.sources.netlink.sockets import NetlinkSocket
from tui.sources.netlink.wire import attribute, attributes, number

_GET_ADDRESS, _GET_NEIGHBOUR = 22, 30
_ADDRESS_HEAD = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix, flags, scope, index."""
_NEIGHBOUR_HEAD = struct.Struct("=BxxxiHBB")
"""struct ndmsg: family, index, state, flags, type."""
_TARGET_NETNSID = 10
_V4, _V6, _BRIDGE = 2, 10, 7
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_PERMANENT_ADDRESS = 0x80
_ADDRESS_FLAGS = (
    (0x02, "nodad"), (0x04, "optimistic"), (0x08, "dadfailed"), (0x10, "home"), (0x20, "deprecated"),
    (0x40, "tentative"), (0x100, "mngtmpaddr"), (0x200, "noprefixroute"), (0x400, "autojoin"),
    (0x800, "stable-privacy"),
)  # fmt: skip
_NOARP, _PERMANENT = 0x40, 0x80
_STATES = {
    0x01: "incomplete", 0x02: "reachable", 0x04: "stale", 0x08: "delay", 0x10: "probe", 0x20: "failed",
    _NOARP: "noarp", _PERMANENT: "permanent",
}  # fmt: skip
_SELF, _MASTER, _ROUTER = 0x02, 0x04, 0x80
_NDA_MASTER = 9
_FDB_FLAGS = (
    (_SELF, "self"), (_MASTER, "master"), (0x10, "extern_learn"), (0x20, "offloaded"), (0x40, "sticky"),
)  # fmt: skip
_GROUP_BIT = 0x01


def scope_name(scope: int) -> str:
    """Return the word of iproute2 for a scope."""
    return _SCOPES.get(scope, str(scope))


def read_addresses(home: NetlinkSocket, nsid: int | None) -> dict[int, tuple[LinkAddress, ...]]:
    """Return the addresses of all links of a namespace by ifindex, None for our own; raises NetlinkError."""
    target = b"" if nsid is None else attribute(_TARGET_NETNSID, struct.pack("=i", nsid))
    return parse_addresses(home.dump(_GET_ADDRESS, _ADDRESS_HEAD.pack(0, 0, 0, 0, 0) + target))


def parse_addresses(bodies: Iterable[bytes]) -> dict[int, tuple[LinkAddress, ...]]:
    """Return the addresses that messages tell, by ifindex, in the kernel's order."""
    found: dict[int, list[LinkAddress]] = {}
    for body in bodies:
        family, prefix, flags, scope, index = _ADDRESS_HEAD.unpack_from(body)
        if family in (_V4, _V6):
            parts = attributes(body, _ADDRESS_HEAD.size)
            more = number(parts.get(8))
            found.setdefault(index, []).append(_address(family, prefix, flags if more is None else more, scope, parts))
    return {index: tuple(items) for index, items in found.items()}


def _address(family: int, prefix: int, flags: int, scope: int, parts: dict[int, bytes]) -> LinkAddress:
    """IFA_LOCAL is the own address where there is a far end; then, and on IPv4 always, IFA_ADDRESS is that."""
    far, own = parts.get(1), parts.get(2)
    words = [word for bit, word in _ADDRESS_FLAGS if flags & bit]
    if flags & 0x01:
        words.insert(0, "secondary" if family == _V4 else "temporary")
    words.insert(0, "permanent" if flags & _PERMANENT_ADDRESS else "dynamic")
    return LinkAddress(
        address=address(own or far),
        prefix=prefix,
        peer=address(far) if own is not None and far != own else "",
        scope=scope_name(scope),
        flags=tuple(words),
    )


def read_neighbours(inside: NetlinkSocket) -> dict[int, tuple[LinkNeighbour, ...]]:
    """Return the neighbours of all links of the socket's namespace by ifindex; raises NetlinkError. Those that the
    kernel makes up for multicast and broadcast (NOARP) are left out, as `ip neigh` leaves them out."""
    found: dict[int, list[LinkNeighbour]] = {}
    for body in inside.dump(_GET_NEIGHBOUR, _NEIGHBOUR_HEAD.pack(0, 0, 0, 0, 0)):
        family, index, state, flags, _type = _NEIGHBOUR_HEAD.unpack_from(body)
        if family not in (_V4, _V6) or state in (0, _NOARP):
            continue
        parts = attributes(body, _NEIGHBOUR_HEAD.size)
        entry = LinkNeighbour(
            address(parts.get(1)), _mac(parts.get(2)), _STATES.get(state, str(state)), bool(flags & _ROUTER)
        )
        found.setdefault(index, []).append(entry)
    # The kernel's order is that of its hash table.
    return {index: tuple(sorted(items, key=lambda item: item.address)) for index, items in found.items()}


def read_fdb(inside: NetlinkSocket) -> dict[int, tuple[FdbEntry, ...]]:
    """Return the forwarding entries of the socket's namespace by the ifindex of the port, or of the bridge itself;
    raises NetlinkError. Multicast addresses that a device listens to are no forwarding and left out."""
    found: dict[int, list[FdbEntry]] = {}
    for body in inside.dump(_GET_NEIGHBOUR, _NEIGHBOUR_HEAD.pack(_BRIDGE, 0, 0, 0, 0)):
        _family, index, state, flags, _type = _NEIGHBOUR_HEAD.unpack_from(body)
        parts = attributes(body, _NEIGHBOUR_HEAD.size)
        mac = parts.get(2, b"")
        if flags & _SELF and mac and mac[0] & _GROUP_BIT and 1 not in parts:
            continue
        # A bridge says of its own entries whose they are, not that they are the master's.
        told = _MASTER if _NDA_MASTER in parts else 0
        entry = FdbEntry(
            mac=_mac(mac),
            vlan=number(parts.get(5)),
            remote=address(parts.get(1)),
            flags=tuple(word for bit, word in _FDB_FLAGS if (flags | told) & bit),
            permanent=bool(state & (_PERMANENT | _NOARP)),
        )
        found.setdefault(index, []).append(entry)
    return {index: tuple(sorted(items, key=_by_mac)) for index, items in found.items()}


def _by_mac(entry: FdbEntry) -> tuple[str, int, str]:
    return entry.mac, entry.vlan or 0, entry.remote


def _mac(content: bytes | None) -> str:
    return "" if content is None else content.hex(":")
