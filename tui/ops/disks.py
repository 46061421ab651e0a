"""Disks of domains: attached, detached, grown, limited; media changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.disk_source import location_of
from tui.model.disk_xml import find_disk, source_of, with_medium
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.errors import control_domain, doing, long_domain, op_error
from tui.ops.kept import keep

DETACH_PATIENCE_S = 10.0
_KIB = 1024


@dataclass(frozen=True, slots=True)
class AttachDisk(Request):
    """Attach a disk, live or from the next boot on (virDomainAttachDeviceFlags)."""

    key: str
    live: bool
    target: str
    xml: str
    file: str
    """Where `xml` is kept, for the equivalent command."""


@dataclass(frozen=True, slots=True)
class DetachDisk(Request):
    """Take a disk away, live or from the next boot on (virDomainDetachDeviceFlags); refused when there is another
    image than `source` by then."""

    key: str
    live: bool
    target: str
    source: str
    """The path of its image; "" for a source of another kind, which is not compared."""


@dataclass(frozen=True, slots=True)
class ChangeMedium(Request):
    """Put an image into a drive, or with source "" eject what is in it (virDomainUpdateDeviceFlags); `block`: it is a
    block device."""

    key: str
    live: bool
    target: str
    source: str
    block: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class GrowDisk(Request):
    """Make a disk of a running domain larger (virDomainBlockResize); refused when it would become smaller."""

    key: str
    target: str
    size_kib: int


@dataclass(frozen=True, slots=True)
class TuneDisk(Request):
    """Set limits of a disk by libvirt's names, 0 for none (virDomainSetBlockIoTune)."""

    key: str
    live: bool
    target: str
    limits: tuple[tuple[str, int], ...]


def _side(live: bool) -> int:
    return int(libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _when(live: bool) -> str:
    return "" if live else " from the next boot on"


def _disk_of(handle: Any, target: str, what: str, *, live: bool) -> ET.Element:
    """The `<disk>` of a target on one side; raises OpError when it is gone."""
    with doing("read the XML of", handle.name()):
        xml = handle.XMLDesc(0 if live else libvirt.VIR_DOMAIN_XML_INACTIVE)
    disk = find_disk(ET.fromstring(xml), target)
    if disk is None:
        raise OpError(what, handle.name(), f"it has no disk {target}{_when(live)}", advice="It is gone.")
    return disk


def _refuse_used(handle: Any, request: AttachDisk) -> None:
    """Raise OpError when a domain has the image by now: since the plan was made, or since a disk that undo puts back
    was taken away. The rules are those of the plan (actions.disk_images)."""
    disk = ET.fromstring(request.xml)
    path = location_of(disk.find("source"))
    for other in handle.connect().listAllDomains(0) if path else ():
        for found in _disks_of(other):
            target = found.find("target")
            name = "" if target is None else target.get("dev", "")
            own = other.UUIDString() == request.key and name == request.target
            if location_of(found.find("source")) == path and not own and not _get_along(disk, found):
                text = f"{clean(other.name())} uses {clean(path)} as {clean(name)}"
                raise OpError(f"attach {request.target} to", handle.name(), text, advice="Nothing was changed.")


def _disks_of(handle: Any) -> list[ET.Element]:
    """The `<disk>`s of both sides of a domain; none when it is gone."""
    try:
        sides = [handle.XMLDesc(flags) for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE)]
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return []
        raise
    return [disk for xml in sides for disk in ET.fromstring(xml).iterfind("devices/disk")]


def _get_along(one: ET.Element, other: ET.Element) -> bool:
    """Whether two disks may be of one image: both only read, or both say that they share it."""
    both = (one, other)
    reads = all(disk.find("readonly") is not None or disk.get("device") == "cdrom" for disk in both)
    return reads or all(disk.find("shareable") is not None for disk in both)


def _attach(request: AttachDisk, context: OpContext) -> Outcome:
    with long_domain(context, request.key, f"attach {request.target} to") as handle:
        _refuse_used(handle, request)
        keep(request.file, request.xml)
        handle.attachDeviceFlags(request.xml, _side(request.live))
    return Outcome(f"attached as {request.target}{_when(request.live)}")


def _detach(request: DetachDisk, context: OpContext) -> Outcome:
    what = f"detach {request.target} from"
    with long_domain(context, request.key, what) as handle:
        disk = _disk_of(handle, request.target, what, live=request.live)
        if request.source and source_of(disk) != request.source:
            text = f"its {request.target} is another disk by now"
            raise OpError(what, handle.name(), text, advice="Nothing was changed.")
        handle.detachDeviceFlags(ET.tostring(disk, encoding="unicode"), _side(request.live))
    if not request.live:
        return Outcome("detached from the next boot on")
    return Outcome(
        "detached",
        lambda: _detached(context, request),
        patience_s=DETACH_PATIENCE_S,
        hint="the guest has not given the disk up: it does not run, or has not booted yet; try again later",
    )


def _detached(context: OpContext, request: DetachDisk) -> Progress:
    """Whether the disk has left the live XML, which it does once QEMU says that the device is gone; libvirt's own
    call returns after 5 s either way. A domain that stopped has no disk any more."""
    try:
        handle = context.control().lookupByUUIDString(request.key)
        if not handle.isActive():
            return Progress.CONFIRMED
        root = ET.fromstring(handle.XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return Progress.CONFIRMED
        raise op_error("look at", request.key, error) from error
    return Progress.PENDING if find_disk(root, request.target) is not None else Progress.CONFIRMED


_LOCKED = "The guest has locked the tray: unmount the medium there, or force it."


def _change_medium(request: ChangeMedium, context: OpContext) -> Outcome:
    what = f"{'change' if request.source else 'eject'} the medium of"
    flags = _side(request.live) | (libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE if request.force else 0)
    try:
        with long_domain(context, request.key, what) as handle:
            disk = _disk_of(handle, request.target, what, live=request.live)
            xml = with_medium(disk, request.source, block=request.block)
            handle.updateDeviceFlags(xml, flags)
    except OpError as error:
        if error.code != libvirt.VIR_ERR_OPERATION_FAILED or not request.live or request.force:
            raise
        raise OpError(error.what, error.subject, error.text, error.code, _LOCKED) from error
    done = f"{request.source} is in {request.target}" if request.source else f"{request.target} is empty"
    return Outcome(f"{done}{_when(request.live)}")


def _grow(request: GrowDisk, context: OpContext) -> Outcome:
    """libvirt would shrink it without a word."""
    what = f"grow {request.target} of"
    with long_domain(context, request.key, what) as handle:
        if handle.blockJobInfo(request.target, 0):
            text = f"a block job is under way on {request.target}"
            raise OpError(what, handle.name(), text, advice="Nothing was changed; try again when it has ended.")
        now, wanted = int(handle.blockInfo(request.target, 0)[0]), request.size_kib * _KIB
        if wanted < now:
            text = f"it has {now} bytes by now, which is more"
            raise OpError(
                what, handle.name(), text, advice="Nothing was changed: shrinking loses what lies at its end."
            )
        handle.blockResize(request.target, wanted, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    return Outcome("grown; the guest sees the new size")


def _tune(request: TuneDisk, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, f"limit {request.target} of")
    with doing(f"limit {request.target} of", handle.name()):
        handle.setBlockIoTune(request.target, dict(request.limits), _side(request.live))
    return Outcome(f"limits set{_when(request.live)}")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    AttachDisk: _attach,
    DetachDisk: _detach,
    ChangeMedium: _change_medium,
    GrowDisk: _grow,
    TuneDisk: _tune,
}
