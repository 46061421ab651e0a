"""What cpusets leave to processes, of either version of control groups (cpuset(7), cgroups(7))."""

from __future__ import annotations

import os
import re
from functools import lru_cache

from tui.model.cpuset import parse_cpus
from tui.model.text import clean
from tui.sources.qemu_proc import read_file

_OF_LIBVIRT = "/emulator"
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class Cpusets:
    """Reads each cpuset once; made anew for every pass over the processes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, ...] | None] = {}

    def of(self, pid: int, *, by_libvirt: bool = False) -> tuple[str | None, tuple[int, ...] | None]:
        """Return the name of the cpuset of `pid` and the online CPUs in it; (None, None) when there is none or it
        cannot be read, as from another cgroup namespace. libvirt gives each thread of a domain a cpuset for its pin:
        `by_libvirt` asks for the one around these."""
        path = os.fsdecode(read_file(f"/proc/{pid}/cpuset") or b"").removesuffix("\n")
        if by_libvirt:
            # With control groups of version 2 libvirt has a folder of its own in the unit's (libvirt 8 and later).
            path = path.removesuffix(_OF_LIBVIRT)
        if not path.startswith("/") or path.startswith("/.."):
            return None, None
        if path not in self._known:
            self._known[path] = _effective(path)
        cpus = self._known[path]
        return (None, None) if cpus is None else (clean(path), cpus)


def _effective(path: str) -> tuple[int, ...] | None:
    """The CPUs that tasks in the cpuset get; where control groups of version 2 have not switched the controller on,
    those of the next one above that has."""
    for mount, root, name in _mounts():
        inside = path if root == "/" else os.path.relpath(path, root)
        if inside.startswith(".."):
            continue
        folder = f"{mount}/{inside.lstrip('/')}".rstrip("/")
        while folder.startswith(mount):
            if text := read_file(f"{folder}/{name}"):
                return _parse(text)
            folder = os.path.dirname(folder)
    return None


def _parse(text: bytes) -> tuple[int, ...] | None:
    try:
        return parse_cpus(text.decode().strip())
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _mounts() -> tuple[tuple[str, str, str], ...]:
    """(mount point, what of the hierarchy is mounted there, file of the CPUs) where cpusets are; version 1 first,
    which is where the controller is when both are mounted (/proc/self/mountinfo)."""
    first, second = [], []
    for line in (read_file("/proc/self/mountinfo") or b"").splitlines():
        left, _, right = line.partition(b" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        root, mount = (os.fsdecode(_ESCAPED.sub(_unescape, part)) for part in fields[3:5])
        if kind[0] == b"cgroup" and b"cpuset" in kind[2].split(b","):
            first.append((mount, root, "cpuset.effective_cpus"))
        elif kind[0] == b"cgroup2":
            second.append((mount, root, "cpuset.cpus.effective"))
    return tuple(first or second)


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])
