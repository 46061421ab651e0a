"""What a local file's first bytes say of the image in it (QEMU docs/interop/qcow2.txt)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

_QCOW2 = b"QFI\xfb"
_SIZE_AT = 24
# Its name of the image below lies in the first cluster.
_LONGEST_NAME, _HEADER_END = 1023, 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The format, qcow2 or raw (all else), and the bytes that a guest sees."""

    form: str
    capacity: int


def read_header(path: str) -> ImageHeader:
    """Return what a local file holds; raises OSError."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_SIZE_AT + 8)
    if head[:4] == _QCOW2 and len(head) == _SIZE_AT + 8:
        return ImageHeader("qcow2", int.from_bytes(head[_SIZE_AT:], "big"))
    return ImageHeader("raw", size)


def backing_of(path: str) -> str:
    """Return the path of the image below a local qcow2 image, as its header says (docs/interop/qcow2.txt of QEMU);
    "" where it has none or cannot be read."""
    try:
        with open(path, "rb") as file:
            magic, _version, offset, length = struct.unpack(">4sIQI", file.read(20))
            if magic != _QCOW2 or not 0 < length <= _LONGEST_NAME or not 0 < offset < _HEADER_END:
                return ""
            file.seek(offset)
            name = file.read(length).decode("utf-8", "surrogateescape")
    except (OSError, ValueError, struct.error):
        return ""
    if name.startswith("json:") or "\0" in name:
        return ""
    return os.path.join(os.path.dirname(path), name.removeprefix("file:"))
