"""A volume copied into a new one of another format, or of another pool: by libvirt, and compressed by qemu-img."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.plan import Request
from tui.model.text import clean
from tui.ops import qemu_img
from tui.ops.base import CancelledError, OpContext, OpError, Outcome
from tui.ops.errors import doing
from tui.ops.image_check import as_planned
from tui.ops.kept import keep
from tui.ops.part_file import open_part, put_part, remove_part
from tui.ops.volume_growth import delete_if_cancelled, watched_growth
from tui.ops.volume_guard import UNCHANGED, held_by, refuse_held, refuse_misread, running_writer, volume_of

_MOST_LAYERS = 200
_REMOVED = "What had come of it is removed."
_CUT_OFF = "Another conversion is at it, or was cut off: then delete it."


@dataclass(frozen=True, slots=True)
class ConvertVolume(Request):
    """Copy a volume, with what lies below it, into a new one of the pool `target` (virStorageVolCreateXMLFrom), whose
    XML is kept in `file` for the command."""

    pool: str
    name: str
    format: str
    target: str
    new_name: str
    xml: str
    file: str


@dataclass(frozen=True, slots=True)
class CompressVolume(Request):
    """Copy a volume, with what lies below it, into a new compressed qcow2 file (`qemu-img convert -c`), which gets its
    name when it is whole; its pool has to be refreshed then."""

    pool: str
    name: str
    format: str
    path: str


def _source(volume: Any, request: ConvertVolume | CompressVolume, what: str) -> str:
    """QEMU's word for the format of the volume to be read, which nobody may write to; raises OpError."""
    form = as_planned(volume, request.pool, request.format, what)
    found = held_by(volume, what)
    refuse_held(found, what, request.name, running_writer)
    refuse_misread(found, form, what, request.name)
    return form


def _convert(request: ConvertVolume, context: OpContext) -> Outcome:
    what = "convert"
    with volume_of(context, request.pool, request.name, what) as volume:
        _source(volume, request, what)
        with doing(what, request.name):
            total = held_bytes(volume)
            pool = volume.connect().storagePoolLookupByUUIDString(request.target)
        keep(request.file, request.xml)
        with watched_growth(context, pool, request.new_name, total, what), doing(what, request.name):
            made = pool.createXMLFrom(request.xml, volume, 0)
        delete_if_cancelled(context, made, what)
        del made, pool
    return Outcome(f"converted to {clean(request.new_name)}")


def held_bytes(volume: Any) -> int:
    """Return what a volume and the volumes below it take, about what a whole copy takes; its capacity at most. Raises
    libvirtError."""
    _kind, capacity, held = volume.info()
    connection, current = volume.connect(), volume
    # It is for the bar alone: what cannot be looked at is copied, or fails, all the same.
    with suppress(libvirt.libvirtError, ET.ParseError):
        for _layer in range(_MOST_LAYERS):
            path = (ET.fromstring(current.XMLDesc(0)).findtext("backingStore/path") or "").strip()
            if not path:
                break
            current = connection.storageVolLookupByPath(path)
            held += current.info()[2]
    return int(min(held, capacity))


def _compress(request: CompressVolume, context: OpContext) -> Outcome:
    what, name = "convert", clean(request.name)
    with volume_of(context, request.pool, request.name, what) as volume:
        form = _source(volume, request, what)
        source = qemu_img.image_of(volume, what)
        with doing(what, request.name):
            capacity = volume.info()[1]
        if os.path.lexists(request.path):
            raise OpError(what, name, f"{clean(request.path)} is there already", advice=UNCHANGED)
    _make(request, context, form, source, capacity)
    return Outcome(f"converted to {clean(os.path.basename(request.path))}")


def _make(request: CompressVolume, context: OpContext, form: str, source: str, capacity: int) -> None:
    """Write the copy beside its name, and give it that when it is whole."""
    what, name, path = "convert", clean(request.name), request.path
    try:
        os.close(open_part(path))
    except OSError as error:
        advice = f"{UNCHANGED} {_CUT_OFF}" if isinstance(error, FileExistsError) else UNCHANGED
        raise OpError(what, name, f"{clean(path)}.part: {error.strerror}", advice=advice) from error
    try:
        words = ["convert", "-p", "-c", "-f", form, "-O", "qcow2", source, f"{path}.part"]
        ended = qemu_img.run(context, words, what, name, capacity)
        if ended.code:
            raise OpError(what, name, clean(ended.why()), advice=_REMOVED)
        put_part(path)
    except CancelledError as error:
        error.advice = _REMOVED
        raise
    except OSError as error:
        raise OpError(what, name, f"{clean(path)}: {error.strerror}", advice=_REMOVED) from error
    finally:
        remove_part(path)


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {ConvertVolume: _convert, CompressVolume: _compress}
