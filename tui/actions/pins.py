"""Which host CPUs the threads of domains run on; and what of that cannot be asked of this host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.lifecycle import as_domain
from tui.actions.sides import WHERE, Side, sides
from tui.model.cpuset import format_cpus
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.pin_table import drifting, host_cpus, pins_of, process_of, threads_of, unpinned_on
from tui.model.pins import EVERY, expand, format_pins, parse_pins, thread_order
from tui.model.plan import Step
from tui.model.snapshot import HostSnapshot
from tui.model.virsh import domain_word, virsh
from tui.ops.pins import PinThread

Cpus = tuple[int, ...] | None
"""None: no pin."""

PINS_HELP = "such as vcpu 0=0-3; vcpu 1-2=4; vcpu *=0-7,^2; emulator=all; all takes a pin away"


@dataclass(frozen=True, slots=True)
class _Pinning:
    """What is asked of one domain."""

    context: Context
    domain: Domain
    drifting: frozenset[str]
    everything: frozenset[int]
    """The host's CPUs; empty while they are not known."""
    sides: tuple[Side, ...]
    asked: Mapping[str, Cpus]
    skipped: bool
    """Whether vCPUs keep their persistent pins because the driver has no call for these."""


def read_pins(values: Values) -> dict[str, Cpus]:
    """Return what the field `pins` says; raises FieldError."""
    try:
        return parse_pins(values["pins"])
    except ValueError as error:
        raise FieldError("pins", str(error)) from error


def why_not(
    snapshot: HostSnapshot, cpus: Iterable[int], allowed: Sequence[int] | None = None, cpuset: str | None = None
) -> Reason:
    """Return why threads cannot be bound to some of `cpus`, None when nothing is known against it; `allowed` are the
    online CPUs in the cpuset."""
    asked = set(cpus)
    if snapshot.cpus is not None and snapshot.cpus.cpus:
        known = {cpu.number for cpu in snapshot.cpus.cpus}
        if missing := asked - known:
            return f"the host has no CPU {format_cpus(missing)}"
        if offline := asked - snapshot.cpus.online:
            return f"offline: CPU {format_cpus(offline)}"
    if allowed is None or not (outside := asked.difference(allowed)):
        return None
    if cpuset in (None, "/"):
        return f"offline or not there: CPU {format_cpus(outside)}"
    return f"its cpuset {cpuset} leaves out CPU {format_cpus(outside)}"


def check_cpus(
    snapshot: HostSnapshot, name: str, field: str, cpus: Iterable[int], limit: tuple[Sequence[int] | None, str | None]
) -> None:
    """Raise FieldError for CPUs that the host has not online, TargetError for those that `limit`, the online CPUs of
    a cpuset and its name, leaves out."""
    asked = tuple(cpus)
    for error, limits in ((FieldError, (None, None)), (TargetError, limit)):
        if (reason := why_not(snapshot, asked, *limits)) is not None:
            raise error(field, f"{name}: {reason}")


def _pin(context: Context, target: Target, values: Values) -> Sequence[Step]:
    pinning = _pinning(context, as_domain(target), values)
    steps = [
        _step(pinning, side, thread, cpus)
        for side in pinning.sides
        for thread, cpus in pinning.asked.items()
        if _is_due(pinning, side, thread, cpus)
    ]
    if not steps:
        raise TargetError("pins", f"{pinning.domain.name} is pinned so already")
    return steps


def _pinning(context: Context, domain: Domain, values: Values) -> _Pinning:
    """Raises FieldError when any of it cannot be done."""
    wanted, found = read_pins(values), sides(domain, values)
    known = sorted({thread for side in found for thread in threads_of(side.config)}, key=thread_order)
    asked = expand(wanted, known)
    if missing := [thread for thread in asked if thread not in known]:
        raise TargetError("pins", f"{domain.name} has no {', '.join(missing)}")
    live = any(side.live for side in found)
    later = [side for side in found if not side.live]
    skipped = bool(later) and _knows_no_sides(context) and any(thread.startswith("vcpu") for thread in asked)
    if skipped and not live:
        raise TargetError("where", f"{domain.name}: this driver pins vCPUs of running domains alone")
    everything = frozenset(cpu.number for cpu in host_cpus(context.snapshot))
    drift = drifting(context.snapshot, domain) if live else frozenset()
    pinning = _Pinning(context, domain, drift, everything, tuple(found), asked, skipped)
    process = process_of(context.snapshot, domain)
    limit = (process.allowed, process.cpuset) if live and process is not None else (None, None)
    check_cpus(context.snapshot, domain.name, "pins", _news(pinning), limit)
    return pinning


