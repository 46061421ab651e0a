"""Pool and volume XML (https://libvirt.org/formatstorage.html) to Pool and Volume."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tui.model.storage import Pool, PoolState, Volume
from tui.model.text import clean

_BYTES = {
    "b": 1, "bytes": 1, "kb": 1000, "k": 1024, "kib": 1024, "mb": 1000**2, "m": 1024**2, "mib": 1024**2,
    "gb": 1000**3, "g": 1024**3, "gib": 1024**3, "tb": 1000**4, "t": 1024**4, "tib": 1024**4,
    "pb": 1000**5, "p": 1024**5, "pib": 1024**5,
}  # fmt: skip

HOLDS_ITS_PATH = frozenset({"dir", "fs", "netfs", "logical", "vstorage"})
"""Types of pool that all that lies below their target path is part of; others share theirs, as /dev."""


def _bytes(element: ET.Element | None) -> int | None:
    if element is None or element.text is None:
        return None
    try:
        return int(element.text.strip()) * _BYTES.get(element.get("unit", "bytes").lower(), 1)
    except ValueError:
        return None


def parse_pool(xml: str, state: PoolState, *, autostart: bool, persistent: bool) -> Pool:
    """Return a pool; raises xml.etree.ElementTree.ParseError when `xml` is none."""
    root = ET.fromstring(xml)
    raw_name, raw_path = root.findtext("name") or "", (root.findtext("target/path") or "").strip()
    active = state.active
    return Pool(
        key=(root.findtext("uuid") or "").strip(),
        name=clean(raw_name),
        raw_name=raw_name,
        kind=clean(root.get("type", "")),
        state=state,
        autostart=autostart,
        persistent=persistent,
        # What libvirt says of a pool that is not active is nothing, or what was true once.
        capacity_bytes=_bytes(root.find("capacity")) if active else None,
        allocation_bytes=_bytes(root.find("allocation")) if active else None,
        available_bytes=_bytes(root.find("available")) if active else None,
        path=clean(raw_path),
        raw_path=raw_path,
        source=clean(_source(root.find("source"))),
    )


def parse_pool_types(xml: str) -> frozenset[str] | None:
    """Return the types of pool that are supported (`<storagepoolCapabilities>`); None when `xml` tells of none."""
    try:
        found = ET.fromstring(xml).findall("pool")
    except ET.ParseError:
        return None
    return frozenset(pool.get("type", "") for pool in found if pool.get("supported") == "yes") if found else None


def _source(source: ET.Element | None) -> str:
    """host:directory, device or name, as far as the kind of pool has them."""
    if source is None:
        return ""
    hosts = [host.get("name", "") for host in source.iterfind("host")]
    places = [device.get("path", "") for device in source.iterfind("device")]
    places += [directory.get("path", "") for directory in source.iterfind("dir")]
    places += [adapter.get("name") or adapter.get("wwpn") or "" for adapter in source.iterfind("adapter")]
    places += [name.text or "" for name in source.iterfind("name")]
    return ":".join(filter(None, (",".join(filter(None, hosts)), " ".join(filter(None, places)))))


def parse_volume(xml: str, pool: str) -> Volume:
    """Return a volume of the pool with that UUID; raises xml.etree.ElementTree.ParseError when `xml` is none."""
    root = ET.fromstring(xml)
    raw_name, raw_path = root.findtext("name") or "", (root.findtext("target/path") or "").strip()
    backing = (root.findtext("backingStore/path") or "").strip()
    return Volume(
        key=f"{pool}/{raw_name}",
        pool=pool,
        name=clean(raw_name),
        raw_name=raw_name,
        path=clean(raw_path),
        raw_path=raw_path,
        kind=clean(root.get("type", "")),
        format=_format(root, "target"),
        capacity_bytes=_bytes(root.find("capacity")),
        allocation_bytes=_bytes(root.find("allocation")),
        physical_bytes=_bytes(root.find("physical")),
        backing_path=clean(backing),
        raw_backing_path=backing,
        backing_format=_format(root, "backingStore"),
    )


def _format(root: ET.Element, parent: str) -> str:
    element = root.find(f"{parent}/format")
    return "" if element is None else clean(element.get("type", ""))
