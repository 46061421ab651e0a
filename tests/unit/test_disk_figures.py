"""The history of a domain's disks: kept of what is looked at alone, and drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui.model.host import Connection, ConnectionState
from tui.model.snapshot import HostSnapshot
from tui.model.usage import DiskReading, DiskUsage, DomainUsage
from tui.panes.disk_figures import WIDTH, disk_figures
from tui.panes.spec import View
from tui.runtime.store import HISTORY, Store

SEEN = HostSnapshot(0, 0, Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False))

NOTHING = DomainUsage(
    0, None, None, (), None, None, None, None, None, None, None, None, None, None, None, None, (), None, None
)  # fmt: skip


def usage(requests: float | None, latency_ns: float | None = None, *targets: str) -> DomainUsage:
    """A reading of a domain with these disks, vda alone when none is named."""
    disks = tuple(
        DiskUsage(target, None, None, None, None, None, None, None, None, None, None, None, requests, latency_ns)
        for target in targets or ("vda",)
    )
    return replace(NOTHING, disks=disks)


@pytest.fixture
def store() -> Store:
    """A store in which the domain "one" is looked at."""
    made = Store()
    made.look_at(["one"])
    return made


def feed(store: Store, **readings: DomainUsage) -> None:
    """One more round of readings."""
    store.apply(replace(SEEN, usage=readings))


def requests(store: Store, key: str = "one", target: str = "vda") -> list[float | None]:
    """What is kept of a disk."""
    return [reading.requests_per_s for reading in store.disk_history(key, target, HISTORY)]


def test_only_what_is_looked_at_is_kept(store: Store) -> None:
    feed(store, one=usage(1), two=usage(2))
    assert (requests(store), requests(store, "two")) == ([1], [])
    store.look_at(["two"])
    feed(store, one=usage(3), two=usage(4))
    assert (requests(store), requests(store, "two")) == ([], [4])


def test_a_reading_counts_once(store: Store) -> None:
    same = usage(1)
    feed(store, one=same)
    feed(store, one=same, two=usage(2))
    assert requests(store) == [1]


def test_history_goes_with_the_disk_and_with_the_domain(store: Store) -> None:
    feed(store, one=usage(1, None, "vda", "vdb"))
    feed(store, one=usage(2))
    assert (requests(store), requests(store, target="vdb")) == ([1, 2], [])
    feed(store, two=usage(3))
    assert requests(store) == []


def test_it_is_bounded(store: Store) -> None:
    for number in range(HISTORY + 5):
        feed(store, one=usage(number))
    assert requests(store) == list(range(5, HISTORY + 5))
    assert store.disk_history("one", "vda", 2) == (DiskReading(HISTORY + 3, None), DiskReading(HISTORY + 4, None))


def drawn(store: Store, target: str = "vda") -> list[str]:
    """The lines of a disk."""
    view = View(SEEN, store.cpu_history, disk_history=store.disk_history)
    return ["".join(span.text for span in line) for line in disk_figures(view, "one", target)]


def test_requests_and_latency_are_drawn(store: Store) -> None:
    assert drawn(store) == []
    feed(store, one=usage(None))
    assert drawn(store) == []
    feed(store, one=usage(100, 2e6))
    feed(store, one=usage(0))
    feed(store, one=usage(50, 1e6))
    blank = " " * (6 + WIDTH - 4)
    assert drawn(store) == [f"{blank}·█▁▅ 50 req/s, most 100", f"{blank}·█·▅ 1.0 ms, most 2.0"]
    assert drawn(store, "vdb") == []


def test_where_no_times_are_told_there_is_no_latency(store: Store) -> None:
    feed(store, one=usage(5))
    assert drawn(store) == [f"{' ' * (6 + WIDTH - 1)}█ 5 req/s, most 5"]
