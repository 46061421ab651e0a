"""How the host itself does, as its kernel tells, and how the images do that no QEMU holds open."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HostHealth:
    """Facts of this machine; None: not told. Shares are percent, rounded, so that noise is no news."""

    kvm: bool | None = None
    """Whether KVM can be used: /dev/kvm opens and answers KVM_GET_API_VERSION."""
    kvm_problem: str = ""
    """Why it cannot."""
    virtualization: bool | None = None
    """Whether the CPUs tell of vmx or svm (/proc/cpuinfo); of other architectures None."""
    nested: bool | None = None
    """Whether KVM lets guests have KVM (kvm_intel, kvm_amd: nested)."""
    guest_itself: bool | None = None
    """Whether this machine runs under a hypervisor (flag hypervisor of /proc/cpuinfo)."""
    memory_kib: int | None = None
    available_kib: int | None = None
    """MemAvailable, to 64 MiB."""
    swap_total_kib: int | None = None
    swap_free_kib: int | None = None
    """To 16 MiB."""
    swap_in_kib_per_s: int | None = None
    """Between the last two readings, 10 s apart (pswpin of /proc/vmstat); to 64 KiB/s."""
    steal_percent: int | None = None
    """What the hypervisor above took of the CPUs' time in that span (/proc/stat)."""
    memory_pressure_percent: int | None = None
    """Of the last minute, how much of it some task waited for memory (/proc/pressure/memory)."""
    cpu_pressure_percent: int | None = None
    """The same for a CPU."""
    clocksource: str = ""
    clocksources: tuple[str, ...] = ()
    """Those that could be chosen."""
    thp: str = ""
    """always, madvise or never."""
    ksm_run: int | None = None
    ksm_sharing_kib: int | None = None
    """What merging pages saves; to 16 MiB."""
    ksm_across_nodes: bool | None = None
    """Whether KSM merges pages of different NUMA nodes."""
    failed_units: tuple[str, ...] | None = None
    """systemd's failed units of libvirt and Open vSwitch; None: no systemd."""
    read_ns: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ImageState:
    """An image file of a domain that is off, as its daemon would find it."""

    missing: bool
    read_only: bool
    """Whether its filesystem is mounted read-only."""
    layer: int = 0
    """How far below the disk's own image it lies."""
