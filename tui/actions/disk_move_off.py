"""Move a disk of a domain that is off to another pool: its volume is copied, its configuration changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from tui.actions.base import Context, FieldError, Reason, Values
from tui.actions.block_chain import Chain, fits, unfit
from tui.actions.define import kept_path
from tui.actions.disk_images import find_pool
from tui.actions.image_steps import held_bytes
from tui.actions.lifecycle import step
from tui.actions.volume_new import FILE_POOLS, none_made, path_in
from tui.actions.volume_steps import copy_words, new_name, pool_of, storage_of
from tui.model import units
from tui.model.disk_xml import with_medium
from tui.model.domain import Domain
from tui.model.plan import Step
from tui.model.storage import Pool, Volume
from tui.model.text import clean
from tui.model.used_by import image_of
from tui.model.virsh import domain_word
from tui.model.volume_xml import new_volume_xml
from tui.ops import disk_moves as ops


@dataclass(frozen=True, slots=True)
class Move:
    """What is moved to where."""

    chain: Chain
    volume: Volume
    pool: Pool
    name: str
    path: str


def off_reason(domain: Domain, none: str) -> Reason:
    """Return why no disk of a domain that is off can be moved, None when one can."""
    if domain.persistent_config is None:
        return "its configuration is not read yet"
    if domain.managed_save:
        return "its saved state goes on with the old image; start it, or remove that first"
    return None if any(fits(disk) for disk in domain.persistent_config.disks) else none


def off_move(context: Context, domain: Domain, values: Values) -> Move:
    """Return what the fields mean; raises FieldError."""
    word, config = values["device"].strip(), domain.persistent_config
    there = config.disks if config is not None else ()
    disk = next((disk for disk in there if disk.target == word), None)
    if disk is None or (why := unfit(disk)):
        raise FieldError("device", f"{word} {why}" if disk is not None else f"it has no disk {word}")
    path, storage = image_of(disk, context.snapshot.storage), storage_of(context)
    volume = storage.at(path)
    if volume is None:
        raise FieldError("device", f"{clean(path)} is in no active pool: it is moved while the domain runs")
    if values["chain"] == "shallow" or values["limit"].strip():
        field = "chain" if values["chain"] == "shallow" else "limit"
        raise FieldError(field, "only while the domain runs")
    pool, _rest = find_pool(context, "pool", values["pool"].strip())
    if (none := none_made(pool)) is not None:
        raise FieldError("pool", f"{pool.name}: {none}")
    if pool.key == volume.pool and not values["name"].strip():
        raise FieldError("pool", f"{disk.target} lies in {pool.name} already; give another pool, or a name")
    name = new_name(context, pool, values["name"].strip() or volume.raw_name)
    new_path = path_in(pool, name)
    if not new_path or (disk.format != "raw" and pool.kind not in FILE_POOLS):
        raise FieldError("pool", f"a pool of type {pool.kind} does not take {disk.format} images")
    _check_room(context, volume, pool)
    return Move(Chain(disk, (path,)), volume, pool, name, new_path)


def _check_room(context: Context, volume: Volume, pool: Pool) -> None:
    """What lies below is copied as well."""
    needed = held_bytes(storage_of(context), volume)
    if pool.available_bytes is not None and needed > pool.available_bytes:
        have = f"{pool.name} has {units.byte_size(pool.available_bytes)} free"
        raise FieldError("pool", f"{have}, and what is to be copied takes {units.byte_size(needed)}")


def off_steps(context: Context, domain: Domain, move: Move) -> Sequence[Step]:
    """Return the steps of the move; they have no undo: what a guest writes then would not be in the old image."""
    disk, volume, pool = move.chain.disk, move.volume, move.pool
    capacity = volume.capacity_bytes or 0
    volume_xml = new_volume_xml(move.name, capacity, 0 if pool.kind in FILE_POOLS else capacity, disk.format)
    files = [kept_path(context, f"{domain.raw_name}-{word}") for word in (disk.target, f"{disk.target}-volume")]
    words = copy_words(pool, files[1], pool_of(context, volume), volume.raw_name)
    copy = ops.CopyVolume(volume.pool, volume.raw_name, pool.key, move.name, volume_xml, files[1])
    title = f"copy {volume.name} to {clean(move.path)}"
    disk_xml = with_medium(ET.fromstring(disk.xml), move.path, block=pool.kind not in FILE_POOLS)
    change = ops.ChangeSource(
        domain.key, disk.target, disk.raw_source, disk_xml, files[0], pool.key, move.name
    )  # fmt: skip
    changed = ["update-device", domain_word(domain), files[0], "--config"]
    return [
        step(context, domain, title, words, copy),
        step(context, domain, f"have {disk.target} of {domain.name} be {clean(move.path)}", changed, change),
    ]
