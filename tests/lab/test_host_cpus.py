"""The host's CPUs and memory as virtdeck reads them through a real libvirtd, against what the kernel's files say."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.lab.actions import virtdeck
from tests.lab.host import LabHost
from tests.lab.screen_words import open_deck
from tests.unit.conftest import wait, watched
from tui.model.cpuset import parse_cpus
from tui.runtime.desk import Focus

_CPUS = Path("/sys/devices/system/cpu")
_NODES = Path("/sys/devices/system/node")


def meminfo(path: Path, name: str) -> int:
    """A figure of a meminfo file in KiB, the machine's or a node's."""
    found = re.search(rf"{name}:\s+(\d+) kB", path.read_text())
    assert found is not None
    return int(found[1])


def test_topology_as_the_kernel_has_it(lab: LabHost, tmp_path: Path) -> None:
    seen = json.loads(virtdeck(lab.uri, tmp_path, "snapshot", "--json").stdout)["cpus"]
    online = parse_cpus((_CPUS / "online").read_text().strip())
    present = parse_cpus((_CPUS / "present").read_text().strip())
    assert [cpu["number"] for cpu in seen["cpus"]] == list(present)
    assert [cpu["number"] for cpu in seen["cpus"] if cpu["online"]] == list(online)
    for cpu in seen["cpus"]:
        topology = _CPUS / f"cpu{cpu['number']}" / "topology"
        if not cpu["online"]:
            continue
        assert cpu["socket"] == int((topology / "physical_package_id").read_text())
        assert cpu["core"] == int((topology / "core_id").read_text())
        assert cpu["siblings"] == list(parse_cpus((topology / "thread_siblings_list").read_text().strip()))
    for cell in seen["cells"]:
        node = _NODES / f"node{cell['number']}"
        if not node.exists():
            continue
        assert cell["memory_kib"] == meminfo(node / "meminfo", "MemTotal")
        assert cell["cpus"] == list(parse_cpus((node / "cpulist").read_text().strip()))
        for pool in cell["hugepages"]:
            folder = node / "hugepages" / f"hugepages-{pool['size_kib']}kB"
            assert pool["total"] == int((folder / "nr_hugepages").read_text())
            assert pool["free"] == int((folder / "free_hugepages").read_text())


def test_memory_as_the_kernel_manages_it(lab: LabHost, tmp_path: Path) -> None:
    seen = json.loads(virtdeck(lab.uri, tmp_path, "snapshot", "--json").stdout)["cpus"]
    kernel, mm = seen["kernel"], Path("/sys/kernel/mm")
    assert kernel["swap_total_kib"] == meminfo(Path("/proc/meminfo"), "SwapTotal")
    if (mm / "ksm/run").exists():
        assert kernel["ksm_run"] == int((mm / "ksm/run").read_text())
    else:
        assert kernel["ksm_run"] is None
    chosen = mm / "transparent_hugepage/enabled"
    if chosen.exists():
        assert f"[{kernel['transparent_hugepages']}]" in chosen.read_text()
    else:
        assert kernel["transparent_hugepages"] is None
    for cell in seen["cells"]:
        assert 0 < cell["free_kib"] < meminfo(Path("/proc/meminfo"), "MemTotal")


def test_loads_of_every_cpu_while_somebody_looks(lab: LabHost) -> None:
    online = set(parse_cpus((_CPUS / "online").read_text().strip()))
    with watched(lab.uri) as collector:
        assert not collector.board.snapshot.cpu_loads
        collector.focus(Focus(host=True))
        loads = wait(collector, lambda seen: bool(seen.cpu_loads), "loads").cpu_loads
        assert set(loads) <= online
        assert all(0.0 <= load <= 100.0 for load in loads.values())
        collector.focus(Focus())
        wait(collector, lambda seen: not seen.cpu_loads, "none when nobody looks")


def test_the_key_shows_it_on_a_small_screen(lab: LabHost, tmp_path: Path) -> None:
    with open_deck(lab, tmp_path, size=(80, 24), live=False) as deck:
        deck.expect("● live")
        deck.press("H")
        said = deck.expect_dialog("(?s)Node 0.*load  .*Swap")
        assert f"CPUs         {len(parse_cpus((_CPUS / 'present').read_text().strip()))}: " in said
        assert "Driver       QEMU" in said
        deck.press("escape")
        deck.expect_no_dialog()
