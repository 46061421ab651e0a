"""The VLANs of bridges and their ports: RTM_GETLINK of AF_BRIDGE."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tui.model.link import PortVlan
from tui.sources.netlink.links import GET_LINK, index_of
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attribute, attributes, each_attribute

_BRIDGE = 7
# RTEXT_FILTER_BRVLAN_COMPRESSED: neighbouring VLANs as ranges, else a trunk of all VLANs is 32 kB a port.
_BODY = struct.pack("=BxHiII", _BRIDGE, 0, 0, 0, 0) + attribute(29, struct.pack("=I", 4))
_AF_SPEC, _VLAN_INFO = 26, 2
_PVID, _UNTAGGED, _RANGE_BEGIN, _RANGE_END = 0x2, 0x4, 0x8, 0x10


def read_vlans(inside: NetlinkSocket) -> dict[int, tuple[PortVlan, ...]]:
    """Return the VLANs of the bridges and ports of the socket's namespace by ifindex; none where the kernel's bridges
    have none. Raises NetlinkError."""
    try:
        return parse_vlans(inside.dump(GET_LINK, _BODY))
    except NetlinkError as error:
        if error.unsupported:
            return {}
        raise


def parse_vlans(bodies: Iterable[bytes]) -> dict[int, tuple[PortVlan, ...]]:
    """Return the VLANs that messages tell, by ifindex, as few ranges as they fit in."""
    found = {}
    for body in bodies:
        if vlans := _ranges(attributes(body, 16).get(_AF_SPEC, b"")):
            found[index_of(body)] = vlans
    return found


def _ranges(content: bytes) -> tuple[PortVlan, ...]:
    """struct bridge_vlan_info: flags and number; a range is two of them. Kernels tell some neighbours apart."""
    ranges: list[PortVlan] = []
    begun = 0
    for kind, info in each_attribute(content):
        if kind != _VLAN_INFO or len(info) < 4:
            continue
        flags, number = struct.unpack_from("=HH", info)
        if flags & _RANGE_BEGIN:
            begun = number
            continue
        first = begun if flags & _RANGE_END else number
        fresh = PortVlan(first, number, bool(flags & _PVID), bool(flags & _UNTAGGED))
        before = ranges[-1] if ranges and not fresh.pvid else None
        if before is not None and (before.last + 1, before.pvid, before.untagged) == (first, False, fresh.untagged):
            fresh = PortVlan(ranges.pop().first, number, untagged=fresh.untagged)
        ranges.append(fresh)
    return tuple(ranges)
