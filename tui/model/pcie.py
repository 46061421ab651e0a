"""PCI and PCIe slots of a domain: how many are free for hot-plug, and more root ports for the next boot.

Source: virDomainPCIAddressBusSetModel of libvirt (src/conf/domain_addr.c) says what fits where; each was tried."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from tui.model.xml_edit import parse_for_edit
from tui.model.xml_values import attribute

ROOT_PORT = "pcie-root-port"
MOST_BUSES = 256
"""A bus has a number of 8 bits."""

_PORTS = (ROOT_PORT, "pcie-switch-downstream-port")
_SLOTTED = ("pci-root", "pci-bridge")
_SLOTS = range(1, 32)
# PIIX3 has slot 1, whether the XML shows devices of it or not.
_PIIX_TAKEN = frozenset({1})
_PIIX = re.compile(r"pc(-i440fx-.*|-[01]\.\d+)?")


@dataclass(frozen=True, slots=True)
class _Bus:
    """A PCI controller: its number as a bus, its model, whether things can be plugged into it while it runs."""

    number: int
    model: str
    hotplug: bool


def free_ports(root: ET.Element) -> int | None:
    """Return how many virtio disks, NICs and the like can yet be plugged into the running domain of this `<domain>`:
    on q35 and virt its free PCIe root ports, on i440fx its free PCI slots. None: it has no PCI, or devices of this
    architecture are not plugged into it (s390x: CCW)."""
    if (attribute(root, "os/type", "arch") or "").startswith("s390"):
        return None
    buses = list(_buses(root))
    taken = _taken(root)
    if any(bus.model == "pcie-root" for bus in buses):
        return sum(bus.model in _PORTS and bus.hotplug and bus.number not in taken for bus in buses)
    if not any(bus.model == "pci-root" for bus in buses):
        return None
    if _PIIX.fullmatch(attribute(root, "os/type", "machine") or ""):
        taken[0] = taken.get(0, frozenset()) | _PIIX_TAKEN
    return sum(
        _free_slots(taken.get(bus.number, frozenset())) for bus in buses if bus.model in _SLOTTED and bus.hotplug
    )


def _free_slots(taken: frozenset[int]) -> int:
    return len(set(_SLOTS) - taken)


def _buses(root: ET.Element) -> Iterable[_Bus]:
    for controller in root.iterfind("devices/controller[@type='pci']"):
        number = _number(controller.get("index"))
        if number is not None:
            hotplug = attribute(controller, "target", "hotplug") != "off"
            yield _Bus(number, controller.get("model", ""), hotplug)


def _taken(root: ET.Element) -> dict[int, frozenset[int]]:
    """The slots that something sits in, by bus. The address of a device is its own child: those deeper down are of
    the host."""
    found: dict[int, frozenset[int]] = {}
    for device in root.iterfind("devices/*"):
        address = device.find("address[@type='pci']")
        if address is None:
            continue
        bus, slot = _number(address.get("bus")), _number(address.get("slot"))
        if bus is not None and slot is not None:
            found[bus] = found.get(bus, frozenset()) | {slot}
    return found


def _number(text: str | None) -> int | None:
    """A number as libvirt writes it, 10 or 0x0a."""
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None


def pcie_buses(root: ET.Element) -> frozenset[int] | None:
    """Return the numbers of all PCI controllers of a `<domain>` whose machine takes PCIe root ports; None: it takes
    none."""
    buses = list(_buses(root))
    return frozenset(bus.number for bus in buses) if any(bus.model == "pcie-root" for bus in buses) else None


def with_ports(xml: str, numbers: Sequence[int]) -> str:
    """Return a persistent domain XML with a PCIe root port more for each number. Raises ParseError, and ValueError
    when one is there already."""
    root = parse_for_edit(xml)
    devices = root.find("devices")
    buses = pcie_buses(root)
    if devices is None or buses is None or buses & set(numbers):
        raise ValueError("its PCI controllers are not what they were")
    at = max((place for place, device in enumerate(devices) if device.get("type") == "pci"), default=-1) + 1
    for offset, number in enumerate(numbers):
        port = ET.Element("controller", type="pci", index=str(number), model=ROOT_PORT)
        port.tail = "\n    "
        devices.insert(at + offset, port)
    return ET.tostring(root, encoding="unicode")


def without_ports(xml: str, numbers: Sequence[int]) -> str:
    """Return a persistent domain XML without the PCIe root ports of these numbers; those that are gone are no matter.
    Raises ParseError, and ValueError when something was plugged into one, or controllers came after them: libvirt
    fills a gap in the numbers with a port again."""
    root = parse_for_edit(xml)
    used = sorted(_taken(root).keys() & set(numbers))
    if used:
        raise ValueError(f"a device is in root port {used[0]}")
    if later := [number for number in pcie_buses(root) or () if number > max(numbers)]:
        raise ValueError(f"PCI controller {min(later)} was added after them")
    devices = root.find("devices")
    for controller in root.findall("devices/controller[@type='pci']"):
        mine = controller.get("model") == ROOT_PORT and _number(controller.get("index")) in numbers
        if mine and devices is not None:
            devices.remove(controller)
    return ET.tostring(root, encoding="unicode")
