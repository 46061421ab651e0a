"""Bulk statistics (virDomainStatsRecord) to usage, with rates against the reading before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import libvirt

from tui.model.rates import cpu_percent, rate_per_s, ratio, total
from tui.model.text import clean
from tui.model.usage import DiskUsage, DomainTraffic, DomainUsage, NicUsage, VcpuUsage

MONITOR_GROUPS = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
_VCPU_STATES = ("offline", "running", "blocked")
Values = Mapping[str, Any]


class TrafficReader:
    """NIC counters of domains to traffic; keeps the reading before for the rates."""

    def __init__(self) -> None:
        self._last: dict[str, DomainTraffic] = {}
        self._published: Mapping[str, DomainTraffic] = {}
        self._changed = False

    def traffic(self) -> Mapping[str, DomainTraffic]:
        """Return traffic by domain UUID; the same object while nothing was read."""
        if self._changed:
            self._published = dict(self._last)
            self._changed = False
        return self._published

    def feed(self, key: str, values: Values, now_ns: int) -> bool:
        """Take one domain's statistics; False when they hold no NIC counters."""
        if "net.count" not in values:
            return False
        before = self._last.get(key)
        nics = tuple(_nic(values, index, before, now_ns) for index in range(values["net.count"]))
        rx, tx = total(n.rx_bytes_per_s for n in nics), total(n.tx_bytes_per_s for n in nics)
        self._last[key] = DomainTraffic(now_ns, nics, rx, tx)
        self._changed = True
        return True

    def forget(self, key: str) -> None:
        """Drop a domain that is gone."""
        if self._last.pop(key, None) is not None:
            self._changed = True

    def keep_only(self, keys: set[str]) -> None:
        """Drop the domains that are not running any more, so that they show no traffic."""
        for key in [key for key in self._last if key not in keys]:
            self.forget(key)


def _nic(values: Values, index: int, before: DomainTraffic | None, now_ns: int) -> NicUsage:
    prefix = f"net.{index}."
    get = values.get
    name = clean(str(get(prefix + "name", index)))
    rx, tx = get(prefix + "rx.bytes"), get(prefix + "tx.bytes")
    old = None
    if before is not None:
        old = next((nic for nic in before.nics if nic.name == name), None)
    elapsed = now_ns - before.read_ns if before is not None else 0
    return NicUsage(
        name=name,
        rx_bytes=rx,
        tx_bytes=tx,
        rx_packets=get(prefix + "rx.pkts"),
        tx_packets=get(prefix + "tx.pkts"),
        rx_errors=get(prefix + "rx.errs"),
        tx_errors=get(prefix + "tx.errs"),
        rx_drops=get(prefix + "rx.drop"),
        tx_drops=get(prefix + "tx.drop"),
        rx_bytes_per_s=rate_per_s(old.rx_bytes, rx, elapsed) if old else None,
        tx_bytes_per_s=rate_per_s(old.tx_bytes, tx, elapsed) if old else None,
    )


def usage_of(values: Values, before: DomainUsage | None, now_ns: int) -> DomainUsage:
    """Return one domain's usage from its monitor groups; rates are None at the first reading."""
    elapsed = now_ns - before.read_ns if before is not None else 0
    get = values.get
    cpu_time = get("cpu.time")
    disks = tuple(_disk(values, index, before, elapsed) for index in range(get("block.count", 0)))
    return DomainUsage(
        read_ns=now_ns,
        cpu_time_ns=cpu_time,
        cpu_percent=cpu_percent(before.cpu_time_ns, cpu_time, elapsed) if before else None,
        vcpus=tuple(_vcpus(values, before, elapsed)),
        vcpus_current=get("vcpu.current"),
        vcpus_maximum=get("vcpu.maximum"),
        balloon_current_kib=get("balloon.current"),
        balloon_maximum_kib=get("balloon.maximum"),
        available_kib=get("balloon.available"),
        unused_kib=get("balloon.unused"),
        usable_kib=get("balloon.usable"),
        rss_kib=get("balloon.rss"),
        swap_in_kib=get("balloon.swap_in"),
        swap_out_kib=get("balloon.swap_out"),
        major_faults=get("balloon.major_fault"),
        balloon_updated_s=get("balloon.last-update") or None,
        disks=disks,
        disk_read_bytes_per_s=total(d.read_bytes_per_s for d in disks),
        disk_write_bytes_per_s=total(d.write_bytes_per_s for d in disks),
    )


