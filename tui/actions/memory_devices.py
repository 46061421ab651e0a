"""Memory devices of domains: DIMMs and virtio-mem, and the slots that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from tui.actions import memory_preflight as preflight
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
    choice,
)
from tui.actions.define import kept_path
from tui.actions.lifecycle import as_domain, step
from tui.actions.memory_preflight import LAST, VIRTIO_MEM, Named, amount, number
from tui.actions.memory_slots import ACTION as SLOTS
from tui.actions.sides import WHERE, Side, persistent_first, sides
from tui.model import units
from tui.model.domain import Domain
from tui.model.domain_config import DomainConfig
from tui.model.kind import Kind
from tui.model.memory_xml import dimm_xml, virtio_mem_xml, with_requested
from tui.model.plan import Step
from tui.model.virsh import domain_word
from tui.ops import memory_devices as ops

_MIB = 1024
_SMALLEST_BLOCK_KIB = 2 * _MIB
_PROPOSED_KIB = 1024 * _MIB
# arch/x86/mm/init_64.c, probe_memory_block_size.
_LARGE_GUEST_KIB = 64 * 1024 * _MIB
_LARGE_BLOCK_KIB = 2 * 1024 * _MIB


@dataclass(frozen=True, slots=True)
class _Wish:
    """The device asked for; sizes in KiB."""

    model: str
    size_kib: int
    node: int
    block_kib: int
    requested_kib: int
    alias: str

    def xml(self, requested_kib: int) -> str:
        """Its XML, with that much requested where it is virtio-mem."""
        if self.model != VIRTIO_MEM:
            return dimm_xml(self.alias, self.size_kib, self.node)
        return virtio_mem_xml(self.alias, self.size_kib, self.node, self.block_kib, requested_kib)


def _attach_reason(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    there = preflight.known_sides(domain)
    if not there:
        return preflight.UNREAD
    if reason := preflight.machine_reason(there[0]):
        return reason
    reasons = [preflight.slots_reason(side) for side in there]
    if None in reasons:
        return None
    return reasons[0] if domain.persistent is False else f"{reasons[0]}; L adds what is missing for the next boot"


def _attach(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    wanted = sides(domain, values)
    wish = _wish(domain, wanted, values)
    for side in wanted:
        _check_room(side, wish, domain)
    if wish.model == VIRTIO_MEM:
        return _attach_virtio(context, domain, wanted, wish)
    file = kept_path(context, f"{domain.raw_name}-{wish.alias}")
    return [_attach_step(context, domain, side, wish, wish.xml(0), file) for side in wanted]


def _wish(domain: Domain, wanted: Sequence[Side], values: Values) -> _Wish:
    """The device that the fields say; raises FieldError."""
    size, model = amount(values, "size"), values["model"]
    unit = max(preflight.guest_block_kib(side.config) for side in wanted)
    if size <= 0 or size % unit:
        raise FieldError("size", f"guests take memory in blocks of {units.size(unit)}; give a multiple of that")
    block = requested = 0
    if model == VIRTIO_MEM:
        block = amount(values, "block")
        if block < _SMALLEST_BLOCK_KIB or block & (block - 1) or size % block:
            raise FieldError("block", "must be 2M, 4M, 8M and so on, and the size a multiple of it")
        requested = size if not values["requested"].strip() else amount(values, "requested", whole_kib=size)
        _check_requested("requested", requested, size, block)
    return _Wish(model, size, number(values, "node"), block, requested, _free_alias(domain, model))


def _check_requested(field: str, requested: int, size: int, block: int) -> None:
    if not 0 <= requested <= size:
        raise FieldError(field, f"must be from 0 to {units.size(size)}")
    if requested % block:
        raise FieldError(field, f"must be a multiple of its block, {units.size(block)}")


def _free_alias(domain: Domain, model: str) -> str:
    """A name that no memory device of either side has, so that it names the new one on both."""
    there = {device.alias for side in preflight.known_sides(domain) for device in side.tuning.memory_devices}
    stem = f"ua-{model.replace('-', '')}"
    return next(alias for number in count() if (alias := f"{stem}{number}") not in there)


def _check_room(side: Side, wish: _Wish, domain: Domain) -> None:
    """Raise FieldError when this side cannot take it: libvirt would only say so for one side after the other."""
    if reason := preflight.slots_reason(side.config):
        other = "persistent" if side.live else "live"
        way = f"; choose {other}" if _other_side_takes(domain, side) else ""
        raise TargetError("where", f"{side.words}: {reason}{way}")
    cells = [cell.number for cell in side.config.tuning.cells]
    if wish.node not in cells:
        raise TargetError("node", f"the guest has the NUMA nodes {', '.join(map(str, cells))}")
    room = preflight.room_kib(side.config)
    if wish.size_kib > room:
        ceiling = units.size(side.config.tuning.memory_ceiling_kib)
        raise TargetError("size", f"{side.words} only {units.size(room)} more fit below its maximum of {ceiling}")


def _other_side_takes(domain: Domain, side: Side) -> bool:
    others = (other for other in preflight.known_sides(domain) if other is not side.config)
    return any(preflight.slots_reason(other) is None for other in others)


def _attach_step(context: Context, domain: Domain, side: Side, wish: _Wish, xml: str, file: str) -> Step:
    """Plug it. Undo unplugs it by the name that only it has, but empties what QEMU may not let go."""
    undo: tuple[Step, ...] = (_detach_by_alias(context, domain, side, wish.alias),)
    if side.live and wish.model == VIRTIO_MEM:
        undo = (_resize_by_alias(context, domain, side, wish.alias, 0),) if wish.requested_kib else ()
    kind = VIRTIO_MEM if wish.model == VIRTIO_MEM else "DIMM"
    return _plug(context, domain, side, f"{kind} {wish.alias} ({units.size(wish.size_kib)})", xml, file, undo)


def _plug(
    context: Context, domain: Domain, side: Side, what: str, xml: str, file: str, undo: tuple[Step, ...] = ()
) -> Step:
    words = ["attach-device", domain_word(domain), file, side.option]
    request = ops.AttachMemory(domain.key, side.live, xml, file)
    made = step(context, domain, f"plug {what} into {domain.name} {side.words}", words, request)
    return replace(made, undo=undo)


def _attach_virtio(context: Context, domain: Domain, wanted: Sequence[Side], wish: _Wish) -> list[Step]:
    """Plug it empty into the running guest, and ask the guest to fill it last: it may take its time over that."""
    steps = []
    for side in wanted:
        file = kept_path(context, f"{domain.raw_name}-{wish.alias}")
        xml = wish.xml(0 if side.live else wish.requested_kib)
        steps.append(_attach_step(context, domain, side, wish, xml, file))
    if wanted[0].live and wish.requested_kib:
        steps.append(_resize_by_alias(context, domain, wanted[0], wish.alias, wish.requested_kib))
    return steps


def _attach_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    if not domain.active or values["where"] == "persistent":
        return ()
    if values["model"] == VIRTIO_MEM:
        return (f"{domain.name}: undo empties it; the device stays until the domain is off",)
    notes = [f"{domain.name}: its guest has the memory once it has brought it online (memhp_default_state)"]
    if domain.config and domain.config.memory_max_kib >= _LARGE_GUEST_KIB and amount(values, "size") % _LARGE_BLOCK_KIB:
        notes.append(f"{domain.name}: a Linux guest with 64G or more may take only multiples of 2G")
    return notes


def _detach_by_alias(context: Context, domain: Domain, side: Side, alias: str, undo: tuple[Step, ...] = ()) -> Step:
    words = ["detach-device-alias", domain_word(domain), alias, side.option]
    request = ops.DetachMemory(domain.key, side.live, alias)
    made = step(context, domain, f"unplug {alias} from {domain.name} {side.words}", words, request)
    return replace(made, undo=undo)


def _chosen(domain: Domain, values: Values, models: Sequence[str]) -> list[tuple[Side, Named]]:
    """The device that the field says, on each side that has it; raises FieldError when none has."""
    word, wanted = values["device"].strip() or LAST, sides(domain, values)
    found: list[tuple[Side, Named]] = []
    for side in wanted:
        devices = preflight.named(side.config, models)
        one = preflight.counterpart(devices, found[0][1]) if found else preflight.find(devices, word)
        if one is not None:
            found.append((side, one))
    if not found:
        there = [found.words for side in wanted for found in preflight.named(side.config, models)]
        raise TargetError("device", f"no {word} there; it has: {', '.join(dict.fromkeys(there)) or 'none'}")
    return found


def _waits(chosen: tuple[Side, Named]) -> bool:
    """Whether the guest has to comply."""
    return chosen[0].live


def _has(domain: Domain, models: Sequence[str], none: str) -> Reason:
    there = preflight.known_sides(domain)
    if not there:
        return preflight.UNREAD
    return None if any(preflight.named(side, models) for side in there) else none


def _detach_reason(_context: Context, target: Target) -> Reason:
    return _has(as_domain(target), preflight.UNPLUGGABLE, "it has no DIMM and no virtio-mem")


def _detach(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    chosen = persistent_first(_chosen(domain, values, preflight.UNPLUGGABLE), _waits)
    return [_detach_step(context, domain, side, found) for side, found in chosen]


def _detach_step(context: Context, domain: Domain, side: Side, found: Named) -> Step:
    device = found.device
    if side.live and device.model == VIRTIO_MEM and (device.current_kib or device.requested_kib):
        held = units.size(device.current_kib or device.requested_kib)
        raise TargetError("device", f"the guest has {held} of {found.name}; resize it to 0 first (z)")
    file = kept_path(context, f"{domain.raw_name}-{found.name}")
    back = _plug(context, domain, side, f"{found.words} again", device.xml, file)
    if side.live or found.user_alias:
        return _detach_by_alias(context, domain, side, device.alias, (back,))
    words = ["detach-device", domain_word(domain), file, side.option]
    request = ops.DetachMemory(domain.key, False, "", device.xml, file)
    title = f"unplug {found.name} from {domain.name} {side.words}"
    return replace(step(context, domain, title, words, request), undo=(back,))


def _detach_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    chosen = _chosen(domain, values, preflight.UNPLUGGABLE)
    notes = [f"{domain.name}: {chosen[0][1].words} goes"]
    if chosen[0][0].live:
        notes.append(f"{domain.name}: its guest must free the memory first, and may refuse")
    if len(chosen) < len(sides(domain, values)):
        lacks = "persistent configuration" if chosen[0][0].live else "running guest"
        notes.append(f"{domain.name}: its {lacks} does not have it")
    return notes


def _resize_reason(_context: Context, target: Target) -> Reason:
    return _has(as_domain(target), (VIRTIO_MEM,), "it has no virtio-mem; a DIMM has one size")


def _resize(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, size = as_domain(target), 0
    steps = []
    for side, found in persistent_first(_chosen(domain, values, (VIRTIO_MEM,)), _waits):
        device = found.device
        now, block = device.requested_kib or 0, device.block_kib or _SMALLEST_BLOCK_KIB
        size = amount(values, "size", now, device.size_kib)
        _check_requested("size", size, device.size_kib, block)
        if size != now:
            steps.append(_resize_step(context, domain, side, found, size, now))
    if not steps:
        raise TargetError("size", f"{domain.name} is to have {units.size(size)} of it already")
    return steps


def _resize_step(context: Context, domain: Domain, side: Side, found: Named, size: int, now: int) -> Step:
    if side.live or found.user_alias:
        back = _resize_by_alias(context, domain, side, found.device.alias, now)
        return replace(_resize_by_alias(context, domain, side, found.device.alias, size), undo=(back,))
    back = _resize_by_xml(context, domain, side, found, now)
    return replace(_resize_by_xml(context, domain, side, found, size), undo=(back,))


def _resize_by_alias(context: Context, domain: Domain, side: Side, alias: str, size: int) -> Step:
    words = ["update-memory-device", domain_word(domain), side.option, "--alias", alias]
    words += ["--requested-size", f"{size}KiB"]
    request = ops.ResizeMemory(domain.key, side.live, size, alias)
    return step(context, domain, _resize_title(domain, side, alias, size), words, request)


def _resize_by_xml(context: Context, domain: Domain, side: Side, found: Named, size: int) -> Step:
    """Of a device that has no alias yet libvirt is told by its XML."""
    file = kept_path(context, f"{domain.raw_name}-{found.name}")
    words = ["update-device", domain_word(domain), file, side.option]
    xml = with_requested(found.device.xml, size)
    request = ops.ResizeMemory(domain.key, side.live, size, "", xml, file)
    return step(context, domain, _resize_title(domain, side, found.name, size), words, request)


def _resize_title(domain: Domain, side: Side, name: str, size: int) -> str:
    return f"give {domain.name} {units.size(size)} of {name} {side.words}"


def _configs(targets: Sequence[Target]) -> list[DomainConfig]:
    """The sides of the first target, by which fields are proposed."""
    return preflight.known_sides(as_domain(targets[0])) if targets and targets[0] is not None else []


def _proposed_size(_context: Context, targets: Sequence[Target]) -> str:
    """1 GiB, or what there is room for, in blocks that the guest takes."""
    usable = [side for side in _configs(targets) if preflight.slots_reason(side) is None]
    if not usable:
        return "1G"
    unit = preflight.guest_block_kib(usable[0])
    room = min(_PROPOSED_KIB, *(preflight.room_kib(side) for side in usable))
    return f"{(room - room % unit) // _MIB}M"


def _proposed_node(_context: Context, targets: Sequence[Target]) -> str:
    return next((str(cell.number) for side in _configs(targets) for cell in side.tuning.cells), "0")


def _proposed_block(_context: Context, targets: Sequence[Target]) -> str:
    """2 MiB, or the largest huge page that backs the guest."""
    pages = (page for side in _configs(targets) for page in side.tuning.hugepages_kib)
    return f"{max((_SMALLEST_BLOCK_KIB, *pages)) // _MIB}M"


def _last_of(targets: Sequence[Target], models: Sequence[str]) -> Named | None:
    return next((found for side in _configs(targets) for found in preflight.named(side, models)[-1:]), None)


def _device_field(models: Sequence[str]) -> Field:
    def default(_context: Context, targets: Sequence[Target]) -> str:
        found = _last_of(targets, models) if len(targets) == 1 else None
        return found.name if found else LAST

    words = f"by its alias or the number of its slot, or {LAST}"
    return Field("device", "Device", FieldKind.TEXT, default, help=words, optional=True)


def _requested_now(_context: Context, targets: Sequence[Target]) -> str:
    found = _last_of(targets, (VIRTIO_MEM,))
    return f"{(found.device.requested_kib or 0) // _MIB}M" if found else ""


ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.memory-attach", "Plug memory into", "plug memory", "A", Kind.DOMAIN,
        "Plug a DIMM or a virtio-mem device into the domain.", _attach, _attach_reason,
        (
            choice("model", "Model", ("dimm", VIRTIO_MEM), "virtio-mem can be resized; a DIMM comes and goes whole"),
            Field("size", "Size", FieldKind.AMOUNT, _proposed_size, help="in blocks that the guest takes: 128M"),
            Field("node", "Guest NUMA node", FieldKind.TEXT, _proposed_node, optional=True),
            Field("block", "Block", FieldKind.AMOUNT, _proposed_block, help="of virtio-mem alone", optional=True),
            Field("requested", "Of it now", FieldKind.AMOUNT, optional=True,
                  help="of virtio-mem alone: what the guest is to take; empty: all of it"),
            WHERE,
        ),
        notes=_attach_notes,
    ),
    Action(
        "domain.memory-detach", "Unplug memory from", "unplug memory", "Z", Kind.DOMAIN,
        "Unplug a DIMM or a virtio-mem device; watched until the guest has given it up.", _detach, _detach_reason,
        (_device_field(preflight.UNPLUGGABLE), WHERE), notes=_detach_notes,
    ),
    Action(
        "domain.memory-resize", "Resize virtio-mem of", "resize memory", "z", Kind.DOMAIN,
        "Set how much of a virtio-mem device the guest is to have; watched until it has.", _resize, _resize_reason,
        (
            _device_field((VIRTIO_MEM,)),
            Field("size", "Size", FieldKind.AMOUNT, _requested_now, help="such as 512M, +256M, 50% of the device, 0"),
            WHERE,
        ),
    ),
    SLOTS,
)  # fmt: skip
