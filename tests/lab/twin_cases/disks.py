"""Cases of tests/lab/test_twins.py: disks. Guests boot where a disk has to leave a running one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.lab.actions import Seen
from tests.lab.domain import Shape, blank_xml, disk_xml, element, guest_xml
from tests.lab.guest import READY, guest_image
from tests.lab.namespaces import run, wait_until
from tests.lab.twins import Case, Fields, Make, Twin
from tui.model.disk_xml import NewDisk

_MIB = 1024 * 1024


def image(twin: Twin, name: str, *, kind: str = "qcow2", size: str = "8M") -> Path:
    """The path of an image of the twin's own, made when it is not there."""
    path = twin.folder / name
    if not path.exists():
        run(["qemu-img", "create", "-q", "-f", kind, str(path), size])
    return path


def _with(root: ET.Element, twin: Twin, devices: Sequence[ET.Element], iothreads: int) -> ET.Element:
    uuid, parent = root.find("uuid"), root.find("devices")
    assert uuid is not None
    assert parent is not None
    uuid.text = twin.uuid
    parent.extend(devices)
    if iothreads:
        root.insert(list(root).index(parent), element("iothreads", text=str(iothreads)))
    return root


def drive(twin: Twin, medium: str = "") -> ET.Element:
    """A CD-ROM drive, with a medium or empty."""
    source = [element("source", file=str(image(twin, medium, kind="raw")))] if medium else []
    parts = (element("driver", name="qemu", type="raw"), *source, element("target", dev="hdc", bus="ide"))
    return element("disk", *parts, type="file", device="cdrom")


def scsi(_twin: Twin) -> ET.Element:
    """A SCSI controller."""
    return element("controller", type="scsi", model="virtio-scsi")


def usb(_twin: Twin) -> ET.Element:
    """A USB controller, of which the lab's domains have none."""
    return element("controller", type="usb", model="qemu-xhci")


def disk(twin: Twin) -> ET.Element:
    """A disk vdb, with all that undo has to put back."""
    new = NewDisk(
        str(image(twin, "vdb.qcow2")), False, "qcow2", "vdb", "virtio", "none", "unmap", "threads", "serial 1", None
    )
    made = ET.fromstring(new.xml())
    made.append(element("iotune", element("read_bytes_sec", text="1048576")))
    return made


def sata(twin: Twin) -> ET.Element:
    """A disk that stays while the domain runs."""
    return disk_xml(image(twin, "sdz.qcow2"), "sdz", bus="sata")


Part = Callable[[Twin], ET.Element]


def blank(*parts: Part, start: bool = False, iothreads: int = 0, with_usb: bool = False) -> Make:
    """A domain with nothing to boot and these devices."""

    def make(twin: Twin) -> None:
        root = blank_xml(Shape(name=twin.name, memory_mib=16, machine="pc"), twin.lab.emulator)
        devices = root.find("devices")
        none = root.find("devices/controller[@type='usb']")
        if with_usb and devices is not None and none is not None:
            devices.remove(none)
        twin.lab.define(_with(root, twin, [part(twin) for part in parts], iothreads), start=start)

    return make


def guest(*parts: Part, machine: str = "q35", persistent: bool = True) -> Make:
    """A guest that runs with these devices; without `persistent` it was booted with them and its next boot has none."""

    def make(twin: Twin) -> None:
        log = twin.lab.root / "console" / f"{twin.uuid}.log"
        shape = Shape(name=twin.name, machine=machine)

        def xml(devices: Sequence[ET.Element]) -> ET.Element:
            return _with(guest_xml(shape, guest_image(), twin.lab.emulator, log), twin, devices, 0)

        twin.lab.define(xml([part(twin) for part in parts]), start=True)
        wait_until(lambda: log.exists() and READY in log.read_text(errors="replace"), "the guest to boot", timeout=90)
        if not persistent:
            twin.lab.define(xml([]))

    return make


def sided(words: str, live: int, persistent: int) -> Callable[[Seen], bool]:
    """Whether words are so often in the XML of both sides."""
    return lambda seen: (seen.live.count(words), seen.config.count(words)) == (live, persistent)


def source(name: str, *, kind: str = "qcow2") -> Fields:
    """A new image of the twin's own."""

    def paths(twin: Twin) -> Mapping[str, str]:
        return {"source": str(image(twin, name, kind=kind))}

    return paths


