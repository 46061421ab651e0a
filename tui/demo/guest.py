"""A guest of the demo host, and its <domain> element."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from copy import deepcopy
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from tui.demo.nodes import INVENTORY_NAMESPACE, OSINFO_NAMESPACE, child, mac_of, own, tap_of, uuid_of

if TYPE_CHECKING:
    from tui.demo.storage import Disk

_MIB_PER_GIB = 1024


class State(IntEnum):
    """virDomainState, as test:runstate takes it."""

    RUNNING = 1
    BLOCKED = 2
    PAUSED = 3
    SHUTDOWN = 4
    SHUTOFF = 5
    CRASHED = 6
    PMSUSPENDED = 7


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC on a libvirt network, on a bridge of the host or (kind "direct") on a link of it; `vlan` makes it a port
    of Open vSwitch. The network must have an <ip>: libvirt 9.0's test driver reads the addresses of a NIC from there
    without looking whether there is one, and crashes the process."""

    source: str
    kind: str = "network"
    vlan: int | None = None
    model: str = "virtio"


@dataclass(frozen=True, slots=True)
class Guest:
    """What the demo says of one domain; memory in GiB."""

    name: str
    title: str = ""
    description: str = ""
    state: State = State.RUNNING
    vcpus: int = 2
    vcpus_now: int | None = None
    memory: float = 4
    memory_now: float | None = None
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    autostart: bool = False
    transient: bool = False
    managed_save: bool = False
    snapshots: tuple[str, ...] = ()
    """Names, oldest first, each the parent of the next; the last one is current."""
    machine: str = "pc-q35-7.2"
    os: str = "http://debian.org/debian/12"
    windows: bool = False
    pins: tuple[str, ...] = ()
    """Host CPUs of vCPU 0, 1, ..."""
    emulator_pin: str = ""
    iothreads: int = 0
    numa_cells: int = 0
    owner: str = ""


def domain_element(guest: Guest) -> ET.Element:
    """Return the <domain> of `guest` with what the test driver reads beside it: state and snapshots."""
    domain = _definition(guest)
    snapshots = [_snapshot(guest, domain, index) for index in range(len(guest.snapshots))]
    child(domain, own("runstate"), int(guest.state))
    if guest.transient:
        child(domain, own("transient"))
    if guest.managed_save:
        child(domain, own("hasmanagedsave"))
    domain.extend(snapshots)
    return domain


def _definition(guest: Guest) -> ET.Element:
    domain = ET.Element("domain", type="kvm")
    child(domain, "name", guest.name)
    child(domain, "uuid", uuid_of("domain", guest.name))
    if guest.title:
        child(domain, "title", guest.title)
    if guest.description:
        child(domain, "description", guest.description)
    _metadata(domain, guest)
    _memory(domain, guest)
    _vcpus(domain, guest)
    _firmware(domain, guest)
    _cpu(domain, guest)
    _devices(domain, guest)
    return domain


def _metadata(domain: ET.Element, guest: Guest) -> None:
    metadata = child(domain, "metadata")
    info = child(metadata, f"{{{OSINFO_NAMESPACE}}}libosinfo")
    child(info, f"{{{OSINFO_NAMESPACE}}}os", id=guest.os)
    if guest.owner:
        record = child(metadata, f"{{{INVENTORY_NAMESPACE}}}record")
        child(record, f"{{{INVENTORY_NAMESPACE}}}owner", guest.owner)


def _memory(domain: ET.Element, guest: Guest) -> None:
    child(domain, "memory", int(guest.memory * _MIB_PER_GIB), unit="MiB")
    now = guest.memory if guest.memory_now is None else guest.memory_now
    child(domain, "currentMemory", int(now * _MIB_PER_GIB), unit="MiB")
    if guest.numa_cells:
        child(child(child(domain, "memoryBacking"), "hugepages"), "page", size=2048, unit="KiB")
        child(child(domain, "numatune"), "memory", mode="strict", nodeset="0")


def _vcpus(domain: ET.Element, guest: Guest) -> None:
    vcpu = child(domain, "vcpu", guest.vcpus, placement="static")
    if guest.vcpus_now is not None:
        vcpu.set("current", str(guest.vcpus_now))
    if guest.iothreads:
        child(domain, "iothreads", guest.iothreads)
    if not (guest.pins or guest.emulator_pin):
        return
    tune = child(domain, "cputune")
    for index, cpus in enumerate(guest.pins):
        child(tune, "vcpupin", vcpu=index, cpuset=cpus)
    if guest.emulator_pin:
        child(tune, "emulatorpin", cpuset=guest.emulator_pin)
        for index in range(guest.iothreads):
            child(tune, "iothreadpin", iothread=index + 1, cpuset=guest.emulator_pin)


