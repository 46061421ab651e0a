"""Take a disk away from a domain, and watch until its guest has given it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from tui.actions.base import Action, Context, FieldError, Reason, Target, Values
from tui.actions.define import kept_path
from tui.actions.disk_attach import PLUGGABLE, detach_step
from tui.actions.disk_choice import REMOVABLE, Chosen, any_disk, chosen, device_field, has, is_disk
from tui.actions.lifecycle import as_domain, step
from tui.actions.sides import WHERE, sides
from tui.model.disk_xml import plain, source_of
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.virsh import domain_word
from tui.ops import disks as ops


def _reason(_context: Context, target: Target) -> Reason:
    return has(target, any_disk, "it has no disks")


def _detach(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    found = chosen(domain, values, any_disk)
    if len({one.disk.raw_source for one in found}) > 1:
        raise FieldError("where", f"{found[0].disk.target} is another disk at the next boot; choose live or persistent")
    for one in found:
        _check(domain, one)
    return [_step(context, domain, one) for one in found]


def _check(domain: Domain, one: Chosen) -> None:
    """Raise FieldError when libvirt would refuse it for this side, before anything is done to the other."""
    if not one.side.live:
        return
    other = "" if domain.persistent is False else "; where: persistent takes it away for the next boot"
    if one.disk.device in REMOVABLE:
        what = "a CD-ROM" if one.disk.device == "cdrom" else "a floppy"
        raise FieldError("device", f"{what} drive stays while the domain runs; o takes its medium out{other}")
    if one.disk.bus not in PLUGGABLE:
        raise FieldError("device", f"no {one.disk.bus} disk leaves a running domain{other}")


def _step(context: Context, domain: Domain, one: Chosen) -> Step:
    disk, side = one.disk, one.side
    xml = plain(disk.xml)
    file = kept_path(context, f"{domain.raw_name}-{disk.target}")
    words = ["attach-device", domain_word(domain), file, side.option]
    request = ops.AttachDisk(domain.key, side.live, disk.target, xml, file)
    back = step(context, domain, f"attach {disk.target} to {domain.name} again {side.words}", words, request)
    made = detach_step(context, domain, side, disk.target, source_of(ET.fromstring(xml)))
    loses = f"what the guest has not yet written to {disk.target}" if side.live else None
    return replace(made, undo=(back,), loses=loses)


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    found = chosen(domain, values, any_disk)
    disk = found[0].disk
    notes = [f"{domain.name}: {disk.target} is {disk.source or 'empty'}; the image stays"]
    if found[0].side.live:
        notes.append(f"{domain.name}: unmount it in the guest first; a guest that has it mounted gets I/O errors")
    if len(found) < len(sides(domain, values)):
        lacks = "persistent configuration" if found[0].side.live else "running guest"
        notes.append(f"{domain.name}: its {lacks} does not have it")
    return notes


ACTION = Action(
    "domain.disk-detach", "Detach a disk from", "detach disk", "Y", Kind.DOMAIN,
    "Take a disk away; watched until the guest has given it up. The image stays.", _detach, _reason,
    (device_field(is_disk), WHERE), bulk=False, notes=_notes,
)  # fmt: skip
"""The action; it is one of the family disks."""
