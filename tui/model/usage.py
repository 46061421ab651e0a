"""What domains use: counters as read, and rates between two readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.block_job import BlockJob


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """One disk's counters (virDomainStats block.*) and rates; sizes in bytes, times in ns."""

    target: str
    read_bytes: int | None
    write_bytes: int | None
    read_requests: int | None
    write_requests: int | None
    read_time_ns: int | None
    write_time_ns: int | None
    capacity_bytes: int | None
    allocation_bytes: int | None
    physical_bytes: int | None
    read_bytes_per_s: float | None = None
    write_bytes_per_s: float | None = None
    requests_per_s: float | None = None
    latency_ns: float | None = None
    """Mean time per request between the two readings."""


@dataclass(frozen=True, slots=True)
class DiskReading:
    """What is kept of a disk's earlier readings; None: not told, or nothing was asked of it."""

    requests_per_s: float | None
    latency_ns: float | None


@dataclass(frozen=True, slots=True)
class VcpuUsage:
    """One vCPU's counters (virDomainStats vcpu.*): time run, time waited for a host CPU (delay), both ns."""

    number: int
    state: str
    cpu_time_ns: int | None
    delay_ns: int | None
    cpu_percent: float | None = None
    delay_percent: float | None = None


@dataclass(frozen=True, slots=True)
class DomainUsage:
    """Figures that the domain's monitor gave; percent of one host CPU, KiB, bytes/s; None: not told."""

    read_ns: int
    cpu_time_ns: int | None
    cpu_percent: float | None
    vcpus: tuple[VcpuUsage, ...]
    vcpus_current: int | None
    vcpus_maximum: int | None
    balloon_current_kib: int | None
    balloon_maximum_kib: int | None
    available_kib: int | None
    """Memory the guest's kernel manages."""
    unused_kib: int | None
    usable_kib: int | None
    rss_kib: int | None
    swap_in_kib: int | None
    swap_out_kib: int | None
    major_faults: int | None
    balloon_updated_s: int | None
    """When the guest's balloon driver last reported, seconds since the epoch."""
    disks: tuple[DiskUsage, ...]
    disk_read_bytes_per_s: float | None
    disk_write_bytes_per_s: float | None
    block_jobs: tuple[BlockJob, ...] | None = None
    """Read only of the domain that is open in the detail; None: not read."""

    @property
    def guest_used_kib(self) -> int | None:
        """Memory in use inside the guest: available less usable (less unused on old guests); None: no balloon stats."""
        free = self.usable_kib if self.usable_kib is not None else self.unused_kib
        if self.available_kib is None or free is None:
            return None
        return max(0, self.available_kib - free)


@dataclass(frozen=True, slots=True)
class NicUsage:
    """One NIC's counters (virDomainStats net.*) and rates, seen from the guest: rx is what the guest received."""

    name: str
    rx_bytes: int | None
    tx_bytes: int | None
    rx_packets: int | None
    tx_packets: int | None
    rx_errors: int | None
    tx_errors: int | None
    rx_drops: int | None
    tx_drops: int | None
    rx_bytes_per_s: float | None = None
    tx_bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class DomainTraffic:
    """All NICs of a domain at one reading; rates in bytes/s."""

    read_ns: int
    nics: tuple[NicUsage, ...]
    rx_bytes_per_s: float | None
    tx_bytes_per_s: float | None