def size(twin: Twin) -> str:
    """The size in MiB that the guest sees of its disk, as the image's header has it."""
    told = run(["qemu-img", "info", "-U", "--output=json", str(twin.folder / "vdb.qcow2")]).stdout
    return str(json.loads(told)["virtual-size"] // _MIB)


def renumbered(seen: Seen) -> Seen:
    """All but what QEMU counts on when an image is opened again, and the format that an empty drive is told to read."""
    live = re.sub(r"\n *<source( index='\d+')?/>", "", seen.live)
    live = re.sub(r"(<source [^>]*) index='\d+'", r"\1", live)
    return replace(seen, live=live.replace("<driver name='qemu' type='raw'/>", "<driver name='qemu'/>"))


def attach(what: str, make: Make, live: int, persistent: int, values: Mapping[str, str], kind: str = "qcow2") -> Case:
    """A case of attaching, which undo takes back."""
    target = values.get("target", "vda")
    reached = sided(f"<target dev='{target}'", live, persistent)
    return Case("domain.disk-attach", what, make, reached, values, source("new.img", kind=kind), undo=True)


_OFF = {"where": "persistent"}

CASES: tuple[Case, ...] = (
    attach("both", guest(), 1, 1, {}),
    attach("i440fx-live", guest(machine="pc"), 1, 0, {"where": "live", "format": "qcow2", "serial": "a.b"}),
    attach(
        "all", blank(iothreads=2, start=True), 0, 1,
        {**_OFF, "format": "raw", "cache": "none", "io": "native", "discard": "unmap", "iothread": "2",
         "shareable": "yes"}, "raw",
    ),
    attach("uring", blank(), 0, 1, {"io": "io_uring", "cache": "writethrough", "discard": "ignore"}),
    attach("scsi", blank(scsi), 0, 1, {"bus": "scsi", "target": "sdc", "cache": "writeback", "read_only": "yes"}),
    attach("sata", blank(sata), 0, 1, {"bus": "sata", "target": "sda", "cache": "directsync", "io": "threads"}),
    attach("ide", blank(lambda twin: drive(twin)), 0, 1, {"bus": "ide", "target": "hda", "cache": "unsafe"}),
    attach("usb", blank(usb, with_usb=True), 0, 1, {"bus": "usb", "target": "sda"}),
    Case(
        "domain.disk-attach", "nbd", blank(), sided("<source protocol='nbd' name='vol'>", 0, 1), {"format": "raw"},
        lambda twin: {"source": f"nbd+unix:///vol?socket={twin.folder}/x.sock"}, undo=True,
    ),
    Case("domain.disk-detach", "off", blank(disk), sided("<target dev='vdb'", 0, 0), undo=True),
    Case("domain.disk-detach", "both", guest(disk), sided("<target dev='vdb'", 0, 0), undo=True, forgiven=renumbered),
    Case(
        "domain.disk-detach", "live", guest(disk, machine="pc", persistent=False),
        sided("<target dev='vdb'", 0, 0), {"where": "live"}, undo=True,
        forgiven=renumbered,
    ),
    Case(
        "domain.disk-detach", "persistent", blank(sata, start=True), sided("<target dev='sdz'", 1, 0),
        {"device": "sdz", **_OFF}, undo=True,
    ),
    Case(
        "domain.media", "insert", blank(lambda twin: drive(twin), start=True), sided("new.iso", 1, 1),
        paths=source("new.iso", kind="raw"), undo=True, forgiven=renumbered,
    ),
    Case(
        "domain.media", "change", blank(lambda twin: drive(twin, "old.iso")), sided("new.iso", 0, 1),
        _OFF, source("new.iso", kind="raw"), undo=True,
    ),
    Case(
        "domain.media", "eject", blank(lambda twin: drive(twin, "old.iso"), start=True), sided("old.iso", 0, 1),
        {"where": "live"}, undo=True, forgiven=renumbered,
    ),
    Case(
        "domain.media", "forced", blank(lambda twin: drive(twin, "old.iso"), start=True), sided("old.iso", 0, 0),
        {"force": "yes", "source": ""}, undo=True, forgiven=renumbered,
    ),
    Case(
        "domain.disk-resize", "grown", blank(disk, start=True), sided("<target dev='vdb'", 1, 1), {"size": "+8M"},
        also=size,
    ),
    Case(
        "domain.disk-tune", "both", blank(disk, start=True),
        sided("<write_iops_sec>100</write_iops_sec>", 1, 1),
        {"read_bytes": "2M", "write_iops": "100", "read_iops": "50", "write_bytes": "3M"}, undo=True,
    ),
    Case(
        "domain.disk-tune", "off", blank(sata), sided("<total_iops_sec>100</total_iops_sec>", 0, 1),
        {"device": "sdz", "total_iops": "100", "total_bytes": "1G", **_OFF}, undo=True,
    ),
    Case(
        "domain.disk-tune", "lifted", blank(disk, start=True), sided("<read_bytes_sec>", 0, 1),
        {"read_bytes": "0", "where": "live"}, undo=True,
    ),
)  # fmt: skip
