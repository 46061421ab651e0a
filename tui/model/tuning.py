"""What of a domain is turned while it runs: vCPUs, topology, memory devices, scheduler, limits, NUMA."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topology:
    """The `<topology>` the guest sees; its product is the maximum of vCPUs."""

    sockets: int
    dies: int
    cores: int
    threads: int
    clusters: int = 1

    @property
    def product(self) -> int:
        """How many vCPUs it makes."""
        return self.sockets * self.dies * self.clusters * self.cores * self.threads


@dataclass(frozen=True, slots=True)
class VcpuSlot:
    """A `<vcpu>` of `<vcpus>`: whether it is plugged, and whether it can be unplugged."""

    number: int
    enabled: bool
    hotpluggable: bool


@dataclass(frozen=True, slots=True)
class NumaCell:
    """A NUMA node that the guest sees (`<cpu><numa><cell>`); memory in KiB."""

    number: int
    cpus: str
    memory_kib: int


@dataclass(frozen=True, slots=True)
class NumaTune:
    """Where on the host the guest's memory may lie (`<numatune>`)."""

    mode: str
    nodes: str
    """Host NUMA nodes as a CPU list; "" when only cells have some."""
    cells: tuple[tuple[int, str, str], ...]
    """(guest NUMA node, mode, host nodes) of each `<memnode>`."""


@dataclass(frozen=True, slots=True)
class MemoryDevice:
    """A `<memory>` device: DIMM, virtio-mem and the like; sizes in KiB, None where it has none such."""

    model: str
    alias: str
    size_kib: int
    node: int | None
    slot: int | None
    block_kib: int | None = None
    requested_kib: int | None = None
    current_kib: int | None = None
    """What the guest has plugged of a virtio-mem device; only in the live XML."""
    xml: str = ""
    """The element as libvirt gave it: the way to name the device when it is to be unplugged."""


@dataclass(frozen=True, slots=True)
class CpuTune:
    """`<cputune>` without pins: weight, and period and quota in µs (quota -1: no limit); None: not set."""

    shares: int | None = None
    period_us: int | None = None
    quota_us: int | None = None
    global_period_us: int | None = None
    global_quota_us: int | None = None
    emulator_period_us: int | None = None
    emulator_quota_us: int | None = None
    iothread_period_us: int | None = None
    iothread_quota_us: int | None = None


UNLIMITED_KIB = 9007199254740991
"""What libvirt writes for no limit of memory (VIR_DOMAIN_MEMORY_PARAM_UNLIMITED, which its Python binding lacks)."""

PERIOD_US = 100_000
"""What the kernel takes for a period that is not set (default_cfs_period, kernel/sched/fair.c)."""

PARAMETERS: tuple[tuple[str, str], ...] = (
    ("cpu_shares", "shares"),
    ("vcpu_period", "period_us"),
    ("vcpu_quota", "quota_us"),
    ("emulator_period", "emulator_period_us"),
    ("emulator_quota", "emulator_quota_us"),
    ("global_period", "global_period_us"),
    ("global_quota", "global_quota_us"),
    ("iothread_period", "iothread_period_us"),
    ("iothread_quota", "iothread_quota_us"),
)
"""libvirt's names (VIR_DOMAIN_SCHEDULER_*) of what CpuTune has, in the order in which virsh schedinfo sets them."""


def quota_cpus(quota_us: int | None, period_us: int | None) -> float | None:
    """Return how many host CPUs a quota is worth; None: no limit."""
    if quota_us is None or quota_us <= 0:
        return None
    return quota_us / (period_us if period_us is not None and period_us > 0 else PERIOD_US)


@dataclass(frozen=True, slots=True)
class MemTune:
    """`<memtune>` in KiB; None: no limit."""

    hard_limit_kib: int | None = None
    soft_limit_kib: int | None = None
    swap_hard_limit_kib: int | None = None


@dataclass(frozen=True, slots=True)
class Tuning:
    """All of it, of one side (live or persistent) of a domain."""

    vcpu_placement: str = ""
    """CPU set of `<vcpu cpuset=>`: where threads without a pin of their own may run; "" for all."""
    vcpu_slots: tuple[VcpuSlot, ...] = ()
    topology: Topology | None = None
    memory_ceiling_kib: int | None = None
    """`<maxMemory>`: up to where memory devices can be plugged; None: no slots."""
    slots: int = 0
    memory_devices: tuple[MemoryDevice, ...] = ()
    balloon_period_s: int = 0
    """How often the balloon driver reports figures; 0: it is not asked to."""
    iothread_ids: tuple[int, ...] = ()
    iothreads_in_use: tuple[int, ...] = ()
    """Those that a disk or controller is bound to."""
    iothread_users: tuple[tuple[int, str], ...] = ()
    """(I/O thread, disk or controller that is bound to it)."""
    iothreads_tuned: tuple[int, ...] = ()
    """Those with a thread pool, polling or a scheduler of their own."""
    cells: tuple[NumaCell, ...] = ()
    numatune: NumaTune | None = None
    cpu: CpuTune = CpuTune()
    memory: MemTune = MemTune()
    hugepages_kib: tuple[int, ...] = ()
    """Page sizes of `<memoryBacking><hugepages>`; (0,) for the host's default size, () for none."""
    memory_locked: bool = False
