"""Attach a disk to a domain: its image looked at before, its place proposed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui.actions import disk_images as images
from tui.actions.base import (
    Action,
    Context,
    Field,
    FieldError,
    FieldKind,
    Reason,
    Target,
    Values,
    choice,
    flag,
    is_on,
)
from tui.actions.define import kept_path
from tui.actions.disk_choice import UNREAD, known_sides
from tui.actions.lifecycle import as_domain, step
from tui.actions.sides import WHERE, Side, sides
from tui.actions.volume_new import FILE_POOLS, NewVolume, create_step, delete_again, none_made, path_in
from tui.actions.volume_steps import amount_of, new_name
from tui.model import units
from tui.model.disk_source import is_network
from tui.model.disk_xml import NewDisk, free_target, prefix_of
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.storage import Pool
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops import disks as ops

PLUGGABLE = ("virtio", "scsi", "usb")
"""The buses whose disks come and go while the domain runs."""

_BUSES = ("virtio", "scsi", "sata", "ide", "usb")
_CACHES = ("default", "none", "writethrough", "writeback", "directsync", "unsafe")
_READ = "header"
_SERIAL = re.compile(r"[A-Za-z0-9_ .+-]*")
_LONGEST_SERIAL = {"virtio": 20, "ide": 20, "sata": 20}


def _reason(_context: Context, target: Target) -> Reason:
    return None if known_sides(as_domain(target)) else UNREAD


def _attach(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    wanted = sides(domain, values)
    made = _new_volume(context, domain, values)
    disk = _disk(context, domain, wanted, values, made)
    for side in wanted:
        _check_side(domain, side, disk)
    file = kept_path(context, f"{domain.raw_name}-{disk.target}")
    return [*(made.steps if made else ()), *(_step(context, domain, side, disk, file) for side in wanted)]


@dataclass(frozen=True, slots=True)
class _Made:
    """A volume that is made first, and the step that does so."""

    image: images.Image
    steps: tuple[Step, ...]


def _new_volume(context: Context, domain: Domain, values: Values) -> _Made | None:
    """The volume that the field `capacity` asks for; None when it is empty. Raises FieldError."""
    if not values["capacity"].strip():
        return None
    pool, name = images.find_pool(context, "source", values["source"].strip())
    if why := none_made(pool):
        raise FieldError("source", f"{pool.name}: {why}")
    own = "qcow2" if pool.kind in FILE_POOLS else "raw"
    form = own if values["format"] == _READ else values["format"]
    if form != "raw" and pool.kind not in FILE_POOLS:
        raise FieldError("format", f"a pool of type {pool.kind} has raw volumes only")
    path, capacity = path_in(pool, _free_name(context, pool, name)), amount_of(values, "capacity")
    if not path:
        raise FieldError("source", f"volumes of a pool of type {pool.kind} are no files or devices of the host")
    if not capacity:
        raise FieldError("capacity", "must be more than 0")
    new = NewVolume(name, form, capacity, 0 if pool.kind in FILE_POOLS else capacity)
    if pool.available_bytes is not None and new.allocation > pool.available_bytes:
        raise FieldError("capacity", f"{pool.name} has {units.byte_size(pool.available_bytes)} free")
    made, again = create_step(context, pool, new), delete_again(context, pool, name)
    # One after the other: what is not made is not attached.
    step = replace(made, target=domain.key, undo=(replace(again, target=domain.key),))
    return _Made(images.Image(path, pool.kind not in FILE_POOLS, form), (step,))


def _free_name(context: Context, pool: Pool, name: str) -> str:
    try:
        return new_name(context, pool, name)
    except FieldError as error:
        raise FieldError("source", error.reason) from error


def _disk(
    context: Context, domain: Domain, wanted: Sequence[Side], values: Values, made: _Made | None = None
) -> NewDisk:
    """The disk that the fields say; raises FieldError."""
    given = "" if values["format"] == _READ else values["format"]
    image = made.image if made else images.find_image(context, "source", values["source"], given)
    bus = values["bus"]
    disk = NewDisk(
        image.path,
        image.block,
        image.format,
        _target(domain, wanted, values, bus),
        bus,
        cache=_named(values, "cache"),
        discard=_named(values, "discard"),
        io=_named(values, "io"),
        serial=_serial(values["serial"].strip(), bus),
        iothread=_iothread(values["iothread"].strip(), bus),
        read_only=is_on(values, "read_only"),
        shareable=is_on(values, "shareable"),
    )
    _check_options(disk)
    if made:
        return disk
    images.refuse_other_format(context, "format", image)
    wish = images.Wish(domain.key, disk.target, disk.read_only, disk.shareable)
    images.refuse_used(context, "source", image, wish)
    return disk


def _named(values: Values, name: str) -> str:
    return "" if values[name] == "default" else values[name]


def _target(domain: Domain, wanted: Sequence[Side], values: Values, bus: str) -> str:
    """The target given, else the first that no side has: a disk has the same name on both."""
    prefix, text = prefix_of(bus), values["target"].strip()
    if not text:
        return free_target(bus, {disk.target for config in known_sides(domain) for disk in config.disks})
    if not re.fullmatch(rf"{prefix}[a-z]{{1,3}}", text):
        raise FieldError("target", f"on {bus} it is called {prefix}a, {prefix}b and so on")
    for side in wanted:
        if any(disk.target == text for disk in side.config.disks):
            raise FieldError("target", f"{side.words} {domain.name} has a {text} already")
    return text


def _serial(text: str, bus: str) -> str:
    longest = _LONGEST_SERIAL.get(bus, 36)
    if not _SERIAL.fullmatch(text) or len(text) > longest:
        raise FieldError("serial", f"must be letters, digits, _ . + - or blanks, {longest} at most")
    return text


def _iothread(text: str, bus: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise FieldError("iothread", "must be the number of an I/O thread")
    if bus != "virtio":
        raise FieldError("iothread", "only virtio disks are bound to one; of SCSI the controller is")
    return int(text)


def _check_options(disk: NewDisk) -> None:
    """Raise FieldError for what QEMU refuses when the disk is plugged, or when the domain starts next."""
    if disk.io == "native" and disk.cache not in ("none", "directsync"):
        raise FieldError("io", "native goes with cache none or directsync")
    if disk.shareable and disk.format != "raw":
        raise FieldError("shareable", f"several can write to raw images alone; this is {disk.format}")
    if disk.read_only and disk.bus in ("ide", "sata"):
        raise FieldError("read_only", f"there are no read-only {disk.bus} disks; choose virtio")


def _check_side(domain: Domain, side: Side, disk: NewDisk) -> None:
    config = side.config
    if disk.iothread is not None and disk.iothread not in config.tuning.iothread_ids:
        there = ", ".join(map(str, config.tuning.iothread_ids))
        raise FieldError("iothread", f"{side.words} {domain.name} has: {there or 'none'}")
    if disk.bus == "ide" and config.pcie_buses is not None:
        raise FieldError("bus", f"its machine type {config.machine} has no IDE; choose sata or virtio")
    if not side.live:
        return
    other = "" if domain.persistent is False else ", or where: persistent"
    if disk.bus not in PLUGGABLE:
        raise FieldError("bus", f"no {disk.bus} disk goes into a running domain; choose virtio{other}")
    takes_slot = disk.bus == "virtio" or (disk.bus == "scsi" and "scsi" not in config.controllers)
    if takes_slot and config.free_slots == 0:
        what = "PCI slot" if config.pcie_buses is None else "PCIe root port"
        way = "; X adds some for the next boot" if config.pcie_buses is not None and other else ""
        raise FieldError("where", f"now: no free {what}{way}{other}")


def _step(context: Context, domain: Domain, side: Side, disk: NewDisk, file: str) -> Step:
    xml = disk.xml()
    words = ["attach-device", domain_word(domain), file, side.option]
    request = ops.AttachDisk(domain.key, side.live, disk.target, xml, file)
    title = f"attach {clean(disk.path)} ({disk.format}) to {domain.name} as {disk.target} {side.words}"
    back = detach_step(context, domain, side, disk.target, "" if is_network(disk.path) else disk.path)
    return replace(step(context, domain, title, words, request), undo=(back,))


def detach_step(context: Context, domain: Domain, side: Side, target: str, path: str) -> Step:
    """Return the step that takes a disk away, if it is still that of `path`."""
    words = ["detach-disk", domain_word(domain), target, side.option]
    request = ops.DetachDisk(domain.key, side.live, target, path)
    return step(context, domain, f"detach {target} from {domain.name} {side.words}", words, request)


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    wanted = sides(domain, values)
    notes = list(images.unread(context))
    given = "" if values["format"] == _READ else values["format"]
    new = _new_volume(context, domain, values)
    image = new.image if new else images.find_image(context, "source", values["source"], given)
    if image.below:
        notes.append(f"{clean(image.path)} lies on {clean(image.below[0])}, which must stay and not change")
    if wanted[0].live and values["bus"] == "virtio" and wanted[0].config.free_slots == 1:
        notes.append(f"{domain.name}: takes the last free slot")
    bus = values["bus"]
    if bus != "virtio" and any(bus not in side.config.controllers for side in wanted):
        notes.append(f"{domain.name}: gets a controller for {bus} with it, which undo leaves")
    if not wanted[0].live and domain.active:
        notes.append(f"{domain.name}: its guest has it from the next boot on")
    return notes


def _proposed_bus(_context: Context, targets: Sequence[Target]) -> str:
    """virtio where the machine can."""
    there = known_sides(as_domain(targets[0])) if targets and targets[0] is not None else []
    return "ide" if any(config.machine == "isapc" for config in there) else "virtio"


def _text(name: str, label: str, help: str) -> Field:
    return Field(name, label, FieldKind.TEXT, help=help, optional=True)


ACTION = Action(
    "domain.disk-attach", "Attach a disk to", "attach disk", "y", Kind.DOMAIN,
    "Attach a volume or image file as a disk; its format is read from its header.", _attach, _reason,
    (
        Field("source", "Image", FieldKind.TEXT, help="a path on the host, POOL/VOLUME, or nbd://HOST/EXPORT"),
        _text("capacity", "New, of size", "such as 20G: POOL/VOLUME is made first; empty: it is there"),
        Field("bus", "Bus", FieldKind.CHOICE, _proposed_bus, _BUSES),
        _text("target", "Target", "as vdb; empty: the next free one"),
        choice("format", "Format", (_READ, "raw", "qcow2"), "header: what the image says; qcow2 for a new one"),
        choice("cache", "Cache", _CACHES),
        choice("discard", "Discard", ("default", "unmap", "ignore"), "unmap: what the guest trims is given back"),
        choice("io", "I/O", ("default", "threads", "native", "io_uring"), "native goes with cache none or directsync"),
        _text("serial", "Serial", "what the guest finds it by; empty: none"),
        _text("iothread", "I/O thread", "its number; empty: none"),
        flag("read_only", "Read-only"),
        flag("shareable", "Shareable", "others may write to it as well: of a raw image, with a cluster filesystem"),
        WHERE,
    ),
    bulk=False, notes=_notes, reads=("storage", "processes"),
)  # fmt: skip
"""The action; it is one of the family disks."""
