"""The parts of a domain XML that are turned while it runs (https://libvirt.org/formatdomain.html)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from xml.etree import ElementTree as ET

from tui.model.cpuset import parse_cpus
from tui.model.text import clean
from tui.model.tuning import (
    UNLIMITED_KIB,
    CpuTune,
    MemoryDevice,
    MemTune,
    NumaCell,
    NumaTune,
    Topology,
    Tuning,
    VcpuSlot,
)
from tui.model.xml_values import attribute, integer, kib


def parse_tuning(root: ET.Element) -> Tuning:
    """Return what a `<domain>` element says of it; what is missing or is no number is taken as not set."""
    ceiling, cputune, users = root.find("maxMemory"), root.find("cputune"), tuple(_iothread_users(root))
    return Tuning(
        vcpu_placement=clean(attribute(root, "vcpu", "cpuset") or ""),
        vcpu_slots=tuple(_slots(root.iterfind("vcpus/vcpu"))),
        topology=_topology(root.find("cpu/topology")),
        memory_ceiling_kib=None if ceiling is None else kib(ceiling, 0),
        slots=0 if ceiling is None else integer(ceiling.get("slots"), 0),
        memory_devices=tuple(_device(device) for device in root.iterfind("devices/memory")),
        balloon_period_s=integer(attribute(root, "devices/memballoon/stats", "period"), 0),
        iothread_ids=_iothreads(root),
        iothreads_in_use=tuple(sorted({number for number, _user in users})),
        iothread_users=users,
        iothreads_tuned=_tuned_iothreads(root),
        cells=tuple(_cells(root.iterfind("cpu/numa/cell"))),
        numatune=_numatune(root.find("numatune")),
        cpu=CpuTune() if cputune is None else _cputune(cputune),
        memory=_memtune(root.find("memtune")),
        hugepages_kib=tuple(_hugepages(root.find("memoryBacking/hugepages"))),
        memory_locked=root.find("memoryBacking/locked") is not None,
    )


def _number(element: ET.Element | None, path: str) -> int | None:
    text = None if element is None else element.findtext(path)
    try:
        return None if text is None else int(text.strip())
    except ValueError:
        return None


def _integer(text: str | None) -> int | None:
    return None if text is None else integer(text, 0)


def _slots(vcpus: Iterable[ET.Element]) -> Iterable[VcpuSlot]:
    for vcpu in vcpus:
        yield VcpuSlot(integer(vcpu.get("id"), 0), vcpu.get("enabled") == "yes", vcpu.get("hotpluggable") == "yes")


def _topology(element: ET.Element | None) -> Topology | None:
    if element is None:
        return None
    parts = {name: integer(element.get(name), 1) for name in ("sockets", "dies", "clusters", "cores", "threads")}
    return Topology(**parts)


def _device(element: ET.Element) -> MemoryDevice:
    target = element.find("target")
    target = ET.Element("target") if target is None else target
    block, requested, current = (target.find(name) for name in ("block", "requested", "current"))
    size, slot = target.find("size"), attribute(element, "address", "slot")
    return MemoryDevice(
        model=clean(element.get("model", "")),
        alias=clean(attribute(element, "alias", "name") or ""),
        size_kib=0 if size is None else kib(size, 0),
        node=_number(target, "node"),
        slot=_integer(slot),
        block_kib=None if block is None else kib(block, 0),
        requested_kib=None if requested is None else kib(requested, 0),
        current_kib=None if current is None else kib(current, 0),
        xml=ET.tostring(element, encoding="unicode").strip(),
    )


def _iothreads(root: ET.Element) -> tuple[int, ...]:
    """`<iothreadids>` may name fewer than `<iothreads>` says: the lowest free numbers are given to the others."""
    named = [integer(thread.get("id"), 0) for thread in root.iterfind("iothreadids/iothread")]
    count, number = integer(root.findtext("iothreads"), 0), 1
    while len(named) < count:
        if number not in named:
            named.append(number)
        number += 1
    return tuple(sorted(named))


def _iothread_users(root: ET.Element) -> Iterable[tuple[int, str]]:
    """By one thread for the whole device, or by several of which each has some queues."""
    for device in [*root.iterfind("devices/disk"), *root.iterfind("devices/controller")]:
        named = [attribute(device, "driver", "iothread")]
        named += [thread.get("id") for thread in device.iterfind("driver/iothreads/iothread")]
        for number in dict.fromkeys(integer(text, 0) for text in named if text is not None):
            if number > 0:
                yield number, _device_name(device)


def _device_name(device: ET.Element) -> str:
    if device.tag == "disk":
        return f"disk {clean(attribute(device, 'target', 'dev') or '?')}"
    return f"controller {clean(device.get('type', '?'))} {clean(device.get('index', '?'))}"


def _tuned_iothreads(root: ET.Element) -> tuple[int, ...]:
    threads = root.findall("iothreadids/iothread")
    found = {integer(thread.get("id"), 0) for thread in threads if len(thread) or set(thread.keys()) - {"id"}}
    for scheduler in root.iterfind("cputune/iothreadsched"):
        # A CPU list in form, as libvirt's parser takes it.
        with suppress(ValueError):
            found.update(parse_cpus(scheduler.get("iothreads", "")))
    return tuple(sorted(found))


def _cells(cells: Iterable[ET.Element]) -> Iterable[NumaCell]:
    for number, cell in enumerate(cells):
        memory = ET.Element("memory", unit=cell.get("unit", "KiB"))
        memory.text = cell.get("memory")
        yield NumaCell(integer(cell.get("id"), number), clean(cell.get("cpus", "")), kib(memory, 0))


def _numatune(element: ET.Element | None) -> NumaTune | None:
    if element is None:
        return None
    cells = [
        (integer(node.get("cellid"), 0), clean(node.get("mode", "")), clean(node.get("nodeset", "")))
        for node in element.iterfind("memnode")
    ]
    mode, nodes = attribute(element, "memory", "mode") or "", attribute(element, "memory", "nodeset") or ""
    return NumaTune(clean(mode), clean(nodes), tuple(cells))


def _cputune(element: ET.Element) -> CpuTune:
    return CpuTune(
        shares=_number(element, "shares"),
        period_us=_number(element, "period"),
        quota_us=_number(element, "quota"),
        global_period_us=_number(element, "global_period"),
        global_quota_us=_number(element, "global_quota"),
        emulator_period_us=_number(element, "emulator_period"),
        emulator_quota_us=_number(element, "emulator_quota"),
        iothread_period_us=_number(element, "iothread_period"),
        iothread_quota_us=_number(element, "iothread_quota"),
    )


def _memtune(element: ET.Element | None) -> MemTune:
    if element is None:
        return MemTune()
    return MemTune(
        hard_limit_kib=_limit(element.find("hard_limit")),
        soft_limit_kib=_limit(element.find("soft_limit")),
        swap_hard_limit_kib=_limit(element.find("swap_hard_limit")),
    )


def _limit(element: ET.Element | None) -> int | None:
    if element is None:
        return None
    limit = kib(element, 0)
    return None if limit >= UNLIMITED_KIB else limit


def _hugepages(element: ET.Element | None) -> Iterable[int]:
    if element is None:
        return
    pages = element.findall("page")
    if not pages:
        yield 0
    for page in pages:
        size = ET.Element("size", unit=page.get("unit", "KiB"))
        size.text = page.get("size")
        yield kib(size, 0)
