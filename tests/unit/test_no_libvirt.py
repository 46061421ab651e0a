"""virtdeck on a machine without libvirt: what runs there and its network, by the kernel's word alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.conftest import wait
from tests.unit.test_cli import Run, environment, run
from tui.actions import BY_ID
from tui.actions.base import Context
from tui.model.host import NO_LIBVIRT, ConnectionState
from tui.panes import chrome, networks, storage
from tui.panes.spec import View
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus
from tui.sources.local_host import read_local_cpus

__all__ = ["environment", "run"]


@pytest.fixture
def alone() -> Iterator[Collector]:
    """A collector of this machine without libvirt, everything read."""
    collector = Collector(NO_LIBVIRT, read_only=False, interval_s=0.5, publish=lambda _snapshot: None)
    collector.start()
    collector.start_slow()
    try:
        wait(collector, lambda seen: not seen.unread and seen.host is not None, "all read")
        yield collector
    finally:
        collector.stop()


def test_links_and_host_are_there_and_nothing_is_amiss(alone: Collector) -> None:
    seen = alone.board.snapshot
    assert seen.connection.state is ConnectionState.ABSENT
    assert seen.links is not None
    assert "lo" in {link.name for link in seen.links.links.values()}
    assert seen.host is not None
    assert seen.host.cpus == os.cpu_count()
    assert seen.host.memory_kib
    assert chrome.banner(seen) is None
    header = "".join(span.text for span in chrome.header(seen, demo=False))
    assert "this machine" in header
    assert header.endswith("○ no libvirt")
    view = View(seen, lambda _key, _count: ())
    assert networks.PANE.empty(view) == "networks: needs libvirt, which is not asked"
    assert storage.PANE.empty(view) == "storage: needs libvirt, which is not asked"


def test_the_cpus_are_read_while_somebody_looks(alone: Collector) -> None:
    assert not alone.board.snapshot.cpu_loads
    alone.focus(Focus(host=True))
    seen = wait(alone, lambda seen: bool(seen.cpu_loads), "loads")
    assert seen.cpus is not None
    assert seen.cpus.online == frozenset(os.sched_getaffinity(0)) | seen.cpus.online
    alone.focus(Focus())
    wait(alone, lambda seen: not seen.cpu_loads, "nobody looks")


def test_what_needs_libvirt_says_so_and_what_does_not_can_be_done(alone: Collector, tmp_path: Path) -> None:
    context = Context(alone.board.snapshot, tmp_path)
    assert BY_ID["domain.define"].reason(context, None) == "virtdeck runs without libvirt"
    assert BY_ID["pool.define"].reason(context, None) == "virtdeck runs without libvirt"


def test_reports(run: Run) -> None:
    assert run("--no-libvirt", "domains").returncode == 0
    seen = json.loads(run("--no-libvirt", "snapshot", "--json").stdout)
    assert seen["connection"]["state"] == "no libvirt"
    assert seen["links"]["links"]
    refused = run("--no-libvirt", "do", "domain.start", "web1", "--yes")
    assert refused.returncode != 0


def test_cpus_of_a_machine_with_two_nodes(tmp_path: Path) -> None:
    """As a two-socket machine of kernel 6.1 has it: one CPU offline, huge pages on the first node."""
    system = tmp_path / "sys/devices/system"
    files = {
        "cpu/online": "0-2\n",
        "cpu/present": "0-3\n",
        "node/node0/cpulist": "0-1\n",
        "node/node1/cpulist": "2\n",
        "node/node0/meminfo": "Node 0 MemTotal:       65536 kB\nNode 0 MemFree:        1024 kB\n",
        "node/node0/distance": "10 21\n",
        "node/node0/hugepages/hugepages-2048kB/nr_hugepages": "16\n",
        "node/node0/hugepages/hugepages-2048kB/free_hugepages": "4\n",
        "cpu/cpu0/topology/thread_siblings_list": "0-1\n",
        "cpu/cpu0/topology/physical_package_id": "0\n",
        "cpu/cpu0/topology/core_id": "7\n",
    }
    for name, text in files.items():
        path = system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = read_local_cpus(tmp_path)
    assert found.online == {0, 1, 2}
    assert (found.cpus[0].node, found.cpus[0].core, found.cpus[0].siblings) == (0, 7, (0, 1))
    assert (found.cpus[2].node, found.cpus[3].online) == (1, False)
    node = found.cells[0]
    assert (node.memory_kib, node.free_kib, node.distances) == (65536, 1024, (10, 21))
    assert [(pool.size_kib, pool.total, pool.free) for pool in node.hugepages] == [(2048, 16, 4)]
