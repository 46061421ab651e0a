"""Copy a running disk: as it was at one moment, or to go on with the copy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from tui.actions import disk_images as images
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, choice
from tui.actions.block_chain import LIMIT, READS, Chain, chosen_chain, disk_reason, fits, limit_of
from tui.actions.block_copy import CHAIN, Place, back_step, copy_steps, volume_place
from tui.actions.disk_choice import device_field
from tui.actions.lifecycle import as_domain
from tui.actions.volume_new import delete_again
from tui.actions.volume_steps import storage_of
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.storage import Pool, Storage
from tui.model.text import clean
from tui.ops.block_jobs import CopyDisk

NO_DISK = "it has no disk that can be copied"


def _reason(context: Context, target: Target) -> Reason:
    return disk_reason(context, target, fits, NO_DISK)


def _place(context: Context, domain: Domain, chain: Chain, values: Values) -> Place:
    """Where the field `to` says; raises FieldError."""
    storage, text = storage_of(context), values["to"].strip()
    form = chain.disk.format if values["format"] == "same" else values["format"]
    folder, _, name = text.rpartition("/")
    if text.startswith("/"):
        pool = next((p for p in storage.pools.values() if p.state.active and p.raw_path == folder), None)
    else:
        pool, name = _pool(storage, text), text.partition("/")[2]
    if pool is not None:
        return volume_place(context, domain, chain, pool, name, values, form, "to")
    if values["chain"] == "shallow":
        raise FieldError("chain", "only a volume of a pool can be made to lie on other images; give POOL/NAME")
    if images.is_local(context) and (os.path.lexists(text) or not os.path.isdir(folder or "/")):
        there = os.path.lexists(text)
        raise FieldError("to", f"{clean(text)} is there already" if there else f"there is no folder {clean(folder)}")
    return Place(text, form, shallow=False)


def _pool(storage: Storage, text: str) -> Pool:
    name = text.partition("/")[0]
    found = next((pool for pool in storage.pools.values() if pool.raw_name == name), None)
    if found is None or "/" not in text:
        there = ", ".join(pool.name for pool in storage.pools.values())
        raise FieldError("to", f"give a path, or POOL/NAME of a new volume; there are the pools: {there or 'none'}")
    return found


def _copy(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    chain = chosen_chain(context, domain, values)
    place, pivot = _place(context, domain, chain, values), values["then"] == "pivot"
    to = f"{clean(place.path)} ({place.form})"
    title = f"copy {chain.disk.target} of {domain.name} to {to}{' and pivot to it' if pivot else ''}"
    *before, copied = copy_steps(context, domain, chain, place, pivot=pivot, limit=limit_of(values), title=title)
    again = (
        (delete_again(context, place.pool, place.volume.name, loses=not pivot),)
        if place.pool is not None and place.volume is not None
        else ()
    )
    back = (back_step(context, domain, chain, place),) if pivot else ()
    # A file in no pool is nobody's to delete: its undo moves back, and leaves it.
    undo = tuple(replace(step, target=domain.key) for step in (*back, *again))
    return [*before, replace(copied, undo=undo)]


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    chain = chosen_chain(context, domain, values)
    disk = chain.disk
    if values["then"] == "pivot":
        notes = [f"{domain.name}: {clean(chain.images[0])} stays, as it is when {disk.target} leaves it"]
    else:
        notes = [f"{domain.name}: the copy is as if the power had failed at that moment; {disk.target} stays as it is"]
    return [*notes, *chain_notes(domain, chain, values)]


def chain_notes(domain: Domain, chain: Chain, values: Values) -> list[str]:
    """Return what becomes of the images below."""
    if len(chain.images) < 2:
        return []
    below = " on ".join(clean(path) for path in chain.images[1:])
    if values["chain"] == "shallow":
        return [f"{domain.name}: the new image lies on {below}, which must stay and not change"]
    return [f"{domain.name}: what {below} holds is copied too; the new image needs no other"]


def is_copy_back(request: object) -> bool:
    """Whether a request moves a disk back onto an image that was there."""
    return isinstance(request, CopyDisk) and request.reuse and not request.volume


ACTION = Action(
    "domain.disk-copy", "Copy a disk of", "copy disk", "", Kind.DOMAIN,
    "Copy a disk to a new image while the domain runs: as it is at one moment, or to go on with the copy.",
    _copy, _reason,
    (
        device_field(fits, live=True),
        Field("to", "To", FieldKind.TEXT, help="POOL/NAME of a new volume, or a path where nothing is yet"),
        choice("format", "Format", ("same", "qcow2", "raw")),
        choice("then", "Then", ("stay", "pivot"), "stay: the copy is left as it is then; pivot: go on with the copy"),
        CHAIN,
        LIMIT,
    ),
    bulk=False, notes=_notes, reads=READS,
)  # fmt: skip
"""The action; it is one of the family disks."""
