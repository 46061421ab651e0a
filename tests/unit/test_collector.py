"""The collector on libvirt's in-process test driver: what it reads, how it follows, what it says when it cannot."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.unit.conftest import PATIENCE_S, wait, watched
from tui.demo import scaled_host
from tui.model.domain import Domain, DomainState
from tui.model.host import ConnectionState
from tui.model.snapshot import HostSnapshot
from tui.ops.base import OpError
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus
from tui.sources.domains import DomainReader


def named(snapshot: HostSnapshot, name: str) -> Domain:
    return next(domain for domain in snapshot.domains.values() if domain.raw_name == name)


def has(snapshot: HostSnapshot, name: str) -> bool:
    return any(domain.raw_name == name for domain in snapshot.domains.values())


def test_it_says_what_libvirt_says(demo: Collector) -> None:
    seen, host = demo.board.snapshot, demo.control()
    handles = {handle.UUIDString(): handle for handle in host.listAllDomains()}
    assert set(seen.domains) == set(handles)
    for key, handle in handles.items():
        domain = seen.domains[key]
        assert domain.raw_name == handle.name()
        assert list(DomainState).index(domain.state) == handle.state()[0]
        assert domain.id == (handle.ID() if handle.isActive() else None)
        assert domain.persistent is bool(handle.isPersistent())
        if domain.persistent:
            assert domain.autostart is bool(handle.autostart())
        assert domain.snapshots is bool(handle.snapshotNum())
        assert domain.config is not None
        assert domain.config.memory_max_kib == handle.maxMemory()
        assert domain.config.vcpus_max == handle.vcpusFlags(libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
    assert seen.host is not None
    assert (seen.host.cpus, seen.host.driver, seen.host.memory_kib) == (32, "TEST", 256 * 1024**2)


def test_reasons_are_words(demo: Collector) -> None:
    seen = demo.board.snapshot
    assert {name: named(seen, name).reason for name in ("web-04", "old-ftp", "shop-api-02")} == {
        "web-04": "shutdown",
        "old-ftp": "destroyed",
        "shop-api-02": "user",
    }


def test_figures_are_there_for_what_runs_and_only_for_that(demo: Collector) -> None:
    seen = demo.board.snapshot
    assert set(seen.usage) == {key for key, domain in seen.domains.items() if domain.active}
    for key, usage in seen.usage.items():
        domain = seen.domains[key]
        assert domain.config is not None
        assert usage.balloon_current_kib == domain.config.memory_kib, "configurations come before figures"
        assert usage.guest_used_kib


def test_the_test_drivers_own_figures() -> None:
    with watched("test:///default") as collector:
        seen = collector.board.snapshot
        usage = seen.usage[named(seen, "test").key]
        assert (usage.balloon_current_kib, usage.balloon_maximum_kib) == (2 * 1024**2, 8 * 1024**2)
        assert usage.cpu_percent is None


def test_changes_of_others_are_followed_by_events(plain: Collector) -> None:
    host = plain.control()
    begun = time.monotonic()
    host.lookupByName("vm-00000").suspend()
    seen = wait(plain, lambda seen: named(seen, "vm-00000").state is DomainState.PAUSED)
    assert [event.kind for event in seen.events if event.key == named(seen, "vm-00000").key] == ["suspended"]
    host.lookupByName("vm-00000").destroy()
    wait(plain, lambda seen: named(seen, "vm-00000").id is None)
    host.lookupByName("vm-00000").rename("renamed", 0)
    wait(plain, lambda seen: has(seen, "renamed"))
    host.lookupByName("renamed").undefine()
    wait(plain, lambda seen: not has(seen, "renamed") and len(seen.domains) == 11)
    host.createXML("<domain type='test'><name>new</name><memory>1024</memory><os><type>hvm</type></os></domain>", 0)
    new = named(wait(plain, lambda seen: has(seen, "new") and named(seen, "new").config is not None), "new")
    assert (new.persistent, new.state) == (False, DomainState.RUNNING)
    assert time.monotonic() - begun < 3, "events, not the resync, brought this"


def test_what_has_no_event_is_read_again_when_asked(plain: Collector) -> None:
    handle = plain.control().lookupByName("vm-00002")
    handle.setAutostart(1)
    plain.nudge({handle.UUIDString()})
    wait(plain, lambda seen: named(seen, "vm-00002").autostart is True)


def test_a_snapshot_never_changes_once_it_is_published(tmp_path: Path) -> None:
    published: list[HostSnapshot] = []
    with watched(scaled_host(tmp_path, 6), publish=published.append) as collector:
        old = collector.board.snapshot
        names = {domain.name for domain in old.domains.values()}
        collector.control().lookupByName("vm-00000").destroy()
        collector.control().lookupByName("vm-00000").undefine()
        wait(collector, lambda seen: not has(seen, "vm-00000"))
        assert {domain.name for domain in old.domains.values()} == names
    assert [snapshot.sequence for snapshot in published] == sorted({snapshot.sequence for snapshot in published})


def test_nothing_is_published_while_nothing_changes(plain: Collector) -> None:
    plain.focus(Focus())
    time.sleep(0.3)
    before = plain.board.snapshot
    time.sleep(1.6)
    after = plain.board.snapshot
    parts = [name for name in HostSnapshot.__dataclass_fields__ if getattr(before, name) is not getattr(after, name)]
    assert parts == []


def test_the_domain_that_is_open_is_read_in_depth(demo: Collector) -> None:
    key = named(demo.board.snapshot, "erp-test").key
    demo.focus(Focus((key,), key))
    detail = wait(demo, lambda seen: seen.detail is not None and seen.detail.key == key).detail
    assert detail is not None
    assert detail.xml_live is None
    assert "<name>erp-test</name>" in (detail.xml_persistent or "")
    assert [snapshot.name for snapshot in detail.snapshots or ()] == ["erp-11.2", "erp-11.3"] or detail.snapshots
    other = named(demo.board.snapshot, "db-primary").key
    demo.focus(Focus((key,), other))
    detail = wait(demo, lambda seen: seen.detail is not None and seen.detail.key == other).detail
    assert detail is not None
    assert "<name>db-primary</name>" in (detail.xml_live or "")
    assert detail.placements


def test_it_prepares_each_connection_before_it_is_read(tmp_path: Path) -> None:
    prepared: list[Any] = []

    def prepare(connection: Any) -> None:
        prepared.append(connection.getURI())
        connection.lookupByName("vm-00002").rename("prepared", 0)

    with watched(scaled_host(tmp_path, 3), prepare=prepare) as collector:
        assert has(collector.board.snapshot, "prepared")
        assert len(prepared) == 1
        assert collector.board.snapshot.events == ()


@pytest.mark.parametrize(
    ("uri", "problem", "advice"),
    [
        ("qemu+unix:///system?socket=/nowhere/sock", "No such file or directory", "Is libvirtd running?"),
        ("test:///nowhere/node.xml", "nowhere", ""),
    ],
)
def test_a_host_that_cannot_be_reached(uri: str, problem: str, advice: str) -> None:
    collector = Collector(uri, read_only=False, interval_s=1.0, publish=lambda _snapshot: None)
    collector.start()
    try:
        seen = wait(collector, lambda seen: seen.connection.state is ConnectionState.REFUSED)
        assert problem in seen.connection.problem
        assert advice in seen.connection.advice
        assert seen.domains_read_ns is None
        with pytest.raises(OpError, match="connect to"):
            collector.control()
    finally:
        collector.stop()


def test_a_host_that_comes_later_is_found_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    collector = Collector(
        f"test://{folder}/host-3.xml", read_only=False, interval_s=1.0, publish=lambda _snapshot: None
    )
    collector.start()
    try:
        wait(collector, lambda seen: seen.connection.state is ConnectionState.REFUSED)
        folder.mkdir()
        scaled_host(folder, 3)
        seen = wait(collector, lambda seen: seen.connection.live)
        assert len(seen.domains) == 3
        assert seen.connection.attempts == 0
    finally:
        collector.stop()


def test_read_only_connections_are_read_only(demo_uri: str) -> None:
    with watched(demo_uri, read_only=True) as collector:
        assert collector.board.snapshot.connection.read_only
        assert len(collector.board.snapshot.domains) > 40
        with pytest.raises(libvirt.libvirtError, match="read only access"):
            collector.control().lookupByName("web-01").suspend()


def test_stopping_ends_its_threads(tmp_path: Path) -> None:
    before = threading.enumerate()
    with watched(scaled_host(tmp_path, 3), interval_s=30.0):
        ours = [thread for thread in threading.enumerate() if thread not in before]
        assert ours
    end = time.monotonic() + PATIENCE_S
    while (left := [t.name for t in ours if t.is_alive() and t.name != "libvirt-events"]) and time.monotonic() < end:
        time.sleep(0.02)
    assert left == []


def test_titles_that_no_xml_parser_takes_do_not_hide_the_rest(plain: Collector) -> None:
    handle = plain.control().lookupByName("vm-00002")
    handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "\x1b[2Jtitle", None, None, 0)
    plain.nudge({handle.UUIDString()})
    seen = wait(plain, lambda seen: bool((config := named(seen, "vm-00002").config) and config.title))
    config = named(seen, "vm-00002").config
    assert config is not None
    assert config.title == "�[2Jtitle"
    assert config.disks


def test_persistent_edits_are_found_wherever_the_domain_stands(tmp_path: Path) -> None:
    """Rows on the screen are checked out of turn and must not keep the others from theirs."""
    connection = libvirt.open(scaled_host(tmp_path, 100))
    reader = DomainReader(connection)
    reader.resync()
    while reader.read_configs([], 1000):
        pass
    keys = list(reader.domains())
    for key in keys:
        connection.lookupByUUIDString(key).setMetadata(
            libvirt.VIR_DOMAIN_METADATA_TITLE, "edited", None, None, libvirt.VIR_DOMAIN_AFFECT_CONFIG
        )
    for _ in range(200):
        reader.read_configs(keys[:30], 0.0)
    titles = {domain.persistent_config.title for domain in reader.domains().values() if domain.persistent_config}
    assert titles == {"edited"}
