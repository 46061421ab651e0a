"""Storage pools: full, out of inodes, read-only, down, or promised to more than they have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, INFO, WARNING, AnyCheck, Check, Rule, Scene, Subject, act, run
from tui.model import units
from tui.model.kind import Kind
from tui.model.storage import PoolState

if TYPE_CHECKING:
    from tui.model.finding import Finding
    from tui.model.pool_host import PoolHost
    from tui.model.storage import Pool, Storage, Volume

FULL, NEARLY = 0.98, 0.90
_SAME = 0.05
"""Two tell of one filesystem when their sizes differ no more."""
_ROOM = 20 * 1024**3
"""Room of this size is no want, however large the filesystem."""

_FULL = Rule("pool.full", ERROR, "A guest that needs a new block of a thin image is paused when there is none.")
_INODES = Rule("pool.inodes", ERROR, "No file can be made, whatever room there is: no volume, snapshot or save.")
_READ_ONLY = Rule("pool.read-only", ERROR, "Guests with disks there get I/O errors; a kernel does that to a sick disk.")
_DOWN = Rule("pool.down", WARNING, "Its volumes cannot be listed, and domains with disks in it may not start.")
_SICK = Rule("pool.sick", ERROR, "Its volumes cannot be used, or one more failure loses them.")
_THIN = Rule("pool.thin", WARNING, "When they have filled the pool, their guests are paused in the middle of a write.")


def _subject(pool: Pool) -> Subject:
    return Subject(Kind.POOL, pool.name, pool.key)


def _state(scene: Scene) -> Iterable[Finding]:
    storage = scene.snapshot.storage
    for pool in storage.pools.values() if storage is not None else ():
        subject = _subject(pool)
        if pool.state is PoolState.INACTIVE and pool.autostart:
            remedy = act("start it", "pool.start", pool.key)
            yield _DOWN.of(subject, "starts with the host, and is not active", remedy)
        elif pool.state in (PoolState.DEGRADED, PoolState.INACCESSIBLE):
            yield _SICK.of(subject, f"is {pool.state.value}", run("see what is below it"))


def _room(scene: Scene) -> Iterable[Finding]:
    """By the filesystem where it is seen, which knows of what root alone may fill, else by what libvirt says."""
    storage, hosts = scene.snapshot.storage, scene.snapshot.pool_hosts or {}
    for pool in storage.pools.values() if storage is not None else ():
        if not pool.state.active:
            continue
        host, subject = _host_of(pool, hosts.get(pool.key)), _subject(pool)
        size, free = _size(pool, host)
        if size and free is not None and size - free >= size * FULL and free < _ROOM:
            yield _FULL.of(
                subject,
                f"{_percent(size, free)} % full: {units.byte_size(free)} of {units.byte_size(size)} left",
                run("delete or move volumes, or let the filesystem grow"),
            )
        if host is None:
            continue
        if host.inodes and host.free_inodes is not None and host.free_inodes < host.inodes * (1 - FULL):
            words = f"its filesystem has {host.free_inodes} of {host.inodes} inodes left"
            yield _INODES.of(subject, words, run("delete small files on it"))
        if host.read_only and pool.kind in ("dir", "fs") and _written(scene, pool):
            yield _READ_ONLY.of(
                subject,
                f"its filesystem ({host.filesystem}) is mounted read-only",
                run("see what the kernel says of the disk", "dmesg"),
            )


def _host_of(pool: Pool, host: PoolHost | None) -> PoolHost | None:
    """What is under a pool, unless libvirt sees another filesystem there: a daemon in a container has its own."""
    if host is None or not host.size_bytes or not pool.capacity_bytes:
        return host
    return host if abs(host.size_bytes - pool.capacity_bytes) <= pool.capacity_bytes * _SAME else None


def _size(pool: Pool, host: PoolHost | None) -> tuple[int | None, int | None]:
    if host is not None and host.size_bytes:
        return host.size_bytes, host.free_bytes
    return pool.capacity_bytes, pool.available_bytes


def _percent(size: int, free: int) -> int:
    return min(100, 100 * (size - free) // size)


def _written(scene: Scene, pool: Pool) -> bool:
    """Whether a guest that runs has a disk in it that it may write to: a pool of media is read-only on purpose."""
    storage = scene.snapshot.storage
    paths = [volume.raw_path for volume in storage.volumes_of(pool.key)] if storage is not None else []
    return any(use.running and not use.read_only for path in paths for use in scene.uses.get(path, ()))


def _thin(scene: Scene) -> Iterable[Finding]:
    """To promise more than there is may be meant; it is trouble when little is left and running guests may take it."""
    storage, hosts = scene.snapshot.storage, scene.snapshot.pool_hosts or {}
    if storage is None:
        return
    growing = _growing(scene, storage)
    for pool in storage.pools.values():
        size, free = _size(pool, _host_of(pool, hosts.get(pool.key)))
        volumes = growing.get(pool.key, [])
        may_take = sum((v.capacity_bytes or 0) - (v.allocation_bytes or 0) for v in volumes)
        if not size or free is None or not volumes or may_take <= free or size - free >= size * FULL:
            continue
        near = size - free >= size * NEARLY and free < _ROOM
        severity = WARNING if near else INFO
        which = volumes[0].name if len(volumes) == 1 else f"{len(volumes)} thin volumes of running guests"
        words = f"{which} may yet take {units.byte_size(may_take)}; {units.byte_size(free)} are left"
        yield _THIN.of(
            _subject(pool), words, run("watch it, move volumes, or let the filesystem grow"), severity=severity
        )


def _growing(scene: Scene, storage: Storage) -> dict[str, list[Volume]]:
    """The thin volumes that running guests may write to, by pool."""
    found: dict[str, list[Volume]] = {}
    for volume in storage.volumes.values():
        if volume.thin and any(
            use.running and use.live and not use.read_only for use in scene.uses.get(volume.raw_path, ())
        ):
            found.setdefault(volume.pool, []).append(volume)
    return found


_PARTS = ("storage", "pool_hosts", "domains")
CHECKS: tuple[AnyCheck, ...] = (
    Check(_state, ("storage",)),
    Check(_room, _PARTS),
    Check(_thin, _PARTS),
)
