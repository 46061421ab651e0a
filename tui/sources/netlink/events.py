"""What the kernel tells by itself: events of all namespaces, taken as marks of what is to be read again."""

from __future__ import annotations

import errno
import logging
import socket
import struct
from dataclasses import dataclass, field
from enum import Flag, auto

from tui.sources.netlink.sockets import ROUTE, SOL_NETLINK
from tui.sources.netlink.wire import attributes, messages, signed

_log = logging.getLogger("virtdeck.links")
_ADD, _DROP, _ALL_NSID = 1, 2, 8
"""NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP, NETLINK_LISTEN_ALL_NSID."""
_RCVBUFFORCE = 33
BUFFER = 8 * 1024 * 1024
_READ = 64 * 1024
_NEIGHBOURS = 3
"""RTNLGRP_NEIGH."""
# RTNLGRP: links, IPv4 and IPv6 addresses, routes, rules and netconf, nsids, nexthops, bridge VLANs.
_GROUPS = (1, 5, 7, 8, 9, 11, 19, 24, 25, 28, 32, 33)
_NEW_LINK, _DEL_LINK, _NEW_NSID, _DEL_NSID = 16, 17, 88, 89
_BRIDGE = 7
_NSID = struct.Struct("=i")
_INDEX = struct.Struct("=i")


class Part(Flag):
    """What a namespace has besides its links."""

    ADDRESSES = auto()
    ROUTES = auto()
    RULES = auto()
    SETTINGS = auto()
    VLANS = auto()
    NEIGHBOURS = auto()
    """With the forwarding tables."""


NO_PART = Part(0)
ALL_PARTS = Part.ADDRESSES | Part.ROUTES | Part.RULES | Part.SETTINGS | Part.VLANS | Part.NEIGHBOURS
_PART_OF = {
    20: Part.ADDRESSES, 21: Part.ADDRESSES, 24: Part.ROUTES, 25: Part.ROUTES, 28: Part.NEIGHBOURS,
    29: Part.NEIGHBOURS, 32: Part.RULES, 33: Part.RULES, 80: Part.SETTINGS, 81: Part.SETTINGS, 104: Part.ROUTES,
    105: Part.ROUTES, 112: Part.VLANS, 113: Part.VLANS,
}  # fmt: skip


@dataclass(slots=True)
class Marks:
    """What of one namespace is to be read again."""

    all_links: bool = False
    links: set[int] = field(default_factory=set)
    parts: Part = NO_PART


@dataclass(slots=True)
class Dirty:
    """What is to be read again."""

    spaces: dict[int | None, Marks] = field(default_factory=dict)
    """By nsid as our own namespace counts, None: our own."""
    files: bool = False
    """Whether files of namespaces came or went."""
    namespaces: bool = False
    """Whether all namespaces are to be looked for, those without a file as well."""
    fresh: set[int] = field(default_factory=set)
    """Nsids that were given."""
    dead: set[int] = field(default_factory=set)
    """The nsids of namespaces that ended."""
    everything: bool = False
    """Whether events were lost."""

    def of(self, nsid: int | None) -> Marks:
        """Return the marks of a namespace, to be added to."""
        return self.spaces.setdefault(nsid, Marks())

    def __bool__(self) -> bool:
        return bool(self.spaces or self.files or self.namespaces or self.fresh or self.dead or self.everything)


class EventSocket:
    """Hears the events of our own namespace and, with the right to, of all that have an nsid in it."""

    def __init__(self, buffer: int = BUFFER) -> None:
        """Open it; raises OSError. `buffer`: bytes of events that may wait."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, ROUTE
        )
        self._size_buffer(buffer)
        self._neighbours = False
        self.home_nsid: int | None = None
        """The number that our own namespace has given itself, if it has."""
        try:
            self._socket.setsockopt(SOL_NETLINK, _ALL_NSID, 1)
        except PermissionError:
            _log.info("events of other network namespaces are not heard: not allowed")
        self._socket.bind((0, 0))
        for group in _GROUPS:
            self._join(_ADD, group)

    def _size_buffer(self, size: int) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, size)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def _join(self, how: int, group: int) -> None:
        """Older kernels have fewer groups."""
        try:
            self._socket.setsockopt(SOL_NETLINK, how, group)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def fileno(self) -> int:
        """Return the file descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def hear_neighbours(self, wanted: bool) -> None:
        """Say whether neighbours and forwarding tables are to be heard of: on a busy host they change all the time."""
        if wanted != self._neighbours:
            self._join(_ADD if wanted else _DROP, _NEIGHBOURS)
            self._neighbours = wanted

    def drain(self, dirty: Dirty) -> None:
        """Take all that waits and mark it; never waits."""
        while True:
            try:
                data, control, _flags, _sender = self._socket.recvmsg(_READ, 64)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                _log.warning("netlink events were lost: everything is read again")
                dirty.everything = True
                continue
            nsid = next((_NSID.unpack(value)[0] for _level, kind, value in control if kind == _ALL_NSID), None)
            for kind, _message_flags, _sequence, body in messages(data):
                _mark(dirty, None if nsid == self.home_nsid else nsid, kind, body)


def _mark(dirty: Dirty, nsid: int | None, kind: int, body: bytes) -> None:
    if kind in (_NEW_LINK, _DEL_LINK):
        marks = dirty.of(nsid)
        # A bridge tells of its ports in messages of its own family.
        if body[0] == _BRIDGE:
            marks.parts |= Part.VLANS
        marks.links.add(_INDEX.unpack_from(body, 4)[0])
    elif part := _PART_OF.get(kind):
        dirty.of(nsid).parts |= part
    elif kind in (_NEW_NSID, _DEL_NSID):
        named = signed(attributes(body, 4).get(1))
        # Namespaces have numbers in each other as well; those are none of ours.
        if named is not None and nsid is None:
            (dirty.fresh if kind == _NEW_NSID else dirty.dead).add(named)
