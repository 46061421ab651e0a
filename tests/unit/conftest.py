"""Hosts of libvirt's in-process test driver, watched by real collectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tui.demo import prepare, scaled_host, write_demo_host
from tui.demo.figures import demo_usage
from tui.model.host import ConnectionState
from tui.model.snapshot import HostSnapshot
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus

PATIENCE_S = 10.0


@contextmanager
def watched(
    uri: str,
    *,
    read_only: bool = False,
    interval_s: float = 0.5,
    publish: Callable[[HostSnapshot], None] = lambda _snapshot: None,
    **options: Any,
) -> Iterator[Collector]:
    """A collector that has read all of its host, looked at in full; it is stopped afterwards."""
    collector = Collector(uri, read_only=read_only, interval_s=interval_s, publish=publish, **options)
    collector.start()
    try:
        wait(collector, lambda seen: seen.connection.state is ConnectionState.LIVE, "live")
        collector.focus(Focus(tuple(collector.board.snapshot.domains)))
        collector.start_slow()
        wait(collector, lambda seen: not seen.unread, "all read")
        yield collector
    finally:
        collector.stop()


def wait(collector: Collector, ready: Callable[[HostSnapshot], bool], what: str = "") -> HostSnapshot:
    """Wait until the newest snapshot is so, and return it; fails when it never is."""
    assert collector.board.wait(ready, PATIENCE_S), f"{what}: {collector.board.snapshot.connection}"
    return collector.board.snapshot


@pytest.fixture(scope="session")
def demo_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of the demo host; every connection to it is a host of its own."""
    return write_demo_host(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def demo(demo_uri: str) -> Iterator[Collector]:
    """The demo host, prepared as the program prepares it."""
    with watched(demo_uri, one_by_one=demo_usage, prepare=prepare) as collector:
        yield collector


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Collector]:
    """A host of 12 plain domains, vm-00000 and on; two of three run."""
    with watched(scaled_host(tmp_path, 12)) as collector:
        yield collector