def _firmware(domain: ET.Element, guest: Guest) -> None:
    system = child(domain, "os")
    child(system, "type", "hvm", arch="x86_64", machine=guest.machine)
    if guest.windows and "q35" in guest.machine:
        child(system, "loader", "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", readonly="yes", secure="yes", type="pflash")
        child(system, "nvram", f"/var/lib/libvirt/qemu/nvram/{guest.name}_VARS.fd")
    child(system, "boot", dev="hd")
    features = child(domain, "features")
    for name in ("acpi", "apic"):
        child(features, name)
    if guest.windows:
        child(child(features, "hyperv"), "relaxed", state="on")
        child(features, "smm", state="on")


def _cpu(domain: ET.Element, guest: Guest) -> None:
    cpu = child(domain, "cpu", mode="host-passthrough", check="none", migratable="on")
    if guest.numa_cells:
        cells, each = child(cpu, "numa"), guest.vcpus // guest.numa_cells
        for index in range(guest.numa_cells):
            cpus, memory = f"{index * each}-{(index + 1) * each - 1}", int(guest.memory / guest.numa_cells)
            child(cells, "cell", id=index, cpus=cpus, memory=memory, unit="GiB")
    child(domain, "clock", offset="localtime" if guest.windows else "utc")
    child(domain, "on_crash", "restart")


def _devices(domain: ET.Element, guest: Guest) -> None:
    devices = child(domain, "devices")
    child(devices, "emulator", "/usr/bin/qemu-system-x86_64")
    for index, disk in enumerate(guest.disks):
        _disk(devices, disk, index, guest.iothreads)
    for index, nic in enumerate(guest.nics):
        _nic(devices, nic, mac_of(guest.name, index), tap_of(guest.name, index))
    if guest.windows:
        child(child(devices, "tpm", model="tpm-crb"), "backend", type="emulator", version="2.0")
        child(devices, "input", type="tablet", bus="usb")
    child(child(devices, "console", type="pty"), "target", type="serial", port=0)
    channel = child(devices, "channel", type="unix")
    child(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    child(devices, "graphics", type="spice" if guest.windows else "vnc", port=-1, autoport="yes", listen="127.0.0.1")
    child(child(devices, "video"), "model", type="qxl" if guest.windows else "virtio")
    child(child(devices, "memballoon", model="virtio"), "stats", period=5)
    child(child(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")


def _disk(devices: ET.Element, disk: Disk, index: int, iothreads: int) -> None:
    element = child(devices, "disk", type=disk.source_type, device=disk.device)
    driver = child(element, "driver", name="qemu", type=disk.format)
    if disk.bus == "virtio" and iothreads:
        driver.set("iothread", str(index % iothreads + 1))
    for name, value in disk.source.items():
        source = element.find("source")
        (child(element, "source") if source is None else source).set(name, value)
    prefix = {"virtio": "vd", "ide": "hd"}.get(disk.bus, "sd")
    child(element, "target", dev=prefix + chr(ord("a") + index), bus=disk.bus)
    if disk.device == "cdrom":
        child(element, "readonly")


def _nic(devices: ET.Element, nic: Nic, mac: str, tap: str) -> None:
    interface = child(devices, "interface", type=nic.kind)
    child(interface, "mac", address=mac)
    source = child(interface, "source", **{"dev" if nic.kind == "direct" else nic.kind: nic.source})
    if nic.kind == "direct":
        source.set("mode", "bridge")
    child(interface, "target", dev=tap)
    child(interface, "model", type=nic.model)
    if nic.vlan is not None:
        child(child(interface, "vlan"), "tag", id=nic.vlan)
        child(interface, "virtualport", type="openvswitch")


def _snapshot(guest: Guest, domain: ET.Element, index: int) -> ET.Element:
    """Return the snapshot `index` of a guest whose definition was then the same as now."""
    snapshot = ET.Element(own("domainsnapshot"))
    child(snapshot, "name", guest.snapshots[index])
    child(snapshot, "description", f"Before change {index + 1}")
    child(snapshot, "state", "shutoff")
    if index:
        child(child(snapshot, "parent"), "name", guest.snapshots[index - 1])
    child(snapshot, "creationTime", 1_767_000_000 + index * 86_400)
    child(snapshot, "memory", snapshot="no")
    child(snapshot, "active", int(index == len(guest.snapshots) - 1))
    snapshot.append(deepcopy(domain))
    return snapshot
