"""QEMU system emulators of this machine, by /proc, their arguments and, where threads have no names, QMP."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic, time_ns

from tui.model.process import QemuDrive, QemuNic, QemuProcess, QemuThread, ThreadRole
from tui.model.qemu_args import QemuArgs, QmpSocket, parse_qemu_args, show_args
from tui.model.qemu_nics import join_taps
from tui.model.text import clean
from tui.sources import qemu_proc, qmp
from tui.sources.cpusets import Cpusets
from tui.sources.qemu_proc import PAGE_KIB, TICK_NS, OpenFiles, Stat
from tui.sources.thread_rates import ThreadRates

YOUNG_S = 10.0
"""How long a new process is looked at in every read: it may yet become a QEMU (exec), or open its files."""

FILES_S = 30.0
"""How old the facts of open files may grow."""

ASK_AT_S = (0.0, 1.0, 5.0, 30.0)
"""When, after a QEMU was first seen, its monitor is asked for the threads' roles, until it has answered: one that
starts does not answer yet, one that another client holds may be free later."""

_TURNS = 8
"""An older process is looked at in one of so many reads, in case it has become a QEMU."""

_VHOST = re.compile(r"vhost-([0-9]+)", re.ASCII)
_VCPU = re.compile(r"CPU ([0-9]+)/.*", re.ASCII)
_NAME_LIMIT = 15


@dataclass(slots=True)
class _Seen:
    inode: int
    since_s: float
    final: bool = False
    """Kernel threads and zombies, which never run another program."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What of a process never changes."""

    executable: str
    architecture: str
    user: str
    started_ns: int
    directory: str | None
    """Working directory; None when it may not be read."""
    cmdline: tuple[str, ...]


@dataclass(slots=True)
class _Qemu:
    """A QEMU that is being followed."""

    pid: int
    start_ticks: int
    origin: _Origin
    args: QemuArgs
    shown_args: tuple[str, ...]
    since_s: float
    drives: tuple[QemuDrive, ...] = ()
    nics: tuple[QemuNic, ...] = ()
    files: OpenFiles | None = None
    files_read_s: float | None = None
    asked: int = 0
    """How often its monitors were asked for the threads' roles; as often as is allowed once nothing is left to ask."""
    roles: qmp.Roles = field(default_factory=dict)
    """What a monitor told."""
    running: dict[int, int] = field(default_factory=dict)
    """Thread → vCPU that it was seen to run under KVM."""
    rates: ThreadRates = field(default_factory=ThreadRates)
    parent: int = 0
    session: int = 0


