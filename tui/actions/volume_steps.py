"""What the actions on volumes share: the volume and its pool, their words for virsh, who holds it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.actions.base import Context, FieldError, Reason, Target, Values
from tui.actions.pool_steps import plain_name, pool_word
from tui.model.amount import parse_amount
from tui.model.holders import Holder, Index, Sides, held_words, index_of
from tui.model.plan import Request, Step
from tui.model.storage import Pool, Storage, Volume
from tui.model.text import clean
from tui.model.virsh import virsh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.model.snapshot import HostSnapshot

READS = ("storage", "processes")
"""What has to be read, besides domains, to tell who holds a volume."""


def as_volume(target: Target) -> Volume:
    """Return `target` as the volume that a volume action is only ever called with; raises TypeError otherwise."""
    if not isinstance(target, Volume):
        raise TypeError(f"not a volume: {target!r}")
    return target


def storage_of(context: Context) -> Storage:
    """Return the storage that was read; raises FieldError when there is none."""
    if context.snapshot.storage is None:
        raise FieldError("volume", "the storage is not read yet")
    return context.snapshot.storage


def pool_of(context: Context, volume: Volume) -> Pool:
    """Return the pool of a volume; raises FieldError when it is gone."""
    pool = storage_of(context).pools.get(volume.pool)
    if pool is None:
        raise FieldError("volume", "its pool is gone")
    return pool


def volume_words(verb: str, pool: Pool, raw_name: str, *words: str) -> list[str]:
    """Return virsh's words for a volume of a pool: of a name that it would read as an option by --vol."""
    return [verb, *_name_words(raw_name), *words, "--pool", pool_word(pool)]


def copy_words(to: Pool, file: str, pool: Pool, raw_name: str) -> list[str]:
    """Return virsh's words for a new volume of the pool `to`, whose XML is in `file`, that is a copy of another."""
    return ["vol-create-from", pool_word(to), file, *_name_words(raw_name), "--inputpool", pool_word(pool)]


def _name_words(raw_name: str) -> list[str]:
    return [raw_name] if plain_name(raw_name) else ["--vol", raw_name]


def volume_step(
    context: Context,
    volume: Volume,
    title: str,
    words: Sequence[str],
    request: Request,
    *,
    undo: tuple[Step, ...] = (),
    loses: str | None = None,
    typed: bool = False,
) -> Step:
    """Return a step whose command is `virsh` with `words`."""
    return Step(title, virsh(context.uri, *words), request, volume.key, undo, loses, typed=typed)


def holders_of(snapshot: HostSnapshot, raw_path: str) -> tuple[Holder, ...]:
    """Return who holds an image as far as it was read: domains by both sides, QEMUs started by hand, volumes that lie
    on it."""
    by_hand = (
        Holder(process.name, f"pid {process.pid}", True, not drive.read_only)
        for process in snapshot.unmanaged().values()
        for drive in process.drives
        if drive.raw_path == raw_path
    )
    return (*_LAST.of(snapshot).get(raw_path, ()), *by_hand)


class _Last:
    """The index of the snapshot that was asked for last: every action on a volume asks, each time that the cursor
    moves, and the domains and volumes are the same objects while nothing about them changed."""

    def __init__(self) -> None:
        self._made: tuple[object, object, Index] | None = None

    def of(self, snapshot: HostSnapshot) -> Index:
        """Return who holds each image."""
        made = self._made
        if made is None or made[0] is not snapshot.domains or made[1] is not snapshot.storage:
            made = (snapshot.domains, snapshot.storage, index_of(_sides(snapshot), snapshot.storage))
            self._made = made
        return made[2]


_LAST = _Last()


def _sides(snapshot: HostSnapshot) -> Iterator[tuple[str, Sides]]:
    for domain in snapshot.domains.values():
        live = [(True, domain.config)] if domain.active and domain.config else []
        later = [(False, domain.persistent_config)] if domain.persistent_config else []
        yield domain.name, [*live, *later]


def unread(snapshot: HostSnapshot) -> Reason:
    """Return why it is not known yet who holds a volume, None when it is."""
    if snapshot.unread & {"domains", "configs"}:
        return "the domains are not read yet, so who uses it is not known"
    if "storage" in snapshot.unread:
        return "not all volumes are read yet, so what lies on it is not known"
    return None


def used_reason(found: Sequence[Holder], way: str = "") -> Reason:
    """Return that these hold it and what to do instead, None when there are none."""
    return f"it is used by {held_words(found)}{way}" if found else None


def new_name(context: Context, pool: Pool, text: str) -> str:
    """Return the name of a volume to be made; raises FieldError when it is none or is taken."""
    name = text.strip()
    if not name or "/" in name or name in (".", "..") or not name.isprintable():
        raise FieldError("name", "must be a name without slashes")
    if f"{pool.key}/{name}" in storage_of(context).volumes:
        raise FieldError("name", f"{pool.name} has a volume {clean(name)} already")
    return name


def backing_volume(context: Context, pool: Pool, text: str) -> Volume:
    """Return the volume that another may lie on, by its name in `pool` or its path; raises FieldError (backing) when
    its format is not known, or somebody writes to it."""
    storage = storage_of(context)
    found = storage.volumes.get(f"{pool.key}/{text}") or storage.at(text)
    if found is None:
        raise FieldError("backing", f"no active pool has {clean(text)}, so its format cannot be told")
    if found.format not in ("raw", "qcow2"):
        raise FieldError("backing", f"{found.name} is {found.format or 'of no known format'}; it must be raw or qcow2")
    found_holders = holders_of(context.snapshot, found.raw_path)
    if reason := used_reason([holder for holder in found_holders if holder.running and holder.writes]):
        raise FieldError("backing", f"{reason}, which writes to it: what lies on it would break")
    return found


def amount_of(values: Values, field: str, now: int | None = None, whole: int | None = None) -> int:
    """Return the bytes that a field means; `now` and `whole` in bytes. Raises FieldError."""
    kib = (None if size is None else size // 1024 for size in (now, whole))
    try:
        count = parse_amount(values[field], *kib) * 1024
    except ValueError as error:
        raise FieldError(field, str(error)) from error
    if count < 0:
        raise FieldError(field, "must not be negative")
    return count


def local_path(values: Values, field: str) -> str:
    """Return the absolute path that a field means on this machine; raises FieldError for none."""
    text = values[field].strip()
    if not text:
        raise FieldError(field, "a path is needed")
    return os.path.abspath(os.path.expanduser(text))
