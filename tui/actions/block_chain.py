"""What the actions on a running disk's images share: the disk, its chain of images, who else has them, how fast."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tui.actions import disk_images as images
from tui.actions.base import Context, Field, FieldError, FieldKind, Reason, Target, Values
from tui.actions.disk_choice import REMOVABLE, is_disk
from tui.actions.lifecycle import as_domain, needs_active
from tui.model.amount import parse_amount
from tui.model.block_job import BlockJob
from tui.model.domain import Domain
from tui.model.domain_config import Disk
from tui.model.holders import Holder, held_words
from tui.model.text import clean
from tui.model.used_by import image_of

READS = ("storage", "usage", "processes", "block_jobs")
"""What has to be read, besides domains, to plan a block job."""

_FORMATS = ("raw", "qcow2")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Chain:
    """A disk as it runs, and the raw paths of its image and those below, top first."""

    disk: Disk
    images: tuple[str, ...]

    @property
    def source(self) -> str:
        """The disk's own image as its XML has it, which of a volume is not the path."""
        return self.disk.raw_source

    @property
    def words(self) -> str:
        """The chain in one line."""
        return " on ".join(clean(path) for path in self.images)


def chain_of(context: Context, disk: Disk) -> Chain:
    """Return a running disk with the images that QEMU has open for it."""
    return Chain(disk, (image_of(disk, context.snapshot.storage), *disk.raw_backing))


def fits(disk: Disk) -> bool:
    """Whether block jobs are begun on it here."""
    return not unfit(disk)


def layered(disk: Disk) -> bool:
    """Whether it is such a disk that lies on another image."""
    return fits(disk) and bool(disk.raw_backing)


def unfit(disk: Disk) -> str:
    """Return why no block job is begun on it, "" where one may be."""
    if disk.device in REMOVABLE:
        return "is a drive; o changes its medium"
    if not is_disk(disk) or not disk.raw_source:
        return "has no image"
    if disk.read_only:
        return "is read-only"
    if disk.shareable:
        return "is shared: the others would go on with the old image"
    if disk.source_kind not in ("file", "block", "volume"):
        return f"is on the {disk.source_kind}, no file or device of this host"
    return "" if disk.format in _FORMATS else f"is {disk.format or 'of no known format'}, not raw or qcow2"


def disk_reason(context: Context, target: Target, what: Callable[[Disk], bool], none: str) -> Reason:
    """Return why the domain has no running disk of that kind; None when it has."""
    if reason := needs_active(context, target):
        return reason
    config = as_domain(target).config
    if config is None:
        return "its configuration is not read yet"
    return None if any(what(disk) for disk in config.disks) else none


def chosen_chain(context: Context, domain: Domain, values: Values) -> Chain:
    """Return the disk that the field `device` names, as it runs, with no job under way; raises FieldError."""
    word = values["device"].strip()
    there = domain.config.disks if domain.config is not None else ()
    disk = next((disk for disk in there if disk.target == word), None)
    if disk is None:
        found = ", ".join(disk.target for disk in there if fits(disk))
        raise FieldError("device", f"no {word or 'disk'} there now; it has: {found or 'none'}")
    if why := unfit(disk):
        raise FieldError("device", f"{disk.target} {why}")
    if (job := job_of(context, domain, disk.target)) is not None:
        raise FieldError("device", f"a block job is under way on {disk.target} ({job.words}); J pivots or ends it")
    if disk.raw_mirror:
        raise FieldError("device", f"a block job is under way on {disk.target}; J pivots or ends it")
    return chain_of(context, disk)


def jobs_of(context: Context, domain: Domain) -> tuple[BlockJob, ...] | None:
    """Return the block jobs of a domain; None when they are not read."""
    usage = context.snapshot.usage.get(domain.key)
    return None if usage is None else usage.block_jobs


def job_of(context: Context, domain: Domain, target: str) -> BlockJob | None:
    """Return the block job of a disk; None when it has none as far as is known."""
    return next((job for job in jobs_of(context, domain) or () if job.target == target), None)


def layer(values: Values, field: str, chain: Sequence[str]) -> int:
    """Return which image of a chain a field means, by its path, its name or as a number; raises FieldError."""
    word = values[field].strip()
    if word.isascii() and word.isdigit() and int(word) < len(chain):
        return int(word)
    found = [n for n, path in enumerate(chain) if word in (path, clean(path), os.path.basename(path))]
    if len(found) != 1:
        there = ", ".join(f"{number}: {clean(os.path.basename(path))}" for number, path in enumerate(chain))
        raise FieldError(field, f"{'more than one image is' if found else 'no image of the chain is'} that; {there}")
    return found[0]


def refuse_others(context: Context, field: str, domain: Domain, chain: Chain, paths: Sequence[str], why: str) -> None:
    """Raise FieldError when anything but this disk has one of these images."""
    if missing := context.snapshot.unread & {"domains", "configs", "storage"}:
        raise FieldError(field, f"the {', '.join(sorted(missing))} are not read yet, so who uses them is not known")
    found = [*others(context, domain, chain, paths), *_by_hand(context, paths)]
    if found:
        raise FieldError(field, f"{why} {held_words(found)}")


def others(context: Context, domain: Domain, chain: Chain, paths: Sequence[str]) -> list[Holder]:
    """Return who has one of these images besides this disk of a domain, and the images of its own chain."""
    wanted, uses = [images.real_path(context, path) for path in paths], images.uses_of(context)
    own, disk = {images.real_path(context, path) for path in chain.images}, (domain.key, chain.disk.target)
    found = [use for path in wanted for use in uses.get(path, ()) if (use.domain, use.target) != disk]
    storage = context.snapshot.storage
    above = [
        volume.name
        for volume in (storage.volumes.values() if storage is not None else ())
        if volume.raw_backing_path
        and images.real_path(context, volume.raw_backing_path) in wanted
        and images.real_path(context, volume.raw_path) not in own
    ]
    return [
        *dict.fromkeys(Holder(use.name, use.target, use.running, not use.read_only) for use in found),
        *(Holder(name, "", False, False) for name in above),
    ]


def _by_hand(context: Context, paths: Iterable[str]) -> list[Holder]:
    """The QEMUs that were started by hand and have one of these images."""
    wanted = {images.real_path(context, path) for path in paths}
    return [
        Holder(process.name, f"pid {process.pid}", True, not drive.read_only)
        for process in context.snapshot.unmanaged().values()
        for drive in process.drives
        if images.real_path(context, drive.raw_path) in wanted
    ]


def limit_of(values: Values) -> int:
    """Return the bytes/s that a job may take, 0 for no limit; raises FieldError."""
    text = values["limit"].strip()
    try:
        limit = parse_amount(text) * _KIB if text else 0
    except ValueError as error:
        raise FieldError("limit", f"{text!r} is no amount a second such as 50M") from error
    if limit < 0:
        raise FieldError("limit", "must not be negative")
    return limit


def limit_words(limit: int) -> list[str]:
    """Return virsh's words for a limit in bytes/s."""
    return ["--bandwidth", str(limit), "--bytes"] if limit else []


LIMIT = Field("limit", "At most", FieldKind.TEXT, help="a second, as 50M; empty: as fast as it goes", optional=True)
"""The field for how fast a job may be."""
