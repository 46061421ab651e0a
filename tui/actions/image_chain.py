"""What an image lies on: another image put below it, or what it holds brought down."""

from __future__ import annotations

import os
from collections.abc import Sequence

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
    choice,
    flag,
    is_on,
)
from tui.actions.image_steps import held_bytes, layers, qcow2_reason, refresh_step
from tui.actions.volume_steps import (
    READS,
    as_volume,
    backing_volume,
    holders_of,
    pool_of,
    storage_of,
    unread,
    used_reason,
)
from tui.model import units
from tui.model.holders import Holder, besides, held_words, misread_words
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.storage import Volume
from tui.model.text import clean
from tui.ops import image_chain as ops


def _reason(context: Context, target: Target) -> Reason:
    volume = as_volume(target)
    if reason := qcow2_reason(context, volume) or unread(context.snapshot):
        return reason
    found = holders_of(context.snapshot, volume.raw_path)
    return used_reason([holder for holder in found if holder.running]) or misread_words(found, "qcow2") or None


def _rebase_reason(context: Context, target: Target) -> Reason:
    if reason := _reason(context, target):
        return reason
    fixed = [holder for holder in holders_of(context.snapshot, as_volume(target).raw_path) if holder.fixed]
    return f"the XML of {held_words(fixed)} itself names what lies below it" if fixed else None


