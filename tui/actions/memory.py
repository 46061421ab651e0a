"""Memory of domains: balloon, maximum, statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.lifecycle import as_domain, step
from tui.actions.memory_maximum import ACTIONS as LIMITS
from tui.actions.memory_maximum import needs_balloon
from tui.actions.sides import WHERE, Side, persistent_first, sides
from tui.model import balloon, units
from tui.model.amount import format_amount, parse_amount
from tui.model.balloon import LEAST_KIB, has_balloon
from tui.model.domain import Domain, DomainState
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.usage import DomainUsage
from tui.model.virsh import domain_word
from tui.ops.memory import SetMemory

_PAGE_KIB = 4
_EVERYWHERE = {"where": "both"}
_READS = ("usage",)


def _usage(context: Context, domain: Domain) -> DomainUsage | None:
    return context.snapshot.usage.get(domain.key)


def _sides(domain: Domain, values: Values) -> list[Side]:
    """The sides with a balloon, the persistent one first: what runs may take its time. Raises TargetError where none
    has one."""
    wanted = sides(domain, values)
    able = [side for side in persistent_first(wanted, lambda side: side.live) if has_balloon(side.config)]
    if not able:
        raise TargetError("where", f"{domain.name} has no balloon device {wanted[0].words}")
    return able


def _floor(context: Context, domain: Domain, side: Side) -> int:
    """How far down this side goes without a name typed."""
    return balloon.floor_kib(side.config, _usage(context, domain)) if side.live else LEAST_KIB


# One step for one side


def _plain(context: Context, domain: Domain, side: Side, kib: int, before: int) -> Step:
    """Bring one side from a size to another. The name is typed for what goes below the floor; to stay below it, or to
    come up to it, harms nobody."""
    title = f"give {domain.name} {format_amount(kib)} instead of {format_amount(before)} {side.words}"
    words = ["setmem", domain_word(domain), f"{kib}KiB", side.option]
    made = step(context, domain, title, words, SetMemory(domain.key, kib, side.live))
    if kib >= min(_floor(context, domain, side), before):
        return made
    return replace(made, loses=_loss(context, domain, side, kib), typed=True)


def _loss(context: Context, domain: Domain, side: Side, kib: int) -> str:
    return balloon.loss(side.config, _usage(context, domain) if side.live else None, domain.name, kib)


def _set(context: Context, domain: Domain, side: Side, kib: int) -> Step:
    """Bring one side to a size, with the way back."""
    before = side.config.memory_kib
    return replace(_plain(context, domain, side, kib, before), undo=(_plain(context, domain, side, before, kib),))


# An exact size


def _wanted(domain: Domain, side: Side, values: Values) -> int:
    """The KiB that the field means for this side; raises FieldError."""
    config = side.config
    try:
        kib = parse_amount(values["amount"], config.memory_kib, config.memory_max_kib)
    except ValueError as error:
        raise FieldError("amount", str(error)) from error
    if kib > config.memory_max_kib:
        word = "now" if side.live else "at the next boot"
        raise TargetError("amount", _too_much(domain, kib, config.memory_max_kib, word))
    if kib < _PAGE_KIB:
        raise TargetError("amount", f"{domain.name} would have nothing left {side.words}")
    return kib if kib == config.memory_max_kib else kib - kib % _PAGE_KIB


def _too_much(domain: Domain, kib: int, maximum: int, word: str) -> str:
    way = "" if domain.persistent is False else "; B raises it for the next boot"
    most = f"the most {domain.name} can have {word} is {format_amount(maximum)}"
    return f"{most}, and {format_amount(kib)} is more{way}"


def _amount_steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    wanted = [(side, _wanted(domain, side, values)) for side in _sides(domain, values)]
    # Asked for by itself, what it has is told QEMU again: it takes back a request that the guest did not follow.
    again = values["where"] == "live"
    steps = [_set(context, domain, side, kib) for side, kib in wanted if again or kib != side.config.memory_kib]
    if not steps:
        raise TargetError("amount", f"{domain.name} has {format_amount(wanted[0][1])} already")
    return steps


def _amount_notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    able = _sides(domain, values)
    notes = [
        f"{domain.name}: {side.words} it has no balloon device"
        for side in sides(domain, values)
        if not has_balloon(side.config)
    ]
    live = next((side for side in able if side.live), None)
    return notes if live is None else [*notes, *_live_notes(context, domain, live)]


def _live_notes(context: Context, domain: Domain, side: Side) -> list[str]:
    """What stands in the way of a guest that is to follow, and of knowing what it needs."""
    notes = []
    if domain.state is not DomainState.RUNNING and domain.state is not DomainState.BLOCKED:
        notes.append(f"{domain.name}: it is {domain.state.value}; its guest follows once it runs")
    period, usage = side.config.tuning.balloon_period_s, _usage(context, domain)
    if not period:
        notes.append(f"{domain.name}: its memory statistics are off, so what it needs is not sure; S switches them on")
    elif usage is None:
        notes.append(f"{domain.name}: what it needs is not read; {format_amount(LEAST_KIB)} is taken as the least")
    elif usage.balloon_updated_s is None:
        notes.append(f"{domain.name}: its guest has never reported; without a balloon driver it follows no request")
    elif not balloon.is_fresh(usage, period):
        notes.append(f"{domain.name}: its guest reports no more; what it needs now is not known")
    return notes


def _amount_default(_context: Context, targets: Sequence[Target]) -> str:
    config = as_domain(targets[0]).config if targets else None
    return format_amount(config.memory_kib) if config else ""


# One step more, one step less


@dataclass(frozen=True, slots=True)
class _Move:
    """What one side would come to, or why it cannot."""

    side: Side
    kib: int
    problem: str = ""


def _more(_context: Context, domain: Domain) -> list[_Move]:
    moves = []
    for side in _sides(domain, _EVERYWHERE):
        now, maximum = side.config.memory_kib, side.config.memory_max_kib
        problem = f"has all {format_amount(maximum)} of its maximum" if now >= maximum else ""
        moves.append(_Move(side, min(now + balloon.step_kib(maximum), maximum), problem))
    return moves


def _less(context: Context, domain: Domain) -> list[_Move]:
    moves = []
    for side in _sides(domain, _EVERYWHERE):
        now, floor = side.config.memory_kib, _floor(context, domain, side)
        floor += -floor % _PAGE_KIB
        problem = (
            f"has {format_amount(now)}, and {units.size(floor)} is the least it should have" if now <= floor else ""
        )
        moves.append(_Move(side, max(now - balloon.step_kib(side.config.memory_max_kib), floor), problem))
    return moves


def _none_can(moves: Sequence[_Move]) -> Reason:
    if any(not move.problem for move in moves):
        return None
    return "; ".join(f"{move.side.words} it {move.problem}" for move in reversed(moves))


def _more_reason(context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if reason := needs_balloon(context, target):
        return reason
    reason = _none_can(_more(context, domain))
    return f"{reason}; B raises it for the next boot" if reason and domain.persistent is not False else reason


def _less_reason(context: Context, target: Target) -> Reason:
    if reason := needs_balloon(context, target):
        return reason
    reason = _none_can(_less(context, as_domain(target)))
    return f"{reason}; b goes below" if reason else None


def _move_steps(context: Context, domain: Domain, moves: Sequence[_Move]) -> list[Step]:
    return [_set(context, domain, move.side, move.kib) for move in moves if not move.problem]


def _move_notes(context: Context, domain: Domain, moves: Sequence[_Move]) -> list[str]:
    notes = [f"{domain.name}: {move.side.words} it {move.problem}" for move in moves if move.problem]
    live = [move.side for move in moves if move.side.live and not move.problem]
    return [*notes, *(note for side in live for note in _live_notes(context, domain, side))]


def _more_steps(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    return _move_steps(context, domain, _more(context, domain))


def _more_notes(context: Context, target: Target, _values: Values) -> Sequence[str]:
    domain = as_domain(target)
    return _move_notes(context, domain, _more(context, domain))


def _less_steps(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    return _move_steps(context, domain, _less(context, domain))


def _less_notes(context: Context, target: Target, _values: Values) -> Sequence[str]:
    domain = as_domain(target)
    return _move_notes(context, domain, _less(context, domain))


ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.memory", "Set memory", "memory", "b", Kind.DOMAIN,
        "Give the guest so much memory by its balloon, now and for the next boot, up to its maximum.",
        _amount_steps, needs_balloon,
        (
            Field("amount", "Memory", FieldKind.AMOUNT, _amount_default, help="as in 1.5G, +256M, -1G or 50%"),
            WHERE,
        ),
        notes=_amount_notes, rank=23, reads=_READS,
    ),
    Action(
        "domain.memory-more", "A step more memory", "memory", "}", Kind.DOMAIN,
        "Give the guest an eighth of its maximum more, now and for the next boot.", _more_steps, _more_reason,
        notes=_more_notes, rank=23, reads=_READS,
    ),
    Action(
        "domain.memory-less", "A step less memory", "memory", "{", Kind.DOMAIN,
        "Take an eighth of its maximum from the guest, never below what it needs, now and for the next boot.",
        _less_steps, _less_reason, notes=_less_notes, rank=23, reads=_READS,
    ),
    *LIMITS,
)  # fmt: skip
