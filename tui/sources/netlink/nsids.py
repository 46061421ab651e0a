"""The numbers that our own network namespace has for the others (RTM_GETNSID, RTM_NEWNSID): without one nothing is
heard of a namespace, and nothing is read of it from here."""

from __future__ import annotations

import errno
import struct

from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attribute, attributes, signed

_NEW, _GET = 88, 90
_NSID, _FD = 1, 3
_HEAD = b"\0\0\0\0"
_NONE = -1


def nsid_of(home: NetlinkSocket, descriptor: int) -> int | None:
    """Return the number of an open namespace, None when it has none; raises NetlinkError."""
    answer = home.get(_GET, _HEAD + attribute(_FD, struct.pack("=I", descriptor)))
    found = signed(attributes(answer, 4).get(_NSID))
    return None if found == _NONE else found


def numbered(home: NetlinkSocket, descriptor: int) -> int | None:
    """Return the number of an open namespace after having it given one where it has none; None when that is not
    allowed. It is given for as long as both namespaces live, and costs the kernel a pointer."""
    found = nsid_of(home, descriptor)
    if found is not None:
        return found
    fresh = attribute(_NSID, struct.pack("=i", _NONE)) + attribute(_FD, struct.pack("=I", descriptor))
    try:
        home.ask(_NEW, _HEAD + fresh)
    except NetlinkError as error:
        if error.errno == errno.EPERM:
            return None
        if error.errno != errno.EEXIST:
            raise
    return nsid_of(home, descriptor)
