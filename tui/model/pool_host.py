"""What the host has under a storage pool: its filesystem, and the block devices that this lies on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A whole block device (`/sys/block/NAME`), a partition's disk included."""

    name: str
    scheduler: str
    """Its I/O scheduler; "" where it has none to choose (device mapper, network disks)."""
    schedulers: tuple[str, ...]
    """Those that its kernel offers now; others may be modules that are not loaded."""
    writable: bool
    """Whether virtdeck may change it."""
    bottom: bool
    """Whether nothing lies below it: it is the disk."""


@dataclass(frozen=True, slots=True)
class PoolHost:
    """The host's side of one pool; sizes in bytes, None: not known, or the filesystem has no such limit."""

    filesystem: str = ""
    """ext4, xfs, nfs4 ...; "" for pools that are no folder."""
    read_only: bool = False
    size_bytes: int | None = None
    free_bytes: int | None = None
    """What others than root may yet write."""
    inodes: int | None = None
    free_inodes: int | None = None
    devices: tuple[BlockDevice, ...] = ()
    """From the one that the filesystem is on down to the disks."""
    problem: str = ""
    """Why it cannot be read; "" when all went well."""

    @property
    def settable(self) -> tuple[BlockDevice, ...]:
        """The devices whose scheduler can be chosen."""
        return tuple(device for device in self.devices if len(device.schedulers) > 1)
