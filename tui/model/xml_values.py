"""Values out of libvirt's XML, where each may be missing or nonsense."""

from __future__ import annotations

from xml.etree import ElementTree as ET

_KIB_PER_UNIT = {
    "b": 1 / 1024, "bytes": 1 / 1024, "kb": 1000 / 1024, "k": 1, "kib": 1, "mb": 1000**2 / 1024, "m": 1024,
    "mib": 1024, "gb": 1000**3 / 1024, "g": 1024**2, "gib": 1024**2, "tb": 1000**4 / 1024, "t": 1024**3,
    "tib": 1024**3,
}  # fmt: skip


def integer(text: str | None, default: int) -> int:
    """Return the number that `text` is, else `default`."""
    try:
        return int((text or "").strip())
    except ValueError:
        return default


def attribute(parent: ET.Element, path: str, name: str) -> str | None:
    """Return an attribute of the first element at `path`, None when either is missing."""
    element = parent.find(path)
    return None if element is None else element.get(name)


def kib(element: ET.Element | None, default: int) -> int:
    """Return a size with its `unit` in KiB; `default` where there is no such element."""
    if element is None:
        return default
    per_unit = _KIB_PER_UNIT.get(element.get("unit", "KiB").lower(), 1)
    return int(integer(element.text, 0) * per_unit)
