"""The monitor groups on real QEMUs: staggered, and one that hangs stops nobody but itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.lab.host import LabHost
from tui.runtime.collector import Collector

GUESTS = 12
INTERVAL_S = 1.0


@pytest.fixture
def collector(lab: LabHost) -> Iterator[Collector]:
    """A collector of a host with a dozen running guests, its first pass done."""
    for number in range(GUESTS):
        lab.define_blank(f"guest{number}", start=True)
    collector = Collector(lab.uri, read_only=False, interval_s=INTERVAL_S, publish=lambda _snapshot: None)
    collector.start()
    collector.start_slow()
    try:
        assert collector.board.wait(lambda snapshot: not snapshot.unread, 20), collector.board.snapshot.unread
        yield collector
    finally:
        collector.stop()


def test_every_guest_is_read_and_no_round_is_longer_than_its_interval(collector: Collector) -> None:
    first = {key: usage.read_ns for key, usage in collector.board.snapshot.usage.items()}
    assert len(first) == GUESTS
    assert collector.board.wait(
        lambda snapshot: all(snapshot.usage[key].read_ns > read_ns for key, read_ns in first.items()), 10
    )
    usage = collector.board.snapshot.usage
    assert all(reading.cpu_percent is not None and reading.rss_kib for reading in usage.values())
    assert collector.monitors.longest_round_s < INTERVAL_S


def test_a_stopped_qemu_is_put_in_quarantine_and_released(lab: LabHost, collector: Collector) -> None:
    seen = collector.board.snapshot
    key, domain = next(iter(seen.domains.items()))
    pid = lab.qemu_pid(domain.name)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert collector.board.wait(lambda snapshot: key in snapshot.monitors, 20)
        stuck = collector.board.snapshot
        assert list(stuck.monitors) == [key]
        assert key not in stuck.usage, "figures that are not known any more are still shown"
        before = {other: usage.read_ns for other, usage in stuck.usage.items()}
        assert len(before) == GUESTS - 1
        assert collector.board.wait(
            lambda snapshot: all(snapshot.usage[other].read_ns > read_ns for other, read_ns in before.items()), 10
        ), "the other guests are not read any more"
        assert collector.board.snapshot.connection.live
    finally:
        os.kill(pid, signal.SIGCONT)
    assert collector.board.wait(lambda snapshot: key not in snapshot.monitors and key in snapshot.usage, 20)
