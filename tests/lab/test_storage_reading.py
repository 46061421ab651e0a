"""Hundreds of volumes of a real libvirtd: read by two threads, published as they come, the daemon killed meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tui.actions import BY_ID
from tui.actions.base import Context
from tui.model.snapshot import HostSnapshot
from tui.runtime.collector import Collector
from tui.sources.storage import StorageReader

_POOLS, _VOLUMES = 6, 100


@pytest.fixture
def many(lab: LabHost, tmp_path: Path) -> set[str]:
    """The names of the volumes of six pools."""
    for number in range(_POOLS):
        path = lab.root / f"{tmp_path.name}-{number}"
        path.mkdir()
        for volume in range(_VOLUMES):
            (path / f"{number}-{volume:02}.img").write_bytes(bytes(512))
        lab.define_pool(f"many{number}", path)
    return {f"{number}-{volume:02}.img" for number in range(_POOLS) for volume in range(_VOLUMES)}


@contextmanager
def collected(uri: str, publish: Callable[[HostSnapshot], None]) -> Iterator[Collector]:
    collector = Collector(uri, read_only=False, interval_s=0.5, publish=publish)
    collector.start()
    collector.start_slow()
    try:
        yield collector
    finally:
        collector.stop()


def whole(seen: HostSnapshot) -> bool:
    return not seen.unread and seen.connection.live


def test_two_threads_read_what_one_reads(lab: LabHost, many: set[str]) -> None:
    with lab.connect() as one, lab.connect() as other:
        opened = 0

        def second() -> object:
            nonlocal opened
            opened += 1
            return libvirt.open(lab.uri)

        alone, both = StorageReader(one).read(), StorageReader(other, second).read()
        assert alone is not None
        assert both is not None
        assert opened == 1
        assert (both.pools, both.volumes) == (alone.pools, alone.volumes)
        assert {volume.name for volume in both.volumes.values()} == many


def test_storage_comes_in_parts_and_nothing_is_planned_on_a_part(lab: LabHost, many: set[str], tmp_path: Path) -> None:
    parts: list[HostSnapshot] = []
    with collected(lab.uri, parts.append) as collector:
        assert collector.board.wait(whole, 60)
    seen = [part for part in parts if part.storage is not None]
    sizes = [len(part.storage.volumes) for part in seen if part.storage is not None]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (0, len(many)), "pools first"
    some = next(part for part in seen if part.storage is not None and 0 < len(part.storage.volumes) < len(many))
    assert some.storage is not None
    assert "storage" in some.unread
    assert len(some.storage.pools) == _POOLS
    assert some.storage.unlisted
    volume, pool = next(iter(some.storage.volumes.values())), next(iter(some.storage.pools.values()))
    # As if the domains were all there: it is the volumes that are missing.
    rest = Context(replace(some, unread=frozenset({"storage"})), tmp_path)
    assert "not all volumes are read yet" in (BY_ID["volume.delete"].reason(rest, volume) or "")
    assert "not all volumes are read yet" in (BY_ID["pool.destroy"].reason(rest, pool) or "")
    assert seen[-1].storage is not None
    assert not seen[-1].storage.unlisted


def test_a_daemon_killed_in_the_first_reading_is_read_to_the_end_later(lab: LabHost, many: set[str]) -> None:
    killed: list[int] = []

    def kill(seen: HostSnapshot) -> None:
        if seen.storage is not None and seen.storage.volumes and not killed:
            killed.append(lab.daemon_pid)
            os.kill(lab.daemon_pid, signal.SIGKILL)

    with collected(lab.uri, kill) as collector:
        wait_until(lambda: bool(killed) and not lab.is_up, "the daemon to be gone", timeout=30)
        assert "storage" in collector.board.snapshot.unread
        lab.start_daemon()
        for number in range(_POOLS):
            lab.virsh("pool-start", f"many{number}", check=False)
        collector.reread()
        assert collector.board.wait(
            lambda seen: whole(seen) and seen.storage is not None and len(seen.storage.volumes) == len(many), 60
        ), collector.board.snapshot.connection
