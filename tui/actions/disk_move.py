"""Move a disk to another pool, while its domain runs or is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, choice
from tui.actions.block_chain import LIMIT, READS, Chain, chosen_chain, disk_reason, fits, limit_of, others
from tui.actions.block_copy import CHAIN, Place, back_step, copy_steps, volume_place
from tui.actions.disk_choice import device_field
from tui.actions.disk_copy import NO_DISK, chain_notes
from tui.actions.disk_images import find_pool
from tui.actions.disk_move_off import off_move, off_reason, off_steps
from tui.actions.lifecycle import as_domain
from tui.actions.volume_new import delete_again, none_made
from tui.actions.volume_steps import pool_of, storage_of, volume_words
from tui.model import units
from tui.model.domain import Domain
from tui.model.holders import held_words
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.storage import Pool, Volume
from tui.model.text import clean
from tui.model.virsh import virsh
from tui.ops import volumes as volume_ops


def _reason(context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    return disk_reason(context, target, fits, NO_DISK) if domain.active else off_reason(domain, NO_DISK)


def _place(context: Context, domain: Domain, chain: Chain, values: Values) -> Place:
    """The new volume that the fields say; raises FieldError."""
    pool, _name = find_pool(context, "pool", values["pool"].strip())
    name = values["name"].strip() or chain.images[0].rpartition("/")[2]
    old = storage_of(context).at(chain.images[0])
    if old is not None and old.pool == pool.key and not values["name"].strip():
        raise FieldError("pool", f"{chain.disk.target} lies in {pool.name} already; give another pool, or a name")
    return volume_place(context, domain, chain, pool, name, values, chain.disk.format, "pool")


def _move(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    if not domain.active:
        move = off_move(context, domain, values)
        rest = [_delete_old(context, domain, move.chain)] if values["old"] == "delete" else []
        return [*off_steps(context, domain, move), *rest]
    chain = chosen_chain(context, domain, values)
    place, device, old = _place(context, domain, chain, values), chain.disk.target, clean(chain.images[0])
    title = f"move {device} of {domain.name} from {old} to {clean(place.path)}"
    made, moved = copy_steps(context, domain, chain, place, pivot=True, limit=limit_of(values), title=title)
    if values["old"] == "delete":
        return [made, moved, _delete_old(context, domain, chain)]
    return [made, replace(moved, undo=_undo(context, domain, chain, place))]


def _undo(context: Context, domain: Domain, chain: Chain, place: Place) -> tuple[Step, ...]:
    """Back to the old image, over what it held, and the new volume away, which holds nothing else then."""
    assert place.pool is not None
    assert place.volume is not None
    again = delete_again(context, place.pool, place.volume.name, loses=False)
    return back_step(context, domain, chain, place), replace(again, target=domain.key)


def _delete_old(context: Context, domain: Domain, chain: Chain) -> Step:
    """Delete the volume that the disk was, which nobody else may have; raises FieldError."""
    volume = storage_of(context).at(chain.images[0])
    if volume is None:
        raise FieldError("old", f"{clean(chain.images[0])} is in no active pool; keep it, and delete it by hand")
    if domain.snapshots:
        raise FieldError("old", f"snapshots of {domain.name} may lie in {volume.name}; keep it, or delete them first")
    if found := others(context, domain, chain, (volume.raw_path,)):
        raise FieldError("old", f"{volume.name} is used by {held_words(found)}; keep it")
    later = domain.persistent_config.disks if domain.persistent_config is not None else ()
    if any(disk.target == chain.disk.target and disk.raw_source != chain.source for disk in later):
        raise FieldError("old", f"{chain.disk.target} is another image at the next boot; keep {volume.name}")
    return _delete_step(context, domain, pool_of(context, volume), volume)


def _delete_step(context: Context, domain: Domain, pool: Pool, volume: Volume) -> Step:
    words = volume_words("vol-delete", pool, volume.raw_name)
    request = volume_ops.DeleteVolume(pool.key, volume.raw_name)
    loses = f"{volume.name} of {pool.name}, with the way back ({units.byte_size(volume.allocation_bytes)})"
    title = f"delete {volume.name} of {pool.name}"
    return Step(title, virsh(context.uri, *words), request, domain.key, loses=loses, typed=True)


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    if not domain.active:
        there = "" if values["old"] == "delete" else f"; {off_move(context, domain, values).volume.name} stays"
        moved = f"{domain.name}: the copy needs no other image{there}; there is no undo, it is moved back likewise"
        return (moved, *_snapshots_note(domain))
    chain = chosen_chain(context, domain, values)
    place, old = _place(context, domain, chain, values), clean(chain.images[0])
    notes = [*chain_notes(domain, chain, values)]
    if values["old"] == "keep":
        notes.append(f"{domain.name}: {old} is left, as it is when {chain.disk.target} leaves it")
    free, size = (place.pool.available_bytes, place.volume.capacity) if place.pool and place.volume else (None, 0)
    if free is not None and size > free and place.pool is not None:
        has = f"{place.pool.name} has {units.byte_size(free)} free"
        notes.append(f"{domain.name}: {has}, less than the {units.byte_size(size)} that the disk may grow to")
    return [*notes, *_snapshots_note(domain)]


def _snapshots_note(domain: Domain) -> Sequence[str]:
    return (f"{domain.name}: its snapshots stay with the old image",) if domain.snapshots else ()


def _other_pool(context: Context, targets: Sequence[Target]) -> str:
    """The first pool that can have a new volume and has none of the domain's images."""
    storage = context.snapshot.storage
    if storage is None or len(targets) != 1 or targets[0] is None:
        return ""
    domain = as_domain(targets[0])
    config = domain.config if domain.active else domain.persistent_config
    there = [storage.at(disk.raw_source) for disk in config.disks] if config is not None else []
    taken = {volume.pool for volume in there if volume is not None}
    able = [pool for pool in storage.pools.values() if none_made(pool) is None]
    return next((pool.raw_name for pool in able if pool.key not in taken), able[0].raw_name if able else "")


ACTION = Action(
    "domain.disk-move", "Move a disk of", "move disk", "", Kind.DOMAIN,
    "Move a disk to another pool, also while the domain runs: copied to a new volume, which is the disk from then on.",
    _move, _reason,
    (
        device_field(fits, live=True),
        Field("pool", "To the pool", FieldKind.TEXT, _other_pool),
        Field("name", "Name", FieldKind.TEXT, help="of the new volume; empty: as the image is called", optional=True),
        CHAIN,
        choice("old", "Old image", ("keep", "delete"), "delete: once the disk has left it, and only then"),
        LIMIT,
    ),
    bulk=False, notes=_notes, reads=READS,
)  # fmt: skip
"""The action; it is one of the family disks."""
