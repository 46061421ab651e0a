"""Netlink sockets that ask: single requests and dumps."""

from __future__ import annotations

import errno
import os
import socket
import struct
from types import TracebackType

from tui.sources.netlink.wire import attributes, message, messages, text

ROUTE, GENERIC = 0, 16
"""NETLINK_ROUTE, NETLINK_GENERIC."""
SOL_NETLINK = 270
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_DUMP_INTERRUPTED, _ACK_TLVS = 0x10, 0x200
_ERROR, _DONE = 2, 3
_CAP_ACK, _EXT_ACK, _STRICT = 10, 11, 12
_CODE = struct.Struct("=i")
_BUFFER = 64 * 1024
# A dump that other changes cut into is asked for again; under constant change the events that tell of it mend the rest.
_TRIES = 5
_LIMIT = struct.pack("=qq", 5, 0)


class NetlinkError(OSError):
    """What the kernel refused: errno, and its own words where it has some."""

    def __init__(self, code: int, words: str = "") -> None:
        super().__init__(code, words or os.strerror(code))

    @property
    def unsupported(self) -> bool:
        """Whether this kernel does not know what was asked for."""
        return self.errno in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT)


class NetlinkSocket:
    """A socket in the network namespace of the thread that made it; it holds that namespace alive until closed."""

    def __init__(self, protocol: int = ROUTE) -> None:
        """Open it; raises OSError."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LIMIT)
        for option in (_CAP_ACK, _EXT_ACK, _STRICT):
            try:
                self._socket.setsockopt(SOL_NETLINK, option, 1)
            except OSError as error:
                if error.errno != errno.ENOPROTOOPT:
                    raise

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Return the bodies of all messages of a dump; raises NetlinkError, and OSError when no answer comes in 5 s."""
        for _ in range(_TRIES):
            whole, found = self._dump(kind, body)
            if whole:
                break
        return found

    def _dump(self, kind: int, body: bytes) -> tuple[bool, list[bytes]]:
        """Return whether nothing changed meanwhile, and what was found."""
        sequence = self._send(kind, _REQUEST | _DUMP, body)
        found: list[bytes] = []
        whole = True
        while True:
            for answer, flags, number, content in messages(self._socket.recv(_BUFFER)):
                if number != sequence:
                    continue
                if flags & _DUMP_INTERRUPTED:
                    whole = False
                if answer in (_ERROR, _DONE):
                    _raise(flags, content, 4 if answer == _DONE else 20)
                    return whole, found
                found.append(content)

    def get(self, kind: int, body: bytes) -> bytes:
        """Return the body of the one answer to a request; raises NetlinkError."""
        sequence = self._send(kind, _REQUEST, body)
        while True:
            for answer, flags, number, content in messages(self._socket.recv(_BUFFER)):
                if number != sequence:
                    continue
                if answer == _ERROR:
                    _raise(flags, content, 20)
                return content

    def ask(self, kind: int, body: bytes) -> None:
        """Have the kernel do something; raises NetlinkError."""
        sequence = self._send(kind, _REQUEST | _ACK, body)
        while True:
            for answer, flags, number, content in messages(self._socket.recv(_BUFFER)):
                if number == sequence and answer == _ERROR:
                    _raise(flags, content, 20)
                    return

    def _send(self, kind: int, flags: int, body: bytes) -> int:
        self._sequence += 1
        self._socket.send(message(kind, flags, self._sequence, body))
        return self._sequence


def _raise(flags: int, content: bytes, behind: int) -> None:
    """Raise what an error or the end of a dump says; `behind` is where its own attributes begin (NLMSGERR_ATTR_MSG)."""
    code = _CODE.unpack_from(content)[0] if len(content) >= 4 else 0
    if code < 0:
        raise NetlinkError(-code, text(attributes(content, behind).get(1)) if flags & _ACK_TLVS else "")
