"""nf_tables over netlink, as far as it says cheaply whether there are rules and whether they changed: nft(8) tells the
rest. Source: linux/netfilter/nf_tables.h, nfnetlink.h."""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP, _LISTEN_ALL_NSID = 270, 1, 8
_GROUP_NFTABLES = 7
_SUBSYS = 10 << 8
_GETTABLE, _GETGEN = _SUBSYS | 1, _SUBSYS | 16
_NEWTABLE, _NEWGEN = _SUBSYS | 0, _SUBSYS | 15
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 1, 0x300
_GEN_ID = 1
_HEADER = struct.Struct("=IHHII")
_DEADLINE_S = 2.0


def open_netfilter() -> socket.socket:
    """Return a socket of the calling thread's network namespace; raises OSError."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    opened.settimeout(_DEADLINE_S)
    return opened


def generation(netfilter: socket.socket) -> int:
    """Return the number that each change of the rules makes greater (NFT_MSG_GETGEN); raises OSError, of code
    EPERM for want of CAP_NET_ADMIN."""
    _ask(netfilter, _GETGEN, 0)
    for kind, body in _messages(netfilter):
        if kind == _NEWGEN:
            return _number(body)
    raise OSError("nf_tables tells no generation")


def has_tables(netfilter: socket.socket) -> bool:
    """Return whether there is a table of any family (NFT_MSG_GETTABLE); raises OSError."""
    _ask(netfilter, _GETTABLE, _DUMP)
    found = False
    while True:
        for kind, _body in _messages(netfilter):
            if kind == _DONE:
                return found
            found = found or kind == _NEWTABLE


def _ask(netfilter: socket.socket, kind: int, flags: int) -> None:
    family = struct.pack("=BBH", 0, 0, 0)
    netfilter.send(_HEADER.pack(_HEADER.size + len(family), kind, _REQUEST | flags, 1, 0) + family)


def _messages(netfilter: socket.socket) -> list[tuple[int, bytes]]:
    """Return type and body of the messages that came; raises OSError for NLMSG_ERROR."""
    data = netfilter.recv(1 << 16)
    found, offset = [], 0
    while offset + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
        body = data[offset + _HEADER.size : offset + length]
        if kind == _ERROR and (code := -struct.unpack_from("=i", body)[0]):
            raise OSError(code, os.strerror(code))
        found.append((kind, body))
        offset += max(length + 3 & ~3, _HEADER.size)
    return found


def _number(body: bytes) -> int:
    """Return NFTA_GEN_ID, which is in network order."""
    offset = 4
    while offset + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, offset)
        if kind & 0x3FFF == _GEN_ID:
            return int(struct.unpack_from("!I", body, offset + 4)[0])
        offset += max(length + 3 & ~3, 4)
    raise OSError("nf_tables tells no generation")


class RuleEvents:
    """Hears of changes of rules in our own namespace and in all that have an nsid here; close it after use."""

    def __init__(self) -> None:
        """Begin to listen; raises OSError, of code EPERM where we are not root."""
        self._socket = open_netfilter()
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that can be read when rules have changed."""
        return self._socket.fileno()

    def take(self) -> bool:
        """Return whether rules have changed since the last call; the reader asks each namespace's generation then."""
        heard = False
        while select.select([self._socket], [], [], 0)[0]:
            heard = True
            # ENOBUFS: more was said than the buffer holds, which is news as well.
            with suppress(OSError):
                self._socket.recv(1 << 16)
        return heard

    def close(self) -> None:
        """Cease to listen."""
        self._socket.close()
