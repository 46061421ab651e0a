"""The parts of a job: how its steps stand, the steps of a target that are to come, a call that has not returned, a
change not yet confirmed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tui.model.journal import Asked, Status
from tui.model.text import clean
from tui.model.unsettled import WAY_OUT
from tui.ops import vcpus
from tui.ops.asked import asked_of
from tui.ops.base import OpContext, OpError, Outcome, Progress

if TYPE_CHECKING:
    from tui.model.journal import Entry
    from tui.model.plan import Plan, Step


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step of a job stands."""

    step: Step
    status: Status
    message: str
    hint: str = ""
    code: int | None = None
    """libvirt's error code of a step that failed."""
    output: str = ""
    """What the step printed, as it came: not cleaned, and kept nowhere else."""
    accepted: bool = False
    """Whether the host took it, whatever its guest then made of it."""

    @property
    def line(self) -> str:
        """The step and its result in one line."""
        return self.message if self.message.startswith(self.step.title) else f"{self.step.title}: {self.message}"

    @property
    def entry_line(self) -> str:
        """The line as the journal keeps it, cleaned: with what to do where the host has yet to comply."""
        return clean(f"{self.line}; {self.hint}" if self.hint and self.status is Status.PENDING else self.line)


@dataclass(frozen=True, slots=True)
class Job:
    """A plan being carried out, as last reported; results are in the plan's order, steps not begun are absent."""

    entry: Entry
    plan: Plan
    results: tuple[StepResult, ...] = ()

    @property
    def status(self) -> Status:
        """The worst that is true of any step."""
        return self.entry.status

    def problems(self) -> list[StepResult]:
        """Return the steps that failed or that the host has not complied with."""
        return [result for result in self.results if result.status not in (Status.DONE, Status.RUNNING)]


@dataclass(slots=True)
class Call:
    """A step whose call has not returned."""

    index: int
    step: Step
    begun_s: float
    limit_s: float
    """How long it may take before the user is told that there is no answer."""
    told: bool = False


@dataclass(frozen=True, slots=True)
class WatchedContext:
    """The context as one call sees it; notes how long the call may take by its nature."""

    context: OpContext
    call: Call

    @property
    def read_only(self) -> bool:
        """Whether every change must be refused."""
        return self.context.read_only

    def control(self) -> Any:
        """Return the calling thread's connection; raises OpError."""
        return self.context.control()

    def leave(self) -> None:
        """Give back the calling thread's connection."""
        self.context.leave()

    def long(self, limit_s: float = math.inf, /) -> Any:
        """Return a connection for a long call; raises OpError."""
        self.call.limit_s = limit_s
        return self.context.long(limit_s)

    def release(self, connection: Any) -> None:
        """Give back what `long` returned."""
        self.context.release(connection)


def _ask(watch: Callable[[], Progress]) -> Progress:
    """A host that cannot be asked right now has not refused: the watch goes on until it expires."""
    try:
        return watch()
    except OpError:
        return Progress.PENDING


@dataclass(slots=True)
class Lane:
    """The steps of one target that are still to come, by their number in the plan, and how the last one ended."""

    left: list[int]
    failed: bool = False


@dataclass(slots=True)
class Watch:
    """A step that the host accepted and has yet to confirm."""

    lane: Lane
    index: int
    step: Step
    outcome: Outcome
    begun_s: float
    told: bool = False

    def look(self) -> Progress:
        """Ask the host how far it is."""
        return Progress.CONFIRMED if self.outcome.watch is None else _ask(self.outcome.watch)

    def close(self) -> None:
        """Give back what the watch holds."""
        if self.outcome.close is not None:
            self.outcome.close()


def result_of(step: Step, outcome: Outcome, progress: Progress) -> StepResult:
    """Return how a step that the host accepted ended, by what it reported last."""
    if progress is Progress.CONFIRMED:
        return StepResult(step, Status.DONE, clean(outcome.message), output=outcome.output, accepted=True)
    if progress is Progress.FAILED:
        message = f"{step.title}: accepted, but it came to nothing"
        return StepResult(step, Status.FAILED, message, outcome.hint_now(), accepted=True)
    return unconfirmed(step, outcome.hint_now(), accepted=True)


def unconfirmed(step: Step, hint: str, *, accepted: bool) -> StepResult:
    """Return how a step ended whose end nobody waited for."""
    return StepResult(step, Status.EXPIRED, f"{step.title}: not confirmed", hint, accepted=accepted)


def undo_of(results: Sequence[StepResult]) -> tuple[Step, ...]:
    """Return how to take back what the host accepted, last first: what a guest has not done yet it may still do."""
    accepted = [result.step for result in results if result.accepted]
    return tuple(undo for step in reversed(accepted) for undo in step.undo)


def refuse_blind_plug(step: Step, jobs: Iterable[Job]) -> None:
    """Raise OpError for a step that plugs a vCPU into a domain whose guest one of these jobs has asked for one: that
    has killed QEMU."""
    if vcpus.plugs(step.request) and any(_unplugs(result, step.target) for job in jobs for result in job.results):
        text = "its guest was asked to give up a vCPU and has not done so; to plug one may kill its QEMU"
        raise OpError("carry out", step.title, text, advice=f"{WAY_OUT[0].upper()}{WAY_OUT[1:]}.")


def _unplugs(result: StepResult, target: str) -> bool:
    asked = vcpus.asked_of(result.step.request)
    return asked is not None and not asked.settled and result.step.target == target and not result.status.ended


def asked_by(plan: Plan) -> tuple[Asked, ...]:
    """Return what a plan asks of guests that may never be confirmed."""
    found = (asked_of(step.request) for step in plan.steps)
    return tuple(asked for asked in found if asked is not None and not asked.settled)


def left_open(ended: Iterable[tuple[Step, Status]]) -> tuple[Asked, ...]:
    """Return what is open or settled after the steps that were begun: what was refused was never asked."""
    found = []
    for step, status in ended:
        asked = asked_of(step.request)
        if asked is not None and status is Status.DONE:
            found.append(replace(asked, settled=True))
        elif asked is not None and not asked.settled and status is not Status.FAILED:
            found.append(asked)
    return tuple(found)
