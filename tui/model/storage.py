"""Storage as libvirt tells of it, pools and volumes, and images of domains that lie in no pool."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PoolState(StrEnum):
    """States of a pool in the order of libvirt's virStoragePoolState."""

    INACTIVE = "inactive"
    BUILDING = "building"
    RUNNING = "running"
    DEGRADED = "degraded"
    INACCESSIBLE = "inaccessible"

    @property
    def active(self) -> bool:
        """Whether its volumes can be listed."""
        return self in (PoolState.RUNNING, PoolState.DEGRADED)


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool; sizes in bytes, None: not read or not told."""

    key: str
    """The UUID."""
    name: str
    raw_name: str
    kind: str
    """dir, fs, netfs, logical, disk, iscsi, scsi, rbd ..."""
    state: PoolState
    autostart: bool
    persistent: bool
    capacity_bytes: int | None
    allocation_bytes: int | None
    available_bytes: int | None
    path: str
    """Where its volumes are on the host (`<target><path>`)."""
    raw_path: str
    source: str
    """Where they come from: device, host and directory, volume group; "" for a plain directory."""
    problem: str = ""
    """What libvirt said when its volumes were to be listed; "" when all went well."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of an active pool; sizes in bytes, None: not told."""

    key: str
    """Pool UUID, a slash and the volume's name: stable for as long as it exists."""
    pool: str
    """The UUID of its pool."""
    name: str
    raw_name: str
    path: str
    raw_path: str
    kind: str
    """file, block, dir, network, netdir or ploop."""
    format: str
    """raw, qcow2, iso ...; "" where libvirt does not tell."""
    capacity_bytes: int | None
    allocation_bytes: int | None
    physical_bytes: int | None
    backing_path: str
    """The image below this one, as its header names it; "" when there is none."""
    raw_backing_path: str
    backing_format: str

    @property
    def thin(self) -> bool:
        """Whether it may yet grow into its pool."""
        return (
            self.capacity_bytes is not None
            and self.allocation_bytes is not None
            and self.allocation_bytes < self.capacity_bytes
        )


@dataclass(frozen=True, slots=True)
class Storage:
    """All pools, and the volumes of the active ones, by key."""

    pools: dict[str, Pool]
    volumes: dict[str, Volume]
    read_ns: int
    pool_types: frozenset[str] | None = None
    """The types of pool that this libvirt has a backend for; None: it does not tell."""
    unlisted: frozenset[str] = frozenset()
    """The UUIDs of active pools whose volumes are yet to be read, in the first reading alone."""

    def volumes_of(self, pool: str) -> list[Volume]:
        """Return the volumes of a pool by its UUID."""
        return [volume for volume in self.volumes.values() if volume.pool == pool]

    def at(self, raw_path: str) -> Volume | None:
        """Return the volume at a path of the host; None when no active pool has it."""
        return next((volume for volume in self.volumes.values() if volume.raw_path == raw_path), None)
