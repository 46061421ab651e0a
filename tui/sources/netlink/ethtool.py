"""Speed, duplex and offloads of links over the generic netlink family ethtool (linux/ethtool_netlink.h)."""

from __future__ import annotations

import struct
from types import TracebackType

from tui.model.text import clean
from tui.sources.netlink.sockets import GENERIC, NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attribute, attributes, each_attribute, nest, number, text

_CONTROL, _GET_FAMILY = 16, 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_LINK_MODES, _FEATURES = 4, 11
_HEADER, _INDEX = 1, 1
_SPEED, _DUPLEX = 5, 6
_UNKNOWN_SPEED = 0xFFFFFFFF
_DUPLEXES = {0: "half", 1: "full"}
_HARDWARE, _ACTIVE, _NO_CHANGE = 2, 4, 5
_BITS, _BIT, _BIT_NAME, _BIT_VALUE = 3, 1, 2, 3
_HEAD = 4
"""The size of struct genlmsghdr: command, version, two bytes unused."""


class Ethtool:
    """Asks in the network namespace of the thread that made it; to be used in `with`."""

    def __init__(self) -> None:
        """Open a socket; raises NetlinkError where the kernel has no such family."""
        self._socket = NetlinkSocket(GENERIC)
        try:
            name = attribute(_FAMILY_NAME, b"ethtool\0")
            answer = self._socket.get(_CONTROL, bytes((_GET_FAMILY, 1, 0, 0)) + name)
        except OSError:
            self._socket.close()
            raise
        self._family = number(attributes(answer, _HEAD).get(_FAMILY_ID)) or 0

    def __enter__(self) -> Ethtool:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._socket.close()

    def speed(self, index: int) -> tuple[int | None, str]:
        """Return Mbit/s and duplex of a link; None and "" where its driver tells none."""
        try:
            found = self._get(_LINK_MODES, _HEADER, index)
        except NetlinkError:
            return None, ""
        speed, duplex = number(found.get(_SPEED)), number(found.get(_DUPLEX))
        known = speed is not None and speed != _UNKNOWN_SPEED and speed > 0
        return speed if known else None, _DUPLEXES.get(-1 if duplex is None else duplex, "")

    def offloads(self, index: int) -> list[tuple[str, bool, bool]]:
        """Return the offloads of a link by name, as the kernel calls them (tx-checksum-ip-generic ...), with whether
        each is on and whether it can be changed; raises NetlinkError."""
        found = self._get(_FEATURES, _HEADER, index)
        active, changeable = _names(found.get(_ACTIVE, b"")), _names(found.get(_HARDWARE, b""))
        changeable -= _names(found.get(_NO_CHANGE, b""))
        return [(name, name in active, name in changeable) for name in sorted(active | changeable)]

    def _get(self, command: int, header: int, index: int) -> dict[int, bytes]:
        body = bytes((command, 1, 0, 0)) + nest(header, attribute(_INDEX, struct.pack("=I", index)))
        return attributes(self._socket.get(self._family, body), _HEAD)


def _names(bitset: bytes) -> frozenset[str]:
    """The names of the bits that are set: in a list without a mask those that are in it, else those with a value."""
    top = attributes(bitset)
    listed = 1 in top
    found = set()
    for kind, content in each_attribute(top.get(_BITS, b"")):
        bit = attributes(content)
        if kind == _BIT and (listed or _BIT_VALUE in bit):
            found.add(clean(text(bit.get(_BIT_NAME))))
    return frozenset(found)
