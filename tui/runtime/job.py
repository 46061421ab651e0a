"""A plan being carried out, as it stands: each step's result so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model.journal import Entry, Status
from tui.model.text import clean
from tui.ops.base import Outcome, Progress

if TYPE_CHECKING:
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
