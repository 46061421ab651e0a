"""The parts of a job under way: the steps of a target, a call that has not returned, a change not yet confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tui.model.journal import Asked, Status
from tui.model.work import Meter, Work
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.vcpus import asked_of

if TYPE_CHECKING:
    from tui.model.plan import Plan, Step

_READ_S = 0.5


@dataclass(slots=True)
class Call:
    """A step whose call has not returned."""

    index: int
    step: Step
    begun_s: float
    long: bool = False
    """Whether it is one that may take minutes, by its nature."""
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
    """The context as one call sees it; notes when the call turns out to be a long one, and how far it has come."""

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

    def long(self) -> Any:
        """Return a connection for a long call; raises OpError."""
        self.call.long = True
        return self.context.long()

    def release(self, connection: Any) -> None:
        """Give back what `long` returned."""
        self.context.release(connection)

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
        return f"{plan.title}: this step cannot be interrupted; what follows it is not begun"
    return f"{plan.title}: it was asked for already and cannot be taken back; what follows is not begun"
