"""The host's CPUs and memory: from capabilities as libvirt writes them, /proc and /sys, and as lines to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from tests.unit.conftest import wait, watched
from tui.dialogs.host import host_lines
from tui.model.host import Connection, ConnectionState, Host
from tui.model.host_cpus import HostCpus, HugepagePool, KernelMemory
from tui.model.snapshot import HostSnapshot
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus
from tui.sources.host_cpus import (
    loads_between,
    of_node_info,
    parse_stat,
    parse_topology,
    read_host_cpus,
    read_kernel,
    with_online,
)
from tui.widgets.lines import FILL, Span

# Two nodes of one socket, two cores, two threads each, numbered across as on real machines; CPU 6 is offline, and so
# the kernel names it in no node.
TWO_NODES = """<capabilities>
  <host>
    <topology>
      <cells num='2'>
        <cell id='0'>
          <memory unit='KiB'>65774144</memory>
          <pages unit='KiB' size='4'>16180704</pages>
          <pages unit='KiB' size='2048'>512</pages>
          <pages unit='KiB' size='1048576'>0</pages>
          <distances>
            <sibling id='0' value='10'/>
            <sibling id='1' value='21'/>
          </distances>
          <cpus num='4'>
            <cpu id='0' socket_id='0' die_id='0' core_id='0' siblings='0,4'/>
            <cpu id='2' socket_id='0' die_id='0' core_id='1' siblings='2'/>
            <cpu id='4' socket_id='0' die_id='0' core_id='0' siblings='0,4'/>
          </cpus>
        </cell>
        <cell id='1'>
          <memory unit='KiB'>66023424</memory>
          <pages unit='KiB' size='4'>16505856</pages>
          <pages unit='KiB' size='2048'>0</pages>
          <pages unit='KiB' size='1048576'>4</pages>
          <distances>
            <sibling id='0' value='21'/>
            <sibling id='1' value='10'/>
          </distances>
          <cpus num='4'>
            <cpu id='1' socket_id='1' die_id='0' core_id='0' siblings='1,5'/>
            <cpu id='3' socket_id='1' die_id='0' core_id='1' siblings='3,7'/>
            <cpu id='5' socket_id='1' die_id='0' core_id='0' siblings='1,5'/>
            <cpu id='7' socket_id='1' die_id='0' core_id='1' siblings='3,7'/>
          </cpus>
        </cell>
      </cells>
    </topology>
  </host>
