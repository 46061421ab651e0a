"""Change and eject the media of CD-ROM and floppy drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui.actions import disk_images as images
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
    flag,
    is_on,
)
from tui.actions.disk_choice import Chosen, chosen, device_field, has, is_drive
from tui.actions.lifecycle import as_domain, step
from tui.actions.sides import WHERE
from tui.model.domain import Domain
from tui.model.domain_config import Disk
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops import disks as ops


def _reason(_context: Context, target: Target) -> Reason:
    return has(target, is_drive, "it has no CD-ROM or floppy drive")


def _media(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    found = chosen(domain, values, is_drive)
    path, block = "", False
    if values["source"].strip():
        image = _image(context, domain, found, values)
        path, block = image.path, image.block
    differ = [one for one in found if one.disk.raw_source != path]
    if not differ:
        raise TargetError("source", f"{found[0].disk.target} {'has it in' if path else 'is empty'} already")
    return [_step(context, domain, one, path, block=block, forced=is_on(values, "force")) for one in differ]


def _image(context: Context, domain: Domain, found: Sequence[Chosen], values: Values) -> images.Image:
    """The medium, in the format that each drive reads: the drive has its format whatever lies in it."""
    given = "" if images.is_local(context) else "raw"
    image = images.find_image(context, "source", values["source"], given, "source")
    for one in found:
        if image.format != (reads := one.disk.format or "raw"):
            raise FieldError("source", f"it is {image.format}, but the drive {one.disk.target} reads {reads}")
        wish = images.Wish(domain.key, one.disk.target, one.disk.read_only or one.disk.device == "cdrom")
        images.refuse_used(context, "source", image, wish)
    return image


def _step(context: Context, domain: Domain, one: Chosen, path: str, *, block: bool, forced: bool = False) -> Step:
    disk, forced = one.disk, forced and one.side.live
    back: tuple[Step, ...] = ()
    if _known(disk):
        back = (_change(context, domain, one, disk.raw_source, block=disk.source_kind == "block"),)
    made = _change(context, domain, one, path, block=block, forced=forced)
    loses = f"what the guest still reads from or writes to {disk.target}" if forced else None
    return replace(made, undo=back, loses=loses)


def _known(disk: Disk) -> bool:
    """Whether virsh can put back what is in it now."""
    return not disk.raw_source or disk.source_kind in ("file", "block")


def _change(
    context: Context, domain: Domain, one: Chosen, path: str, *, block: bool = False, forced: bool = False
) -> Step:
    target, side = one.disk.target, one.side
    words = ["change-media", domain_word(domain), target]
    words += [path, "--update"] if path else ["--eject"]
    words += ["--block"] if path and block else []
    words += ["--force"] if forced else []
    request = ops.ChangeMedium(domain.key, side.live, target, path, block, forced)
    what = f"put {clean(path)} into" if path else "eject the medium of"
    title = f"{what} {target} of {domain.name} {side.words}"
    return step(context, domain, title, [*words, side.option], request)


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    found = chosen(domain, values, is_drive)
    notes = []
    if found[0].side.live and not is_on(values, "force"):
        notes.append(f"{domain.name}: a guest that has the medium mounted locks the tray; that shows after 5 s")
    notes += [f"{domain.name}: undo does not put {one.disk.source} back" for one in found if not _known(one.disk)]
    return list(dict.fromkeys(notes))


ACTION = Action(
    "domain.media", "Change the medium of", "media", "o", Kind.DOMAIN,
    "Put an image into a CD-ROM or floppy drive, or eject what is in it.", _media, _reason,
    (
        replace(device_field(is_drive), label="Drive", help="its target, as sda"),
        Field("source", "Image", FieldKind.TEXT, help="a path, or POOL/VOLUME; empty: eject", optional=True),
        flag("force", "Force", "also when the guest has locked the tray"),
        WHERE,
    ),
    bulk=False, notes=_notes, reads=("storage", "processes"),
)  # fmt: skip
"""The action; it is one of the family disks."""