class ProcessSource:
    """Follows the QEMU processes of this machine from one read to the next; not for use by several threads at once."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._qemus: dict[int, _Qemu] = {}
        self._vhosts: dict[int, int] = {}
        self._turn = 0

    def read(self) -> tuple[QemuProcess, ...]:
        """Return the QEMU system emulators that run now, libvirt's among them, by pid; figures are read afresh,
        what never changes is kept. QEMU's own helpers and capability probes (-machine none) are left out."""
        now = monotonic()
        pids = qemu_proc.list_pids()
        for known in (self._seen, self._qemus, self._vhosts):
            for pid in [pid for pid in known if pid not in pids]:
                del known[pid]
        for pid, inode in self._suspects(pids, now):
            self._examine(pid, inode, now)
        cpusets = Cpusets()
        read = (self._refresh(qemu, now, cpusets) for qemu in list(self._qemus.values()))
        found = [process for process in read if process is not None]
        helpers = _helpers(list(self._qemus.values()))
        return tuple(sorted((item for item in found if item.pid not in helpers), key=lambda item: item.pid))

    def _suspects(self, pids: dict[int, int], now: float) -> Iterator[tuple[int, int]]:
        self._turn = (self._turn + 1) % _TURNS
        for pid, inode in pids.items():
            seen = self._seen.get(pid)
            if seen is None or seen.inode != inode or (not seen.final and self._is_due(pid, now - seen.since_s)):
                yield pid, inode

    def _is_due(self, pid: int, age_s: float) -> bool:
        return age_s <= YOUNG_S or pid % _TURNS == self._turn

    def _examine(self, pid: int, inode: int, now: float) -> None:
        """Learn what `pid` runs: follow it when it is a QEMU, cease when it no longer is."""
        seen = self._seen.get(pid)
        fresh = seen is None or seen.inode != inode
        if fresh:
            self._seen[pid] = _Seen(inode, now)
        executable = qemu_proc.executable_of(pid)
        if executable is None:
            self._seen[pid].final = True
            if fresh and (vhost := _VHOST.fullmatch(qemu_proc.read_name(pid))):
                self._vhosts[pid] = int(vhost[1])
            return
        architecture = qemu_proc.emulated_architecture(executable)
        if architecture is None:
            self._qemus.pop(pid, None)
        elif pid not in self._qemus and (qemu := _follow(pid, executable, architecture, now)) is not None:
            self._qemus[pid] = qemu

    def _refresh(self, qemu: _Qemu, now: float, cpusets: Cpusets) -> QemuProcess | None:
        stat = qemu_proc.read_stat(f"/proc/{qemu.pid}")
        if stat is None or stat.start_ticks != qemu.start_ticks:
            del self._qemus[qemu.pid]
            self._seen.pop(qemu.pid, None)
            return None
        qemu.parent, qemu.session = stat.parent, stat.session
        _read_files(qemu, now)
        stats = _thread_stats(qemu.pid, [pid for pid, owner in self._vhosts.items() if owner == qemu.pid])
        _ask_roles(qemu, stats, now)
        _watch_vcpus(qemu, stats)
        process = _process(qemu, stat, _threads(qemu, stat, stats, now))
        cpuset, allowed = cpusets.of(qemu.pid, by_libvirt=qemu.args.libvirt_name is not None)
        return replace(process, cpuset=cpuset, allowed=allowed)


def _follow(pid: int, executable: str, architecture: str, now: float) -> _Qemu | None:
    """Return the facts of a new QEMU; None when it is gone already, or no guest."""
    stat = qemu_proc.read_stat(f"/proc/{pid}")
    origin = _read_origin(pid, executable, architecture)
    if stat is None or origin is None:
        return None
    args = parse_qemu_args(origin.cmdline)
    if args.machine == "none":
        return None
    return _Qemu(pid, stat.start_ticks, origin, args, show_args(origin.cmdline), now)


def _read_origin(pid: int, executable: str, architecture: str) -> _Origin | None:
    import psutil  # 20 ms that a host without QEMU does not pay

    try:
        process = psutil.Process(pid)
        cmdline, user, started_s = tuple(process.cmdline()), process.username(), process.create_time()
    except psutil.Error:
        return None
    try:
        directory: str | None = process.cwd()
    except psutil.Error:
        directory = None
    if not cmdline:
        return None
    return _Origin(executable, architecture, user, int(started_s * 1e9), directory, cmdline)


def _read_files(qemu: _Qemu, now: float) -> None:
    """Bring up to date what the open files prove: taps, images, KVM."""
    due = qemu.files_read_s is None or now - qemu.files_read_s > FILES_S or now - qemu.since_s < YOUNG_S
    if not due:
        return
    qemu.files_read_s = now
    qemu.files = qemu_proc.read_open_files(qemu.pid)
    qemu.nics = join_taps(qemu.args.nics, qemu.files.taps if qemu.files else {})
    paths = qemu.files.paths if qemu.files else ()
    qemu.drives = tuple(_located(drive, qemu, paths) for drive in qemu.args.drives)


def _located(drive: QemuDrive, qemu: _Qemu, paths: Sequence[str]) -> QemuDrive:
    """Return the drive with an absolute path: by the working directory, which -daemonize changes, else by the one
    open file that the relative path fits."""
    raw = drive.raw_path
    if raw.startswith("/") or ":" in raw:
        return drive
    if qemu.origin.directory and not qemu.args.daemonized:
        absolute = os.path.normpath(os.path.join(qemu.origin.directory, raw))
    else:
        fitting = [path for path in paths if path.endswith("/" + raw.removeprefix("./"))]
        absolute = fitting[0] if len(fitting) == 1 else raw
    return replace(drive, path=clean(absolute), raw_path=absolute)


