"""What proc(5) tells of processes: identities, figures of threads, open files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import NamedTuple

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") >> 10

_EMULATOR = re.compile(r"\.?(?:qemu-system-([a-z0-9_]+)(?:[-.].*)?|(?:qemu-)?kvm(?:-spice|-wrapped)?)", re.ASCII)
_DELETED = " (deleted)"
_VCPU_FILE = re.compile(r"anon_inode:kvm-vcpu:([0-9]+)", re.ASCII)
_KVM_RUN = 0xAE80
_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "disk-sleep",
    "T": "stopped",
    "t": "tracing-stop",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
}


class Stat(NamedTuple):
    """The figures of a process or thread; source: /proc/PID/stat, proc(5)."""

    name: str
    state: str
    parent: int
    session: int
    cpu_ticks: int
    guest_ticks: int
    """Time spent in a KVM guest: more than nothing proves a vCPU thread."""
    start_ticks: int
    """Clock ticks since boot."""
    rss_pages: int
    last_cpu: int


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """What the descriptors of a QEMU prove."""

    taps: dict[int, str]
    """Descriptor of /dev/net/tun → name of its link, as the kernel spells it."""
    kvm: bool
    """A KVM virtual machine is open."""
    vcpus: dict[int, int]
    """Descriptor of a KVM vCPU → its number."""
    paths: tuple[str, ...]
    deleted: tuple[str, ...] = ()
    """Files that are deleted and still open."""


def list_pids() -> dict[int, int]:
    """Return pid → inode of /proc/PID; another inode is another process, or one that the kernel had forgotten."""
    with os.scandir("/proc") as entries:
        return {int(entry.name): entry.inode() for entry in entries if entry.name.isdigit()}


def read_stat(directory: str) -> Stat | None:
    """Return the figures in `directory`/stat, of /proc/PID or /proc/PID/task/TID; None when it is gone."""
    data = read_file(directory + "/stat")
    return parse_stat(data) if data else None


def parse_stat(data: bytes) -> Stat:
    """Return the figures in the text of a stat file; the name may hold blanks and parentheses."""
    opening, closing = data.index(b"("), data.rindex(b")")
    fields = data[closing + 2 :].split()
    return Stat(
        name=os.fsdecode(data[opening + 1 : closing]),
        state=_STATES.get(fields[0].decode(), "unknown"),
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        guest_ticks=int(fields[40]),
        start_ticks=int(fields[19]),
        rss_pages=int(fields[21]),
        last_cpu=int(fields[36]),
    )


def executable_of(pid: int) -> str | None:
    """Return the path of the program that `pid` runs, argv[0] where /proc/PID/exe may not be read, and None for
    kernel threads, zombies and processes that are gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(_DELETED)
    except PermissionError:
        argument, _, _ = (read_file(f"/proc/{pid}/cmdline") or b"").partition(b"\0")
        return os.fsdecode(argument) or None
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_replaced(pid: int) -> bool:
    """Whether the file of the program that `pid` runs is gone or another one by now; False where nobody may look."""
    return read_link(f"/proc/{pid}/exe").endswith(_DELETED)


def emulated_architecture(executable: str) -> str | None:
    """Return the architecture that a QEMU system emulator emulates, by its file name; None for other programs."""
    match = _EMULATOR.fullmatch(os.path.basename(executable))
    if match is None:
        return None
    return match[1] or os.uname().machine


def read_name(pid: int) -> str:
    """Return the name of a process; source: /proc/PID/comm; empty when it is gone."""
    return os.fsdecode(read_file(f"/proc/{pid}/comm") or b"").removesuffix("\n")


def list_threads(pid: int) -> list[int]:
    """Return the thread ids of `pid`, oldest first while ids have not wrapped; empty when it is gone."""
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return []


def read_affinity(tid: int) -> tuple[int, ...] | None:
    """Return the host CPUs that the thread may run on; source: sched_getaffinity(2); None when it is gone."""
    try:
        return tuple(sorted(os.sched_getaffinity(tid)))
    except (ProcessLookupError, PermissionError):
        return None


def read_open_files(pid: int) -> OpenFiles | None:
    """Return what the descriptors of `pid` prove; None when they may not be read."""
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return None
    links = {int(name): link for name in descriptors if (link := read_link(f"/proc/{pid}/fd/{name}"))}
    taps = {number: tap_name(pid, number) for number, link in links.items() if link == "/dev/net/tun"}
    return OpenFiles(
        taps={number: name for number, name in taps.items() if name},
        kvm="anon_inode:kvm-vm" in links.values(),
        vcpus={number: int(vcpu[1]) for number, link in links.items() if (vcpu := _VCPU_FILE.fullmatch(link))},
        paths=tuple(sorted({link for link in links.values() if link.startswith("/")})),
        deleted=tuple(sorted({link.removesuffix(_DELETED) for link in links.values() if _is_deleted(link)})),
    )


def _is_deleted(link: str) -> bool:
    """Memory that is shared by way of a file is deleted from the start."""
    return link.endswith(_DELETED) and link.startswith("/") and not link.startswith(("/memfd:", "/dev/", "/SYSV"))


def running_vcpu(pid: int, tid: int) -> int | None:
    """Return the descriptor of the KVM vCPU that the thread runs, while it waits in ioctl(KVM_RUN), as the threads of
    idle vCPUs do; source: /proc/PID/task/TID/syscall, proc(5). None at other times, or when it may not be read."""
    fields = (read_file(f"/proc/{pid}/task/{tid}/syscall") or b"").split()
    if len(fields) < 3 or int(fields[2], 16) & 0xFFFF != _KVM_RUN:
        return None
    return int(fields[1], 16)


def tap_name(pid: int, descriptor: int) -> str:
    """Return the name of the link of an open tap, in the tap's namespace; source: /proc/PID/fdinfo; "" for none."""
    data = read_file(f"/proc/{pid}/fdinfo/{descriptor}") or b""
    found = re.search(rb"^iff:\s*(\S+)$", data, re.MULTILINE)
    return os.fsdecode(found[1]) if found else ""


def read_link(path: str) -> str:
    """Return what a symbolic link of /proc or /sys says; "" when it is gone or closed to us."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def read_file(path: str) -> bytes | None:
    """Return up to 64 KiB of a file of /proc or /sys; None when it is not there or closed to us."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    try:
        return os.read(descriptor, 65536)
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
