"""Facts of this machine from the kernel alone, where no libvirt is asked."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from tui.model.cpuset import parse_cpus
from tui.model.host import Host
from tui.model.host_cpus import HostCell, HostCpu, HostCpus, HugepagePool
from tui.model.text import clean
from tui.sources.host_cpus import read_kernel


def read_local_host() -> Host:
    """Return what the kernel tells of this machine: memory in KiB as /proc/meminfo has it (MemAvailable), load."""
    import psutil

    memory = psutil.virtual_memory()
    return Host(
        name=clean(platform.node() or "?"),
        driver="",
        libvirt_version="",
        hypervisor_version="",
        architecture=clean(platform.machine()),
        cpus=os.cpu_count(),
        numa_nodes=None,
        memory_kib=memory.total // 1024,
        local=True,
        memory_free_kib=memory.available // 1024,
        load_1min=os.getloadavg()[0],
        boot_time_s=int(psutil.boot_time()),
        read_ns=time.time_ns(),
    )


def read_local_cpus(root: Path = Path("/")) -> HostCpus:
    """Return the CPUs and NUMA nodes of this machine (/sys/devices/system) and how its kernel manages memory."""
    system = root / "sys/devices/system"
    nodes = {int(path.name[4:]): path for path in system.glob("node/node[0-9]*") if path.name[4:].isdecimal()}
    cpus_of = {number: _cpus(path / "cpulist") for number, path in nodes.items()}
    node_of = {cpu: number for number, cpus in cpus_of.items() for cpu in cpus}
    online = _cpus(system / "cpu/online")
    numbers = sorted(online) or list(range(os.cpu_count() or 1))
    present = sorted({*_cpus(system / "cpu/present"), *numbers})
    return HostCpus(
        cpus=tuple(
            _cpu(system / f"cpu/cpu{number}/topology", number, number in numbers, node_of) for number in present
        ),
        cells=tuple(_cell(path, number, cpus_of[number]) for number, path in sorted(nodes.items())),
        kernel=read_kernel(root),
        read_ns=time.time_ns(),
    )


def _cpu(topology: Path, number: int, online: bool, node_of: dict[int, int]) -> HostCpu:
    siblings = tuple(sorted(_cpus(topology / "thread_siblings_list"))) or (number,)
    socket, core = _number(topology / "physical_package_id"), _number(topology / "core_id")
    return HostCpu(number, online, node_of.get(number), socket, core, siblings)


def _cell(node: Path, number: int, cpus: frozenset[int]) -> HostCell:
    """Sizes in KiB as the node's meminfo has them: `Node 0 MemTotal: 1024 kB`."""
    figures = {}
    for line in _text(node / "meminfo").splitlines():
        words = line.split()
        if len(words) >= 4 and words[3].isdecimal():
            figures[words[2].rstrip(":")] = int(words[3])
    pools = []
    for folder in sorted(node.glob("hugepages/hugepages-*kB"), key=lambda path: int(path.name[10:-2])):
        total = _number(folder / "nr_hugepages")
        if total is not None:
            pools.append(HugepagePool(int(folder.name[10:-2]), total, _number(folder / "free_hugepages")))
    distances = tuple(int(word) for word in _text(node / "distance").split() if word.isdecimal())
    return HostCell(
        number, figures.get("MemTotal"), figures.get("MemFree"), tuple(sorted(cpus)), distances, tuple(pools)
    )


def _cpus(path: Path) -> frozenset[int]:
    try:
        return frozenset(parse_cpus(_text(path).strip()))
    except ValueError:
        return frozenset()


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
