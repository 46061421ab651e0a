"""Volumes: made, cloned, resized, wiped, removed. Every one is looked at anew right before it is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from tui.model import units
from tui.model.holders import Holder
from tui.model.plan import Request
from tui.model.text import clean
from tui.model.volume_xml import renamed
from tui.ops import volume_streams
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.errors import doing
from tui.ops.volume_growth import delete_if_cancelled, watched_growth
from tui.ops.volume_guard import description, pool_of, refuse, running_writer, volume_of

_LOOK = "Nothing was changed; look at it again."
_NOT_BEGUN = frozenset({libvirt.VIR_ERR_OPERATION_DENIED, libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_SUPPORT})


@dataclass(frozen=True, slots=True)
class CreateVolume(Request):
    """Make a volume (virStorageVolCreateXML); `allocation` in bytes is what it takes at once."""

    pool: str
    name: str
    xml: str
    allocation: int = 0
    preallocate: bool = False
    backing_path: str = ""
    """The image that it lies on, "" for none: refused when a running domain writes to that."""


@dataclass(frozen=True, slots=True)
class CloneVolume(Request):
    """Copy a volume to a new one of the same pool (virStorageVolCreateXMLFrom)."""

    pool: str
    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class ResizeVolume(Request):
    """Set the capacity in bytes of a volume that no running domain has (virStorageVolResize); refused when it is not
    `before` any more."""

    pool: str
    name: str
    capacity: int
    before: int
    shrink: bool = False


@dataclass(frozen=True, slots=True)
class WipeVolume(Request):
    """Overwrite all of a volume with zeros (virStorageVolWipe), which makes a raw one of every format; refused when
    the volume is not of `format` any more."""

    pool: str
    name: str
    format: str


@dataclass(frozen=True, slots=True)
class DeleteVolume(Request):
    """Remove a volume that nobody holds (virStorageVolDelete)."""

    pool: str
    name: str


def anybody(_holder: Holder) -> bool:
    """Whoever it is."""
    return True


def running_or_above(holder: Holder) -> bool:
    """Who runs with it, and what lies on it."""
    return holder.running or not holder.target


def _create(request: CreateVolume, context: OpContext) -> Outcome:
    flags = libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA if request.preallocate else 0
    what = "create"
    with pool_of(context, request.pool, what) as pool:
        if request.backing_path:
            with doing("look at the backing file of", request.name):
                backing = pool.connect().storageVolLookupByPath(request.backing_path)
            refuse(backing, "lie on", running_writer)
            del backing
        with (
            watched_growth(context, pool, request.name, request.allocation or None, what),
            doing(what, request.name),
        ):
            made = pool.createXML(request.xml, flags)
        delete_if_cancelled(context, made, what)
        del made
    return Outcome("created")


def _clone(request: CloneVolume, context: OpContext) -> Outcome:
    what = "clone"
    with volume_of(context, request.pool, request.name, what) as volume:
        refuse(volume, what, running_writer)
        with doing(what, request.name):
            xml = renamed(volume.XMLDesc(0), request.new_name)
            total = volume.info()[2]
            pool = volume.storagePoolLookupByVolume()
        with watched_growth(context, pool, request.new_name, total, what), doing(what, request.name):
            made = pool.createXMLFrom(xml, volume, 0)
        delete_if_cancelled(context, made, what)
        del made, pool
    return Outcome(f"cloned to {clean(request.new_name)}")


def _resize(request: ResizeVolume, context: OpContext) -> Outcome:
    what = "resize"
    with volume_of(context, request.pool, request.name, what) as volume:
        now = description(volume, request.pool, what).capacity_bytes
        if now != request.before:
            text = f"its capacity is {units.byte_size(now)} by now, not {units.byte_size(request.before)}"
            raise OpError(what, clean(request.name), text, advice=_LOOK)
        if request.capacity < now and not request.shrink:
            raise OpError(what, clean(request.name), "that would shrink it", advice=_LOOK)
        refuse(volume, what, running_or_above)
        with doing(what, request.name):
            volume.resize(request.capacity, libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK if request.shrink else 0)
    return Outcome(f"its capacity is {units.byte_size(request.capacity)}")


def _wipe(request: WipeVolume, context: OpContext) -> Outcome:
    what = "wipe"
    with volume_of(context, request.pool, request.name, what) as volume:
        found = description(volume, request.pool, what)
        if found.format != request.format:
            text = f"it is {found.format or 'of no known format'} by now, not {request.format or 'of no known format'}"
            raise OpError(what, clean(request.name), text, advice=_LOOK)
        refuse(volume, what, anybody)
        try:
            with doing(what, request.name):
                volume.wipe(0)
        except OpError as error:
            if error.code not in _NOT_BEGUN:
                error.advice = f"{error.advice} A part of it may be overwritten.".strip()
            raise
    return Outcome("wiped")


def _delete(request: DeleteVolume, context: OpContext) -> Outcome:
    what = "delete"
    with volume_of(context, request.pool, request.name, what) as volume:
        refuse(volume, what, anybody)
        with doing(what, request.name):
            volume.delete(0)
    return Outcome("deleted")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    CreateVolume: _create,
    CloneVolume: _clone,
    ResizeVolume: _resize,
    WipeVolume: _wipe,
    DeleteVolume: _delete,
    **volume_streams.OPS,
}
