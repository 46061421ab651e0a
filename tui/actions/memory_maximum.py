"""The maximum of a domain's memory, and how often its guest reports of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    amount_error,
)
from tui.actions.lifecycle import as_domain, step
from tui.actions.sides import WHERE, Side, sides
from tui.model import units
from tui.model.amount import format_amount, parse_amount
from tui.model.balloon import LEAST_KIB, has_balloon
from tui.model.domain import Domain
from tui.model.domain_config import DomainConfig
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.virsh import domain_word
from tui.ops.memory import SetMaxMemory, SetMemory, SetStatsPeriod

_UNREAD = "its configuration is not read yet"
_NO_BALLOON = "it has no balloon device"
# 4 PiB: no processor addresses more.
_MOST_KIB = 2**42
_LEAST_MAX_KIB = 1024
_LONGEST_S = 86400
_USUAL_S = 5


def _known(domain: Domain) -> list[DomainConfig]:
    """The configurations of its sides, as far as they are read."""
    return [config for config in (domain.config, domain.persistent_config) if config is not None]


def _is_unread(domain: Domain) -> bool:
    return domain.config is None or (domain.persistent is not False and domain.persistent_config is None)


def needs_balloon(_context: Context, target: Target) -> Reason:
    """Return why a guest's memory cannot be changed by its balloon; None when one side of it has one."""
    domain = as_domain(target)
    if _is_unread(domain):
        return _UNREAD
    return None if any(has_balloon(config) for config in _known(domain)) else _NO_BALLOON


# The maximum


