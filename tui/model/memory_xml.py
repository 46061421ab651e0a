"""The XML of memory devices and of the slots that they need, built and edited (https://libvirt.org/formatdomain.html)."""

from __future__ import annotations

import io
from contextlib import suppress
from xml.etree import ElementTree as ET

from tui.model.xml_values import integer, kib


def _sized(parent: ET.Element, tag: str, size_kib: int) -> None:
    ET.SubElement(parent, tag, unit="KiB").text = str(size_kib)


def dimm_xml(alias: str, size_kib: int, node: int) -> str:
    """Return the `<memory>` of a DIMM of `size_kib` for a guest NUMA node; `alias` begins with "ua-", the names that
    libvirt leaves to its users and keeps on both sides."""
    return _device_xml("dimm", alias, size_kib, node, None)


def virtio_mem_xml(alias: str, size_kib: int, node: int, block_kib: int, requested_kib: int) -> str:
    """Return the `<memory>` of a virtio-mem device: up to `size_kib`, in blocks, of which the guest is to take
    `requested_kib`; `alias` as of a DIMM."""
    return _device_xml("virtio-mem", alias, size_kib, node, (block_kib, requested_kib))


def _device_xml(model: str, alias: str, size_kib: int, node: int, virtio: tuple[int, int] | None) -> str:
    memory = ET.Element("memory", model=model)
    target = ET.SubElement(memory, "target")
    _sized(target, "size", size_kib)
    ET.SubElement(target, "node").text = str(node)
    if virtio is not None:
        _sized(target, "block", virtio[0])
        _sized(target, "requested", virtio[1])
    ET.SubElement(memory, "alias", name=alias)
    return ET.tostring(memory, encoding="unicode")


def with_requested(device: str, requested_kib: int) -> str:
    """Return the XML of a virtio-mem device with another requested size. Raises ValueError when it has none."""
    memory = ET.fromstring(device)
    requested = memory.find("target/requested")
    if requested is None:
        raise ValueError("it has no requested size")
    requested.set("unit", "KiB")
    requested.text = str(requested_kib)
    return ET.tostring(memory, encoding="unicode")


def with_slots(xml: str, ceiling_kib: int, slots: int) -> str:
    """Return a persistent domain XML with `<maxMemory slots=>`, and with one guest NUMA cell of all vCPUs and the
    memory that it boots with where it has no cell: libvirt (code 67) takes no slots without one. Raises ParseError."""
    root = _parse(xml)
    ceiling = root.find("maxMemory")
    if ceiling is None:
        ceiling = ET.Element("maxMemory")
        ceiling.tail = "\n  "
        memory = root.find("memory")
        root.insert(0 if memory is None else list(root).index(memory), ceiling)
    ceiling.set("slots", str(slots))
    ceiling.set("unit", "KiB")
    ceiling.text = str(ceiling_kib)
    if root.find("cpu/numa/cell") is None:
        _add_cell(root)
    return ET.tostring(root, encoding="unicode")


def without_slots(xml: str, *, cell: bool) -> str:
    """Return a persistent domain XML without `<maxMemory>`, and with `cell` without its only guest NUMA cell; of
    several, which somebody made since, all stay. Raises ParseError."""
    root = _parse(xml)
    for ceiling in root.findall("maxMemory"):
        root.remove(ceiling)
    cpu, numa = root.find("cpu"), root.find("cpu/numa")
    if cell and cpu is not None and numa is not None and len(numa) == 1:
        cpu.remove(numa)
    return ET.tostring(root, encoding="unicode")


def _add_cell(root: ET.Element) -> None:
    cpu = root.find("cpu")
    if cpu is None:
        cpu = ET.SubElement(root, "cpu")
    numa = cpu.find("numa")
    if numa is None:
        numa = ET.SubElement(cpu, "numa")
    last = integer(root.findtext("vcpu"), 1) - 1
    plugged = sum(kib(size, 0) for size in root.iterfind("devices/memory/target/size"))
    cell = ET.SubElement(numa, "cell", id="0", cpus=f"0-{last}" if last > 0 else "0", unit="KiB")
    cell.set("memory", str(kib(root.find("memory"), 0) - plugged))


def _parse(xml: str) -> ET.Element:
    """The root. Prefixes stay as they are when it is written again, those of other programs' metadata above all; one
    that ElementTree keeps to itself is replaced, which means the same."""
    for _event, (prefix, uri) in ET.iterparse(io.StringIO(xml), events=["start-ns"]):
        if prefix:
            with suppress(ValueError):
                ET.register_namespace(prefix, uri)
    return ET.fromstring(xml)
