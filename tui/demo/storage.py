"""Storage pools of the demo host, with the volumes that its guests use."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tui.demo.nodes import child, uuid_of


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool; source elements as (tag, attributes, text)."""

    type: str
    path: str
    source: tuple[tuple[str, Mapping[str, str], str], ...] = ()
    autostart: bool = True
    active: bool = True


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a guest and the volume that it is; sizes in GiB, `used` is what is allocated of it."""

    pool: str
    volume: str
    size: float = 20
    used: float = 2
    bus: str = "virtio"
    device: str = "disk"
    backing: str | None = None
    """Volume of the pool "templates" on which this one is an overlay."""

    @property
    def path(self) -> str:
        """The path of the volume on the host."""
        return f"{POOLS[self.pool].path}/{self.volume}"

    @property
    def format(self) -> str:
        """qcow2 for files of that name, else raw."""
        return "qcow2" if self.volume.endswith(".qcow2") else "raw"

    @property
    def source_type(self) -> str:
        """How the domain refers to it: volume, block or file."""
        return {"archive": "volume", "nvme": "block"}.get(self.pool, "file")

    @property
    def source(self) -> dict[str, str]:
        """The attributes of the domain's <source>."""
        if self.source_type == "volume":
            return {"pool": self.pool, "volume": self.volume}
        return {"dev" if self.source_type == "block" else "file": self.path}


POOLS: dict[str, Pool] = {
    "images": Pool("dir", "/var/lib/libvirt/images"),
    "nvme": Pool(
        "logical",
        "/dev/vg_nvme",
        (("device", {"path": "/dev/nvme0n1p3"}, ""), ("name", {}, "vg_nvme"), ("format", {"type": "lvm2"}, "")),
    ),
    "archive": Pool(
        "netfs",
        "/srv/archive",
        (
            ("host", {"name": "nas.example.net"}, ""),
            ("dir", {"path": "/export/archive"}, ""),
            ("format", {"type": "nfs"}, ""),
        ),
    ),
    "templates": Pool("dir", "/var/lib/libvirt/templates"),
    "isos": Pool("dir", "/srv/isos"),
    "usb-backup": Pool("dir", "/mnt/usb-backup", autostart=False, active=False),
}
"""By name. The test driver gives every pool 100 GiB."""

SPARE = (
    Disk("templates", "debian-12.qcow2", 8, 1.2),
    Disk("templates", "ubuntu-24.04.qcow2", 10, 1.6),
    Disk("isos", "debian-12.7.0-amd64-netinst.iso", 0.7, 0.7),
    Disk("isos", "virtio-win-0.1.262.iso", 0.7, 0.7),
    Disk("isos", "SERVER_EVAL_x64FRE_en-us.iso", 4.7, 4.7),
    Disk("images", "erp-old-do-not-delete.qcow2", 120, 8),
    Disk("archive", "2025-12-31-full.raw", 22, 22),
    Disk("isos", "csi\u009b2J[red]日本 \u202e-x.iso", 0.1, 0.1),
    Disk("usb-backup", "weekly.raw", 30, 11),
)
"""Volumes that belong to no guest."""


def pool_elements(disks: Iterable[Disk]) -> list[ET.Element]:
    """Return a <pool> with its volumes for each of POOLS; a volume that two guests share is there once."""
    volumes = {(disk.pool, disk.volume): disk for disk in (*disks, *SPARE)}
    return [_pool(name, [disk for disk in volumes.values() if disk.pool == name]) for name in POOLS]


def _pool(name: str, disks: list[Disk]) -> ET.Element:
    pool = POOLS[name]
    element = ET.Element("pool", type=pool.type)
    child(element, "name", name)
    child(element, "uuid", uuid_of("pool", name))
    source = child(element, "source")
    for tag, attributes, text in pool.source:
        child(source, tag, text or None, **attributes)
    child(child(element, "target"), "path", pool.path)
    for disk in disks:
        _volume(element, disk)
    return element


def _volume(pool: ET.Element, disk: Disk) -> None:
    volume = child(pool, "volume", type="block" if disk.source_type == "block" else "file")
    child(volume, "name", disk.volume)
    child(volume, "key", disk.path)
    child(volume, "capacity", int(disk.size * 1024), unit="MiB")
    child(volume, "allocation", int(disk.used * 1024), unit="MiB")
    target = child(volume, "target")
    child(target, "path", disk.path)
    child(target, "format", type="iso" if disk.volume.endswith(".iso") else disk.format)
    if disk.backing:
        backing = child(volume, "backingStore")
        child(backing, "path", f"{POOLS['templates'].path}/{disk.backing}")
        child(backing, "format", type="qcow2")
