"""External snapshots: a running domain goes on with new images, and the old ones stay as they are."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace

from tui.actions import disk_images as images
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values
from tui.actions.block_chain import Chain, chosen_chain, disk_reason, fits
from tui.actions.lifecycle import as_domain, step
from tui.model import units
from tui.model.domain import Domain
from tui.model.domain_config import Disk
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops.block_jobs import CommitDisk
from tui.ops.disk_snapshots import SnapshotDisks

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _able(disk: Disk) -> bool:
    return fits(disk) and disk.source_kind == "file"


def _reason(context: Context, target: Target) -> Reason:
    return disk_reason(context, target, _able, "it has no disk in a file that could get another above it")


def _chains(context: Context, domain: Domain, values: Values) -> list[Chain]:
    """The disks that the field says, all that can be when it is empty; raises FieldError."""
    there = domain.config.disks if domain.config is not None else ()
    words = values["device"].replace(",", " ").split() or [disk.target for disk in there if _able(disk)]
    found = [chosen_chain(context, domain, {"device": word}) for word in dict.fromkeys(words)]
    for chain in found:
        if not _able(chain.disk):
            raise FieldError("device", f"{chain.disk.target} is no file")
    return found


def _above(context: Context, chain: Chain, name: str) -> str:
    """The path of the image that is to lie above, named as libvirt does; raises FieldError when it is taken."""
    folder, _, image = chain.images[0].rpartition("/")
    path = f"{folder}/{image.rpartition('.')[0] or image}.{name}"
    storage = context.snapshot.storage
    known = storage is not None and storage.at(path) is not None
    if known or (images.is_local(context) and os.path.lexists(path)):
        raise FieldError("name", f"{clean(path)} is there already")
    return path


def _snapshot(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, name = as_domain(target), values["name"].strip()
    if not _NAME.fullmatch(name):
        raise FieldError("name", "must be letters, digits, _ . or -")
    chains = _chains(context, domain, values)
    above = [(chain, _above(context, chain, name)) for chain in chains]
    taken = {chain.disk.target for chain in chains}
    rest = tuple(disk.target for disk in (domain.config.disks if domain.config else ()) if disk.target not in taken)
    words = ["snapshot-create-as", domain_word(domain), name, "--disk-only", "--atomic", "--no-metadata"]
    for chain, path in above:
        words += ["--diskspec", f"{chain.disk.target},file={path.replace(',', ',,')}"]
    for other in rest:
        words += ["--diskspec", f"{other},snapshot=no"]
    disks = tuple((chain.disk.target, chain.source, path) for chain, path in above)
    title = f"snapshot {', '.join(chain.disk.target for chain in chains)} of {domain.name} as {name}"
    made = step(context, domain, title, words, SnapshotDisks(domain.key, name, disks, rest))
    return [replace(made, undo=tuple(_back(context, domain, chain, path) for chain, path in above))]


def _back(context: Context, domain: Domain, chain: Chain, path: str) -> Step:
    """What was written since goes into the old image, which the disk is then again."""
    device, base = chain.disk.target, chain.images[0]
    words = ["blockcommit", domain_word(domain), device, "--base", base, "--active", "--pivot"]
    title = f"commit {clean(path)} of {domain.name} into {clean(base)} and pivot to it"
    return step(context, domain, title, words, CommitDisk(domain.key, device, path, path, base))


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    notes = [
        f"{domain.name}: what stays is as if the power had failed at that moment",
        f"{domain.name}: undo commits what is written from then on; the snapshot is not listed, the chain of images is",
    ]
    storage = context.snapshot.storage
    for chain in _chains(context, domain, values):
        volume = storage.at(chain.images[0]) if storage is not None else None
        pool = storage.pools.get(volume.pool) if storage is not None and volume is not None else None
        if pool is not None and pool.available_bytes is not None:
            free = units.byte_size(pool.available_bytes)
            notes.append(
                f"{domain.name}: {chain.disk.target} may grow by all its size again, {pool.name} has {free} free"
            )
    return notes


ACTION = Action(
    "domain.snapshot-disk", "Snapshot the disks of", "disk snapshot", "", Kind.DOMAIN,
    "Go on with new images that lie on the disks' own, which stay as they are: an external snapshot.",
    _snapshot, _reason,
    (
        Field("device", "Disks", FieldKind.TEXT, help="as vda, vdb; empty: all in files", optional=True),
        Field("name", "Name", FieldKind.TEXT, lambda _context, _targets: time.strftime("%Y%m%d-%H%M%S"), optional=True,
              help="the ending of the new images"),
    ),
    bulk=False, notes=_notes, reads=("storage", "usage", "block_jobs"),
)  # fmt: skip
"""The action; it is one of the family disks."""
