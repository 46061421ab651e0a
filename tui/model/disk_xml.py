"""The XML of disks, built and edited (https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms)."""

from __future__ import annotations

import string
from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import count
from xml.etree import ElementTree as ET

from tui.model.disk_source import is_network, network_source

# VIR_DOMAIN_BLOCK_IOTUNE_* of libvirt without the ending "_sec" or "_sec_max".
IOTUNE_KINDS = ("total_bytes", "read_bytes", "write_bytes", "total_iops", "read_iops", "write_iops")
"""The limits of a disk: bytes/s and requests/s."""

_PREFIXES = {"virtio": "vd", "ide": "hd", "fdc": "fd", "xen": "xvd"}


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A disk that is to be attached; "" and None leave libvirt its default. `path`: on the host, or an NBD URL."""

    path: str
    block: bool
    format: str
    target: str
    bus: str
    cache: str = ""
    discard: str = ""
    io: str = ""
    serial: str = ""
    iothread: int | None = None
    read_only: bool = False
    shareable: bool = False

    def xml(self) -> str:
        """Return its `<disk>`."""
        kind = "network" if is_network(self.path) else "block" if self.block else "file"
        disk = ET.Element("disk", type=kind, device="disk")
        driver = ET.SubElement(disk, "driver", name="qemu", type=self.format)
        options = {"cache": self.cache, "io": self.io, "discard": self.discard}
        for name, value in options.items():
            if value:
                driver.set(name, value)
        if self.iothread is not None:
            driver.set("iothread", str(self.iothread))
        disk.append(_source(self.path, block=self.block))
        ET.SubElement(disk, "target", dev=self.target, bus=self.bus)
        if self.read_only:
            ET.SubElement(disk, "readonly")
        if self.shareable:
            ET.SubElement(disk, "shareable")
        if self.serial:
            ET.SubElement(disk, "serial").text = self.serial
        return ET.tostring(disk, encoding="unicode")


def _source(path: str, *, block: bool) -> ET.Element:
    return network_source(path) if is_network(path) else ET.Element("source", {"dev" if block else "file": path})


def copy_target_xml(path: str, form: str, *, block: bool) -> str:
    """Return the `<disk>` that says where to copy a disk to and as what format, as virsh blockcopy makes it."""
    disk = ET.Element("disk", type="block" if block else "file")
    disk.append(_source(path, block=block))
    ET.SubElement(disk, "driver", type=form)
    return ET.tostring(disk, encoding="unicode")


def prefix_of(bus: str) -> str:
    """Return how the targets on a bus begin, as vd of virtio."""
    return _PREFIXES.get(bus, "sd")


def free_target(bus: str, taken: Container[str]) -> str:
    """Return the first target on a bus, as vdb, that is not taken."""
    return next(name for name in _targets(prefix_of(bus)) if name not in taken)


def _targets(prefix: str) -> Iterator[str]:
    """vda ... vdz, vdaa ...: as disks are lettered."""
    for number in count():
        letters, rest = "", number
        while True:
            letters = string.ascii_lowercase[rest % 26] + letters
            rest = rest // 26 - 1
            if rest < 0:
                break
        yield prefix + letters


def find_disk(root: ET.Element, target: str) -> ET.Element | None:
    """Return the `<disk>` of a target in a `<domain>`; None when there is none."""
    for disk in root.iterfind("devices/disk"):
        found = disk.find("target")
        if found is not None and found.get("dev") == target:
            return disk
    return None


def source_of(disk: ET.Element) -> str:
    """Return the path of a `<disk>` of a file or block device; "" for an empty drive and any other source."""
    source = disk.find("source")
    return "" if source is None else source.get("file") or source.get("dev") or ""


def plain(xml: str) -> str:
    """Return the XML of a disk of a running domain without what libvirt finds out anew when it is attached again: its
    own alias, the images below, jobs, the tray. Raises ParseError."""
    disk = ET.fromstring(xml)
    for child in list(disk):
        own = child.tag == "alias" and not child.get("name", "").startswith("ua-")
        if own or child.tag in ("backingStore", "mirror"):
            disk.remove(child)
    for name, attribute in (("source", "index"), ("target", "tray")):
        for element in disk.iter(name):
            element.attrib.pop(attribute, None)
    return ET.tostring(disk, encoding="unicode").strip()


def with_medium(disk: ET.Element, path: str, *, block: bool) -> str:
    """Return the XML of a drive with another medium in it, as virsh change-media makes it; "" for none."""
    changed = ET.fromstring(ET.tostring(disk, encoding="unicode"))
    old = changed.find("source")
    policy = None if old is None else old.get("startupPolicy")
    for tag in ("source", "backingStore"):
        for element in changed.findall(tag):
            changed.remove(element)
    if not path:
        # What was on a block device or in a pool: an empty drive is of the kind file.
        changed.set("type", "file")
        return ET.tostring(changed, encoding="unicode")
    changed.set("type", "block" if block else "file")
    source = ET.SubElement(changed, "source", {"dev" if block else "file": path})
    if policy is not None:
        source.set("startupPolicy", policy)
    return ET.tostring(changed, encoding="unicode")


def iotune_of(disk: ET.Element) -> tuple[tuple[str, int], ...]:
    """Return the limits of a `<disk>` by libvirt's names, as ("total_bytes_sec", 1048576); those that are 0 or no
    number are left out."""
    found = []
    for element in disk.iterfind("iotune/*"):
        text = (element.text or "").strip()
        if text.isascii() and text.isdigit() and int(text):
            found.append((element.tag, int(text)))
    return tuple(found)
