"""What the next boot changes of tuning, without what libvirt writes into the live XML of its own accord."""

from __future__ import annotations

from collections.abc import Iterable

from tui.model import units
from tui.model.cpuset import format_cpus
from tui.model.domain_config import Difference
from tui.model.tuning import PERIOD_US, CpuTune, MemoryDevice, NumaTune, Topology, Tuning, quota_cpus

# libvirt rounds `<maxMemory>` up when the domain starts; the largest step is POWER's (qemuDomainAlignMemorySizes).
_ROUNDED_KIB = 256 * 1024


def tuning_differences(live: Tuning, persistent: Tuning) -> Iterable[Difference]:
    """Return what differs of scheduler, limits, I/O threads, NUMA, topology and memory devices. NUMA cells are not
    compared: libvirt rounds their sizes at the start."""
    for what, now, later in _pairs(live, persistent):
        if now != later:
            yield Difference(what, now, later)


def _pairs(live: Tuning, persistent: Tuning) -> Iterable[tuple[str, str, str]]:
    yield from zip(_LIMITS, _limits(live), _limits(persistent), strict=True)
    if len(live.iothread_ids) == len(persistent.iothread_ids):
        yield "I/O threads", format_cpus(live.iothread_ids), format_cpus(persistent.iothread_ids)
    yield "vCPUs run on", live.vcpu_placement or "all CPUs", persistent.vcpu_placement or "all CPUs"
    yield "topology", _topology(live.topology), _topology(persistent.topology)
    yield "NUMA memory", _numa(live.numatune), _numa(persistent.numatune)
    # Where no size is given the host's default is used, which the start may write down.
    sizes = live.hugepages_kib if persistent.hugepages_kib == (0,) and live.hugepages_kib else persistent.hugepages_kib
    yield "hugepages", hugepage_words(live.hugepages_kib), hugepage_words(sizes)
    yield "memory locked", "yes" if live.memory_locked else "no", "yes" if persistent.memory_locked else "no"
    yield "memory slots", str(live.slots), str(persistent.slots)
    if abs((live.memory_ceiling_kib or 0) - (persistent.memory_ceiling_kib or 0)) >= _ROUNDED_KIB:
        now, later = live.memory_ceiling_kib, persistent.memory_ceiling_kib
        yield "memory with slots", units.size(now, "none"), units.size(later, "none")
    yield "memory devices", _devices(live.memory_devices), _devices(persistent.memory_devices)
    yield "balloon reports", _reports(live.balloon_period_s), _reports(persistent.balloon_period_s)


_LIMITS = (
    "CPU shares", "vCPU limit", "emulator limit", "I/O thread limit", "limit of all threads",
    "hard memory limit", "soft memory limit", "memory and swap limit",
)  # fmt: skip


def _limits(side: Tuning) -> Iterable[str]:
    cpu, memory = side.cpu, side.memory
    yield "default" if cpu.shares is None else str(cpu.shares)
    yield from (_cpus(quota, period) for quota, period in _bandwidths(cpu))
    for kib in (memory.hard_limit_kib, memory.soft_limit_kib, memory.swap_hard_limit_kib):
        yield units.size(kib, "none")


def _bandwidths(cpu: CpuTune) -> Iterable[tuple[int | None, int | None]]:
    yield cpu.quota_us, cpu.period_us
    yield cpu.emulator_quota_us, cpu.emulator_period_us
    yield cpu.iothread_quota_us, cpu.iothread_period_us
    yield cpu.global_quota_us, cpu.global_period_us


def _cpus(quota_us: int | None, period_us: int | None) -> str:
    """Without a quota the period has no effect, and -1 says what no quota says."""
    cpus = quota_cpus(quota_us, period_us)
    return "none" if cpus is None else f"{quota_us} of {period_us or PERIOD_US} µs"


def _topology(topology: Topology | None) -> str:
    if topology is None:
        return "none"
    parts = (topology.sockets, topology.dies, topology.clusters, topology.cores, topology.threads)
    words = ("socket", "die", "cluster", "core", "thread")
    return (
        ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in zip(parts, words, strict=True) if n != 1)
        or "1 vCPU"
    )


def _numa(tune: NumaTune | None) -> str:
    if tune is None:
        return "anywhere"
    cells = [f"node {cell}: {mode} {nodes}" for cell, mode, nodes in tune.cells]
    return "; ".join([f"{tune.mode} {tune.nodes}".strip() or "cells", *cells])


def hugepage_words(sizes: tuple[int, ...]) -> str:
    """Return page sizes in KiB as words; 0 is the host's default size."""
    return " ".join(units.size(kib) if kib else "default" for kib in sizes) or "none"


def _devices(devices: tuple[MemoryDevice, ...]) -> str:
    words = sorted(f"{device.model} {units.size(device.requested_kib or device.size_kib)}" for device in devices)
    return ", ".join(words) or "none"


def _reports(period_s: int) -> str:
    return f"every {period_s} s" if period_s else "off"
