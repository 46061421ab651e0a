"""The filesystem under a pool and the disks under that, of this machine: statvfs(3), /proc/self/mountinfo, /sys/block.

A call may take as long as the storage does (a dead NFS server: for ever): never on a thread that others wait for."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui.model.pool_host import BlockDevice, PoolHost
from tui.model.storage import Pool
from tui.model.text import clean

REMOTE_KINDS = frozenset({"netfs", "gluster"})
"""The pools whose filesystem is on another machine."""

_FOLDERS = frozenset({"dir", "fs", "netfs", "vstorage"})
_ON_DEVICES = frozenset({"logical", "disk"})
_SYS, _MOUNTS = Path("/sys"), Path("/proc/self/mountinfo")
# Loops upon files upon loops, and no more than anybody builds.
_MOST_DEVICES = 64
_OCTAL = re.compile(r"\\([0-7]{3})")
_DELETED = " (deleted)"


def read_pool_host(pool: Pool) -> PoolHost:
    """Return the host's side of a pool: all of it for pools that are folders, the disks of those that libvirt says lie
    on such; nothing for others. Raises nothing: what cannot be read is told in `problem`."""
    try:
        if pool.kind in _FOLDERS and pool.raw_path:
            return _of_folder(pool.raw_path)
        if pool.kind in _ON_DEVICES:
            return PoolHost(devices=tuple(_devices(_numbers_of(pool.source))))
    except OSError as error:
        return PoolHost(problem=clean(f"{error.strerror or error}: {pool.raw_path}"))
    return PoolHost()


def _of_folder(path: str) -> PoolHost:
    figures, number = os.statvfs(path), os.stat(path).st_dev
    mount = _mount_of(path)
    if os.major(number) == 0 and mount.source.startswith("/dev/"):
        # btrfs and the like have numbers of their own that /sys does not know.
        number = next(_numbers_of(mount.source), number)
    return PoolHost(
        filesystem=clean(mount.kind),
        read_only=bool(figures.f_flag & os.ST_RDONLY),
        size_bytes=figures.f_blocks * figures.f_frsize,
        free_bytes=figures.f_bavail * figures.f_frsize,
        inodes=figures.f_files or None,
        free_inodes=figures.f_favail if figures.f_files else None,
        devices=tuple(_devices([number])),
    )


@dataclass(frozen=True, slots=True)
class _Mount:
    kind: str
    source: str


def _mount_of(path: str) -> _Mount:
    """The mount that a path is in: of those at the same place the last one hides the others."""
    real, best, found = os.path.realpath(path), "", _Mount("", "")
    for line in _MOUNTS.read_text(errors="surrogateescape").splitlines():
        head, _, tail = line.partition(" - ")
        words, kinds = head.split(" "), tail.split(" ")
        place = _unescaped(words[4]) if len(words) > 4 else ""
        inside = place == "/" or real == place or real.startswith(f"{place}/")
        if place and inside and len(kinds) > 1 and len(place) >= len(best):
            best, found = place, _Mount(kinds[0], _unescaped(kinds[1]))
    return found


def _unescaped(word: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), word)


def _numbers_of(source: str) -> Iterator[int]:
    """The device numbers of the block devices that are named in what libvirt says of a pool's source."""
    for word in source.split():
        if word.startswith("/dev/"):
            with suppress(OSError):
                status = os.stat(word)
                if stat.S_ISBLK(status.st_mode):
                    yield status.st_rdev


def _devices(numbers: Iterator[int] | list[int]) -> Iterator[BlockDevice]:
    """The devices of these numbers and all that they lie on, nearest first, each once."""
    waiting, seen = [_folder_of(number) for number in numbers], set[str]()
    while waiting and len(seen) < _MOST_DEVICES:
        folder = waiting.pop(0)
        if folder is None or folder.name in seen:
            continue
        seen.add(folder.name)
        below = _below(folder)
        waiting += below
        yield _device(folder, bottom=not below)


def _folder_of(number: int) -> Path | None:
    """Where /sys tells of the whole device of a number; None for what is no device (tmpfs, NFS)."""
    link = _SYS / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    if not link.exists():
        return None
    folder = link.resolve()
    return folder.parent if (folder / "partition").exists() else folder


def _below(folder: Path) -> list[Path]:
    """What a device lies on: members of a RAID or volume group (`slaves`), the disk of the file behind a loop."""
    found = []
    with suppress(OSError):
        for slave in sorted((folder / "slaves").iterdir()):
            real = slave.resolve()
            found.append(real.parent if (real / "partition").exists() else real)
    with suppress(OSError):
        file = (folder / "loop" / "backing_file").read_text(errors="surrogateescape").rstrip("\n")
        status = os.stat(file.removesuffix(_DELETED))
        number = status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev
        if (under := _folder_of(number)) is not None:
            found.append(under)
    return found


def _device(folder: Path, *, bottom: bool) -> BlockDevice:
    path = folder / "queue" / "scheduler"
    try:
        words = path.read_text().split()
    except OSError:
        words = []
    chosen = next((word[1:-1] for word in words if word.startswith("[")), "")
    offered = tuple(clean(word.strip("[]")) for word in words)
    return BlockDevice(clean(folder.name), clean(chosen), offered, bool(words) and os.access(path, os.W_OK), bottom)
