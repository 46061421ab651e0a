"""The parts of a job: how its steps stand, the steps of a target that are to come, a call that has not returned, a
change not yet confirmed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tui.model.journal import Asked, Status
from tui.model.unsettled import WAY_OUT
from tui.model.work import Meter, Work
from tui.ops import vcpus
from tui.ops.asked import asked_of
from tui.ops.base import OpContext, OpError, Outcome, Progress

if TYPE_CHECKING:
    from tui.model.plan import Plan, Step
    from tui.runtime.job import Job, StepResult

_READ_S = 0.5


@dataclass(slots=True)
class Call:
    """A step whose call has not returned."""

    index: int
    step: Step
    begun_s: float
    limit_s: float
    """How long it may take before the user is told that there is no answer."""
    told: bool = False
    cancelled: bool = False
    """Whether the user wants it to end early."""
    reports: bool = False
    """Whether it says how far it has come."""
    meter: Meter = field(default_factory=Meter)
    read_s: float = 0.0
    """When it was read last (monotonic)."""

    def read(self, done: int, total: int | None) -> Work | None:
        """Return how far it has come, at most every half second; None in between."""
        now = time.monotonic()
        self.reports = True
        if not self.read_s:
            # The first reading is where the rate is counted from; work that ends at once shows no bar.
            self.read_s = now
            self.meter.read(now, done, total)
        if now - self.read_s < _READ_S:
            return None
        self.read_s = now
        return self.meter.read(now, done, total, cancelling=self.cancelled)


@dataclass(frozen=True, slots=True)
class WatchedContext:
    """The context as one call sees it; notes how long the call may take by its nature, and how far it has come."""

    context: OpContext
    call: Call
    moved: Callable[[Call, Work], None] = lambda _call, _work: None
    """Told of every reading that is to be shown."""

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

    def leave_images(self, key: str) -> AbstractContextManager[None]:
        """While inside, no figures of the images of that domain are asked for."""
        return self.context.leave_images(key)

    @property
    def cancelled(self) -> bool:
        """Whether the user wants the call to end early."""
        return self.call.cancelled

    def progress(self, done: int, total: int | None) -> None:
        """Note how far the call has come, in bytes."""
        if (work := self.call.read(done, total)) is not None:
            self.moved(self.call, work)


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
    begun: bool = False

    def owes(self, plan: Plan) -> bool:
        """Return whether the step before was done, and the next one must follow it."""
        return plan.steps[self.left[0]].finishes and self.begun and not self.failed


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
        elif asked is not None and not asked.settled and status not in (Status.FAILED, Status.CANCELLED):
            found.append(asked)
    return tuple(found)


def together(works: Iterable[Work]) -> Work | None:
    """Return how far all of them have come; None when there is none. What is not known of one is not known of all."""
    found = list(works)
    if len(found) <= 1:
        return found[0] if found else None
    totals, rates = [work.total for work in found], [work.rate for work in found]
    return Work(
        sum(work.done for work in found),
        None if None in totals else sum(total or 0 for total in totals),
        None if None in rates else sum(rate or 0.0 for rate in rates),
        any(work.cancelling for work in found),
    )


def cancel_words(calls: Iterable[Call], plan: Plan) -> str:
    """Return what comes of cancelling a plan while these calls are under way."""
    under_way = list(calls)
    if any(call.reports for call in under_way):
        return f"{plan.title}: stopping"
    if under_way:
        rest = ", but for what must follow it" if any(step.finishes for step in plan.steps) else ""
        return f"{plan.title}: this step cannot be interrupted; what follows it is not begun{rest}"
    return f"{plan.title}: it was asked for already and cannot be taken back; what follows is not begun"
