"""The parts of a job under way: the steps of a target, a call that has not returned, a change not yet confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tui.model.journal import Asked, Status
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.vcpus import asked_of

if TYPE_CHECKING:
    from tui.model.plan import Plan, Step


@dataclass(slots=True)
class Call:
    """A step whose call has not returned."""

    index: int
    step: Step
    begun_s: float
    long: bool = False
    """Whether it is one that may take minutes, by its nature."""
    told: bool = False


@dataclass(frozen=True, slots=True)
class WatchedContext:
    """The context as one call sees it; notes when the call turns out to be a long one."""

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

    def long(self) -> Any:
        """Return a connection for a long call; raises OpError."""
        self.call.long = True
        return self.context.long()

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
