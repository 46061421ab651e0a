"""Cases of tests/lab/test_twins.py: memory_devices. Guests boot where a device has to leave a running one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import libvirt

from tests.lab.actions import Seen
from tests.lab.domain import Shape, blank_xml, guest_xml
from tests.lab.guest import READY, guest_image
from tests.lab.namespaces import wait_until
from tests.lab.twins import Case, Make, Twin, off, running
from tui.model.memory_xml import dimm_xml, virtio_mem_xml

_MIB = 1024
_SIDES = {True: libvirt.VIR_DOMAIN_AFFECT_LIVE, False: libvirt.VIR_DOMAIN_AFFECT_CONFIG}

DIMM = dimm_xml("ua-dimm0", 128 * _MIB, 0)
UNNAMED = dimm_xml("", 128 * _MIB, 0)
VIRTIO = virtio_mem_xml("ua-virtiomem0", 256 * _MIB, 0, 2 * _MIB, 128 * _MIB)
UNNAMED_VIRTIO = virtio_mem_xml("", 256 * _MIB, 0, 2 * _MIB, 128 * _MIB)


def _named(root: ET.Element, twin: Twin) -> ET.Element:
    uuid = root.find("uuid")
    assert uuid is not None
    uuid.text = twin.uuid
    return root


def slotted(*devices: str, start: bool = False) -> Make:
    """A domain with nothing to boot, 4 slots, and devices in its persistent XML; with `start` it runs."""

    def make(twin: Twin) -> None:
        shape = Shape(name=twin.name, memory_mib=16, max_memory_mib=1024, machine="pc")
        twin.lab.define(_named(blank_xml(shape, twin.lab.emulator), twin))
        plug(twin, devices, live=False)
        if start:
            twin.virsh("start")

    return make


def guest(*devices: str, persistent: bool = True, module: bool = False) -> Make:
    """A guest that runs, with 4 slots, and devices plugged into it since; `module`: with the driver of virtio-mem."""

    def make(twin: Twin) -> None:
        log = twin.lab.root / "console" / f"{twin.uuid}.log"
        shape = Shape(name=twin.name, memory_mib=128, max_memory_mib=1024)
        twin.lab.define(_named(guest_xml(shape, guest_image(), twin.lab.emulator, log), twin), start=True)
        wait_until(lambda: log.exists() and READY in log.read_text(errors="replace"), "the guest to boot", timeout=90)
        if module:
            with twin.lab.console(twin.name) as console:
                assert console.run("modload virtio_mem")[0] == 0
        plug(twin, devices, live=True)
        plug(twin, devices if persistent else (), live=False)
        if VIRTIO in devices:
            wait_until(lambda: current(128)(twin.seen()), "the guest to take its memory", timeout=30)

    return make


def plug(twin: Twin, devices: tuple[str, ...], *, live: bool) -> None:
    """Attach devices to one side."""
    with twin.lab.connect() as connection:
        found = connection.lookupByName(twin.name)
        for device in devices:
            found.attachDeviceFlags(device, _SIDES[live])


def devices(model: str, live: int, persistent: int) -> Callable[[Seen], bool]:
    """Whether both sides have so many devices of a model."""
    start = f"<memory model='{model}'"
    return lambda seen: (seen.live.count(start), seen.config.count(start)) == (live, persistent)


def current(mib: int) -> Callable[[Seen], bool]:
    """Whether the guest has taken so much of a virtio-mem device."""
    return has_text(f"<current unit='KiB'>{mib * _MIB}<", "live")


def requested(mib: int, *sides: str) -> Callable[[Seen], bool]:
    """Whether so much is requested of a virtio-mem device on these sides."""
    return has_text(f"<requested unit='KiB'>{mib * _MIB}<", *sides)


def has_text(words: str, *sides: str) -> Callable[[Seen], bool]:
    """Whether the XML of each of the sides has the words."""
    return lambda seen: all(words in getattr(seen, "config" if side == "persistent" else side) for side in sides)


def every(*parts: Callable[[Seen], bool]) -> Callable[[Seen], bool]:
    """Whether all of it is so."""
    return lambda seen: all(part(seen) for part in parts)


def without_virtio(seen: Seen) -> Seen:
    """All but the running one's virtio-mem, which QEMU does not unplug, and what it adds to the memory."""
    live = re.sub(r"\s*<memory model='virtio-mem'>.*?</memory>", "", seen.live, flags=re.DOTALL)
    return replace(seen, live=re.sub(r"(<memory unit='KiB')>\d+<", r"\1><", live))


_128 = {"size": "128M"}
_HALF = {"model": "virtio-mem", "size": "256M", "requested": "50%"}

CASES: tuple[Case, ...] = (
    Case(
        "domain.memory-attach", "dimm-persistent", slotted(), devices("dimm", 0, 1),
        {**_128, "where": "persistent"}, undo=True,
    ),
    Case("domain.memory-attach", "dimm-both", guest(), devices("dimm", 1, 1), {**_128, "where": "both"}, undo=True),
    Case(
        "domain.memory-attach", "virtio-live-empty", slotted(start=True), devices("virtio-mem", 1, 0),
        {**_HALF, "requested": "0", "where": "live"},
    ),
    Case(
        "domain.memory-attach", "virtio-off", slotted(UNNAMED), requested(128, "persistent"), _HALF, undo=True,
    ),
    Case(
        "domain.memory-attach", "virtio-both", guest(module=True), every(current(128), requested(128, "persistent")),
        _HALF, undo=True, forgiven=without_virtio,
    ),
    Case(
        "domain.memory-detach", "named", slotted(UNNAMED, DIMM), devices("dimm", 0, 1), {"device": "ua-dimm0"},
        undo=True,
    ),
    Case(
        "domain.memory-detach", "unnamed", slotted(DIMM, UNNAMED), devices("dimm", 0, 1),
        {"device": "1", "where": "persistent"}, undo=True,
    ),
    Case("domain.memory-detach", "both", guest(DIMM), devices("dimm", 0, 0), undo=True),
    Case(
        "domain.memory-detach", "live", guest(UNNAMED, persistent=False), devices("dimm", 0, 0), {"where": "live"},
        undo=True,
    ),
    Case(
        "domain.memory-resize", "named", slotted(VIRTIO), requested(64, "persistent"),
        {"size": "64M", "where": "persistent"}, undo=True,
    ),
    Case(
        "domain.memory-resize", "unnamed", slotted(UNNAMED_VIRTIO, UNNAMED_VIRTIO), requested(192, "config"),
        {"size": "+64M", "device": "virtiomem0"}, undo=True,
    ),
    Case(
        "domain.memory-resize", "both", guest(VIRTIO, module=True), every(current(256), requested(256, "persistent")),
        {"size": "100%"}, undo=True,
    ),
    Case(
        "domain.memory-resize", "live", guest(VIRTIO, module=True), every(current(64), requested(128, "persistent")),
        {"size": "64M", "where": "live"}, undo=True,
    ),
    Case(
        "domain.memory-slots", "off", off, has_text("<cell id='0' cpus='0' memory='16384'", "config"),
        {"max": "1G", "slots": "4"}, undo=True,
    ),
    Case("domain.memory-slots", "running", running, has_text("<maxMemory slots='16'", "config"), undo=True),
    Case(
        "domain.memory-slots", "more", slotted(UNNAMED), has_text("<maxMemory slots='8' unit='KiB'>2097152<", "config"),
        {"max": "+1G", "slots": "8"}, undo=True,
    ),
)  # fmt: skip