</capabilities>"""
ONLINE = [True, True, True, True, True, True, False, True]


def two_nodes() -> HostCpus:
    cpus, cells = parse_topology(TWO_NODES)
    return HostCpus(with_online(cpus, ONLINE), cells, None)


def test_nodes_threads_and_offline_cpus() -> None:
    read = two_nodes()
    assert [cpu.number for cpu in read.cpus] == list(range(8))
    assert read.online == {0, 1, 2, 3, 4, 5, 7}
    assert [(cpu.node, cpu.socket, cpu.core) for cpu in read.cpus[:2]] == [(0, 0, 0), (1, 1, 0)]
    assert read.cpus[4].siblings == (0, 4)
    assert (read.cpus[6].node, read.cpus[6].siblings) == (None, (6,))
    first, second = read.cells
    assert (first.cpus, second.cpus) == ((0, 2, 4), (1, 3, 5, 7))
    assert (first.memory_kib, first.distances) == (65774144, (10, 21))
    assert first.hugepages == (HugepagePool(2048, 512, None), HugepagePool(1048576, 0, None))


def test_capabilities_that_tell_nothing() -> None:
    assert parse_topology("<capabilities><host/></capabilities>") == ((), ())
    cpus, cells = parse_topology(
        "<capabilities><host><topology><cells><cell id='3'><cpus><cpu id='9' siblings='x'/><cpu/></cpus></cell>"
        "<cell id='1'><memory unit='MiB'>2</memory><cpus num='0'/></cell></cells></topology></host></capabilities>"
    )
    assert [(cpu.number, cpu.node, cpu.socket, cpu.siblings) for cpu in cpus] == [(9, 3, None, (9,))]
    assert [(cell.number, cell.memory_kib, cell.cpus) for cell in cells] == [(1, 2048, ()), (3, None, (9,))]


def test_the_test_driver_without_topology() -> None:
    cpus, cells = of_node_info(["x86_64", 1024, 32, 2600, 2, 1, 8, 2], (), ())
    assert len(cpus) == 32
    assert (cpus[17].node, cpus[17].socket, cpus[17].core, cpus[17].siblings) == (1, 1, 0, (16, 17))
    assert [cell.cpus for cell in cells] == [tuple(range(16)), tuple(range(16, 32))]


def test_the_test_driver_with_topology() -> None:
    connection = libvirt.open("test:///default")
    read = read_host_cpus(connection, "test:///default")
    assert [cell.cpus for cell in read.cells] == [tuple(range(8)), tuple(range(8, 16))]
    assert read.online == set(range(16))
    assert read.kernel is None
    assert read == read_host_cpus(connection, "test:///default")


def test_loads_of_a_second() -> None:
    before = parse_stat(
        "cpu  10 0 0 90 0 0 0 0 0 0\ncpu0 100 0 0 900 0 0 0 0 50 0\ncpu2 0 0 0 10 0 0 0 0 0 0\nintr 1\n"
    )
    assert before == {0: (100, 1000), 2: (0, 10)}
    after = parse_stat("cpu0 150 10 10 925 5 0 0 0 90 0\ncpu2 0 0 0 10 0 0 0 0 0 0\ncpu3 1 1 1 1 1 1 1 1\n")
    assert loads_between(before, after) == {0: pytest.approx(70.0)}
    assert loads_between(after, before) == {}, "counters that went back"


def test_the_kernel_as_its_files_say(tmp_path: Path) -> None:
    assert read_kernel(tmp_path) == KernelMemory(None, None, None, None, None, None)
    for name, text in {
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "sys/kernel/mm/ksm/run": "1\n",
        "sys/kernel/mm/ksm/pages_shared": "256\n",
        "sys/kernel/mm/ksm/pages_sharing": "1024\n",
        "proc/meminfo": "MemTotal: 100 kB\nSwapTotal:  2097148 kB\nSwapFree:  1048576 kB\nHugePages_Total: 0\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read_kernel(tmp_path) == KernelMemory("madvise", 1, 1024, 4096, 2097148, 1048576)


# As lines


def text_of(lines: Iterable[Iterable[Span]]) -> list[str]:
    return ["".join(span.text for span in line if span is not FILL).rstrip() for line in lines]


def shown(cpus: HostCpus | None, loads: dict[int, float], width: int = 72) -> list[str]:
    connection = Connection("qemu:///system", ConnectionState.LIVE, 0, False)
    host = Host("node1", "QEMU", "9.0.0", "7.2.0", "x86_64", 7, 2, 131797568, True, 4194304, 0.5)
    return text_of(host_lines(HostSnapshot(1, 0, connection, host, cpus, loads), width))


def test_the_lines_say_all_of_it() -> None:
    read = two_nodes()
    kernel = KernelMemory("madvise", 1, 1024, 4096, 2097148, 1048576)
    full = replace(read.cells[0], hugepages=(HugepagePool(2048, 512, 0),))
    lines = shown(
        HostCpus(read.cpus, (full, read.cells[1]), kernel), {0: 0.0, 1: 100.0, 2: 50.0, 3: 0.0, 4: 1.0, 5: 0.0, 7: 0.0}
    )
    assert lines == [
        "Name         node1",
        "Driver       QEMU 7.2.0, libvirt 9.0.0, x86_64",
        "Memory       4.0G free or cache of 126G",
        "Load average 0.50 in the last minute",
        "CPUs         8: 2 sockets, 4 cores",
        "Offline      CPUs 6",
        "Load         22 % of all; the busiest is CPU 1: 100 %",
        "",
        "Node 0       CPUs 0,2,4",
        "  load       ▁▅▂",
        "  memory     ? free of 62.7G",
        "  2M pages   0 free of 512 (1.0G)",
        "  distances  10 21",
        "",
        "Node 1       CPUs 1,3,5,7",
        "  load       █▁▁▁",
        "  memory     ? free of 63.0G",
        "  1G pages   ? free of 4 (4.0G)",
        "  distances  21 10",
        "",
        "On no node   CPUs 6",
        "",
        "THP          madvise",
        "KSM          on: saves 4.0M, in 1.0M that is shared",
        "Swap         1.0G free of 2.0G",
    ]


def test_a_host_of_many_cpus_fits_a_narrow_dialog() -> None:
    cpus, cells = of_node_info(["x86_64", 1024, 512, 2600, 2, 2, 64, 2], (), ())
    lines = shown(HostCpus(cpus, cells, None), {cpu.number: float(cpu.number % 101) for cpu in cpus}, 76)
    assert max(map(len, lines)) <= 76
    strips = [line for line in lines if line.startswith(("  load", "  from"))]
    assert len(strips) == 2 * 5
    assert strips[1].startswith("  from 56    ")
    assert "CPUs         512: 4 sockets, 256 cores, 2 threads a core" in lines


def test_what_is_not_known_is_said() -> None:
    assert shown(None, {})[-1] == "its CPUs and memory are not read yet"
    assert shown(HostCpus((), (), None), {})[-3:] == [
        "CPUs         the driver does not tell",
        "",
        "THP, KSM and swap cannot be seen: the host is not this machine",
    ]


# Read while somebody looks


def test_read_only_while_somebody_looks(plain: Collector) -> None:
    """A daemon that asks its QEMUs first takes seconds, on the connection that everything is polled on."""
    assert plain.board.snapshot.cpus is None
    plain.focus(Focus(host=True))
    seen = wait(plain, lambda seen: seen.cpus is not None, "the host is read")
    assert seen.cpus is not None
    assert seen.cpus.cells
    plain.focus(Focus())
    seen = wait(plain, lambda seen: not seen.cpu_loads, "no loads")
    assert seen.cpus is not None, "what it has stays as it is"


def test_loads_come_again_and_again_and_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tui.demo import scaled_host

    ticks = iter(range(1, 1000))

    def counters(*_args: object) -> dict[int, tuple[int, int]]:
        at = next(ticks)
        return {0: (at * at, at * 1000), 1: (0, at)}

    monkeypatch.setattr("tui.sources.host_cpus.read_counters", counters)
    monkeypatch.setattr("tui.runtime.host_reader.LOADS_S", 0.02)
    with watched(scaled_host(tmp_path, 2)) as collector:
        assert next(ticks) == 1, "nobody looked"
        collector.focus(Focus(host=True))
        first = wait(collector, lambda seen: bool(seen.cpu_loads), "loads").cpu_loads
        assert set(first) == {0, 1}
        assert first[1] == 0.0
        wait(collector, lambda seen: seen.cpu_loads.get(0, 0.0) > first[0], "loads move")
        collector.focus(Focus())
        wait(collector, lambda seen: not seen.cpu_loads, "nobody looks")
        collector.poller.desk.ask(set())
        before = next(ticks)
        collector.focus(Focus(("x",)))
        wait(collector, lambda _seen: collector.poller.desk.busy_for_s() == 0.0, "at rest")
        assert next(ticks) == before + 1
