"""Storage as it is read of the test driver: what is kept, what is published on the way, what is read in turns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.unit.conftest import wait, watched
from tui.demo import prepare, scaled_host
from tui.model.storage import PoolState, Storage
from tui.runtime.collector import Collector
from tui.sources.connection import ConnectError
from tui.sources.storage import StorageReader


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Any]:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    # A host of its own: what is opened as test:///default is shared by all who have it open.
    opened = libvirt.open(scaled_host(tmp_path, 1))
    yield opened
    opened.close()


def fill(connection: Any, name: str, *volumes: str) -> Any:
    root = ET.Element("pool", type="dir")
    ET.SubElement(root, "name").text = name
    ET.SubElement(ET.SubElement(root, "target"), "path").text = f"/{name}"
    made = connection.storagePoolDefineXML(ET.tostring(root, encoding="unicode"), 0)
    made.create(0)
    for volume in volumes:
        add(made, volume)
    return made


def add(handle: Any, name: str) -> None:
    root = ET.Element("volume")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "capacity").text = "1048576"
    handle.createXML(ET.tostring(root, encoding="unicode"), 0)


def test_the_reader_keeps_what_did_not_change(connection: Any) -> None:
    fill(connection, "one", "a", "b")
    reader = StorageReader(connection)
    first = reader.read()
    assert first is not None
    assert reader.read() is first
    handle = connection.storagePoolLookupByName("one")
    add(handle, "c")
    second = reader.read()
    assert second is not None
    key = handle.UUIDString()
    assert {volume.name for volume in second.volumes_of(key)} == {"a", "b", "c"}
    assert second.volumes[f"{key}/a"] is first.volumes[f"{key}/a"]
    assert second.at("/one/a") is second.volumes[f"{key}/a"]


def test_a_pool_that_stops_has_no_volumes(connection: Any) -> None:
    handle = fill(connection, "one", "a")
    reader = StorageReader(connection)
    reader.read()
    handle.destroy()
    found = reader.read()
    assert found is not None
    assert found.pools[handle.UUIDString()].state is PoolState.INACTIVE
    assert found.volumes_of(handle.UUIDString()) == []


def test_a_reader_that_is_stopped_gives_nothing(connection: Any) -> None:
    fill(connection, "one")
    assert StorageReader(connection).read(lambda: True) is None


class _Broken:
    """A real pool of which one volume cannot be read, as when its file was removed underneath."""

    def __init__(self, handle: Any, bad: str) -> None:
        self._handle = handle
        self._bad = bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def listAllVolumes(self, flags: int) -> list[Any]:
        volumes = self._handle.listAllVolumes(flags)
        self._handle.storageVolLookupByName(self._bad).delete(0)
        return list(volumes)


class _Connection:
    """A real connection that gives such a pool."""

    def __init__(self, connection: Any, pool: _Broken | _Hanging) -> None:
        self._connection = connection
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def listAllStoragePools(self, _flags: int) -> list[Any]:
        return [self._pool]


def test_a_volume_that_cannot_be_read_hides_no_other(connection: Any) -> None:
    handle = fill(connection, "one", "a", "b")
    found = StorageReader(_Connection(connection, _Broken(handle, "a"))).read()
    assert found is not None
    key = handle.UUIDString()
    assert [volume.name for volume in found.volumes_of(key)] == ["b"]
    assert found.pools[key].problem.startswith("a: Storage volume not found")


def test_pools_that_others_start_and_stop_are_seen_at_once(demo_uri: str) -> None:
    """Nobody looks, so that the next reading of itself would be in two minutes."""
    with watched(demo_uri, prepare=prepare, interval_s=30.0) as collector:
        handle = collector.control().storagePoolLookupByName("usb-backup")
        key = handle.UUIDString()
        assert state_of(collector, key) is PoolState.INACTIVE
        handle.create(0)
        wait(collector, lambda _seen: state_of(collector, key) is PoolState.RUNNING, "started")
        handle.destroy()
        wait(collector, lambda _seen: state_of(collector, key) is PoolState.INACTIVE, "stopped")


def state_of(collector: Collector, key: str) -> PoolState | None:
    storage = collector.board.snapshot.storage
    return storage.pools[key].state if storage is not None else None


# In parts, in turns


class _Counted:
    """A real connection that counts the volumes whose XML is asked for."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def listAllStoragePools(self, flags: int) -> list[Any]:
        return [_CountedPool(pool, self.asked) for pool in self._connection.listAllStoragePools(flags)]

    def storagePoolLookupByUUIDString(self, key: str) -> Any:
        return _CountedPool(self._connection.storagePoolLookupByUUIDString(key), self.asked)


class _CountedPool:
    def __init__(self, handle: Any, asked: list[str]) -> None:
        self._handle, self._asked = handle, asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def listAllVolumes(self, flags: int) -> list[Any]:
        return [_CountedVolume(volume, self._asked) for volume in self._handle.listAllVolumes(flags)]


