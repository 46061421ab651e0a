"""The host's CPUs, NUMA cells and huge pages from libvirt; how its kernel manages memory where it is this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

import libvirt

from tui.model.cpuset import parse_cpus
from tui.model.host_cpus import HostCell, HostCpu, HostCpus, HugepagePool, KernelMemory
from tui.sources.connection import is_local
from tui.sources.errors import is_lost

T = TypeVar("T")
_KIB = {"b": 1 / 1024, "bytes": 1 / 1024, "KiB": 1, "MiB": 1024, "GiB": 1024**2, "TiB": 1024**3}
Counters = Mapping[int, tuple[int, int]]
"""(busy, all) of each CPU since some instant in the past, both in the same unit."""


def read_host_cpus(connection: Any, uri: str) -> HostCpus:
    """Return what the driver tells of CPUs and NUMA cells; what it does not tell is left out or None
    (virConnectGetCapabilities, virNodeGetCPUMap, virNodeGetFreePages, virNodeGetCellsFreeMemory). Raises libvirtError
    when the connection is lost alone."""
    capabilities: str = _optional(connection.getCapabilities) or "<capabilities/>"
    cpus, cells = parse_topology(capabilities)
    if connection.getType() == "TEST":
        cpus, cells = of_node_info(connection.getInfo(), cpus, cells)
    else:
        cpu_map: tuple[int, list[bool], int] | None = _optional(lambda: connection.getCPUMap(0))
        cpus = with_online(cpus, cpu_map[1] if cpu_map else [])
    return HostCpus(
        cpus=cpus,
        cells=tuple(_with_free(connection, cell) for cell in cells),
        kernel=read_kernel() if is_local(uri) else None,
        read_ns=time.time_ns(),
    )


def parse_topology(capabilities: str) -> tuple[tuple[HostCpu, ...], tuple[HostCell, ...]]:
    """Return the CPUs, taken to be online, and the NUMA cells of capabilities XML; none of what it does not have."""
    cpus: list[HostCpu] = []
    cells: list[HostCell] = []
    for element in ET.fromstring(capabilities).iterfind("host/topology/cells/cell"):
        cell, own = _cell(element)
        cells.append(cell)
        cpus += own
    return tuple(sorted(cpus, key=lambda cpu: cpu.number)), tuple(sorted(cells, key=lambda cell: cell.number))


def _cell(element: ET.Element) -> tuple[HostCell, list[HostCpu]]:
    number = _int(element.get("id")) or 0
    own = [cpu for found in element.iterfind("cpus/cpu") if (cpu := _cpu(found, number)) is not None]
    pages = sorted((_kib(page, page.get("size")) or 0, _int(page.text) or 0) for page in element.iterfind("pages"))
    memory = element.find("memory")
    cell = HostCell(
        number=number,
        memory_kib=None if memory is None else _kib(memory, memory.text),
        free_kib=None,
        cpus=tuple(sorted(cpu.number for cpu in own)),
        distances=tuple(_int(found.get("value")) or 0 for found in element.iterfind("distances/sibling")),
        # The smallest size is the kernel's ordinary page.
        hugepages=tuple(HugepagePool(size, total, None) for size, total in pages[1:]),
    )
    return cell, own


def _cpu(element: ET.Element, node: int) -> HostCpu | None:
    number = _int(element.get("id"))
    if number is None:
        return None
    try:
        siblings = parse_cpus(element.get("siblings") or str(number))
    except ValueError:
        siblings = (number,)
    return HostCpu(number, True, node, _int(element.get("socket_id")), _int(element.get("core_id")), siblings)


def with_online(cpus: tuple[HostCpu, ...], cpu_map: list[bool]) -> tuple[HostCpu, ...]:
    """Return the CPUs by what virNodeGetCPUMap says of each, with those that it alone knows: the topology has no place
    for a CPU that is offline."""
    known = {cpu.number: cpu for cpu in cpus}
    for number, online in enumerate(cpu_map):
        there = known.get(number)
        lone = HostCpu(number, online, None, None, None, (number,))
        known[number] = replace(there, online=online) if there is not None else lone
    return tuple(known[number] for number in sorted(known))


def of_node_info(
    info: Sequence[Any], cpus: tuple[HostCpu, ...], cells: tuple[HostCell, ...]
) -> tuple[tuple[HostCpu, ...], tuple[HostCell, ...]]:
    """Return CPUs and cells of libvirt's test driver, whose CPU map is the same for every host and whose capabilities
    know no topology when the host comes from a file: what virNodeGetInfo says, in order, where there are no cells."""
    if cells:
        return cpus, cells
    nodes, sockets, cores, threads = (max(int(count), 1) for count in info[4:8])
    made = []
    for number in range(nodes * sockets * cores * threads):
        core, first = number // threads, number - number % threads
        socket = core // cores
        siblings = tuple(range(first, first + threads))
        made.append(HostCpu(number, True, socket // sockets, socket, core % cores, siblings))
    numbers = [tuple(cpu.number for cpu in made if cpu.node == node) for node in range(nodes)]
    return tuple(made), tuple(HostCell(node, None, None, numbers[node], (), ()) for node in range(nodes))


def _with_free(connection: Any, cell: HostCell) -> HostCell:
    """The cell with its free memory and pages; cells are asked one by one, since their numbers may have holes."""
    number, sizes = cell.number, [pool.size_kib for pool in cell.hugepages]
    free: list[int] | None = _optional(lambda: connection.getCellsFreeMemory(number, 1))
    pages: dict[int, dict[int, int]] | None = None
    if sizes:
        pages = _optional(lambda: connection.getFreePages(sizes, number, 1, 0))
    of_cell = (pages or {}).get(number, {})
    pools = tuple(replace(pool, free=of_cell.get(pool.size_kib)) for pool in cell.hugepages)
    return replace(cell, free_kib=free[0] // 1024 if free else None, hugepages=pools)


def read_kernel(root: Path = Path("/")) -> KernelMemory:
    """Return how this machine's kernel manages memory (/sys/kernel/mm, /proc/meminfo)."""
    ksm = root / "sys/kernel/mm/ksm"
    page_kib = os.sysconf("SC_PAGE_SIZE") // 1024
    shared, sharing = _number(ksm / "pages_shared"), _number(ksm / "pages_sharing")
    meminfo = _meminfo(root / "proc/meminfo")
    return KernelMemory(
        transparent_hugepages=_chosen(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        ksm_run=_number(ksm / "run"),
        ksm_shared_kib=None if shared is None else shared * page_kib,
        ksm_sharing_kib=None if sharing is None else sharing * page_kib,
        swap_total_kib=meminfo.get("SwapTotal"),
        swap_free_kib=meminfo.get("SwapFree"),
    )


def read_counters(connection: Any, uri: str, cpus: tuple[HostCpu, ...]) -> Counters:
    """Return what each online CPU has done so far: from /proc/stat in ticks where the host is this machine, else from
    virNodeGetCPUStats in ns; CPUs that nothing tells of are left out."""
    if is_local(uri):
        return read_local_counters()
    counters: dict[int, tuple[int, int]] = {}
    for cpu in cpus:
        if not cpu.online:
            continue
        stats: dict[str, int] | None = _optional(partial(connection.getCPUStats, cpu.number, 0))
        if stats is None:
            break
        whole = sum(value for name, value in stats.items() if name != "utilization")
        counters[cpu.number] = (whole - stats.get("idle", 0) - stats.get("iowait", 0), whole)
    return counters


def read_local_counters() -> Counters:
    """Return what each online CPU of this machine has done so far, in ticks (/proc/stat)."""
    return parse_stat(_text(Path("/proc/stat")) or "")


def parse_stat(text: str) -> Counters:
    """Return the counters of each CPU in /proc/stat, in ticks; waiting for I/O is idle, a guest's time is user's."""
    counters: dict[int, tuple[int, int]] = {}
    for line in text.splitlines():
        name, *words = line.split()
        if not name.startswith("cpu") or not name[3:].isdecimal():
            continue
        ticks = [int(word) for word in words[:8] if word.isdecimal()]
        idle = sum(ticks[3:5])
        counters[int(name[3:])] = (sum(ticks) - idle, sum(ticks))
    return counters


def loads_between(old: Counters, new: Counters) -> dict[int, float]:
    """Return the percent busy of each CPU that has moved between two readings; counters that went back tell nothing."""
    loads = {}
    for number, (busy, whole) in new.items():
        if number in old and whole > old[number][1]:
            share = (busy - old[number][0]) / (whole - old[number][1])
            loads[number] = 100.0 * min(max(share, 0.0), 1.0)
    return loads


def _optional(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        return None


def _int(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdecimal() else None


def _kib(element: ET.Element, text: str | None) -> int | None:
    amount = _int(text)
    return None if amount is None else int(amount * _KIB.get(element.get("unit", "KiB"), 1))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _number(path: Path) -> int | None:
    return _int(_text(path))


def _chosen(path: Path) -> str | None:
    """The word in brackets of a file that lists all that could be chosen: `always [madvise] never`."""
    words = (_text(path) or "").split()
    return next((word[1:-1] for word in words if word.startswith("[") and word.endswith("]")), None)


def _meminfo(path: Path) -> dict[str, int]:
    figures = {}
    for line in (_text(path) or "").splitlines():
        name, _, rest = line.partition(":")
        amount = _int(rest.split()[0] if rest.split() else None)
        if amount is not None:
            figures[name] = amount
    return figures
