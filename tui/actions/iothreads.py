"""I/O threads of domains: added and deleted, of either side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.lifecycle import as_domain, step
from tui.actions.sides import WHERE, Side, sides
from tui.model.cpuset import format_cpus, parse_cpus
from tui.model.domain import Domain
from tui.model.domain_config import DomainConfig
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.virsh import domain_word, virsh
from tui.ops.pins import PinThread
from tui.ops.tuning import AddIOThread, DeleteIOThread

# libvirt's numbers of I/O threads are unsigned int.
_LAST = 2**32 - 1
_TUNED = "what is set of it besides its pin: thread pool, polling, scheduler"


def configs(domain: Domain) -> list[DomainConfig]:
    """Return the configurations of the sides that there are, as far as they are read, live first."""
    found = [domain.config, domain.persistent_config if domain.active else None]
    return [config for config in found if config is not None]


def unread(_context: Context, target: Target) -> Reason:
    """Return that the configuration is not read yet, None when it is."""
    return None if configs(as_domain(target)) else "its configuration is not read yet"


def _number(values: Values) -> int:
    text = values["number"].strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not 0 < int(text) <= _LAST:
        raise FieldError("number", f"must be a whole number from 1 to {_LAST}")
    return int(text)


def _free(domain: Domain) -> int:
    """The lowest number that no I/O thread of either side has."""
    used = {number for config in configs(domain) for number in config.tuning.iothread_ids}
    return next(number for number in count(1) if number not in used)


def _add(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    wanted = sides(domain, values)
    number = _number(values) if values["number"].strip() else _free(domain)
    lacking = [side for side in wanted if number not in side.config.tuning.iothread_ids]
    if not lacking:
        raise TargetError("number", f"{domain.name} has an I/O thread {number} already")
    return [_add_step(context, domain, side, number, undo=True) for side in lacking]


def _add_step(context: Context, domain: Domain, side: Side, number: int, *, undo: bool) -> Step:
    words = ["iothreadadd", domain_word(domain), "--id", str(number), side.option]
    return Step(
        f"add I/O thread {number} to {domain.name} {side.words}",
        virsh(context.uri, *words),
        AddIOThread(domain.key, side.live, number),
        domain.key,
        (_delete_step(context, domain, side, number),) if undo else (),
    )


def _delete_step(context: Context, domain: Domain, side: Side, number: int) -> Step:
    words = ["iothreaddel", domain_word(domain), "--id", str(number), side.option]
    title = f"delete I/O thread {number} of {domain.name} {side.words}"
    return step(context, domain, title, words, DeleteIOThread(domain.key, side.live, number))


def _delete(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    wanted, number = sides(domain, values), _number(values)
    there = [side for side in wanted if number in side.config.tuning.iothread_ids]
    if not there:
        raise TargetError("number", f"{domain.name} has no I/O thread {number}")
    for side in there:
        if users := _users(side.config, number):
            raise TargetError("number", f"{', '.join(users)} of {domain.name} uses I/O thread {number} {side.words}")
    return [_delete_for_good(context, domain, side, number) for side in there]


def _users(config: DomainConfig, number: int) -> list[str]:
    return [user for used, user in config.tuning.iothread_users if used == number]


def _delete_for_good(context: Context, domain: Domain, side: Side, number: int) -> Step:
    made = _delete_step(context, domain, side, number)
    undo = [_add_step(context, domain, side, number, undo=False)]
    if (cpus := _pin(side.config, number)) is not None:
        words = ["iothreadpin", domain_word(domain), str(number), format_cpus(cpus), side.option]
        request = PinThread(domain.key, f"iothread {number}", cpus, side.live, back=True)
        undo.append(step(context, domain, f"pin I/O thread {number} of {domain.name} {side.words}", words, request))
    loses = _TUNED if number in side.config.tuning.iothreads_tuned else None
    return Step(made.title, made.command, made.request, made.target, tuple(undo), loses=loses)


def _pin(config: DomainConfig, number: int) -> tuple[int, ...] | None:
    cpus = dict(config.vcpu_pins).get(f"iothread {number}")
    try:
        return None if cpus is None else parse_cpus(cpus)
    except ValueError:
        return None


def _delete_reason(context: Context, target: Target) -> Reason:
    if reason := unread(context, target):
        return reason
    found = configs(as_domain(target))
    if not any(config.tuning.iothread_ids for config in found):
        return "it has no I/O threads"
    if any(_idle(config) for config in found):
        return None
    users = dict.fromkeys(user for config in found for _number, user in config.tuning.iothread_users)
    return f"all its I/O threads are used, by {', '.join(users)}"


def _idle(config: DomainConfig) -> list[int]:
    return sorted(set(config.tuning.iothread_ids) - set(config.tuning.iothreads_in_use))


def _delete_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    if not any(side.live for side in sides(domain, values)):
        return ()
    return (f"{domain.name}: what virsh iothreadset set of the running thread, undo does not bring back",)


def _proposed(_context: Context, targets: Sequence[Target]) -> str:
    return str(_free(as_domain(targets[0]))) if len(targets) == 1 else ""


def _last_idle(_context: Context, targets: Sequence[Target]) -> str:
    """The newest as a rule; one that is idle on every side that has it."""
    if len(targets) != 1:
        return ""
    found = configs(as_domain(targets[0]))
    used = {number for config in found for number in config.tuning.iothreads_in_use}
    idle = [number for config in found for number in _idle(config) if number not in used]
    return str(max(idle)) if idle else ""


ADD = Action(
    "domain.iothread-add", "Add I/O thread", "add thread", "i", Kind.DOMAIN,
    "Give the domain a thread that serves disks beside the vCPUs.", _add, unread,
    (
        Field("number", "Number", FieldKind.TEXT, _proposed, optional=True, help="empty: the lowest that is free"),
        WHERE,
    ),
)  # fmt: skip

DELETE = Action(
    "domain.iothread-del", "Delete I/O thread", "del thread", "I", Kind.DOMAIN,
    "Take away an I/O thread that no disk or controller uses.", _delete, _delete_reason,
    (Field("number", "Number", FieldKind.TEXT, _last_idle), WHERE), notes=_delete_notes,
)  # fmt: skip
