"""What copying and moving a running disk share: where to, as what, whether there is room, and the step."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from tui.actions import disk_images as images
from tui.actions.base import Context, FieldError, Values, choice
from tui.actions.block_chain import Chain, limit_words, refuse_others
from tui.actions.disk_size import size_now
from tui.actions.lifecycle import step
from tui.actions.volume_new import FILE_POOLS, NewVolume, create_step, none_made, path_in
from tui.actions.volume_steps import new_name, storage_of
from tui.model import units
from tui.model.domain import Domain
from tui.model.plan import Step
from tui.model.storage import Pool
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops import block_jobs as ops

CHAIN = choice(
    "chain", "Images below", ("full", "shallow"),
    "full: all goes into the new image; shallow: it lies on the same images as the old one",
)  # fmt: skip
"""The field for what becomes of a backing chain."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a disk is copied to: a volume that is made for it, or without a pool a file that libvirt makes."""

    path: str
    form: str
    shallow: bool
    pool: Pool | None = None
    volume: NewVolume | None = None

    @property
    def block(self) -> bool:
        """Whether it is a block device."""
        return self.pool is not None and self.pool.kind not in FILE_POOLS


def volume_place(
    context: Context, domain: Domain, chain: Chain, pool: Pool, name: str, values: Values, form: str, field: str
) -> Place:
    """Return the place that is a new volume of a pool; raises FieldError for one that cannot be made or has no room,
    for `field` where it is the pool's fault."""
    if why := none_made(pool):
        raise FieldError(field, f"{pool.name}: {why}")
    path = path_in(pool, new_name(context, pool, name))
    if not path:
        raise FieldError(field, f"volumes of a pool of type {pool.kind} are no files or devices of the host")
    if form != "raw" and pool.kind not in FILE_POOLS:
        raise FieldError(field, f"a pool of type {pool.kind} has raw volumes only, and this is {form}")
    if images.is_local(context) and os.path.lexists(path):
        raise FieldError("name" if "name" in values else field, f"{clean(path)} is there already; refresh {pool.name}")
    size = size_now(context, domain, chain.disk)
    if size is None:
        raise FieldError("device", f"the size of {chain.disk.target} is not known; its figures are not read yet")
    if form == "qcow2" and size % 1024:
        why = (
            f"{chain.disk.target} has {size} bytes; libvirt makes qcow2 volumes of whole KiB, and QEMU copies to one of"
        )
        raise FieldError("device", f"{why} its very size alone; copy it to a path, or as raw")
    shallow = _shallow(chain, values, form)
    _check_room(context, chain, pool, size, shallow=shallow, field=field)
    below = (chain.images[1], _format_below(context, chain)) if shallow else ("", "")
    allocation = 0 if pool.kind in FILE_POOLS else size
    return Place(path, form, shallow, pool, NewVolume(name.strip(), form, size, allocation, False, *below))


def _shallow(chain: Chain, values: Values, form: str) -> bool:
    if values["chain"] != "shallow":
        return False
    if len(chain.images) < 2:
        raise FieldError("chain", f"{chain.disk.target} lies on no other image; choose full")
    if form != "qcow2":
        raise FieldError("chain", f"{form} cannot lie on another image; choose full")
    return True


def _format_below(context: Context, chain: Chain) -> str:
    """The format of the image below the disk's own; raises FieldError when it cannot be told."""
    volume, below = storage_of(context).at(chain.images[1]), clean(chain.images[1])
    if volume is None:
        raise FieldError("chain", f"libvirt makes no volume on {below}, which is in no active pool; choose full")
    if volume.format not in ("raw", "qcow2"):
        raise FieldError("chain", f"{below} is {volume.format or 'of no known format'}; choose full")
    return volume.format


def _check_room(context: Context, chain: Chain, pool: Pool, size: int, *, shallow: bool, field: str) -> None:
    free, needed = pool.available_bytes, _needed_bytes(context, chain, size, shallow=shallow)
    if pool.kind not in FILE_POOLS:
        needed = size
    if free is not None and needed is not None and needed > free:
        have = f"{pool.name} has {units.byte_size(free)} free"
        raise FieldError(field, f"{have}, and what is to be copied takes {units.byte_size(needed)}")


def _needed_bytes(context: Context, chain: Chain, size: int, *, shallow: bool) -> int | None:
    """Return about how many bytes the copy takes: what the images have allocated, no more than `size`; None where
    that is not known."""
    storage, found = context.snapshot.storage, 0
    for path in chain.images[: 1 if shallow else None]:
        volume = storage.at(path) if storage is not None else None
        taken = volume.allocation_bytes if volume is not None else _allocated(context, path)
        if taken is None:
            return None
        found += taken
    return min(found, size)


def _allocated(context: Context, path: str) -> int | None:
    if not images.is_local(context):
        return None
    try:
        return os.stat(path).st_blocks * 512
    except (OSError, ValueError):
        return None


def copy_steps(
    context: Context, domain: Domain, chain: Chain, place: Place, *, pivot: bool, limit: int, title: str
) -> list[Step]:
    """Return the steps that copy a disk to a place, the making of its volume included; they have no undo."""
    disk = chain.disk
    refuse_others(context, "device", domain, chain, (place.path,), f"{clean(place.path)} is used by")
    words = ["blockcopy", domain_word(domain), disk.target, "--dest", place.path, "--format", place.form]
    words += ["--shallow"] if place.shallow else []
    words += ["--reuse-external"] if place.volume is not None else []
    words += ["--blockdev"] if place.block else []
    words += ["--transient-job", "--pivot" if pivot else "--finish", *limit_words(limit)]
    request = ops.CopyDisk(
        domain.key, disk.target, chain.source, place.path, place.block, place.form, place.shallow, pivot,
        reuse=place.volume is not None,
        pool=place.pool.key if place.pool is not None else "",
        volume=place.volume.name if place.volume is not None else "",
        limit=limit,
    )  # fmt: skip
    copied = step(context, domain, title, words, request)
    if place.pool is None or place.volume is None:
        return [copied]
    return [replace(create_step(context, place.pool, place.volume), target=domain.key), copied]


def back_step(context: Context, domain: Domain, chain: Chain, place: Place) -> Step:
    """Return the step that moves a disk back to the image that it was moved from."""
    disk, old = chain.disk, chain.images[0]
    block = old.startswith("/dev/")
    words = ["blockcopy", domain_word(domain), disk.target, "--dest", old, "--format", disk.format]
    words += ["--shallow"] if place.shallow else []
    words += ["--reuse-external", *(["--blockdev"] if block else []), "--transient-job", "--pivot"]
    request = ops.CopyDisk(
        domain.key, disk.target, place.path, old, block, disk.format, place.shallow, pivot=True, reuse=True
    )
    return step(context, domain, f"move {disk.target} of {domain.name} back to {clean(old)}", words, request)