def _knows_no_sides(context: Context) -> bool:
    """libvirt's test driver refuses both flags of virDomainPinVcpuFlags (code 8), and virDomainPinVcpu works."""
    host = context.snapshot.host
    return host is not None and host.driver == "TEST"


def _is_due(pinning: _Pinning, side: Side, thread: str, cpus: Cpus) -> bool:
    """Whether there is something to do: another wish on that side, or a kernel that does not keep to it."""
    if thread not in threads_of(side.config) or (pinning.skipped and not side.live and thread.startswith("vcpu")):
        return False
    return (side.live and thread in pinning.drifting) or not _same(pinning.everything, _before(side, thread), cpus)


def _news(pinning: _Pinning) -> set[int]:
    """The CPUs that are to be bound: not those of pins that stay, of which some may be offline now."""
    asked = pinning.asked.items()
    due = [cpus for side in pinning.sides for thread, cpus in asked if _is_due(pinning, side, thread, cpus)]
    return {cpu for cpus in due for cpu in cpus or ()}


def _before(side: Side, thread: str) -> Cpus:
    """The CPUs that the thread has on that side, by its own pin or for want of one."""
    return pins_of(side.config).get(thread) or unpinned_on(side.config)


def _same(everything: frozenset[int], one: Cpus, other: Cpus) -> bool:
    """A pin that leaves out no CPU is as good as none."""
    return one == other or (bool(everything) and all(cpus is None or everything <= set(cpus) for cpus in (one, other)))


def _step(pinning: _Pinning, side: Side, thread: str, cpus: Cpus) -> Step:
    return _bind(pinning, side, thread, cpus, (_bind(pinning, side, thread, _before(side, thread)),))


def _bind(pinning: _Pinning, side: Side, thread: str, cpus: Cpus, undo: tuple[Step, ...] = ()) -> Step:
    """Bind it; without a way back it is one."""
    context, domain = pinning.context, pinning.domain
    role, _, number = thread.partition(" ")
    plain = role == "vcpu" and _knows_no_sides(context)
    words = [
        f"{role}pin",
        domain_word(domain),
        *([number] if number else []),
        "r" if cpus is None else format_cpus(cpus),
    ]
    words += [] if plain else [side.option]
    process = process_of(context.snapshot, domain) if side.live and role == "emulator" else None
    seen = process.key if process is not None else ""
    request = PinThread(domain.key, thread, cpus or (), side.live, plain, seen, back=not undo)
    if cpus is None:
        title = f"unpin {thread} of {domain.name} {side.words}"
    else:
        title = f"pin {thread} of {domain.name} to CPUs {format_cpus(cpus)} {side.words}"
    return Step(title, virsh(context.uri, *words), request, domain.key, undo)


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    pinning = _pinning(context, domain, values)
    notes = []
    if pinning.skipped:
        notes.append("this driver pins vCPUs of running domains alone: at the next boot they have the pins of before")
    if any(cpus is None for cpus in pinning.asked.values()):
        notes.append("libvirt cannot take a pin out of the XML: it will name all CPUs")
        if any(unpinned_on(side.config) for side in pinning.sides):
            notes.append(f"{domain.name}: threads without a pin leave the CPU set of <vcpu> for all CPUs")
    return notes


def _reason(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    known = domain.config if domain.active else domain.persistent_config
    return "its configuration is not read yet" if known is None else None


def _pins_now(_context: Context, targets: Sequence[Target]) -> str:
    domain = as_domain(targets[0]) if targets else None
    config = domain.config if domain is not None else None
    if config is None:
        return f"vcpu {EVERY}=all"
    pins = pins_of(config)
    return format_pins({thread: pins.get(thread) for thread in threads_of(config)})


ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.pin", "Pin", "pin", "P", Kind.DOMAIN,
        "Bind vCPUs, emulator and I/O threads to host CPUs.", _pin, _reason,
        (Field("pins", "Pins", FieldKind.PINS, _pins_now, help=PINS_HELP), WHERE),
        notes=_notes, editor="pins", rank=22, reads=("cpus", "processes"),
    ),
)  # fmt: skip
"""Which host CPUs the threads of domains run on."""
