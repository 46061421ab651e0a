"""The host's CPUs and memory as pinning and memory changes need them: topology, NUMA cells, pages, load."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HostCpu:
    """One logical CPU of the host; None: not told."""

    number: int
    online: bool
    node: int | None
    socket: int | None
    core: int | None
    siblings: tuple[int, ...]
    """The hardware threads of its core, itself among them."""


@dataclass(frozen=True, slots=True)
class HugepagePool:
    """The huge pages of one size on one NUMA node; counts of pages, None: not told."""

    size_kib: int
    total: int
    free: int | None


@dataclass(frozen=True, slots=True)
class HostCell:
    """A NUMA node of the host; memory in KiB."""

    number: int
    memory_kib: int | None
    free_kib: int | None
    cpus: tuple[int, ...]
    distances: tuple[int, ...]
    hugepages: tuple[HugepagePool, ...]


@dataclass(frozen=True, slots=True)
class KernelMemory:
    """How the host's kernel manages memory; None: not told, or the host is not this machine."""

    transparent_hugepages: str | None
    """always, madvise or never (/sys/kernel/mm/transparent_hugepage/enabled)."""
    ksm_run: int | None
    """0 off, 1 on, 2 off and unmerged (/sys/kernel/mm/ksm/run)."""
    ksm_shared_kib: int | None
    """Memory that merged pages take."""
    ksm_sharing_kib: int | None
    """Memory that merging saves."""
    swap_total_kib: int | None
    swap_free_kib: int | None


@dataclass(frozen=True, slots=True)
class HostCpus:
    """CPUs, NUMA cells and kernel settings of one host (virConnectGetCapabilities, virNodeGetCPUMap, /sys, /proc)."""

    cpus: tuple[HostCpu, ...]
    cells: tuple[HostCell, ...]
    kernel: KernelMemory | None
    read_ns: int = field(default=0, compare=False)

    @property
    def online(self) -> frozenset[int]:
        """The numbers of the CPUs that are online."""
        return frozenset(cpu.number for cpu in self.cpus if cpu.online)
