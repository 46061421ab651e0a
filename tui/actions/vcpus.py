"""vCPUs: how many, which, and how many there can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.actions import vcpu_maximum
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
from tui.actions.lifecycle import as_domain
from tui.actions.sides import WHERE, Side, persistent_first, sides
from tui.actions.vcpu_steps import change_count, change_set, guest_step
from tui.model.cpuset import format_cpus, parse_cpus
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.vcpu_slots import plugged, removable, slots_of, with_count, with_set

_AGENT, _HYPERVISOR = "agent", "hypervisor"
_STAY = "those it booted with stay while it runs"
_EVERYWHERE = {"where": "both"}
# Context.unsettled counts the vCPU threads of its QEMU.
_READS = ("processes",)


def _unread(target: Target) -> Reason:
    domain = as_domain(target)
    if domain.config is None or (domain.persistent is not False and domain.persistent_config is None):
        return "its configuration is not read yet"
    return None


def _has_agent(domain: Domain) -> bool:
    """Whether its guest agent can be asked now."""
    return domain.active and domain.config is not None and bool(domain.config.agent and domain.config.agent.connected)


def _no_agent(domain: Domain) -> str:
    if not domain.active:
        return f"{domain.name} is not running"
    has_channel = domain.config is not None and domain.config.agent is not None
    return f"the agent of {domain.name} is not connected" if has_channel else f"{domain.name} has no agent channel"


# One more, one fewer


@dataclass(frozen=True, slots=True)
class _Move:
    """What one side would come to, or why it cannot."""

    side: Side
    count: int
    problem: str = ""


def _more(domain: Domain) -> list[_Move]:
    moves = []
    for side in sides(domain, _EVERYWHERE):
        full = side.config.vcpus >= side.config.vcpus_max
        problem = f"has all {side.config.vcpus_max} of its maximum" if full else ""
        moves.append(_Move(side, side.config.vcpus + 1, problem))
    return moves


def _fewer(domain: Domain) -> list[_Move]:
    """The persistent side first: what runs may take its time."""
    moves = []
    for side in persistent_first(sides(domain, _EVERYWHERE), lambda side: side.live):
        problem = ""
        if side.config.vcpus <= 1:
            problem = "has one, and vCPU 0 stays"
        elif side.live and not removable(slots_of(side.config)):
            problem = f"has none that can go: {_STAY}"
        moves.append(_Move(side, side.config.vcpus - 1, problem))
    return moves


def _none_can(moves: Sequence[_Move]) -> Reason:
    if any(not move.problem for move in moves):
        return None
    return "; ".join(f"{move.side.words} it {move.problem}" for move in moves)


def _more_reason(context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if reason := _unread(target) or (context.unsettled.get(domain.key) if domain.active else None):
        return reason
    reason = _none_can(_more(domain))
    return f"{reason}; C raises it" if reason and domain.persistent is not False else reason


def _fewer_reason(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if reason := _unread(target):
        return reason
    reason = _none_can(_fewer(domain))
    return f"{reason}; c with the agent sets some offline" if reason and _has_agent(domain) else reason


def _move_steps(context: Context, domain: Domain, moves: Sequence[_Move]) -> list[Step]:
    able = [move for move in moves if not move.problem]
    return [step for move in able for step in change_count(context, domain, move.side, move.count)]


def _move_notes(domain: Domain, moves: Sequence[_Move]) -> list[str]:
    return [f"{domain.name}: {move.side.words} it {move.problem}" for move in moves if move.problem]


def _more_steps(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    return _move_steps(context, domain, _more(domain))


def _more_notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    domain = as_domain(target)
    return _move_notes(domain, _more(domain))


def _fewer_steps(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    return _move_steps(context, domain, _fewer(domain))


_UNPLUG = "the guest has to give the vCPU up; until it has, none can be plugged"


def _fewer_notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    domain = as_domain(target)
    moves = _fewer(domain)
    asked = [_UNPLUG] if any(move.side.live and not move.problem for move in moves) else []
    return [*_move_notes(domain, moves), *asked]


# An exact number


def _count(values: Values) -> int:
    text = values["count"].strip()
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) < 1:
        raise FieldError("count", "must be a number from 1 on")
    return int(text)


def _count_steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, count = as_domain(target), _count(values)
    if values["via"] == _AGENT:
        return [_agent_step(context, domain, count, values)]
    wanted = [side for side in sides(domain, values) if side.config.vcpus != count]
    if not wanted:
        raise TargetError("count", f"{domain.name} has {count} already")
    for side in wanted:
        _check_count(context, domain, side, count)
    ordered = persistent_first(wanted, lambda side: side.live and count < side.config.vcpus)
    return [step for side in ordered for step in change_count(context, domain, side, count)]


def _check_count(context: Context, domain: Domain, side: Side, count: int) -> None:
    """Raise TargetError where libvirt would refuse, or a plug could kill QEMU."""
    config = side.config
    if count > config.vcpus_max:
        word = "now" if side.live else "at the next boot"
        raise TargetError("count", f"the most {domain.name} can have {word} is {config.vcpus_max}; C raises it")
    if not side.live:
        return
    if count > config.vcpus:
        _refuse_unsettled(context, domain)
    fewest = config.vcpus - len(removable(slots_of(config)))
    if count < fewest:
        hint = "; the agent can set them offline" if _has_agent(domain) else ""
        raise TargetError("count", f"the fewest {domain.name} can have now is {fewest}: {_STAY}{hint}")


def _refuse_unsettled(context: Context, domain: Domain) -> None:
    if (reason := context.unsettled.get(domain.key)) is not None:
        raise TargetError("where", f"{domain.name}: {reason}")


def _agent_step(context: Context, domain: Domain, count: int, values: Values) -> Step:
    if values["where"] == "persistent":
        raise FieldError("where", "the agent changes the running guest alone")
    if not _has_agent(domain):
        raise TargetError("via", _no_agent(domain))
    there, online = domain.config.vcpus if domain.config else 1, _guest_online(context, domain)
    if count > there:
        raise TargetError("count", f"the guest of {domain.name} has {there}; plug more with via hypervisor")
    if count == online:
        raise TargetError("count", f"the guest of {domain.name} has {count} online already")
    return guest_step(context, domain, count, online)


def _guest_online(context: Context, domain: Domain) -> int | None:
    """How many vCPUs the guest has online, as its agent said last; None where it was not asked yet."""
    detail = context.snapshot.detail
    if detail is None or detail.key != domain.key or detail.guest is None:
        return None
    return len(detail.guest.online)


def _count_notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain, count = as_domain(target), _count(values)
    if values["via"] == _AGENT:
        online = _guest_online(context, domain)
        back = (
            f"{domain.name}: its agent has not said how many are online now, so there is no undo"
            if online is None
            else f"{domain.name}: undo sets {online} online again"
        )
        return "the guest sets vCPUs on- or offline until it boots; libvirt's count stays", back
    live = [side for side in sides(domain, values) if side.live]
    notes = [_UNPLUG] if any(count < side.config.vcpus for side in live) else []
    return [*notes, *(note for side in sides(domain, values) for note in _lost_holes(domain, side, count))]


def _lost_holes(domain: Domain, side: Side, count: int) -> Sequence[str]:
    """What `--config` makes of vCPUs that could be unplugged, which one does not expect."""
    slots = slots_of(side.config)
    coming = set(plugged(with_count(slots, count, live=False))) - set(plugged(slots))
    if side.live or not side.config.tuning.vcpu_slots or not coming:
        return ()
    return (f"{domain.name}: vCPU {format_cpus(coming)} will be there from boot and cannot go; O makes it removable",)


def _count_default(_context: Context, targets: Sequence[Target]) -> str:
    config = as_domain(targets[0]).config if targets else None
    return str(config.vcpus) if config else ""


def _any_agent(_context: Context, targets: Sequence[Target]) -> bool:
    return any(_has_agent(as_domain(target)) for target in targets)


# Which


def _numbers(values: Values) -> tuple[int, ...]:
    try:
        return parse_cpus(values["vcpus"])
    except ValueError as error:
        raise FieldError("vcpus", str(error)) from error


def _set_steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, numbers, on = as_domain(target), _numbers(values), values["state"] == "on"
    found = []
    for side in sides(domain, values):
        changed = _to_turn(domain, side, numbers, on)
        if changed and side.live and on:
            _refuse_unsettled(context, domain)
        found.append((side, changed))
    if not any(changed for _side, changed in found):
        raise TargetError("vcpus", f"{format_cpus(numbers)} of {domain.name}: {values['state']} already")
    ordered = persistent_first(found, lambda item: item[0].live and not on)
    return [step for side, changed in ordered if changed for step in change_set(context, domain, side, changed, on)]


def _to_turn(domain: Domain, side: Side, numbers: tuple[int, ...], on: bool) -> tuple[int, ...]:
    """Which of them are not yet so; raises FieldError for those that cannot be turned."""
    slots = slots_of(side.config)
    if 0 in numbers:
        raise FieldError("vcpus", "vCPU 0 stays on")
    if numbers[-1] >= len(slots):
        raise TargetError("vcpus", f"{domain.name} has vCPUs 0-{len(slots) - 1}; C raises the maximum")
    changed = tuple(number for number in numbers if slots[number].enabled is not on)
    if side.live and not on and (fixed := set(changed) - set(removable(slots))):
        raise TargetError("vcpus", f"vCPU {format_cpus(fixed)} of {domain.name} cannot go now: {_STAY}")
    return changed


def _set_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain, numbers, on = as_domain(target), _numbers(values), values["state"] == "on"
    notes = []
    for side in sides(domain, values):
        slots = slots_of(side.config)
        if side.live and not on and set(numbers) & set(plugged(slots)):
            notes.append(_UNPLUG)
        if not side.live and plugged(with_set(slots, numbers, on=on)) != tuple(
            range(len(plugged(with_set(slots, numbers, on=on))))
        ):
            notes.append("its XML then lists every vCPU (<vcpus>), since those that are on are not the first ones")
    return notes


def _set_default(_context: Context, targets: Sequence[Target]) -> str:
    """The lowest that is off, else the highest that can go."""
    config = as_domain(targets[0]).config if targets else None
    slots = slots_of(config) if config else ()
    off = [slot.number for slot in slots if not slot.enabled]
    return str(off[0]) if off else "".join(str(number) for number in removable(slots)[-1:])


ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.vcpus-more", "One vCPU more", "vCPUs", "+", Kind.DOMAIN,
        "Plug one vCPU more, now and for the next boot, up to the maximum.", _more_steps, _more_reason,
        notes=_more_notes, rank=20, reads=_READS,
    ),
    Action(
        "domain.vcpus-fewer", "One vCPU fewer", "vCPUs", "-", Kind.DOMAIN,
        "Take one vCPU away, now and for the next boot; the guest has to give it up.", _fewer_steps, _fewer_reason,
        notes=_fewer_notes, rank=20, reads=_READS,
    ),
    Action(
        "domain.vcpus", "Set vCPUs", "vCPUs", "c", Kind.DOMAIN,
        "Have so many vCPUs, plugged by the hypervisor or set online by the guest's agent.", _count_steps,
        lambda _context, target: _unread(target),
        (
            Field("count", "vCPUs", FieldKind.TEXT, _count_default, help="from 1 up to the maximum"),
            WHERE,
            Field(
                "via", "Via", FieldKind.CHOICE, lambda _context, _targets: _HYPERVISOR, (_HYPERVISOR, _AGENT),
                "hypervisor plugs and unplugs; agent sets them on- and offline inside the guest", _any_agent,
            ),
        ),
        notes=_count_notes, rank=21, reads=(*_READS, "detail", "agent"),
    ),
    vcpu_maximum.ACTION,
    Action(
        "domain.vcpu-set", "vCPUs on or off", "vCPU on/off", "O", Kind.DOMAIN,
        "Plug or unplug the vCPUs of a list, by number.", _set_steps, lambda _context, target: _unread(target),
        (
            Field("vcpus", "vCPUs", FieldKind.CPUS, _set_default, help="as in 2 or 2-3,5"),
            choice("state", "State", ("on", "off")),
            WHERE,
        ),
        notes=_set_notes, reads=_READS,
    ),
)  # fmt: skip
