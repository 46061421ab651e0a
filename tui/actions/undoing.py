"""What has to be looked at before a change of another time is undone: the domain may run anew, or be unsettled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.actions.base import Reason
from tui.ops.vcpus import SetVcpu, SetVcpus, plugs

if TYPE_CHECKING:
    from tui.model.plan import Step
    from tui.model.snapshot import HostSnapshot


def undo_reason(steps: Sequence[Step], unsettled: Mapping[str, str]) -> Reason:
    """Return why these steps must not be done now, None when they may: a vCPU is not plugged back while it is not
    known whether the guest gave one up."""
    open_ones = (unsettled[step.target] for step in steps if plugs(step.request) and step.target in unsettled)
    return next(open_ones, None)


def as_of_now(steps: Sequence[Step], snapshot: HostSnapshot) -> tuple[Step, ...]:
    """Return the steps as asked of the run that each domain is in now, so that what stays open of them is told of the
    right one."""
    return tuple(_of_run(step, snapshot) for step in steps)


def _of_run(step: Step, snapshot: HostSnapshot) -> Step:
    request, domain = step.request, snapshot.domains.get(step.target)
    if domain is None or domain.id is None or not isinstance(request, (SetVcpus, SetVcpu)) or not request.live:
        return step
    return replace(step, request=replace(request, run=domain.id))