class _CountedVolume:
    def __init__(self, handle: Any, asked: list[str]) -> None:
        self._handle, self._asked = handle, asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def XMLDesc(self, flags: int) -> Any:
        self._asked.append(self._handle.name())
        return self._handle.XMLDesc(flags)


def names(count: int) -> list[str]:
    return [f"v{number:03}" for number in range(count)]


def test_the_first_reading_comes_in_parts_pools_first(connection: Any) -> None:
    fill(connection, "p10", *names(9))
    fill(connection, "p2", *names(2))
    fill(connection, "p1", "only")
    parts: list[Storage] = []
    found = StorageReader(connection).read(partly=parts.append)
    assert found is not None
    order = [pool.name for pool in found.pools.values()]
    assert order == ["p1", "p2", "p10"], "as on the screen"
    told = [
        (len(part.pools), len(part.volumes), sorted(part.pools[key].name for key in part.unlisted)) for part in parts
    ]
    assert told == [(3, 0, ["p1", "p10", "p2"]), (3, 1, ["p10", "p2"])]
    assert (len(found.volumes), found.unlisted) == (12, frozenset())


def test_many_volumes_are_looked_at_in_turn_and_those_in_view_always(connection: Any) -> None:
    handle = fill(connection, "one", *names(250))
    counted = _Counted(connection)
    reader = StorageReader(counted)
    first = reader.read()
    assert len(set(counted.asked)) == 250
    in_view = f"{handle.UUIDString()}/v249"
    seen: set[str] = set()
    for _ in range(3):
        counted.asked.clear()
        assert reader.read(anew=False, first=[in_view]) is first, "nothing changed"
        assert len(counted.asked) in (100, 101)
        assert "v249" in counted.asked
        seen |= set(counted.asked)
    assert len(seen) == 250, "each had its turn"


def test_a_new_volume_is_read_at_once_and_one_that_went_is_gone(connection: Any) -> None:
    handle = fill(connection, "one", *names(250))
    counted = _Counted(connection)
    reader = StorageReader(counted)
    reader.read()
    add(handle, "new")
    handle.storageVolLookupByName("v200").delete(0)
    counted.asked.clear()
    found = reader.read(anew=False)
    assert found is not None
    assert {volume.name for volume in found.volumes.values()} == {*names(250), "new"} - {"v200"}
    assert "new" in counted.asked


def test_thousands_are_read_by_two_and_are_the_same(connection: Any) -> None:
    """The test driver has no second connection to one host: it gets the same once more, kept open by a reference."""
    for number in range(4):
        fill(connection, f"p{number}", *names(150))
    opened: list[_Counted] = []

    def second() -> Any:
        opened.append(_Shared(connection))
        return opened[-1]

    alone = StorageReader(connection).read()
    both = StorageReader(_Counted(connection), second).read()
    assert alone is not None
    assert both is not None
    assert (both.pools, both.volumes) == (alone.pools, alone.volumes)
    assert len(opened) == 1


class _Shared(_Counted):
    def close(self) -> int:
        return 0


def test_without_a_second_connection_one_reads_all(connection: Any) -> None:
    for number in range(4):
        fill(connection, f"p{number}", *names(150))

    def refused() -> Any:
        raise ConnectError("test:///x", "too many clients", None, "")

    found = StorageReader(connection, refused).read()
    assert found is not None
    assert len(found.volumes) == 600


def test_a_watched_host_publishes_nothing_while_nothing_changes(demo_uri: str) -> None:
    with watched(demo_uri, prepare=prepare, interval_s=30.0) as collector:
        before = collector.board.snapshot.storage
        assert before is not None
        collector._storage.nudge()
        handle = collector.control().storagePoolLookupByName("images")
        handle.refresh(0)
        # What comes after in the same thread shows that both were answered.
        add(handle, "later")
        collector._storage.nudge()
        after = wait(collector, lambda seen: seen.storage is not before, "read").storage
        assert after is not None
        assert {volume.name for volume in after.volumes.values()} - {v.name for v in before.volumes.values()} == {
            "later"
        }
        assert all(after.volumes[key] is volume for key, volume in before.volumes.items())


class _Hanging:
    """A real pool whose list of volumes does not come, as of a server that is down, until it is let go."""

    def __init__(self, handle: Any, entered: threading.Event, go: threading.Event) -> None:
        self._handle, self._entered, self._go = handle, entered, go

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def listAllVolumes(self, flags: int) -> Any:
        self._entered.set()
        assert self._go.wait(30)
        return self._handle.listAllVolumes(flags)


def test_a_pool_that_does_not_answer_is_named_until_it_does(connection: Any) -> None:
    handle = fill(connection, "nas", "a")
    entered, go = threading.Event(), threading.Event()
    reader = StorageReader(_Connection(connection, _Hanging(handle, entered, go)))
    assert reader.silent(0) == []
    reading = threading.Thread(target=reader.read)
    reading.start()
    try:
        assert entered.wait(30)
        assert reader.silent(60) == [], "it has its time"
        assert reader.silent(0) == ["nas"]
    finally:
        go.set()
        reading.join(30)
    assert reader.silent(0) == []
