"""Figures of use for the demo host: the test driver has none that differ between domains, so these are made up,
steadily, from the domain's key and the clock."""

from __future__ import annotations

import math
import zlib
from typing import Any

from tui.model.domain import Domain, DomainState
from tui.model.usage import DiskUsage, DomainUsage

_NS = 1_000_000_000
_MIB = 1024 * 1024


def demo_usage(_handle: Any, domain: Domain, before: DomainUsage | None, now_ns: int) -> DomainUsage:
    """Return made-up usage of a running demo domain: some idle, some busy, one or two under load."""
    seed = zlib.crc32(domain.key.encode()) / 0xFFFFFFFF
    config = domain.config
    vcpus = config.vcpus if config else 1
    memory = config.memory_kib if config else 0
    load = _load(seed, now_ns) if domain.state in (DomainState.RUNNING, DomainState.BLOCKED) else 0.0
    percent = load * 100 * vcpus
    elapsed = (now_ns - before.read_ns) / _NS if before else 0.0
    busy_bytes = load * seed * 40 * _MIB if seed > 0.3 else 0.0
    used = int(memory * (0.25 + 0.6 * seed))
    disks = tuple(
        DiskUsage(
            disk.target, None, None, None, None, None, None, None, None, None,
            read_bytes_per_s=busy_bytes / (2 + index),
            write_bytes_per_s=busy_bytes / (3 + index),
            requests_per_s=busy_bytes / 16384,
            latency_ns=(0.3 + 4 * load) * 1e6,
        )
        for index, disk in enumerate(config.disks if config else ())
        if disk.device == "disk"
    )  # fmt: skip
    return DomainUsage(
        read_ns=now_ns,
        cpu_time_ns=(before.cpu_time_ns or 0 if before else 0) + int(percent / 100 * elapsed * _NS),
        cpu_percent=percent,
        vcpus=(),
        vcpus_current=vcpus,
        vcpus_maximum=config.vcpus_max if config else None,
        balloon_current_kib=memory,
        balloon_maximum_kib=config.memory_max_kib if config else None,
        available_kib=int(memory * 0.97),
        unused_kib=int(memory * 0.97) - used,
        usable_kib=int(memory * 0.97) - used,
        rss_kib=int(memory * 0.98),
        swap_in_kib=0,
        swap_out_kib=0,
        major_faults=0,
        balloon_updated_s=now_ns // _NS,
        disks=disks,
        disk_read_bytes_per_s=sum(disk.read_bytes_per_s or 0.0 for disk in disks),
        disk_write_bytes_per_s=sum(disk.write_bytes_per_s or 0.0 for disk in disks),
    )


def _load(seed: float, now_ns: int) -> float:
    """Share of its vCPUs that a domain uses: a level of its own with a slow wave on it, 0 to 1."""
    wave = math.sin(now_ns / _NS / (20 + 60 * seed) + seed * 40)
    level = 0.01 + seed**3 * 0.7
    return max(0.0, min(1.0, level * (1 + 0.5 * wave)))