def _vcpus(values: Values, before: DomainUsage | None, elapsed_ns: int) -> Iterable[VcpuUsage]:
    old = {vcpu.number: vcpu for vcpu in before.vcpus} if before is not None else {}
    for number in range(values.get("vcpu.maximum", 0)):
        prefix = f"vcpu.{number}."
        state = values.get(prefix + "state")
        if state is None:
            continue
        time_ns, delay_ns, was = values.get(prefix + "time"), values.get(prefix + "delay"), old.get(number)
        yield VcpuUsage(
            number=number,
            state=_VCPU_STATES[state] if state < len(_VCPU_STATES) else "?",
            cpu_time_ns=time_ns,
            delay_ns=delay_ns,
            cpu_percent=cpu_percent(was.cpu_time_ns, time_ns, elapsed_ns) if was else None,
            delay_percent=cpu_percent(was.delay_ns, delay_ns, elapsed_ns) if was else None,
        )


def _disk(values: Values, index: int, before: DomainUsage | None, elapsed_ns: int) -> DiskUsage:
    prefix = f"block.{index}."
    get = values.get
    disk = DiskUsage(
        target=clean(str(get(prefix + "name", index))),
        read_bytes=get(prefix + "rd.bytes"),
        write_bytes=get(prefix + "wr.bytes"),
        read_requests=get(prefix + "rd.reqs"),
        write_requests=get(prefix + "wr.reqs"),
        read_time_ns=get(prefix + "rd.times"),
        write_time_ns=get(prefix + "wr.times"),
        capacity_bytes=get(prefix + "capacity"),
        allocation_bytes=get(prefix + "allocation"),
        physical_bytes=get(prefix + "physical"),
    )
    old = next((d for d in before.disks if d.target == disk.target), None) if before is not None else None
    return disk if old is None else _with_rates(disk, old, elapsed_ns)


def _with_rates(disk: DiskUsage, old: DiskUsage, elapsed_ns: int) -> DiskUsage:
    requests = _sum(disk.read_requests, disk.write_requests)
    old_requests = _sum(old.read_requests, old.write_requests)
    return DiskUsage(
        disk.target, disk.read_bytes, disk.write_bytes, disk.read_requests, disk.write_requests,
        disk.read_time_ns, disk.write_time_ns, disk.capacity_bytes, disk.allocation_bytes, disk.physical_bytes,
        read_bytes_per_s=rate_per_s(old.read_bytes, disk.read_bytes, elapsed_ns),
        write_bytes_per_s=rate_per_s(old.write_bytes, disk.write_bytes, elapsed_ns),
        requests_per_s=rate_per_s(old_requests, requests, elapsed_ns),
        latency_ns=ratio(
            _sum(old.read_time_ns, old.write_time_ns), _sum(disk.read_time_ns, disk.write_time_ns),
            old_requests, requests,
        ),
    )  # fmt: skip


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def usage_one_by_one(handle: Any, targets: Iterable[str], before: DomainUsage | None, now_ns: int) -> DomainUsage:
    """Return usage from single calls (virDomainGetInfo, MemoryStats, BlockStats) for drivers without bulk groups,
    such as the test driver; costs a call each, so only for domains that are looked at."""
    info = handle.info()
    values: dict[str, Any] = {"cpu.time": info[4], "balloon.maximum": info[1], "balloon.current": info[2]}
    values["vcpu.current"] = info[3]
    with contextlib.suppress(libvirt.libvirtError):
        memory = handle.memoryStats()
        values |= {f"balloon.{name.replace('last_update', 'last-update')}": value for name, value in memory.items()}
    count = 0
    for target in targets:
        with contextlib.suppress(libvirt.libvirtError):
            reads, read_bytes, writes, written_bytes, _errors = handle.blockStats(target)
            prefix = f"block.{count}."
            values |= {
                prefix + "name": target,
                prefix + "rd.reqs": reads,
                prefix + "rd.bytes": read_bytes,
                prefix + "wr.reqs": writes,
                prefix + "wr.bytes": written_bytes,
            }
            count += 1
    values["block.count"] = count
    return usage_of(values, before, now_ns)
