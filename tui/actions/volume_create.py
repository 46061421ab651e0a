"""New volumes: empty ones, ones that lie on another image, and copies."""

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
    Values,
    choice,
)
from tui.actions.pool_steps import as_pool, plain_name
from tui.actions.volume_new import FILE_POOLS, NewVolume, create_step, delete_again, none_made
from tui.actions.volume_steps import (
    READS,
    amount_of,
    as_volume,
    backing_volume,
    holders_of,
    new_name,
    pool_of,
    unread,
    used_reason,
    volume_step,
    volume_words,
)
from tui.model import units
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.storage import Pool, Volume
from tui.model.text import clean
from tui.ops import volumes as ops


def _create_reason(_context: Context, target: Target) -> Reason:
    return none_made(as_pool(target))


def _create(context: Context, target: Target, values: Values) -> Sequence[Step]:
    pool = as_pool(target)
    new = _wish(context, pool, values)
    return [replace(create_step(context, pool, new), undo=(delete_again(context, pool, new.name),))]


def _wish(context: Context, pool: Pool, values: Values) -> NewVolume:
    """The volume that the fields say; raises FieldError."""
    name, form = new_name(context, pool, values["name"]), values["format"]
    if form != "raw" and pool.kind not in FILE_POOLS:
        raise FieldError("format", f"a pool of type {pool.kind} has raw volumes only")
    lower = _backing(context, pool, form, values["backing"].strip())
    whole = lower.capacity_bytes if lower is not None else None
    capacity = amount_of(values, "capacity", whole, whole)
    if not capacity:
        raise FieldError("capacity", "must be more than 0")
    if whole is not None and capacity < whole:
        raise FieldError("capacity", f"is less than that of its backing file, {units.byte_size(whole)}")
    allocation = amount_of(values, "allocation", None, capacity)
    if allocation > capacity:
        raise FieldError("allocation", "is more than the capacity")
    metadata = values["preallocation"] == "metadata"
    if metadata and form != "qcow2":
        raise FieldError("preallocation", "only qcow2 has metadata")
    if metadata and lower is not None:
        raise FieldError("preallocation", "what lies on a backing file cannot be preallocated")
    if lower is not None and allocation:
        raise FieldError("allocation", "what lies on a backing file cannot be preallocated")
    if pool.available_bytes is not None and allocation > pool.available_bytes:
        raise FieldError("allocation", f"{pool.name} has {units.byte_size(pool.available_bytes)} free")
    below = (lower.raw_path, lower.format) if lower is not None else ("", "")
    return NewVolume(name, form, capacity, allocation, metadata, *below)


def _backing(context: Context, pool: Pool, form: str, text: str) -> Volume | None:
    """The volume that is to lie below, by name or path, with a format that is known; raises FieldError."""
    if not text:
        return None
    found = backing_volume(context, pool, text)
    if form != "qcow2":
        raise FieldError("backing", f"{form} cannot lie on another image; only qcow2 can")
    return found


def _create_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    pool = as_pool(target)
    if pool.available_bytes is None or values["capacity"].strip()[:1] in ("+", "-") or "%" in values["capacity"]:
        return ()
    if amount_of(values, "capacity") <= pool.available_bytes:
        return ()
    return (f"{pool.name}: has {units.byte_size(pool.available_bytes)} free, less than the volume may grow to",)


def _format(_context: Context, targets: Sequence[Target]) -> str:
    return "raw" if targets and as_pool(targets[0]).kind not in FILE_POOLS else "qcow2"


def _allocation(_context: Context, targets: Sequence[Target]) -> str:
    """Nothing where a volume grows as it is written; all where it is cut out of a device."""
    return "0" if targets and as_pool(targets[0]).kind in FILE_POOLS else "100%"


def _clone_reason(context: Context, target: Target) -> Reason:
    volume = as_volume(target)
    if volume.kind not in ("file", "block", "network"):
        return f"it is a {volume.kind}"
    found = holders_of(context.snapshot, volume.raw_path)
    writers = [holder for holder in found if holder.running and holder.writes]
    return unread(context.snapshot) or used_reason(writers, ": a copy would be of no one moment")


def _clone(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume = as_volume(target)
    pool = pool_of(context, volume)
    name = new_name(context, pool, values["name"])
    needed = volume.allocation_bytes or 0
    if pool.available_bytes is not None and needed > pool.available_bytes:
        free = units.byte_size(pool.available_bytes)
        raise FieldError("name", f"the copy takes {units.byte_size(needed)}, {pool.name} has {free} free")
    words = volume_words("vol-clone", pool, volume.raw_name, *([name] if plain_name(name) else ["--newname", name]))
    request = ops.CloneVolume(pool.key, volume.raw_name, name)
    title = f"clone {volume.name} to {clean(name)}"
    return [volume_step(context, volume, title, words, request, undo=(delete_again(context, pool, name),))]


def _clone_notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    return (f"{as_volume(target).name}: libvirt cannot interrupt a copy; cancelled, it ends first and is deleted then",)


def _clone_name(context: Context, targets: Sequence[Target]) -> str:
    """NAME-clone, before what looks like the format's suffix."""
    if not targets:
        return ""
    volume = as_volume(targets[0])
    stem, dot, suffix = volume.raw_name.rpartition(".")
    taken = context.snapshot.storage.volumes if context.snapshot.storage is not None else {}
    for number in range(1, 100):
        word = "-clone" if number == 1 else f"-clone{number}"
        name = f"{stem}{word}.{suffix}" if dot and stem else f"{volume.raw_name}{word}"
        if f"{volume.pool}/{name}" not in taken:
            return name
    return ""


CREATE = Action(
    "volume.create", "Create a volume in", "new volume", "n", Kind.POOL,
    "Make a volume: raw or qcow2, empty or on a backing file.", _create, _create_reason,
    (
        Field("name", "Name", FieldKind.TEXT, help="such as web1.qcow2"),
        Field("format", "Format", FieldKind.CHOICE, _format, ("qcow2", "raw")),
        Field("capacity", "Capacity", FieldKind.AMOUNT, lambda _context, _targets: "10G",
              help="such as 10G; 100% of the backing file's"),
        Field("allocation", "Allocation", FieldKind.AMOUNT, _allocation, optional=True,
              help="what it takes at once: 0, 2G, 100%"),
        choice("preallocation", "Preallocate", ("none", "metadata"), "metadata: of qcow2, for speed"),
        Field("backing", "Backing file", FieldKind.TEXT, optional=True,
              help="a volume of this pool or a volume's path; empty: none"),
    ),
    bulk=False, notes=_create_notes, rank=20, reads=READS,
)  # fmt: skip

CLONE = Action(
    "volume.clone", "Clone", "clone", "c", Kind.VOLUME,
    "Copy the volume to a new one of the same pool.", _clone, _clone_reason,
    (Field("name", "New name", FieldKind.TEXT, _clone_name, optional=True),),
    bulk=False, notes=_clone_notes, rank=30, reads=READS,
)  # fmt: skip
