"""What has to be looked at before a change of another time is undone: the domain may be off, run anew, or need more
memory than it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tui.actions.base import Context, Reason, asking, typable
from tui.actions.sides import persistent_first
from tui.model import balloon
from tui.model.plan import Confirm, Plan
from tui.model.text import clean
from tui.ops.memory import SetMemory
from tui.ops.memory_devices import AttachMemory
from tui.ops.monitor import MonitorCommand
from tui.ops.vcpus import SetVcpu, SetVcpus, plugs
from tui.ops.volumes import DeleteVolume

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.journal import Entry
    from tui.model.plan import Request, Step


def undo_reason(steps: Sequence[Step], context: Context) -> Reason:
    """Return why these steps must not or cannot be done now, None when they can: a vCPU is not plugged back while it is
    not known whether the guest gave one up."""
    unsettled = context.unsettled
    open_ones = (unsettled[step.target] for step in steps if plugs(step.request) and step.target in unsettled)
    kept, notes = as_of_now(steps, context)
    return next(open_ones, None) or (None if kept else "; ".join(notes))


def undo_plan(entry: Entry, context: Context) -> Plan:
    """Return the plan that undoes a change as far as that means something now. It asks when it leaves something out,
    and as much as any other plan does for what it can lose."""
    steps, notes = as_of_now(entry.undo, context)
    names = [_name(key, context) for key in dict.fromkeys(step.target for step in steps)]
    confirm, phrase = asking(Confirm.ASK if notes else Confirm.NONE, steps, names)
    return Plan("undo", f"Undo: {entry.title}", steps, confirm, phrase, notes)


def as_of_now(steps: Sequence[Step], context: Context) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Return the steps that still mean something, and why the others do not: what a guest has to comply with last, what
    can be lost judged by what the domain needs now, each asked of the run that the domain is in now, so that what stays
    open of it is told of the right one."""
    kept: list[Step] = []
    notes: list[str] = []
    for step in sorted(persistent_first(steps, lambda step: is_live(step.request)), key=_is_deletion):
        domain = context.snapshot.domains.get(step.target)
        if domain is not None and (reason := _left_out(step.request, domain)) is not None:
            notes.append(f"{domain.name}: {reason}")
        else:
            kept.append(step if domain is None else _judged(_of_run(step, domain), domain, context))
    return tuple(kept), tuple(dict.fromkeys(notes))


def _is_deletion(step: Step) -> bool:
    """A volume goes when nothing has it any more: a running guest gives its disk back last."""
    return isinstance(step.request, DeleteVolume)


def is_live(request: Request) -> bool:
    """Return whether a request is one for a domain as it runs, and for nothing else."""
    return getattr(request, "live", False) is True and not getattr(request, "persistent", False)


def _name(key: str, context: Context) -> str:
    """What is typed for a target; its key where it is gone."""
    found = context.snapshot.domains.get(key) or context.snapshot.processes.get(key)
    return key if found is None else typable(found)


def _left_out(request: Request, domain: Domain) -> Reason:
    """Why there is nothing to do for this step: the run that was changed has ended, or a device was never given up."""
    if is_live(request) and not domain.active:
        return "it is off; what was changed while it ran ended with that"
    if isinstance(request, AttachMemory) and request.live and domain.config is not None:
        alias = _alias(request.xml)
        if alias and alias in {device.alias for device in domain.config.tuning.memory_devices}:
            return f"it still has {clean(alias)}"
    return None


def _alias(xml: str) -> str:
    """The name of a device; "" where its XML has none."""
    try:
        found = ET.fromstring(xml).find("alias")
    except ET.ParseError:
        return ""
    return "" if found is None else found.get("name", "")


def _of_run(step: Step, domain: Domain) -> Step:
    request = step.request
    if domain.id is None or not isinstance(request, (SetVcpus, SetVcpu)) or not request.live:
        return step
    return replace(step, request=replace(request, run=domain.id))


def _judged(step: Step, domain: Domain, context: Context) -> Step:
    """To stay below its floor, or to come up to it, harms no guest."""
    kib, config = _comes_to_kib(step.request), domain.config
    if kib is None or config is None:
        return step
    usage = context.snapshot.usage.get(domain.key)
    if kib >= min(balloon.floor_kib(config, usage), config.memory_kib):
        return replace(step, loses=None, typed=False)
    return replace(step, loses=balloon.loss(config, usage, domain.name, kib), typed=True)


def _comes_to_kib(request: Request) -> int | None:
    """What a running guest is to come to by its balloon."""
    if isinstance(request, SetMemory):
        return request.kib if request.live else None
    return request.balloon_kib if isinstance(request, MonitorCommand) else None