def _thread_stats(pid: int, vhosts: Sequence[int]) -> dict[int, Stat]:
    """Return the figures of the threads of `pid` and of the kernel's vhost threads that serve it."""
    places = {tid: f"/proc/{pid}/task/{tid}" for tid in qemu_proc.list_threads(pid)}
    places |= {tid: f"/proc/{tid}" for tid in vhosts}
    read = ((tid, qemu_proc.read_stat(place)) for tid, place in places.items())
    return {tid: stat for tid, stat in read if stat is not None}


def _ask_roles(qemu: _Qemu, stats: dict[int, Stat], now: float) -> None:
    """Ask the free QMP sockets for the roles of threads that have no names of their own."""
    if qemu.asked >= len(ASK_AT_S) or now - qemu.since_s < ASK_AT_S[qemu.asked]:
        return
    sockets = [socket for socket in qemu.args.qmp_sockets if not socket.holds_start]
    named = any(_VCPU.fullmatch(stat.name) for stat in stats.values())
    qemu.roles = {} if named else _first_answer(qemu.pid, sockets)
    settled = named or not sockets or qemu.roles
    qemu.asked = len(ASK_AT_S) if settled else qemu.asked + 1


def _first_answer(pid: int, sockets: Sequence[QmpSocket]) -> qmp.Roles:
    """Return the roles that the first monitor to answer tells; none when the ids are not those of its threads, as in
    another PID namespace."""
    for socket in sockets:
        with suppress(OSError, qmp.MonitorSilent):
            roles = qmp.read_roles(pid, socket.path)
            return roles if set(roles) <= set(qemu_proc.list_threads(pid)) else {}
    return {}


def _watch_vcpus(qemu: _Qemu, stats: dict[int, Stat]) -> None:
    """Note which vCPU an unnamed thread runs, until each of them has been seen; threads that the kernel starts for
    KVM look alike in this but have names."""
    vcpus = qemu.files.vcpus if qemu.files else {}
    if qemu.roles or len(qemu.running) >= len(vcpus) or qemu.pid not in stats:
        return
    for tid, stat in stats.items():
        if stat.name == stats[qemu.pid].name and tid != qemu.pid and tid not in qemu.running:
            descriptor = qemu_proc.running_vcpu(qemu.pid, tid)
            if descriptor in vcpus:
                qemu.running[tid] = vcpus[descriptor]


def _threads(qemu: _Qemu, main: Stat, stats: dict[int, Stat], now: float) -> tuple[QemuThread, ...]:
    threads = []
    qemu.rates.keep(stats)
    for tid, stat in stats.items():
        role, index = (ThreadRole.EMULATOR, None) if tid == qemu.pid else _role(qemu, tid, stat, main.name)
        rates = qemu.rates.of(tid, f"/proc/{tid}", stat, now)
        threads.append(
            QemuThread(
                tid=tid,
                name=clean(stat.name),
                role=role,
                index=index,
                cpu_time_ns=stat.cpu_ticks * TICK_NS,
                affinity=qemu_proc.read_affinity(tid),
                last_cpu=stat.last_cpu,
                cpu_percent=rates.cpu_percent,
                wait_percent=rates.wait_percent,
            )
        )
    return tuple(threads)


def _role(qemu: _Qemu, tid: int, stat: Stat, main_name: str) -> tuple[ThreadRole, int | None]:
    """Return the role of a thread other than the main one: by its name, which without debug-threads=on is the main
    thread's, else by QMP, else by the KVM vCPU that it was seen to run, else by guest time, which only a KVM vCPU has;
    what nothing tells is a worker."""
    named = role_by_name(stat.name) if stat.name != main_name else None
    if named is not None:
        return named
    if tid in qemu.roles:
        return qemu.roles[tid]
    if tid in qemu.running:
        return ThreadRole.VCPU, qemu.running[tid]
    return (ThreadRole.VCPU if stat.guest_ticks else ThreadRole.WORKER), None


