"""Slots for memory devices, from a domain's next boot on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.actions import memory_preflight as preflight
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.define import kept_path
from tui.actions.lifecycle import as_domain
from tui.model import units
from tui.model.domain import Domain
from tui.model.domain_config import DomainConfig
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.virsh import virsh
from tui.ops.memory_devices import SetMemorySlots

_MIB = 1024
_SLOTS = 16
# ACPI_MAX_RAM_SLOTS of QEMU.
_MOST_SLOTS = 256
_LEAST_ROOM_KIB = 1024 * _MIB


def _reason(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if domain.persistent is False:
        return "it is transient: it has no next boot"
    return preflight.UNREAD if domain.persistent_config is None else preflight.machine_reason(domain.persistent_config)


def _config(target: Target) -> DomainConfig:
    config = as_domain(target).persistent_config
    if config is None:
        raise TargetError("max", preflight.UNREAD)
    return config


def _slots(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, config = as_domain(target), _config(target)
    ceiling, slots = _ceiling(config, values), _count(config, values)
    if (ceiling, slots) == (config.tuning.memory_ceiling_kib, config.tuning.slots):
        raise TargetError("slots", f"it has {slots} slots and a maximum of {units.size(ceiling)} already")
    words = f"give {domain.name} {slots} memory slots up to {units.size(ceiling)} from the next boot on"
    return [_step(context, domain, words, _Slots(ceiling, slots), (_undo(context, domain, config),))]


@dataclass(frozen=True, slots=True)
class _Slots:
    """What `<maxMemory>` is to be; 0 for none."""

    ceiling_kib: int
    count: int
    drop_cell: bool = False


def _undo(context: Context, domain: Domain, config: DomainConfig) -> Step:
    """Put the slots alone back as they were: what else is changed until then stays."""
    tuning = config.tuning
    if tuning.memory_ceiling_kib is not None and tuning.slots:
        before = _Slots(tuning.memory_ceiling_kib, tuning.slots)
        return _step(context, domain, f"give {domain.name} its {before.count} memory slots again", before)
    before = _Slots(0, 0, drop_cell=not tuning.cells)
    return _step(context, domain, f"take the memory slots of {domain.name} away", before)


def _step(context: Context, domain: Domain, title: str, slots: _Slots, undo: tuple[Step, ...] = ()) -> Step:
    file, backup = (kept_path(context, f"{domain.raw_name}{suffix}") for suffix in ("-slots", ""))
    request = SetMemorySlots(domain.key, slots.ceiling_kib, slots.count, file, backup, slots.drop_cell)
    return Step(title, virsh(context.uri, "define", file, "--validate"), request, domain.key, undo)


def _ceiling(config: DomainConfig, values: Values) -> int:
    ceiling = preflight.amount(values, "max", config.tuning.memory_ceiling_kib, config.memory_max_kib)
    ceiling -= ceiling % _MIB
    if ceiling < config.memory_max_kib + preflight.guest_block_kib(config):
        room, least = units.size(config.memory_max_kib), units.size(preflight.guest_block_kib(config))
        raise TargetError("max", f"it has {room} already: the maximum must be {least} more at least")
    return ceiling


def _count(config: DomainConfig, values: Values) -> int:
    slots, used = preflight.number(values, "slots"), len(config.tuning.memory_devices)
    if not 1 <= slots <= _MOST_SLOTS:
        raise FieldError("slots", f"must be from {max(1, used)} to {_MOST_SLOTS}")
    if slots < used:
        raise TargetError("slots", f"must be from {used} to {_MOST_SLOTS}: it has {used} devices")
    return slots


def _notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    domain, config = as_domain(target), _config(target)
    notes = []
    if not config.tuning.cells:
        notes.append(f"{domain.name}: gets one guest NUMA cell of all its vCPUs and memory, which slots need")
    if domain.active:
        notes.append(f"{domain.name}: shut it down and start it to use them; a reboot from inside is not enough")
    if domain.managed_save:
        notes.append(f"{domain.name}: its saved state continues without them")
    return notes


def _default_max(_context: Context, targets: Sequence[Target]) -> str:
    """Twice the memory, 1 GiB more at least, and not less than it is."""
    config = as_domain(targets[0]).persistent_config if targets and targets[0] is not None else None
    if config is None:
        return ""
    wanted = max(2 * config.memory_max_kib, config.memory_max_kib + _LEAST_ROOM_KIB)
    return f"{max(wanted, config.tuning.memory_ceiling_kib or 0) // _MIB}M"


def _default_slots(_context: Context, targets: Sequence[Target]) -> str:
    config = as_domain(targets[0]).persistent_config if targets and targets[0] is not None else None
    return str(_SLOTS if config is None else max(_SLOTS, config.tuning.slots))


ACTION = Action(
    "domain.memory-slots", "Add memory slots to", "memory slots", "L", Kind.DOMAIN,
    "Give the domain slots for memory devices from its next boot on.", _slots, _reason,
    (
        Field("max", "Maximum memory", FieldKind.AMOUNT, _default_max, help="all devices included, such as 8G"),
        Field("slots", "Slots", FieldKind.TEXT, _default_slots, help="one for each device", optional=True),
    ),
    notes=_notes,
)  # fmt: skip
"""The action; it is one of the family memory_devices."""
