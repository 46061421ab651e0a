"""Moving a disk of a domain that is off: its volume copied to another pool, its configuration changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.disk_source import location_of
from tui.model.domain_xml import parse_domain_xml
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.block_follow import image_path
from tui.ops.errors import doing, long_domain, op_error
from tui.ops.image_convert import held_bytes
from tui.ops.kept import keep
from tui.ops.volume_growth import delete_if_cancelled, watched_growth
from tui.ops.volume_guard import refuse, removed, running_writer, volume_of


@dataclass(frozen=True, slots=True)
class CopyVolume(Request):
    """Copy a volume to a new one of another pool (virStorageVolCreateXMLFrom), which needs no other image; refused
    while a domain writes to it, and deleted again when one did meanwhile."""

    pool: str
    name: str
    to_pool: str
    new_name: str
    xml: str
    file: str
    """Where `xml` is kept, for the equivalent command."""


@dataclass(frozen=True, slots=True)
class ChangeSource(Request):
    """Have a disk of a domain that is off be another image (virDomainUpdateDeviceFlags); refused when it is not
    `source` any more, or when that was written to since the other was made of it."""

    key: str
    target: str
    source: str
    xml: str
    file: str
    """Where `xml` is kept, for the equivalent command."""
    pool: str
    volume: str
    """UUID of the pool and name of the volume that was made for it, which goes when this comes to nothing."""


def _copy(request: CopyVolume, context: OpContext) -> Outcome:
    what = "copy"
    with volume_of(context, request.pool, request.name, what) as volume:
        refuse(volume, what, running_writer)
        keep(request.file, request.xml)
        with doing(what, request.name):
            before, total = _written_s(volume), held_bytes(volume)
            pool = volume.connect().storagePoolLookupByUUIDString(request.to_pool)
        with watched_growth(context, pool, request.new_name, total, what), doing(what, request.name):
            made = pool.createXMLFrom(request.xml, volume, 0)
        delete_if_cancelled(context, made, what)
        del made, pool
        try:
            why = "it was written to meanwhile" if _written_s(volume) != before else ""
        except libvirt.libvirtError as error:
            why = clean(str(error))
        if why:
            left = removed(volume.connect(), request.to_pool, request.new_name, what)
            raise OpError(what, clean(request.name), why, advice=f"{left}.")
    return Outcome(f"copied to {clean(request.new_name)}")


def _written_s(volume: Any) -> float | None:
    """When a volume was written to last, as libvirt reads it now: seconds since the epoch; None where it does not
    tell."""
    text = ET.fromstring(volume.XMLDesc(0)).findtext("target/timestamps/mtime")
    return float(text) if text else None


def _change(request: ChangeSource, context: OpContext) -> Outcome:
    what = f"change {request.target} of"
    made = clean(location_of(ET.fromstring(request.xml).find("source")))
    with long_domain(context, request.key, what, left=f"{made} is left, a copy that nobody uses.") as handle:
        try:
            new = _checked(request, handle, what)
            keep(request.file, request.xml)
            handle.updateDeviceFlags(request.xml, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        except (OpError, libvirt.libvirtError) as error:
            found = error if isinstance(error, OpError) else op_error(what, handle.name(), error)
            left = removed(handle.connect(), request.pool, request.volume, what)
            advice = f"{found.advice} {request.target} is {clean(request.source)} as before; {left}.".strip()
            raise OpError(what, found.subject, found.text, found.code, advice) from error
    return Outcome(f"{request.target} is {clean(new)} from the next boot on")


def _checked(request: ChangeSource, handle: Any, what: str) -> str:
    """Where the new image is; raises OpError when the disk is not what it was when the plan was made."""
    name, connection = clean(handle.name()), handle.connect()
    if handle.isActive():
        raise OpError(what, name, "it runs by now")
    if _is_saved(handle):
        raise OpError(what, name, "it was saved since, and its saved state goes on with the old image")
    disks = parse_domain_xml(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)).disks
    disk = next((disk for disk in disks if disk.target == request.target), None)
    if disk is None or disk.raw_source != request.source:
        raise OpError(what, name, f"its {request.target} is another disk by now")
    new = location_of(ET.fromstring(request.xml).find("source"))
    if _is_newer(connection, image_path(connection, disk), new):
        raise OpError(what, name, f"{disk.source} was written to since it was copied")
    return new


def _is_saved(handle: Any) -> bool:
    """Whether its next start goes on with a saved state; not so where the driver has no such thing."""
    try:
        return bool(handle.hasManagedSaveImage(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return False


def _is_newer(connection: Any, old: str, new: str) -> bool:
    """Whether the old image was written to after the new one was: it ran in between. Not known where one of them is no
    volume, or libvirt tells no times."""
    try:
        times = [_written_s(connection.storageVolLookupByPath(path)) for path in (old, new)]
    except libvirt.libvirtError:
        return False
    return None not in times and (times[0] or 0.0) > (times[1] or 0.0)


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {CopyVolume: _copy, ChangeSource: _change}
