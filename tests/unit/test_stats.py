"""Bulk statistics as libvirt gives them become usage, and rates against the reading before."""

from __future__ import annotations

from typing import Any

from tui.model.usage import DomainUsage
from tui.sources.stats import TrafficReader, usage_of

S = 1_000_000_000
FIRST: dict[str, Any] = {
    "cpu.time": 5 * S, "balloon.current": 131072, "balloon.maximum": 262144, "balloon.available": 120000,
    "balloon.unused": 50000, "balloon.usable": 70000, "balloon.rss": 99000, "balloon.last-update": 1700000000,
    "vcpu.current": 2, "vcpu.maximum": 3, "vcpu.0.state": 1, "vcpu.0.time": S, "vcpu.0.delay": 0, "vcpu.2.state": 0,
    "block.count": 1, "block.0.name": "vda", "block.0.rd.bytes": 1000, "block.0.wr.bytes": 0, "block.0.rd.reqs": 10,
    "block.0.wr.reqs": 0, "block.0.rd.times": 1000, "block.0.wr.times": 0, "block.0.capacity": 4096,
}  # fmt: skip


def second(**changes: Any) -> DomainUsage:
    """Usage two seconds after FIRST, with `changes` to the counters (dots written as __)."""
    values = FIRST | {name.replace("__", "."): value for name, value in changes.items()}
    return usage_of(values, usage_of(FIRST, None, 10 * S), 12 * S)


def test_the_first_reading_has_figures_but_no_rates() -> None:
    usage = usage_of(FIRST, None, 10 * S)
    assert (usage.balloon_current_kib, usage.rss_kib, usage.balloon_updated_s) == (131072, 99000, 1700000000)
    assert usage.guest_used_kib == 50000
    assert usage.cpu_percent is None
    assert usage.disk_read_bytes_per_s is None
    assert [vcpu.number for vcpu in usage.vcpus] == [0, 2], "a vCPU without figures is left out"


def test_rates_between_two_readings() -> None:
    usage = second(
        cpu__time=6 * S, block__0__rd__bytes=5000, block__0__rd__reqs=30, block__0__rd__times=41000, vcpu__0__delay=S
    )
    assert usage.cpu_percent == 50.0
    assert usage.disk_read_bytes_per_s == 2000.0
    assert usage.disks[0].requests_per_s == 10.0
    assert usage.disks[0].latency_ns == 2000.0
    assert usage.vcpus[0].delay_percent == 50.0


def test_a_counter_that_went_back_has_no_rate() -> None:
    usage = second(cpu__time=S, block__0__rd__bytes=0)
    assert usage.cpu_percent is None
    assert usage.disks[0].read_bytes_per_s is None


def test_without_balloon_statistics_guest_use_is_unknown() -> None:
    usage = usage_of({"cpu.time": 1, "balloon.current": 131072}, None, S)
    assert usage.guest_used_kib is None
    assert usage.balloon_updated_s is None


def test_an_old_guest_without_usable_is_told_by_unused() -> None:
    values = {key: value for key, value in FIRST.items() if key != "balloon.usable"}
    assert usage_of(values, None, S).guest_used_kib == 70000


def nic(rx: int, name: str = "vnet0") -> dict[str, Any]:
    return {"net.count": 1, "net.0.name": name, "net.0.rx.bytes": rx, "net.0.tx.bytes": 0}


def test_traffic_is_kept_per_nic_and_only_for_who_runs() -> None:
    reader = TrafficReader()
    assert reader.feed("a", nic(1000), 10 * S)
    assert reader.feed("a", nic(3000), 12 * S)
    assert reader.traffic()["a"].rx_bytes_per_s == 1000.0
    assert reader.traffic() is reader.traffic()
    reader.feed("a", nic(9000, "vnet1"), 14 * S)
    assert reader.traffic()["a"].rx_bytes_per_s is None, "another NIC's counter is no growth"
    reader.keep_only(set())
    assert reader.traffic() == {}


def test_a_driver_without_nic_counters_is_told() -> None:
    assert not TrafficReader().feed("a", {"state.state": 1}, S)
