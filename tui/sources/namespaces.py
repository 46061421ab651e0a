"""Network namespaces: which there are, what they are called, and how to read from inside of one.

A file descriptor or socket of a namespace keeps it alive after its name and its processes are gone, with all its links:
none is held longer than one reading takes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tui.model.link import Netns, NetnsKind
from tui.model.text import clean
from tui.sources.containers import container_of
from tui.sources.netlink.sockets import NetlinkSocket
from tui.sources.qemu_proc import list_pids, read_link, read_name, read_stat

HOME_PATH = "/proc/self/ns/net"
"""That of the main thread, wherever the calling thread is."""
HERE_PATH = "/proc/thread-self/ns/net"
"""That of the calling thread."""
HOME_NAME = "host"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_INODE = re.compile(r"net:\[(\d+)\]$")
_OCTAL = re.compile(r"\\([0-7]{3})")
# What container engines call their files: no name that anybody chose.
_MADE_UP = re.compile(r"(?:netns|cni)-[0-9a-f-]{36}$|[0-9a-f]{12}$")


@dataclass(slots=True)
class Found:
    """A namespace before it has a name."""

    key: str
    paths: list[str] = field(default_factory=list)
    """Where it is mounted, as its mount namespace says; raw."""
    pids: list[int] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    """Files that it may be opened by; another mount may lie over one of them by now."""

    @property
    def way(self) -> str:
        """The first of the files that leads there; "" for none."""
        return next((way for way in self.ways if _leads(way, self.key)), "")


def home_key() -> str:
    """Return the key of the namespace that virtdeck runs in."""
    return _key_of(os.readlink(HOME_PATH)) or ""


def _key_of(link: str) -> str | None:
    found = _INODE.search(link)
    return found[1] if found else None


@contextmanager
def opened(way: str, key: str) -> Iterator[int]:
    """Give a file descriptor of the namespace with this key; raises OSError, ENOENT also when it is another now."""
    # What lies there may be made by a container, and be opened only when it is seen to be a namespace.
    place = os.open(way, os.O_PATH | os.O_CLOEXEC)
    try:
        if not _is(os.fstat(place), key):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), way)
        number = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(place)
    try:
        yield number
    finally:
        os.close(number)


def _is(stat: os.stat_result, key: str) -> bool:
    """Whether a file is the namespace with this key: its number, on the one nsfs that there is."""
    return str(stat.st_ino) == key and stat.st_dev == os.stat(HOME_PATH).st_dev


def _leads(way: str, key: str) -> bool:
    try:
        return _is(os.stat(way), key)
    except OSError:
        return False


@contextmanager
def entered(way: str, key: str) -> Iterator[None]:
    """Put the calling thread into the namespace with this key, and back to where it was; raises OSError as `opened`
    does."""
    with opened(way, key) as there:
        home = os.open(HERE_PATH, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set(there)
            try:
                yield
            finally:
                _set(home)
        finally:
            os.close(home)


@contextmanager
def inside(way: str, key: str) -> Iterator[NetlinkSocket]:
    """Give a socket in the namespace with this key, the calling thread being there meanwhile; raises OSError."""
    with entered(way, key), NetlinkSocket() as socket:
        yield socket


def may_enter() -> bool:
    """Whether this process may enter namespaces (CAP_SYS_ADMIN): shown by entering the one that it is in."""
    try:
        with entered(HOME_PATH, home_key()):
            return True
    except PermissionError:
        return False


def _set(number: int) -> None:
    if _libc.setns(number, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Discovery:
    """Finds the namespaces of this machine; keeps what it learned of processes between two searches."""

    def __init__(self) -> None:
        self._started: dict[int, int] = {}
        self._elsewhere: dict[str, Found] = {}
        self._processes: dict[str, list[int]] = {}

    def look(self, *, processes: bool) -> dict[str, Found]:
        """Return the namespaces by key: those with a file, and those with a process. Without `processes` the latter are
        those of the search before."""
        if processes:
            self._look_at_processes()
        home = home_key()
        found = {home: Found(home, ways=[HOME_PATH])}
        for key, path in named_in("/proc/thread-self/mountinfo"):
            one = found.setdefault(key, Found(key))
            one.paths.append(path)
            one.ways.append(path)
        for key, other in self._elsewhere.items():
            one = found.setdefault(key, Found(key))
            one.paths += [path for path in other.paths if path not in one.paths]
            one.ways += other.ways
        for key, pids in self._processes.items():
            one = found.setdefault(key, Found(key))
            one.pids = pids
            one.ways += [f"/proc/{pid}/ns/net" for pid in pids]
        return found

    def _look_at_processes(self) -> None:
        spaces: dict[str, list[int]] = {}
        mounts: dict[str, int] = {}
        home = home_key()
        own = read_link("/proc/self/ns/mnt")
        alive = list_pids()
        for pid in alive:
            key = _key_of(read_link(f"/proc/{pid}/ns/net"))
            if key is not None and key != home:
                spaces.setdefault(key, []).append(pid)
            if (mount := read_link(f"/proc/{pid}/ns/mnt")) and mount != own:
                mounts.setdefault(mount, pid)
        self._started = {pid: start for pid, start in self._started.items() if pid in alive}
        self._processes = {key: sorted(pids, key=self._age) for key, pids in spaces.items()}
        self._look_at_mounts(mounts)

    def _look_at_mounts(self, mounts: Mapping[str, int]) -> None:
        """Names that only other mount namespaces have: they are reached through the root of a process there."""
        self._elsewhere = {}
        for pid in mounts.values():
            for key, path in named_in(f"/proc/{pid}/mountinfo"):
                one = self._elsewhere.setdefault(key, Found(key))
                one.paths += [] if path in one.paths else [path]
                one.ways.append(f"/proc/{pid}/root{path}")

    def _age(self, pid: int) -> tuple[int, int]:
        """What sorts the oldest first; at boot several start in one tick."""
        if pid not in self._started:
            stat = read_stat(f"/proc/{pid}")
            self._started[pid] = stat.start_ticks if stat is not None else 0
        return self._started[pid], pid


def named_in(mountinfo: str) -> list[tuple[str, str]]:
    """Return key and path of each network namespace that is mounted on a file; none where the list cannot be read."""
    try:
        text = Path(mountinfo).read_text(errors="surrogateescape")
    except OSError:
        return []
    found = []
    for line in text.split("\n"):
        if " net:[" not in line:
            continue
        head, _, tail = line.partition(" - ")
        fields = head.split(" ")
        key = _key_of(fields[3])
        if key is not None and tail.startswith("nsfs "):
            found.append((key, _OCTAL.sub(_byte, fields[4])))
    return found


def _byte(code: re.Match[str]) -> str:
    return bytes((int(code[1], 8),)).decode("utf-8", "surrogateescape")


def describe(found: Found, nsid: int | None, *, home: bool) -> Netns:
    """Return a namespace with its name: that of a file which somebody named, else of its container, of its file, of its
    oldest process."""
    pid = found.pids[0] if found.pids else None
    kind, name = _kind_and_name(found, pid, home=home)
    return Netns(
        key=found.key,
        name=clean(name),
        raw_name=name,
        kind=kind,
        paths=tuple(found.paths),
        pid=None if home else pid,
        nsid=nsid,
    )


def _kind_and_name(found: Found, pid: int | None, *, home: bool) -> tuple[NetnsKind, str]:
    if home:
        return NetnsKind.HOME, HOME_NAME
    names = [os.path.basename(path) for path in found.paths]
    chosen = next((name for name in names if not _MADE_UP.match(name)), None)
    if chosen is not None:
        return NetnsKind.NAMED, chosen
    if pid is not None and (container := container_of(pid)):
        return NetnsKind.CONTAINER, container
    if names:
        return NetnsKind.NAMED, names[0]
    return NetnsKind.PROCESS, f"{read_name(pid)}({pid})" if pid is not None else f"netns {found.key}"
