"""Domain XML (https://libvirt.org/formatdomain.html) to DomainConfig, and the differences of two of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from xml.etree import ElementTree as ET

from tui.model import units
from tui.model.disk_source import location_of
from tui.model.disk_xml import iotune_of
from tui.model.domain_config import AgentChannel, Difference, Disk, DomainConfig, Nic
from tui.model.nic_xml import bandwidth_of
from tui.model.pcie import free_ports, pcie_buses
from tui.model.text import clean
from tui.model.tuning_differences import tuning_differences
from tui.model.tuning_xml import parse_tuning
from tui.model.xml_values import attribute, integer, kib

_AGENT_CHANNEL = "org.qemu.guest_agent.0"


def parse_domain_xml(xml: str) -> DomainConfig:
    """Return what virtdeck uses of a domain XML; raises xml.etree.ElementTree.ParseError when it is not XML."""
    root = ET.fromstring(xml)
    devices = root.find("devices")
    devices = ET.Element("devices") if devices is None else devices
    vcpus_max = integer(root.findtext("vcpu"), 1)
    memory_max = kib(root.find("memory"), 0)
    os = root.find("os")
    os = ET.Element("os") if os is None else os
    kind = os.find("type")
    nvram = (os.findtext("nvram") or "").strip()
    return DomainConfig(
        title=clean((root.findtext("title") or "").strip()),
        raw_title=root.findtext("title") or "",
        description=clean((root.findtext("description") or "").strip()),
        raw_description=root.findtext("description") or "",
        vcpus=integer(attribute(root, "vcpu", "current"), vcpus_max),
        vcpus_max=vcpus_max,
        vcpu_pins=tuple(_pins(root.find("cputune"))),
        # The test driver says 0 for domains that it found running.
        memory_kib=kib(root.find("currentMemory"), memory_max) or memory_max,
        memory_max_kib=memory_max,
        virt_type=clean(root.get("type", "")),
        architecture=clean(kind.get("arch", "") if kind is not None else ""),
        machine=clean(kind.get("machine", "") if kind is not None else ""),
        emulator=clean((devices.findtext("emulator") or "").strip()),
        firmware="uefi" if os.get("firmware") == "efi" or os.find("loader[@type='pflash']") is not None else "bios",
        nvram=clean(nvram),
        raw_nvram=nvram,
        cpu_mode=clean(attribute(root, "cpu", "mode") or ""),
        iothreads=integer(root.findtext("iothreads"), 0),
        balloon=clean(attribute(devices, "memballoon", "model") or ""),
        disks=tuple(_disk(disk) for disk in devices.iterfind("disk")),
        nics=tuple(_nic(nic) for nic in devices.iterfind("interface")),
        graphics=tuple(_graphics(graphics) for graphics in devices.iterfind("graphics")),
        agent=_agent(devices.iterfind("channel")),
        tpm=devices.find("tpm") is not None,
        tuning=parse_tuning(root),
        free_slots=free_ports(root),
        controllers=frozenset(clean(found.get("type", "")) for found in devices.iterfind("controller")),
        pcie_buses=pcie_buses(root),
    )


def _pins(cputune: ET.Element | None) -> Iterable[tuple[str, str]]:
    if cputune is None:
        return
    for pin in cputune:
        cpus = clean(pin.get("cpuset", ""))
        if pin.tag == "vcpupin":
            yield f"vcpu {clean(pin.get('vcpu', '?'))}", cpus
        elif pin.tag == "emulatorpin":
            yield "emulator", cpus
        elif pin.tag == "iothreadpin":
            yield f"iothread {clean(pin.get('iothread', '?'))}", cpus


def _disk(disk: ET.Element) -> Disk:
    source = disk.find("source")
    raw_source = location_of(source)
    return Disk(
        target=clean(attribute(disk, "target", "dev") or "?"),
        bus=clean(attribute(disk, "target", "bus") or ""),
        device=clean(disk.get("device", "disk")),
        source_kind=clean(disk.get("type", "")),
        source=clean(raw_source),
        raw_source=raw_source,
        format=clean(attribute(disk, "driver", "type") or ""),
        read_only=disk.find("readonly") is not None,
        shareable=disk.find("shareable") is not None,
        cache=clean(attribute(disk, "driver", "cache") or ""),
        serial=clean(disk.findtext("serial") or ""),
        raw_backing=tuple(_backing(disk)),
        discard=clean(attribute(disk, "driver", "discard") or ""),
        io=clean(attribute(disk, "driver", "io") or ""),
        iothread=integer(attribute(disk, "driver", "iothread"), 0) or None,
        iotune=iotune_of(disk),
        iotune_group=clean((disk.findtext("iotune/group_name") or "").strip()),
        raw_mirror=location_of(disk.find("mirror/source")),
        xml=ET.tostring(disk, encoding="unicode").strip(),
    )


def _backing(disk: ET.Element) -> Iterable[str]:
    """The sources of the nested `<backingStore>` elements; an empty one ends the chain."""
    layer = disk.find("backingStore")
    while layer is not None and (source := layer.find("source")) is not None:
        yield location_of(source)
        layer = layer.find("backingStore")


def _nic(nic: ET.Element) -> Nic:
    source = nic.find("source")
    # While it runs, libvirt shows a NIC of a network as what the network made of it (bridge, direct, hostdev).
    network = source is not None and "network" in source.attrib
    kind = "network" if network else nic.get("type", "")
    names = () if source is None else (source.get(key) for key in (kind, "network", "bridge", "dev", "path", "name"))
    raw_source = next((name for name in names if name), "")
    raw_target = attribute(nic, "target", "dev") or ""
    return Nic(
        mac=clean(attribute(nic, "mac", "address") or "?"),
        kind=clean(kind),
        source=clean(raw_source),
        model=clean(attribute(nic, "model", "type") or ""),
        target=clean(raw_target),
        link_up=attribute(nic, "link", "state") != "down",
        virtualport=clean(attribute(nic, "virtualport", "type") or ""),
        vlan=",".join(clean(tag.get("id", "?")) for tag in nic.iterfind("vlan/tag")),
        raw_source=raw_source,
        raw_target=raw_target,
        portgroup=clean(attribute(nic, "source", "portgroup") or ""),
        mode=clean(attribute(nic, "source", "mode") or ""),
        bandwidth=bandwidth_of(nic),
        mtu=integer(attribute(nic, "mtu", "size"), 0) or None,
        xml=ET.tostring(nic, encoding="unicode").strip(),
    )


def _graphics(graphics: ET.Element) -> str:
    listen = graphics.get("listen") or attribute(graphics, "listen", "address") or ""
    port = graphics.get("port", "")
    where = f"{listen}:{port}" if port and port != "-1" else listen
    return clean(" ".join(part for part in (graphics.get("type", ""), where) if part))


def _agent(channels: Iterable[ET.Element]) -> AgentChannel | None:
    for channel in channels:
        target = channel.find("target")
        if target is not None and target.get("name") == _AGENT_CHANNEL:
            state = target.get("state")
            return AgentChannel(connected=None if state is None else state == "connected")
    return None


def differences(live: DomainConfig, persistent: DomainConfig) -> tuple[Difference, ...]:
    """Return what the next boot will change of sizes, vCPUs, pins, tuning, texts, machine, firmware, TPM, agent
    channel, graphics, disks and NICs; () when none of these differs. Other devices, features and the CPU model are not
    compared: libvirt itself rewrites them in the live XML."""
    pairs = [
        ("vCPUs", str(live.vcpus), str(persistent.vcpus)),
        ("maximum vCPUs", str(live.vcpus_max), str(persistent.vcpus_max)),
        ("memory", units.size(live.memory_kib), units.size(persistent.memory_kib)),
        ("maximum memory", units.size(live.memory_max_kib), units.size(persistent.memory_max_kib)),
        ("I/O threads", str(live.iothreads), str(persistent.iothreads)),
        ("machine", live.machine, persistent.machine),
        ("balloon", live.balloon, persistent.balloon),
        ("firmware", live.firmware, persistent.firmware),
        # Where none is named the start makes one up, in the live XML alone.
        ("nvram", live.nvram, persistent.nvram or live.nvram),
        ("TPM", _there(live.tpm), _there(persistent.tpm)),
        ("agent channel", _there(live.agent is not None), _there(persistent.agent is not None)),
    ]
    return (
        *(Difference(what, now, later) for what, now, later in pairs if now != later),
        *_text_differences(live, persistent),
        *tuning_differences(live.tuning, persistent.tuning),
        *_set_differences("pin", dict(live.vcpu_pins), dict(persistent.vcpu_pins)),
        *_graphics_differences(live.graphics, persistent.graphics),
        *_set_differences("disk", _disk_words(live.disks), _disk_words(persistent.disks)),
        *_set_differences("NIC", _nic_words(live.nics, persistent.nics), _nic_words(persistent.nics, persistent.nics)),
    )


def _there(present: bool) -> str:
    return "present" if present else "none"


def _text_differences(live: DomainConfig, persistent: DomainConfig) -> Iterable[Difference]:
    """Title and description; the raw text goes with them, for undo to put back."""
    if live.raw_title != persistent.raw_title:
        yield Difference("title", live.title, persistent.title, persistent.raw_title)
    if live.raw_description != persistent.raw_description:
        yield Difference("description", live.description, persistent.description, persistent.raw_description)


def _graphics_differences(live: tuple[str, ...], persistent: tuple[str, ...]) -> Iterable[Difference]:
    """Address and port count where the persistent XML says them: the start chooses what is left open."""
    for now, later in zip_longest(live, persistent, fillvalue="none"):
        kind, _, where = later.partition(" ")
        if now.partition(" ")[0] != kind or where not in now:
            yield Difference("graphics", now, later)


def _set_differences(what: str, live: dict[str, str], persistent: dict[str, str]) -> list[Difference]:
    return [
        Difference(f"{what} {name}", live.get(name, "none"), persistent.get(name, "none"))
        for name in dict.fromkeys([*live, *persistent])
        if live.get(name) != persistent.get(name)
    ]


def _words(*words: str) -> str:
    return " ".join(filter(None, words))


def _disk_words(disks: tuple[Disk, ...]) -> dict[str, str]:
    return {
        disk.target: _words(
            disk.bus,
            # Of an empty drive only the persistent XML says a format.
            disk.format if disk.source else "",
            disk.source or "empty",
            disk.cache and f"cache {disk.cache}",
            "read-only" if disk.read_only else "",
            "shareable" if disk.shareable else "",
            disk.serial and f"serial {disk.serial}",
            disk.discard and f"discard {disk.discard}",
            disk.io and f"io {disk.io}",
            f"iothread {disk.iothread}" if disk.iothread else "",
            *(f"{name} {value}" for name, value in disk.iotune),
        )
        for disk in disks
    }


def _nic_words(nics: tuple[Nic, ...], persistent: tuple[Nic, ...]) -> dict[str, str]:
    """What a NIC of a network does not say of VLAN and port in the persistent XML, the network says at the start."""
    left_open = {
        (nic.mac, what)
        for nic in persistent
        if nic.kind == "network"
        for what, value in (("vlan", nic.vlan), ("virtualport", nic.virtualport))
        if not value
    }
    return {
        nic.mac: _words(
            nic.kind,
            nic.source,
            nic.model,
            "" if nic.link_up else "link down",
            f"vlan {nic.vlan}" if nic.vlan and (nic.mac, "vlan") not in left_open else "",
            nic.virtualport if (nic.mac, "virtualport") not in left_open else "",
            *(f"{name} {value}" for name, value in nic.bandwidth),
        )
        for nic in nics
    }
