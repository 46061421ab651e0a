"""How much of the host's CPUs the threads of a domain may use."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.iothreads import unread
from tui.actions.lifecycle import as_domain
from tui.actions.memtune import NO_LIMIT, enforced_of
from tui.actions.sides import WHERE, Side, sides
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.tuning import PARAMETERS, PERIOD_US, CpuTune, quota_cpus
from tui.model.virsh import domain_word, virsh
from tui.ops.tuning import SetScheduler

# By field: libvirt's parameter.
_NAMES = {name.removeprefix("cpu_").removeprefix("vcpu_"): name for name, _field in PARAMETERS}
_FIELDS = dict(PARAMETERS)
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)
_CPUS = re.compile(r"([0-9]{1,5}(?:[.,][0-9]{1,6})?)\s*cpus?", re.ASCII | re.I)
# The ranges of libvirt 9.0 (src/qemu/qemu_driver.c, qemuDomainSetSchedulerParametersFlags).
_PERIODS = (1000, 1_000_000)
_QUOTAS = (1000, 17_592_186_044_415)
_SHARES_V1, _SHARES_V2 = (2, 262_144), (1, 10_000)
_DEFAULT_V1, _DEFAULT_V2 = 1024, 100
_V2 = "/sys/fs/cgroup/cgroup.controllers"


def _has_v2(context: Context) -> bool | None:
    """Whether the host has control groups of version 2 alone; None where it is not this machine."""
    host = context.snapshot.host
    return os.path.exists(_V2) if host is not None and host.local else None


def _in(field: str, text: str, low: int, high: int) -> int:
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise FieldError(field, f"must be a whole number from {low} to {high}")
    return int(text)


def _shares(context: Context, text: str) -> int:
    return _in("shares", text, *(_SHARES_V2 if _has_v2(context) else _SHARES_V1))


def _quota(field: str, text: str, period_us: int) -> int:
    """µs, or so many CPUs; -1 for no limit."""
    if text.casefold() in NO_LIMIT:
        return -1
    cpus = _CPUS.fullmatch(text)
    if cpus is not None:
        text = str(round(float(cpus[1].replace(",", ".")) * period_us))
    low, high = _QUOTAS
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        made = f"; that is {text} µs" if cpus else ""
        raise FieldError(field, f"must be µs from {low} to {high}, CPUs such as 1.5 CPU, or none{made}")
    return int(text)


def _wanted(context: Context, cpu: CpuTune, values: Values) -> dict[str, int]:
    """libvirt's parameters that the fields ask of a side, in its order; raises FieldError."""
    found: dict[str, int] = {}
    for field, name in _NAMES.items():
        text = values[field].strip()
        if not text:
            continue
        if name == "cpu_shares":
            found[name] = _shares(context, text)
        elif name.endswith("_period"):
            found[name] = _in(field, text, *_PERIODS)
        else:
            period = name.replace("_quota", "_period")
            found[name] = _quota(field, text, found.get(period) or _value(cpu, period) or PERIOD_US)
    return found


def _value(cpu: CpuTune, name: str) -> int | None:
    value: int | None = getattr(cpu, _FIELDS[name])
    return value


def _due(context: Context, domain: Domain, values: Values) -> list[tuple[Side, dict[str, int]]]:
    """What is otherwise now, by side; raises FieldError."""
    wanted = [(side, _wanted(context, side.config.tuning.cpu, values)) for side in sides(domain, values)]
    due = [(side, {name: n for name, n in all_.items() if _has(side, name) != n}) for side, all_ in wanted]
    return [(side, changed) for side, changed in due if changed]


def _has(side: Side, name: str) -> int | None:
    return _value(side.config.tuning.cpu, name)


def _back(context: Context, side: Side, changed: Mapping[str, int]) -> dict[str, int]:
    """What puts a side back. libvirt takes periods and quotas out of the persistent XML alone (0), shares out of
    none: what cannot be taken out gets what holds where nothing is set."""
    back: dict[str, int] = {}
    for name in changed:
        value = _has(side, name)
        if value is not None:
            back[name] = value
        elif name == "cpu_shares":
            if (default := _default_shares(context)) is not None:
                back[name] = default
        elif side.live:
            back[name] = -1 if name.endswith("_quota") else PERIOD_US
        else:
            back[name] = 0
    return back


def _default_shares(context: Context) -> int | None:
    v2 = _has_v2(context)
    return None if v2 is None else _DEFAULT_V2 if v2 else _DEFAULT_V1