def _rebase(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume, unsafe, text = as_volume(target), values["mode"] == "unsafe", values["backing"].strip()
    below = backing_volume(context, pool_of(context, volume), text) if text else None
    before = volume.raw_backing_path
    if below is not None:
        if any(layer.raw_path == volume.raw_path for layer in layers(storage_of(context), below)):
            raise FieldError("backing", f"{below.name} is {volume.name}, or lies on it: the chain would be a circle")
        if reason := misread_words(holders_of(context.snapshot, below.raw_path), below.format):
            raise FieldError("backing", reason)
    path, form = (below.raw_path, below.format) if below is not None else ("", "")
    if path == before and not unsafe:
        raise TargetError("backing", f"{volume.name} lies on {clean(path) or 'no other image'} already")
    # libvirt keeps what it read of the header until the pool is read anew.
    again = refresh_step(context, pool_of(context, volume), volume)
    back = _rebase_back(volume, path, unsafe=unsafe)
    where = f"on {below.name}" if below is not None else "on no other image"
    title = f"have {volume.name} lie {where}{', unsafe' if unsafe else ''}"
    loses = _unsafe_loss(context, volume) if unsafe else None
    undo = (*back, again) if back else ()
    return [_rebase_step(volume, title, path, form, before, unsafe=unsafe, undo=undo, loses=loses), again]


def _rebase_step(
    volume: Volume,
    title: str,
    path: str,
    form: str,
    before: str,
    *,
    unsafe: bool,
    undo: tuple[Step, ...] = (),
    loses: str | None = None,
) -> Step:
    below = ["-b", path, *(["-F", form] if path else []), volume.raw_path]
    command = ("qemu-img", "rebase", "-p", "-f", "qcow2", *(["-u"] if unsafe else ops.SAFELY), *below)
    request = ops.RebaseImage(volume.pool, volume.raw_name, path, form, before, unsafe)
    return Step(title, command, request, volume.key, undo, loses, typed=loses is not None)


def _rebase_back(volume: Volume, now: str, *, unsafe: bool) -> tuple[Step, ...]:
    """The way back, where the header said as what the old image is read."""
    before, form = volume.raw_backing_path, volume.backing_format
    if before and (form not in ("raw", "qcow2") or not before.startswith("/")):
        return ()
    where = f"on {clean(os.path.basename(before))}" if before else "on no other image"
    title = f"have {volume.name} lie {where} again"
    loses = f"what {volume.name} reads as now where it holds nothing itself" if unsafe else None
    return (_rebase_step(volume, title, before, form if before else "", now, unsafe=unsafe, loses=loses),)


def _unsafe_loss(context: Context, volume: Volume) -> str:
    above = [holder for holder in holders_of(context.snapshot, volume.raw_path) if not holder.target]
    also = f", and so of {', '.join(holder.name for holder in above)} above it" if above else ""
    return (
        f"the content of {volume.name}{also} and of snapshots inside, unless the new image holds just what the old one "
        "held: only its name in the header is changed"
    )


def _rebase_notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    volume, text = as_volume(target), values["backing"].strip()
    notes = _users_note(context, volume)
    if values["mode"] == "safe":
        grows = max(0, held_bytes(storage_of(context), volume) - (volume.allocation_bytes or 0))
        free = pool_of(context, volume).available_bytes
        short = f"; its pool has {units.byte_size(free)} free" if free is not None and grows > free else ""
        notes.append(f"{volume.name}: may grow by {units.byte_size(grows)}{short}")
    if text:
        below = backing_volume(context, pool_of(context, volume), text)
        found = holders_of(context.snapshot, below.raw_path)
        if later := [holder for holder in found if holder.writes and not holder.running]:
            notes.append(f"{below.name}: {held_words(later)} writes to it when it runs, which breaks what lies on it")
    return notes


def _users_note(context: Context, volume: Volume) -> list[str]:
    found = holders_of(context.snapshot, volume.raw_path)
    return [f"{volume.name}: it is used by {held_words(found)}"] if found else []


def _backing_now(_context: Context, targets: Sequence[Target]) -> str:
    return as_volume(targets[0]).raw_backing_path if targets else ""


def _commit_reason(context: Context, target: Target) -> Reason:
    volume = as_volume(target)
    if reason := _reason(context, target):
        return reason
    if not volume.raw_backing_path:
        return "it lies on no other image"
    if not volume.raw_backing_path.startswith("/"):
        return "what lies below it is no file of this machine"
    others = _others_of_base(context, volume)
    return f"{volume.backing_path} below it is used by {held_words(others)} too" if others else None


def _others_of_base(context: Context, volume: Volume) -> list[Holder]:
    """Who has the image below other than through this one."""
    own = holders_of(context.snapshot, volume.raw_path)
    found = holders_of(context.snapshot, volume.raw_backing_path)
    return besides(found, own, lambda path: path == volume.raw_path)


def _commit(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume, keep = as_volume(target), is_on(values, "keep")
    command = ("qemu-img", "commit", "-p", "-f", "qcow2", *(["-d"] if keep else []), volume.raw_path)
    request = ops.CommitImage(volume.pool, volume.raw_name, volume.raw_backing_path, keep)
    loses = f"{volume.backing_path} as it is without {volume.name}"
    title = f"commit {volume.name} to {clean(os.path.basename(volume.raw_backing_path))}"
    base = storage_of(context).at(volume.raw_backing_path)
    grows = base is not None and (volume.capacity_bytes or 0) > (base.capacity_bytes or 0)
    again = [refresh_step(context, pool_of(context, base), volume)] if base is not None and grows else []
    return [Step(title, command, request, volume.key, loses=loses), *again]


def _commit_notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    volume = as_volume(target)
    after = "stays as it is" if is_on(values, "keep") else "is empty"
    notes = [f"{volume.name}: {after} after it, still lies on {volume.backing_path}, and reads as before"]
    base = storage_of(context).at(volume.raw_backing_path)
    if base is not None and volume.capacity_bytes and base.capacity_bytes not in (None, volume.capacity_bytes):
        sizes = f"{units.byte_size(base.capacity_bytes)}, {volume.name} {units.byte_size(volume.capacity_bytes)}"
        grows = volume.capacity_bytes > (base.capacity_bytes or 0)
        notes.append(f"{base.name}: has {sizes}; it {'grows to that' if grows else 'is not made smaller'}")
    return [*notes, *_users_note(context, volume)]


ACTIONS: tuple[Action, ...] = (
    Action(
        "volume.rebase", "Rebase", "rebase", "B", Kind.VOLUME,
        "Have a qcow2 volume lie on another image, or on none, and read as before.", _rebase, _rebase_reason,
        (
            Field("backing", "Backing file", FieldKind.TEXT, _backing_now,
                  help="a volume of this pool or a volume's path; empty: none"),
            choice("mode", "Mode", ("safe", "unsafe"), "unsafe: change its name in the header alone"),
        ),
        bulk=False, notes=_rebase_notes, rank=66, reads=READS,
    ),
    Action(
        "volume.commit", "Commit", "commit", "M", Kind.VOLUME,
        "Write what a qcow2 volume holds into the image below it, which nobody else uses.", _commit, _commit_reason,
        (flag("keep", "Keep", "leave the volume as it is; else it is empty after it"),),
        bulk=False, notes=_commit_notes, rank=67, reads=READS,
    ),
)  # fmt: skip
