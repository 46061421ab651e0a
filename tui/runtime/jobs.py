"""Plans being carried out: on daemon threads, each target on its own, until the host confirms or the user knows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from tui.model.journal import Entry, Status
from tui.model.plan import Plan, Step
from tui.model.text import clean
from tui.ops import execute
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.runtime.journal import Journal

_LOOK_S = 0.15
_EXPIRE_S = 600.0
# One hung QEMU must not hold up the rest of a bulk; more than this would only queue inside libvirtd.
_WORKERS = 4


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step of a job stands."""

    step: Step
    status: Status
    message: str
    hint: str = ""


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


Report = Callable[[Job], None]


class Jobs:
    """Runs plans and reports every change of a job, on the job's threads."""

    def __init__(
        self, context: OpContext, journal: Journal, uri: str, nudge: Callable[[set[str]], None], report: Report
    ) -> None:
        self._context = context
        self._journal = journal
        self._uri = uri
        self._nudge = nudge
        self._report = report
        self._lock = threading.Lock()
        self._running: dict[str, Job] = {}
        self._stop = threading.Event()

    def stop(self) -> None:
        """Stop watching; requests that libvirt is busy with go on there."""
        self._stop.set()

    def running(self) -> list[Job]:
        """Return the jobs that have not ended."""
        with self._lock:
            return list(self._running.values())

    def run(self, plan: Plan, undoes: str = "") -> _Run:
        """Start a plan on threads of its own and return a handle that can be waited for."""
        run = _Run(plan, self._journal.begin(plan, self._uri, undoes), self)
        run.start()
        return run

    def changed(self, job: Job) -> None:
        """Keep and report a job that moved."""
        with self._lock:
            if job.status.ended:
                self._running.pop(job.entry.id, None)
            else:
                self._running[job.entry.id] = job
        self._journal.update(job.entry)
        self._report(job)

    def perform(self, step: Step) -> Outcome:
        """Carry out one step; raises OpError."""
        outcome = execute(step.request, self._context)
        self._nudge({step.target})
        return outcome

    def watch(self, step: Step, outcome: Outcome, late: Callable[[str], None]) -> Progress:
        """Wait until the host confirms a step; calls `late` once when it takes longer than the op's patience."""
        if outcome.watch is None:
            return Progress.CONFIRMED
        begun, told = time.monotonic(), False
        try:
            while not self._stop.is_set() and time.monotonic() - begun < _EXPIRE_S:
                progress = _ask(outcome.watch)
                if progress is not Progress.PENDING:
                    return progress
                if not told and time.monotonic() - begun > outcome.patience_s:
                    told = True
                    late(outcome.hint)
                self._stop.wait(_LOOK_S)
            return Progress.PENDING
        finally:
            if outcome.close is not None:
                outcome.close()
            self._nudge({step.target})


def _ask(watch: Callable[[], Progress]) -> Progress:
    """A host that cannot be asked right now has not refused: the watch goes on until it expires."""
    try:
        return watch()
    except OpError:
        return Progress.PENDING


class _Run:
    """One job under way."""

    def __init__(self, plan: Plan, entry: Entry, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._results: dict[int, StepResult] = {}
        self._lanes = self._split(plan)
        self._left = 0
        self._done = threading.Event()
        self.job = Job(entry, plan)

    @staticmethod
    def _split(plan: Plan) -> list[list[int]]:
        lanes: dict[str, list[int]] = {}
        for index, step in enumerate(plan.steps):
            lanes.setdefault(step.target, []).append(index)
        return list(lanes.values())

    def start(self) -> None:
        """Begin; returns at once."""
        self._left = min(_WORKERS, len(self._lanes))
        self._jobs.changed(self.job)
        for _ in range(self._left):
            threading.Thread(target=self._work, name="job", daemon=True).start()

    def wait(self, timeout_s: float) -> Job:
        """Block until the job ended or `timeout_s` passed; return it as it stands then."""
        self._done.wait(timeout_s)
        return self.job

    def _work(self) -> None:
        while True:
            with self._lock:
                lane = self._lanes.pop(0) if self._lanes else None
            if lane is None:
                break
            self._lane(lane)
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._end()

    def _lane(self, lane: list[int]) -> None:
        """The steps of one target in order: a step that failed ends the lane unless a fallback follows."""
        failed = False
        for index in lane:
            step = self.job.plan.steps[index]
            if step.only_if_failed is not failed:
                if failed:
                    return
                continue
            failed = not self._step(index, step)

    def _step(self, index: int, step: Step) -> bool:
        self._set(index, StepResult(step, Status.RUNNING, step.title))
        try:
            outcome = self._jobs.perform(step)
        except OpError as error:
            self._set(index, StepResult(step, Status.FAILED, clean(str(error)), error.advice))
            return False
        progress = self._jobs.watch(
            step, outcome, lambda hint: self._set(index, StepResult(step, Status.PENDING, "still pending", hint))
        )
        status = {Progress.CONFIRMED: Status.DONE, Progress.FAILED: Status.FAILED}.get(progress, Status.EXPIRED)
        message = clean(outcome.message) if status is Status.DONE else f"not confirmed: {step.title}"
        self._set(index, StepResult(step, status, message, "" if status is Status.DONE else outcome.hint))
        return status is Status.DONE

    def _set(self, index: int, result: StepResult) -> None:
        with self._lock:
            self._results[index] = result
            self._update(self._standing())
        self._jobs.changed(self.job)

    def _standing(self) -> Status:
        pending = any(result.status is Status.PENDING for result in self._results.values())
        return Status.PENDING if pending else Status.RUNNING

    def _update(self, status: Status, **changes: object) -> None:
        results = tuple(self._results[index] for index in sorted(self._results))
        lines = tuple(clean(f"{result.step.title}: {result.message}") for result in results)
        entry = replace(self.job.entry, status=status, results=lines, **changes)  # type: ignore[arg-type]
        self.job = Job(entry, self.job.plan, results)

    def _end(self) -> None:
        with self._lock:
            statuses = {result.status for result in self._effective()}
            worst = next((s for s in (Status.FAILED, Status.EXPIRED) if s in statuses), Status.DONE)
            self._update(worst, ended_ns=time.time_ns(), undo=self._undo())
        self._jobs.changed(self.job)
        self._done.set()

    def _effective(self) -> list[StepResult]:
        """The results that count: a failure that a fallback made good does not."""
        kept: list[StepResult] = []
        for index in sorted(self._results):
            result = self._results[index]
            if result.step.only_if_failed and kept and kept[-1].step.target == result.step.target:
                kept.pop()
            kept.append(result)
        return kept

    def _undo(self) -> tuple[Step, ...]:
        """How to take back the steps that were done, last first."""
        done = [result.step for result in self._effective() if result.status is Status.DONE]
        return tuple(undo for step in reversed(done) for undo in step.undo)