def _max_reason(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if domain.persistent is False:
        return "it is transient, and the maximum changes at a boot alone"
    config = domain.persistent_config
    if config is None:
        return _UNREAD
    if config.tuning.cells:
        return "its memory is divided among NUMA cells; edit its XML, or plug a memory device"
    return None


def _config(domain: Domain) -> DomainConfig:
    if domain.persistent_config is None:
        raise TargetError("maximum", _UNREAD)
    return domain.persistent_config


def _maximum(domain: Domain, values: Values) -> int:
    """The KiB that the field means; raises FieldError."""
    config = _config(domain)
    try:
        kib = parse_amount(values["maximum"], config.memory_max_kib, config.memory_max_kib)
    except ValueError as error:
        raise FieldError("maximum", str(error)) from error
    if not _LEAST_MAX_KIB <= kib <= _MOST_KIB:
        refused = amount_error(values["maximum"])
        raise refused("maximum", f"must be from {format_amount(_LEAST_MAX_KIB)} to {format_amount(_MOST_KIB)}")
    ceiling = config.tuning.memory_ceiling_kib
    if ceiling is not None and kib > ceiling:
        raise TargetError("maximum", f"its slots end at {format_amount(ceiling)}; {format_amount(kib)} is more")
    if kib == config.memory_max_kib:
        raise TargetError("maximum", f"{domain.name} can have {format_amount(kib)} already")
    return kib


def _max_step(context: Context, domain: Domain, kib: int, before: int) -> Step:
    title = f"let {domain.name} have {format_amount(kib)} at most instead of {format_amount(before)}"
    words = ["setmaxmem", domain_word(domain), f"{kib}KiB", "--config"]
    return step(context, domain, f"{title} from the next boot on", words, SetMaxMemory(domain.key, kib))


def _now_step(context: Context, domain: Domain, kib: int, before: int) -> Step:
    title = f"give {domain.name} {format_amount(kib)} instead of {format_amount(before)} from the next boot on"
    words = ["setmem", domain_word(domain), f"{kib}KiB", "--config"]
    return step(context, domain, title, words, SetMemory(domain.key, kib, live=False))


def _max_steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    """What it boots with comes down first: libvirt would take it down with the maximum, but not up again."""
    domain = as_domain(target)
    config, maximum = _config(domain), _maximum(domain, values)
    before, now = config.memory_max_kib, config.memory_kib
    back = _max_step(context, domain, before, maximum)
    steps = [replace(_max_step(context, domain, maximum, before), undo=(back,))]
    if now > maximum:
        down = _now_step(context, domain, maximum, now)
        steps.insert(0, replace(down, undo=(_now_step(context, domain, now, maximum),)))
    return steps


def _max_notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    config, maximum, host = _config(domain), _maximum(domain, values), context.snapshot.host
    notes = []
    if domain.active:
        notes.append(f"{domain.name}: a maximum changes only at a boot; it keeps {_live_most(domain)} until then")
    if maximum > config.memory_max_kib and has_balloon(config):
        notes.append(f"{domain.name}: it still boots with {format_amount(config.memory_kib)}; b gives it more")
    if host is not None and host.memory_kib is not None and maximum > host.memory_kib:
        notes.append(f"{domain.name}: the host has {units.size(host.memory_kib)}")
    if maximum < LEAST_KIB:
        notes.append(f"{domain.name}: with so little most guests do not boot")
    return notes


def _live_most(domain: Domain) -> str:
    return format_amount(domain.config.memory_max_kib) if domain.config else "what it has"


def _max_default(_context: Context, targets: Sequence[Target]) -> str:
    config = as_domain(targets[0]).persistent_config if targets else None
    return format_amount(config.memory_max_kib) if config else ""


# Statistics


def _seconds(values: Values) -> int:
    text = values["period"].strip()
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > _LONGEST_S:
        raise FieldError("period", f"must be seconds from 1 to {_LONGEST_S}, or 0 for off")
    return int(text)


def _period_step(context: Context, domain: Domain, side: Side, seconds: int) -> Step:
    often = f"every {seconds} s" if seconds else "off"
    words = ["dommemstat", domain_word(domain), "--period", str(seconds), side.option]
    request = SetStatsPeriod(domain.key, seconds, side.live)
    return step(context, domain, f"memory statistics of {domain.name} {often} {side.words}", words, request)


def _stats_steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, seconds = as_domain(target), _seconds(values)
    able = [side for side in sides(domain, values) if has_balloon(side.config)]
    if not able:
        raise TargetError("where", f"{domain.name} has no balloon device there")
    changed = [side for side in able if side.config.tuning.balloon_period_s != seconds]
    if not changed:
        raise TargetError("period", f"{domain.name}: {f'every {seconds} s' if seconds else 'off'} already")
    steps = []
    for side in changed:
        back = _period_step(context, domain, side, side.config.tuning.balloon_period_s)
        steps.append(replace(_period_step(context, domain, side, seconds), undo=(back,)))
    return steps


def _stats_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    missing = [side for side in sides(domain, values) if not has_balloon(side.config)]
    return [f"{domain.name}: {side.words} it has no balloon device" for side in missing]


def _period_default(_context: Context, targets: Sequence[Target]) -> str:
    """What it is, for editing; a usual one where it is off."""
    config = as_domain(targets[0]).config if targets else None
    return str((config.tuning.balloon_period_s if config else 0) or _USUAL_S)


ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.memory-max", "Set maximum memory", "max memory", "B", Kind.DOMAIN,
        "Let the domain have so much memory at most, from its next boot on.", _max_steps, _max_reason,
        (Field("maximum", "At most", FieldKind.AMOUNT, _max_default, help="as in 8G, +1G or 150%"),),
        notes=_max_notes,
    ),
    Action(
        "domain.memory-stats", "Memory statistics", "mem stats", "S", Kind.DOMAIN,
        "Have the guest's balloon driver report what it uses every so many seconds, or never.",
        _stats_steps, needs_balloon,
        (
            Field("period", "Every (s)", FieldKind.TEXT, _period_default, help="seconds; 0: off", optional=True),
            WHERE,
        ),
        notes=_stats_notes,
    ),
)  # fmt: skip
