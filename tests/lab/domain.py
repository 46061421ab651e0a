"""The XML of the lab's domains, disks, NICs and networks, built as elements."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.lab.guest import COMMAND_LINE, NO_ACPI, GuestImage

ROOT_PORTS = 8
"""PCIe slots of a q35 guest: balloon, agent and first NIC take one each, the others are free for hot-plug."""

DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"


@dataclass(frozen=True, slots=True)
class LabDomain:
    """A domain as it was defined."""

    name: str
    uuid: str
    xml: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What a test may choose of a domain; memory in MiB."""

    name: str
    memory_mib: int = 96
    vcpus: int = 1
    vcpus_max: int | None = None
    max_memory_mib: int | None = None
    machine: str = "q35"
    agent: bool = False
    network: str | None = None
    acpi: bool = True
    on_crash: str = "destroy"
    devices: tuple[ET.Element, ...] = ()
    metadata: tuple[ET.Element, ...] = ()


def element(tag: str, *children: ET.Element, text: str | None = None, **attributes: str) -> ET.Element:
    """An element with its children; a trailing underscore of an attribute's name falls away (`type`, `in_`)."""
    made = ET.Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    made.text = text
    made.extend(children)
    return made


def guest_xml(shape: Shape, image: GuestImage, emulator: str, log: Path) -> ET.Element:
    """A domain that boots the lab's guest directly; its serial console is also logged, anew at each start of QEMU."""
    line = COMMAND_LINE if shape.acpi else f"{COMMAND_LINE} {NO_ACPI}"
    boot = [
        element("kernel", text=str(image.kernel)),
        element("initrd", text=str(image.initrd)),
        element("cmdline", text=line),
    ]
    devices = [
        element("serial", element("log", file=str(log), append="off"), type="pty"),
        element("memballoon", element("stats", period="1"), model="virtio"),
        *([_agent_channel()] if shape.agent else []),
        *([nic_xml(shape.network)] if shape.network else []),
    ]
    return _domain(shape, emulator, boot, devices)


def blank_xml(shape: Shape, emulator: str) -> ET.Element:
    """A domain with nothing to boot: a firmware that finds no disk and idles."""
    return _domain(shape, emulator, [], [element("memballoon", model="none")])


def _domain(shape: Shape, emulator: str, boot: Iterable[ET.Element], devices: Iterable[ET.Element]) -> ET.Element:
    """The parts that every domain has: QEMU's emulation, ACPI, a fixed action at power off and crash."""
    parts = [
        element("name", text=shape.name),
        element("uuid", text=str(uuid.uuid4())),
        *([element("metadata", *shape.metadata)] if shape.metadata else []),
        *_memory(shape),
        element("vcpu", text=str(shape.vcpus_max or shape.vcpus), current=str(shape.vcpus)),
        element("os", element("type", text="hvm", arch="x86_64", machine=shape.machine), *boot),
        element("features", element("acpi"), element("apic")),
        *([_numa(shape)] if shape.max_memory_mib else []),
        element("on_poweroff", text="destroy"),
        element("on_reboot", text="restart"),
        element("on_crash", text=shape.on_crash),
        element("devices", element("emulator", text=emulator), *_controllers(shape), *devices, *shape.devices),
    ]
    return element("domain", *parts, type="qemu")


def _memory(shape: Shape) -> list[ET.Element]:
    """The memory, and 4 slots for DIMMs where a larger maximum is asked for."""
    memory = [element("memory", text=str(shape.memory_mib), unit="MiB")]
    if shape.max_memory_mib:
        memory.insert(0, element("maxMemory", text=str(shape.max_memory_mib), unit="MiB", slots="4"))
    return memory


def _numa(shape: Shape) -> ET.Element:
    """One NUMA cell with all vCPUs and memory: libvirt plugs DIMMs into cells only."""
    last = (shape.vcpus_max or shape.vcpus) - 1
    cell = element("cell", id="0", cpus=f"0-{last}", memory=str(shape.memory_mib), unit="MiB")
    return element("cpu", element("numa", cell))


def _controllers(shape: Shape) -> list[ET.Element]:
    """No USB; on q35 root ports for hot-plug."""
    usb = element("controller", type="usb", model="none")
    if not shape.machine.startswith("q35"):
        return [usb]
    root = element("controller", type="pci", index="0", model="pcie-root")
    ports = (element("controller", type="pci", model="pcie-root-port") for _ in range(ROOT_PORTS))
    return [usb, root, *ports]


def _agent_channel() -> ET.Element:
    """The virtio channel that qemu-ga listens on."""
    return element("channel", element("target", type="virtio", name="org.qemu.guest_agent.0"), type="unix")


def nic_xml(network: str, *, mac: str | None = None) -> ET.Element:
    """A virtio NIC in a libvirt network."""
    address = [element("mac", address=mac)] if mac else []
    return element(
        "interface", *address, element("source", network=network), element("model", type="virtio"), type="network"
    )


def disk_xml(path: Path, target: str, *, bus: str = "virtio", kind: str = "qcow2") -> ET.Element:
    """A disk from an image file, as `target` (vda) on a bus."""
    return element(
        "disk",
        element("driver", name="qemu", type=kind),
        element("source", file=str(path)),
        element("target", dev=target, bus=bus),
        type="file",
        device="disk",
    )


def network_xml(name: str, bridge: str, subnet: int, *, forward: str | None = None) -> ET.Element:
    """A network 10.77.SUBNET.0/24 with DHCP whose bridge forwards and whose leases come at once."""
    ET.register_namespace("dnsmasq", DNSMASQ)
    pool = element("range", start=f"10.77.{subnet}.10", end=f"10.77.{subnet}.200")
    return element(
        "network",
        element("name", text=name),
        *([element("forward", mode=forward)] if forward else []),
        element("bridge", name=bridge, stp="off", delay="0"),
        element("ip", element("dhcp", pool), address=f"10.77.{subnet}.1", netmask="255.255.255.0"),
        element(f"{{{DNSMASQ}}}options", element(f"{{{DNSMASQ}}}option", value="no-ping")),
    )


def text(xml: ET.Element) -> str:
    """The element as XML text."""
    return ET.tostring(xml, encoding="unicode")