def _schedule(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    if not any(values[field].strip() for field in _NAMES):
        raise FieldError("shares", "give at least one value; empty leaves it as it is")
    due = _due(context, domain, values)
    if not due:
        given = next(field for field in _NAMES if values[field].strip())
        raise TargetError(given, f"{domain.name} is scheduled so already")
    return [_step(context, domain, side, changed) for side, changed in due]


def _step(context: Context, domain: Domain, side: Side, changed: Mapping[str, int]) -> Step:
    back = _back(context, side, changed)
    undo = (_plain_step(context, domain, side, back),) if back else ()
    lost = "that no shares are set: undo does not know the host's default" if len(back) < len(changed) else None
    return replace(_plain_step(context, domain, side, changed), undo=undo, loses=lost)


def _plain_step(context: Context, domain: Domain, side: Side, parameters: Mapping[str, int]) -> Step:
    pairs = [f"{name}={number}" for name, number in parameters.items()]
    return Step(
        f"set the scheduler of {domain.name} {side.words}: {', '.join(pairs)}",
        virsh(context.uri, "schedinfo", domain_word(domain), side.option, *pairs),
        SetScheduler(domain.key, side.live, tuple(parameters.items())),
        domain.key,
    )


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    due = _due(context, domain, values)
    notes = [_worth(side, changed, quota) for side, changed in due for quota in changed if quota.endswith("_quota")]
    notes += [_unset_note(context, domain, side, changed) for side, changed in due]
    if any(changed.get("cpu_shares", 0) > _SHARES_V2[1] for _side, changed in due) and _has_v2(context) is None:
        notes.append(f"a host with cgroup v2 takes no shares above {_SHARES_V2[1]}: the domain would not start there")
    return [note for note in notes if note]


_OF = {
    "vcpu_quota": "each vCPU", "emulator_quota": "the emulator's threads together", "iothread_quota": "each I/O thread",
    "global_quota": "all threads together",
}  # fmt: skip


def _worth(side: Side, changed: Mapping[str, int], quota: str) -> str:
    name = quota.replace("_quota", "_period")
    cpus = quota_cpus(changed[quota], changed.get(name) or _has(side, name))
    return f"{side.words}: {_OF[quota]} may use {'all CPUs' if cpus is None else f'{cpus:.4g} CPU'}"


def _unset_note(context: Context, domain: Domain, side: Side, changed: Mapping[str, int]) -> str:
    back = _back(context, side, changed)
    stays = [f"{name}={back[name]}" for name in changed if back.get(name) and _has(side, name) is None]
    if not stays:
        return ""
    return f"{domain.name} {side.words}: undo sets the default {', '.join(stays)}, which libvirt cannot unset"


def _reason(context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if reason := unread(context, target):
        return reason
    enforced = enforced_of(context, domain)
    if enforced is None or not enforced.no_cpu:
        return None
    # virsh and libvirt's Python binding ask the running domain first, whichever side is to be set.
    return f"{enforced.no_cpu}; set it while the domain is off" if "controller" in enforced.no_cpu else enforced.no_cpu


def _field(field: str, label: str, help: str) -> Field:
    return Field(field, label, FieldKind.TEXT, optional=True, help=f"{help}; empty leaves it")


_PERIOD = f"µs, {_PERIODS[0]} to {_PERIODS[1]}; the kernel's own is {PERIOD_US}"
_QUOTA = "µs in each period, or 1.5 CPU, or none"

SCHEDULER = Action(
    "domain.scheduler", "Schedule", "scheduler", "f", Kind.DOMAIN,
    "Set CPU shares, and how much CPU time the threads may use.", _schedule, _reason,
    (
        _field("shares", "Shares", "weight against other domains when CPUs are short"),
        _field("period", "vCPU period", _PERIOD),
        _field("quota", "vCPU quota", f"each vCPU: {_QUOTA}"),
        _field("emulator_period", "Emulator period", _PERIOD),
        _field("emulator_quota", "Emulator quota", f"QEMU's other threads: {_QUOTA}"),
        _field("global_period", "Global period", _PERIOD),
        _field("global_quota", "Global quota", f"all threads together: {_QUOTA}"),
        _field("iothread_period", "I/O thread period", _PERIOD),
        _field("iothread_quota", "I/O thread quota", f"each I/O thread: {_QUOTA}"),
        WHERE,
    ),
    notes=_notes, reads=("detail",),
)  # fmt: skip
