"""QEMU processes that libvirt does not know: what /proc and their arguments tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_AT_WORK = frozenset({"running", "sleeping", "idle", "disk-sleep"})


class ThreadRole(StrEnum):
    """What a QEMU thread does, told by its name or by QMP."""

    EMULATOR = "emulator"
    VCPU = "vcpu"
    IOTHREAD = "iothread"
    VHOST = "vhost"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class QemuThread:
    """One thread of a QEMU process; source: /proc/PID/task/TID."""

    tid: int
    name: str
    role: ThreadRole
    index: int | None
    """The vCPU or I/O thread number, where the role has one and it is known."""
    cpu_time_ns: int
    affinity: tuple[int, ...] | None
    """Host CPUs the thread may run on; None: could not be read."""
    last_cpu: int | None
    cpu_percent: float | None = None
    """Of one host CPU, between the last two readings."""
    wait_percent: float | None = None
    """Of the time between them, how much it waited for a host CPU; None where the kernel does not count that."""


@dataclass(frozen=True, slots=True)
class QemuDrive:
    """A disk image named in QEMU's arguments (-hda, -drive, -blockdev, -cdrom ...)."""

    path: str
    raw_path: str
    format: str | None
    interface: str | None
    media: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class QemuNic:
    """A NIC backend named in QEMU's arguments (-netdev, -nic, -net), with the tap that its open files prove."""

    id: str | None
    kind: str
    ifname: str | None
    bridge: str | None
    mac: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class QemuProcess:
    """A running QEMU system emulator; names are cleaned, `args` is the argument list cleaned for showing."""

    key: str
    """`pid:START` with START in clock ticks since boot, so that a reused pid is another process."""
    pid: int
    name: str
    uuid: str | None
    executable: str
    architecture: str
    machine: str | None
    accelerator: str
    """kvm, tcg, ... as given or as /proc/PID/fd proves (an open kvm-vm file)."""
    user: str
    libvirt_name: str | None
    """The `guest=` part of -name: set when a libvirt (maybe another one) started it."""
    started_ns: int
    vcpus: int
    vcpus_max: int
    memory_kib: int
    rss_kib: int | None
    cpu_time_ns: int
    state: str
    """sleeping, running, stopped, zombie ... (proc(5))."""
    threads: tuple[QemuThread, ...]
    drives: tuple[QemuDrive, ...]
    nics: tuple[QemuNic, ...]
    qmp_sockets: tuple[str, ...]
    args: tuple[str, ...]
    read_ns: int
    """Wall clock in ns when the figures were read (time.time_ns)."""
    cpu_model: str | None = None
    """-cpu as given."""
    displays: tuple[str, ...] = ()
    """-display, -vnc, -spice ... as given, passwords blanked."""
    pidfile: str | None = None
    cpuset: str | None = None
    """The cpuset it is in, as the kernel spells it (/proc/PID/cpuset); of libvirt's the one of the whole domain."""
    replaced: bool = False
    """Whether the file of its program is another one by now, or gone: after an upgrade (/proc/PID/exe)."""
    deleted: tuple[str, ...] = ()
    """Raw paths of files that it has open and that are deleted; read every 30 s."""
    allowed: tuple[int, ...] | None = None
    """The online CPUs that its cpuset leaves it; None: there is no cpuset, or it cannot be read."""

    @property
    def runs(self) -> bool:
        """Whether nothing holds it up: that its main thread sleeps just now says nothing, and changes all the time."""
        return self.state in _AT_WORK