def role_by_name(name: str) -> tuple[ThreadRole, int | None] | None:
    """Return the role and number that QEMU's or the kernel's name for a thread tells; None when it tells none."""
    if vcpu := _VCPU.fullmatch(name):
        return ThreadRole.VCPU, int(vcpu[1])
    if name.startswith("ALL CPUs/"):
        return ThreadRole.VCPU, None
    if _VHOST.fullmatch(name):
        return ThreadRole.VHOST, None
    if name.startswith("IO ") and name != "IO mon_iothread":
        complete = len(name.encode(errors="surrogateescape")) < _NAME_LIMIT
        return ThreadRole.IOTHREAD, qmp.number_of(name) if complete else None
    return None


def _process(qemu: _Qemu, stat: Stat, threads: tuple[QemuThread, ...]) -> QemuProcess:
    args, origin = qemu.args, qemu.origin
    vcpus = _vcpu_count(qemu, threads)
    return QemuProcess(
        key=f"{qemu.pid}:{qemu.start_ticks}",
        pid=qemu.pid,
        name=_name(qemu),
        uuid=args.uuid,
        executable=clean(origin.executable),
        architecture=origin.architecture,
        machine=args.machine,
        accelerator=_accelerator(args.accelerators, qemu.files),
        user=clean(origin.user),
        libvirt_name=args.libvirt_name,
        started_ns=origin.started_ns,
        vcpus=vcpus,
        vcpus_max=max(args.vcpus_max, vcpus),
        memory_kib=args.memory_kib,
        rss_kib=stat.rss_pages * PAGE_KIB,
        cpu_time_ns=stat.cpu_ticks * TICK_NS,
        state=stat.state,
        threads=threads,
        drives=qemu.drives,
        nics=qemu.nics,
        qmp_sockets=tuple(clean(socket.path) for socket in args.qmp_sockets),
        args=qemu.shown_args,
        read_ns=time_ns(),
        cpu_model=args.cpu_model,
        displays=args.displays,
        pidfile=args.pidfile,
        replaced=qemu_proc.is_replaced(qemu.pid),
        deleted=qemu.files.deleted if qemu.files is not None else (),
    )


def _vcpu_count(qemu: _Qemu, threads: Sequence[QemuThread]) -> int:
    """Return the number of vCPU threads where names or a monitor tell of all, else that of the arguments."""
    told = [thread for thread in threads if thread.tid in qemu.roles or _VCPU.fullmatch(thread.name)]
    return sum(thread.role is ThreadRole.VCPU for thread in told) or qemu.args.vcpus


def _name(qemu: _Qemu) -> str:
    """Return the guest's name, else the file name of its first disk, else the emulator's."""
    disks = [drive.path for drive in qemu.args.drives if drive.media == "disk" and drive.interface != "pflash"]
    fallback = os.path.basename(disks[0]) if disks else ""
    return qemu.args.name or fallback or clean(os.path.basename(qemu.origin.executable))


def _accelerator(given: Sequence[str], files: OpenFiles | None) -> str:
    """Return the accelerator in use where open files prove it, else those that QEMU was to try, as in `kvm:tcg`."""
    if files is None:
        return ":".join(given)
    if files.kvm:
        return "kvm"
    others = [name for name in given if name != "kvm"]
    return others[0] if others else "kvm"


def _helpers(qemus: Sequence[_Qemu]) -> set[int]:
    """Return the pids that are no guest of their own: the launcher that -daemonize leaves waiting, which is the
    parent of a session leader with the same arguments, and forks of a QEMU that have yet to exec."""
    by_pid = {qemu.pid: qemu for qemu in qemus}
    helpers: set[int] = set()
    for qemu in qemus:
        parent = by_pid.get(qemu.parent)
        if parent is not None and parent.origin.cmdline == qemu.origin.cmdline:
            helpers.add(parent.pid if qemu.session == qemu.pid else qemu.pid)
    return helpers
