"""Grow a disk while its domain runs."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions import disk_images as images
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values
from tui.actions.disk_choice import device_field, has, is_disk
from tui.actions.lifecycle import as_domain, needs_active, step
from tui.model import units
from tui.model.amount import parse_amount
from tui.model.domain import Domain
from tui.model.domain_config import Disk
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.used_by import image_of
from tui.model.virsh import domain_word
from tui.ops import disks as ops

_KIB = 1024


def _grows(disk: Disk) -> bool:
    return is_disk(disk) and not disk.read_only and bool(disk.raw_source)


def _reason(context: Context, target: Target) -> Reason:
    if reason := needs_active(context, target):
        return f"{reason}; its images are resized as volumes"
    return has(target, _grows, "it has no disk that could grow")


def _disk(domain: Domain, values: Values) -> Disk:
    """The running disk that the field says; raises FieldError."""
    there = [disk for disk in domain.config.disks if _grows(disk)] if domain.config else []
    found = next((disk for disk in there if disk.target == values["device"].strip()), None)
    if found is None:
        targets = ", ".join(disk.target for disk in there)
        raise FieldError("device", f"no {values['device'].strip() or 'disk'} there; it has: {targets or 'none'}")
    return found


def size_now(context: Context, domain: Domain, disk: Disk) -> int | None:
    """Return the size in bytes that the guest sees: QEMU's own figure, else what the image says; None where neither is
    known."""
    usage = context.snapshot.usage.get(domain.key)
    figures = next((used for used in usage.disks if used.target == disk.target), None) if usage else None
    if figures is not None and figures.capacity_bytes is not None:
        return figures.capacity_bytes
    return images.size_of(context, image_of(disk, context.snapshot.storage))


def _resize(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    disk = _disk(domain, values)
    now = size_now(context, domain, disk)
    if now is None:
        raise FieldError("device", f"the size of {disk.target} is not known; its figures are not read yet")
    try:
        size = parse_amount(values["size"], -(-now // _KIB))
    except ValueError as error:
        raise FieldError("size", str(error)) from error
    if size * _KIB <= now:
        raise FieldError(
            "size",
            f"{disk.target} has {units.byte_size(now)} already, and shrinking would cut off what lies at its end",
        )
    words = ["blockresize", domain_word(domain), disk.target, f"{size}KiB"]
    request = ops.GrowDisk(domain.key, disk.target, size)
    title = f"grow {disk.target} of {domain.name} from {units.byte_size(now)} to {units.size(size)}"
    return [step(context, domain, title, words, request)]


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    disk = _disk(domain, values)
    notes = [
        f"{domain.name}: a disk does not shrink again; there is no undo",
        f"{domain.name}: then in the guest: growpart /dev/{disk.target} 1 and resize2fs /dev/{disk.target}1 "
        "(xfs_growfs for XFS); its name there may be another",
    ]
    if disk.source_kind == "block" and disk.format == "raw":
        notes.append(f"{domain.name}: {disk.source} is a raw block device: grow that first, on the host")
    return notes


ACTION = Action(
    "domain.disk-resize", "Grow a disk of", "grow disk", "U", Kind.DOMAIN,
    "Make a disk larger while its domain runs; it never shrinks.", _resize, _reason,
    (
        device_field(_grows, live=True),
        Field("size", "Size", FieldKind.AMOUNT, help="such as 20G or +5G"),
    ),
    bulk=False, notes=_notes, reads=("storage",),
)  # fmt: skip
"""The action; it is one of the family disks."""
