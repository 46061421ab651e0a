"""A volume copied into a new one: of another format, in another pool, compressed, without what it lies on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, flag, is_on
from tui.actions.define import kept_path
from tui.actions.image_steps import held_bytes, image_reason, refresh_step
from tui.actions.volume_new import FILE_POOLS, FIXED_POOLS, delete_again
from tui.actions.volume_steps import (
    READS,
    as_volume,
    copy_words,
    holders_of,
    new_name,
    pool_of,
    storage_of,
    unread,
    used_reason,
    volume_step,
)
from tui.model import units
from tui.model.holders import misread_words
from tui.model.image_info import form_of
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.storage import Pool, Volume
from tui.model.text import clean
from tui.model.volume_xml import new_volume_xml
from tui.ops import image_convert as ops
from tui.ops.qemu_img import ELSEWHERE

_SUFFIXES = frozenset({"qcow2", "raw", "img", "iso", "qed", "vmdk", "vdi", "vpc", "vhd", "vhdx"})


@dataclass(frozen=True, slots=True)
class _Wish:
    """The copy asked for."""

    pool: Pool
    name: str
    form: str
    compress: bool


def _reason(context: Context, target: Target) -> Reason:
    volume = as_volume(target)
    if volume.kind not in ("file", "block", "network"):
        return f"it is a {volume.kind}"
    if not form_of(volume.format):
        return f"it is {volume.format or 'of no known format'}"
    found = holders_of(context.snapshot, volume.raw_path)
    writers = [holder for holder in found if holder.running and holder.writes]
    written = used_reason(writers, ": a copy would be of no one moment")
    return unread(context.snapshot) or written or misread_words(found, form_of(volume.format)) or None


def _steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume = as_volume(target)
    wish = _wish(context, volume, values)
    undo = (delete_again(context, wish.pool, wish.name),)
    title = f"convert {volume.name} to {clean(wish.name)} ({wish.form}) in {wish.pool.name}"
    if wish.compress:
        return _compressed(context, volume, wish, f"{title}, compressed", undo)
    capacity = volume.capacity_bytes or 0
    allocation = 0 if wish.pool.kind in FILE_POOLS else capacity
    xml, file = new_volume_xml(wish.name, capacity, allocation, wish.form), kept_path(context, wish.name)
    words = copy_words(wish.pool, file, pool_of(context, volume), volume.raw_name)
    request = ops.ConvertVolume(
        volume.pool, volume.raw_name, volume.format, wish.pool.key, wish.name, xml, file
    )  # fmt: skip
    return [volume_step(context, volume, title, words, request, undo=undo)]


def _compressed(context: Context, volume: Volume, wish: _Wish, title: str, undo: tuple[Step, ...]) -> list[Step]:
    """libvirt compresses nothing: qemu-img writes the file, and the pool is told to look."""
    form, path = form_of(volume.format), os.path.join(wish.pool.raw_path, wish.name)
    command = ("qemu-img", "convert", "-p", "-c", "-f", form, "-O", "qcow2", volume.raw_path, path)
    request = ops.CompressVolume(volume.pool, volume.raw_name, volume.format, path)
    return [Step(title, command, request, volume.key, undo), refresh_step(context, wish.pool, volume)]


def _wish(context: Context, volume: Volume, values: Values) -> _Wish:
    """The copy that the fields say; raises FieldError."""
    pool, form, compress = _pool(context, volume, values["pool"].strip()), values["format"], is_on(values, "compress")
    if not pool.state.active:
        raise FieldError("pool", f"{pool.name} is {pool.state.value}; start it first")
    if pool.kind in FIXED_POOLS:
        raise FieldError("pool", f"libvirt makes no volumes in a pool of type {pool.kind}")
    if form != "raw" and pool.kind not in FILE_POOLS:
        raise FieldError("format", f"a pool of type {pool.kind} has raw volumes only")
    name = new_name(context, pool, values["name"])
    if compress and (reason := _compress_reason(context, volume, pool, form)):
        raise FieldError("compress", reason)
    # What compression saves is known when it is done.
    needed = 0 if compress else held_bytes(storage_of(context), volume)
    if pool.available_bytes is not None and needed > pool.available_bytes:
        free = units.byte_size(pool.available_bytes)
        raise FieldError("pool", f"the copy takes about {units.byte_size(needed)}, {pool.name} has {free} free")
    return _Wish(pool, name, form, compress)


def _compress_reason(context: Context, volume: Volume, pool: Pool, form: str) -> Reason:
    if form != "qcow2":
        return "only qcow2 is compressed"
    if reason := image_reason(context, volume):
        return f"libvirt compresses nothing, and {reason}" if reason == ELSEWHERE else reason
    local = pool.kind in FILE_POOLS and pool.raw_path.startswith("/") and pool.kind != "gluster"
    return None if local else f"a pool of type {pool.kind} is no directory of this machine"


def _pool(context: Context, volume: Volume, text: str) -> Pool:
    if not text:
        return pool_of(context, volume)
    pools = storage_of(context).pools
    found = next((pool for pool in pools.values() if text in (pool.raw_name, pool.key)), None)
    if found is None:
        raise FieldError("pool", f"no pool {clean(text)}; there are: {', '.join(p.name for p in pools.values())}")
    return found


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    volume = as_volume(target)
    notes = [f"{volume.name}: the copy lies on no other image"] if volume.raw_backing_path else []
    notes += [f"{volume.name}: snapshots inside it are not copied"] if volume.format == "qcow2" else []
    if is_on(values, "compress"):
        # qemu-img by hand would have it readable by whom the umask lets.
        return (*notes, f"{volume.name}: what is written to the copy later is not compressed; only its owner reads it")
    return (*notes, f"{volume.name}: libvirt cannot interrupt it; cancelled, it ends first and is deleted then")


def _other_format(_context: Context, targets: Sequence[Target]) -> str:
    return "raw" if targets and as_volume(targets[0]).format == "qcow2" else "qcow2"


def _name(context: Context, targets: Sequence[Target]) -> str:
    """The name with the suffix of the format that is offered."""
    if not targets:
        return ""
    volume, suffix = as_volume(targets[0]), _other_format(context, targets)
    stem, dot, old = volume.raw_name.rpartition(".")
    stem = stem if dot and stem and old in _SUFFIXES else volume.raw_name
    taken = context.snapshot.storage.volumes if context.snapshot.storage is not None else {}
    for number in range(1, 100):
        name = f"{stem}.{suffix}" if number == 1 else f"{stem}-{number}.{suffix}"
        if f"{volume.pool}/{name}" not in taken:
            return name
    return ""


def _own_pool(context: Context, targets: Sequence[Target]) -> str:
    storage = context.snapshot.storage
    pool = storage.pools.get(as_volume(targets[0]).pool) if targets and storage is not None else None
    return "" if pool is None else pool.raw_name


ACTIONS: tuple[Action, ...] = (
    Action(
        "volume.convert", "Convert", "convert", "C", Kind.VOLUME,
        "Copy the volume to a new one of another format or pool, what lies below it included.", _steps, _reason,
        (
            Field("name", "New name", FieldKind.TEXT, _name, optional=True),
            Field("format", "Format", FieldKind.CHOICE, _other_format, ("qcow2", "raw")),
            Field("pool", "Pool", FieldKind.TEXT, _own_pool, help="the pool of the copy", optional=True),
            flag("compress", "Compress", "qcow2 alone, by qemu-img on this machine"),
        ),
        bulk=False, notes=_notes, rank=38, reads=READS,
    ),
)  # fmt: skip
