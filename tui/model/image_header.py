"""What a local file's first bytes say of the image in it (QEMU docs/interop/qcow2.txt)."""

from __future__ import annotations

import os
from dataclasses import dataclass

_QCOW2 = b"QFI\xfb"
_SIZE_AT = 24


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
