"""The wire format of netlink: messages and the attributes in them (netlink(7), linux/netlink.h)."""

from __future__ import annotations

import struct
import sys
from collections.abc import Container, Iterator

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
_NESTED = 0x8000


def attributes(data: bytes, start: int = 0) -> dict[int, bytes]:
    """Return the attributes of a message or of a nest by type; of a type that comes twice the last one. What does not
    fit the format any more is left out."""
    found: dict[int, bytes] = {}
    size, unpack = len(data), _ATTRIBUTE.unpack_from
    while start + 4 <= size:
        length, kind = unpack(data, start)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def chosen(data: bytes, wanted: Container[int], start: int = 0) -> dict[int, bytes]:
    """Return what `attributes` does, of some types alone: for messages of many, of which few are of interest."""
    found: dict[int, bytes] = {}
    size, unpack = len(data), _ATTRIBUTE.unpack_from
    while start + 4 <= size:
        length, kind = unpack(data, start)
        if length < 4:
            break
        kind &= _TYPE_MASK
        if kind in wanted:
            found[kind] = data[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def each_attribute(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of the attributes in their order, for nests that hold several of one type."""
    size = len(data)
    while start + 4 <= size:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[start + 4 : start + length]
        start += (length + 3) & ~3


def attribute(kind: int, content: bytes) -> bytes:
    """Return an attribute, padded."""
    length = 4 + len(content)
    return _ATTRIBUTE.pack(length, kind) + content + b"\0" * (-length % 4)


def nest(kind: int, *inner: bytes) -> bytes:
    """Return an attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(inner))


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return a whole message."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, sequence and body of the messages in what one read gave."""
    start, size = 0, len(data)
    while start + 16 <= size:
        length, kind, flags, sequence, _port = HEADER.unpack_from(data, start)
        if length < 16:
            return
        yield kind, flags, sequence, data[start + 16 : start + length]
        start += (length + 3) & ~3


def number(content: bytes | None) -> int | None:
    """Return an unsigned number of any size in the machine's byte order; None for no attribute."""
    return None if content is None else int.from_bytes(content, sys.byteorder)


def signed(content: bytes | None) -> int | None:
    """Return a signed number in the machine's byte order; None for no attribute."""
    return None if content is None else int.from_bytes(content, sys.byteorder, signed=True)


def big_endian(content: bytes | None) -> int | None:
    """Return an unsigned number in network byte order; None for no attribute."""
    return None if content is None else int.from_bytes(content, "big")


def flag(content: bytes | None) -> bool | None:
    """Return whether a number is not 0; None for no attribute."""
    return None if content is None else any(content)


def text(content: bytes | None) -> str:
    """Return a string as it is, bytes that are no UTF-8 as surrogates; "" for no attribute."""
    return "" if content is None else content.partition(b"\0")[0].decode("utf-8", "surrogateescape")
