"""Volumes: made, cloned, resized, wiped, carried up and down, removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui.actions.base import (
    Action,
    Context,
    Field,
    FieldError,
    FieldKind,
    Reason,
    Target,
    TargetError,
    Values,
    flag,
    is_on,
)
from tui.actions.volume_create import CLONE, CREATE
from tui.actions.volume_steps import (
    READS,
    amount_of,
    as_volume,
    holders_of,
    pool_of,
    unread,
    used_reason,
    volume_step,
    volume_words,
)
from tui.actions.volume_streams import DOWNLOAD, UPLOAD
from tui.model import units
from tui.model.amount import format_amount
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.ops import volumes as ops

_GROW_LIVE = "; grow it there, by U on the domain"


def _resize_reason(context: Context, target: Target) -> Reason:
    volume = as_volume(target)
    found = holders_of(context.snapshot, volume.raw_path)
    if running := [holder for holder in found if holder.running]:
        return used_reason(running, _GROW_LIVE)
    if volume.capacity_bytes is None:
        return "its capacity is not known"
    return unread(context.snapshot) or used_reason([holder for holder in found if not holder.target])


def _resize(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume = as_volume(target)
    pool, before = pool_of(context, volume), volume.capacity_bytes or 0
    capacity = amount_of(values, "capacity", before, before)
    if not capacity:
        raise FieldError("capacity", "must be more than 0")
    if capacity == before:
        raise TargetError("capacity", f"{volume.name} has {units.byte_size(before)} already")
    shrink = capacity < before
    words = volume_words("vol-resize", pool, volume.raw_name, str(capacity), *(["--shrink"] if shrink else []))
    request = ops.ResizeVolume(volume.pool, volume.raw_name, capacity, before, shrink)
    used = used_reason(holders_of(context.snapshot, volume.raw_path))
    loses = f"the last {units.byte_size(before - capacity)} of {volume.name}{f'; {used}' if used else ''}"
    title = f"{'shrink' if shrink else 'grow'} {volume.name} to {units.byte_size(capacity)}"
    return [volume_step(context, volume, title, words, request, loses=loses if shrink else None, typed=shrink)]


def _resize_notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    volume = as_volume(target)
    now = volume.capacity_bytes or 0
    capacity = amount_of(values, "capacity", now, now)
    if capacity > now:
        pool = pool_of(context, volume)
        notes = [f"{volume.name}: its partitions and filesystems grow when the guest grows them"]
        free = pool.available_bytes
        if free is not None and capacity - now > free:
            notes.append(f"{volume.name}: {pool.name} has only {units.byte_size(free)} free")
        return notes
    return (f"{volume.name}: filesystems in it must have been made smaller before, or they break",)


def _capacity_now(_context: Context, targets: Sequence[Target]) -> str:
    sizes = [as_volume(target).capacity_bytes for target in targets]
    return format_amount(sizes[0] // 1024) if len(sizes) == 1 and sizes[0] else "+1G"


def _wipe_reason(context: Context, target: Target) -> Reason:
    return unread(context.snapshot) or used_reason(holders_of(context.snapshot, as_volume(target).raw_path))


def _is_formatted(_context: Context, targets: Sequence[Target]) -> bool:
    return any(as_volume(target).format not in ("", "raw") for target in targets)


def _wipe(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume = as_volume(target)
    becomes_raw = volume.format not in ("", "raw")
    if becomes_raw and not is_on(values, "raw"):
        raise FieldError(
            "raw", f"libvirt overwrites the whole file: {volume.name} would not be {volume.format} any more but raw "
            "zeros; say yes to that, or delete it and create it anew"
        )  # fmt: skip
    words = volume_words("vol-wipe", pool_of(context, volume), volume.raw_name)
    request = ops.WipeVolume(volume.pool, volume.raw_name, volume.format)
    loses = f"all that {volume.name} holds" + (f", and that it is {volume.format}" if becomes_raw else "")
    return [volume_step(context, volume, f"wipe {volume.name}", words, request, loses=loses, typed=True)]


def _wipe_notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    volume = as_volume(target)
    # src/storage/storage_util.c, storageBackendVolZeroSparseFileLocal.
    thin = f"{volume.name}: a file with holes libvirt does not overwrite: it cuts it to nothing and makes it long again"
    return (
        f"{volume.name}: libvirt cannot interrupt a wipe",
        *([thin] if volume.kind == "file" and volume.thin else []),
    )


def _delete_reason(context: Context, target: Target) -> Reason:
    return unread(context.snapshot) or used_reason(holders_of(context.snapshot, as_volume(target).raw_path))


def _delete(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    volume = as_volume(target)
    words = volume_words("vol-delete", pool_of(context, volume), volume.raw_name)
    request = ops.DeleteVolume(volume.pool, volume.raw_name)
    size = units.byte_size(volume.allocation_bytes)
    loses = f"{volume.name}, with all that it holds ({size})"
    return [volume_step(context, volume, f"delete {volume.name}", words, request, loses=loses, typed=True)]


ACTIONS: tuple[Action, ...] = (
    CREATE,
    CLONE,
    Action(
        "volume.resize", "Resize", "resize", "e", Kind.VOLUME,
        "Set the capacity of a volume that no running domain has.", _resize, _resize_reason,
        (Field("capacity", "Capacity", FieldKind.AMOUNT, _capacity_now, help="such as 20G, +5G, 200%"),),
        notes=_resize_notes, rank=35, reads=READS,
    ),
    UPLOAD,
    DOWNLOAD,
    Action(
        "volume.wipe", "Wipe", "wipe", "w", Kind.VOLUME,
        "Overwrite all of the volume with zeros.", _wipe, _wipe_reason,
        (replace(flag("raw", "Becomes raw", "a qcow2 volume is raw after it"), applies=_is_formatted),),
        notes=_wipe_notes, rank=70, reads=READS,
    ),
    Action(
        "volume.delete", "Delete", "delete", "D", Kind.VOLUME,
        "Remove a volume that nobody uses.", _delete, _delete_reason, rank=60, reads=READS,
    ),
)  # fmt: skip
