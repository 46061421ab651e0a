"""Plans being carried out: on daemon threads, each target on its own, until the host confirms or the user knows."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tui.model.journal import Entry, Status
from tui.model.text import clean
from tui.ops import execute
from tui.ops.base import CancelledError, OpContext, OpError, Outcome, Progress
from tui.runtime.job import Job, StepResult, result_of, unconfirmed
from tui.runtime.job_parts import (
    Call,
    Lane,
    Watch,
    WatchedContext,
    asked_by,
    cancel_words,
    left_open,
    refuse_blind_plug,
    together,
    undo_of,
)

if TYPE_CHECKING:
    from tui.model.plan import Plan, Step
    from tui.model.work import Work
    from tui.runtime.journal import Journal

__all__ = ["Job", "Jobs", "Run", "StepResult"]

_LOOK_S, _SLICE_S = 0.15, 0.5
_WORST = (Status.FAILED, Status.CANCELLED, Status.EXPIRED)
_SLOWEST_LOOK_S = 2.0
_EXPIRE_S = 600.0
# One hung QEMU must not hold up the rest of a bulk; more than this would only queue inside libvirtd. A worker whose
# call does not return is made up for, up to as many again: libvirtd has 20 threads for all its clients.
_WORKERS = 4
_MOST_WORKERS = 8
# A short call takes milliseconds, and a start some seconds.
STUCK_AFTER_S = 10.0
_CLOCK_S = 1.0
_STUCK_HINT = "its QEMU or libvirtd does not answer; x forces it off"
# The journal's file may lie on a server that does not answer; the host is more important than the record.
_RECORD_S = 0.5

_log = logging.getLogger("virtdeck.jobs")
# Without --log nothing may be written over the screen.
_log.addHandler(logging.NullHandler())


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
        self._running: dict[str, Run] = {}
        self._stop = threading.Event()

    def stop(self) -> None:
        """Begin no more steps and stop watching; requests that libvirt is busy with go on there."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether no more steps are begun."""
        return self._stop.is_set()

    def running(self) -> list[Job]:
        """Return the jobs that have not ended."""
        with self._lock:
            return [run.job for run in self._running.values()]

    def run(self, plan: Plan, undoes: str = "") -> Run:
        """Start a plan on threads of its own and return a handle that can be waited for."""
        run = Run(plan, self._journal.begin(plan, self._uri, undoes, asked_by(plan)), self)
        with self._lock:
            self._running[run.job.entry.id] = run
        run.start()
        return run

    def cancel(self, ident: str) -> str | None:
        """Ask the job of that journal entry to end: no more of its steps are begun, and work that can stop early
        does. Returns what comes of it, in words; None when no such job is under way here."""
        run = self._running.get(ident)
        return None if run is None else run.cancel()

    def moved(self, job: Job) -> None:
        """Show how far a job has come; its result is what it was."""
        self._journal.show(job.entry)

    def changed(self, job: Job) -> None:
        """Keep and report a job that moved."""
        with self._lock:
            if job.status.ended:
                self._running.pop(job.entry.id, None)
        self._journal.update(job.entry)
        self._report(job)

    def recorded(self) -> None:
        """Wait, not for long, until the journal's file has what was noted."""
        self._journal.flush(_RECORD_S)

    def leave(self) -> None:
        """Give back the calling thread's connection."""
        self._context.leave()

    def perform(self, step: Step, call: Call, moved: Callable[[Call, Work], None]) -> Outcome:
        """Carry out one step; raises OpError. Whatever came of it, the target is read again."""
        try:
            refuse_blind_plug(step, self.running())
            return execute(step.request, WatchedContext(self._context, call, moved))
        except OpError:
            raise
        except Exception as error:
            # A value that the layer below cannot take, say; the job has to end all the same.
            _log.exception("%s", step.title)
            raise OpError("carry out", step.title, f"{type(error).__name__}: {error}") from error
        finally:
            self.touched(step)

    def touched(self, step: Step) -> None:
        """Have the target of a step read again at once."""
        self._nudge({step.target, getattr(step.request, "domain", step.target)})


class Run:
    """One job under way. A few workers take turns at what is due: a step to carry out, or a watch to look at; so a
    guest that takes its time holds up nobody else."""

    def __init__(self, plan: Plan, entry: Entry, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._reporting = threading.Lock()
        self._calls: dict[int, Call] = {}
        self._turn = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._open = 0
        self._workers = 0
        self._watches: dict[int, Watch] = {}
        self._results: dict[int, StepResult] = {}
        self._done = threading.Event()
        self._works: dict[int, Work] = {}
        self._cancelled = False
        self.job = Job(entry, plan)

    @staticmethod
    def _split(plan: Plan) -> list[Lane]:
        lanes: dict[str, Lane] = {}
        for index, step in enumerate(plan.steps):
            lanes.setdefault(step.target, Lane([])).left.append(index)
        return list(lanes.values())

    def start(self) -> None:
        """Begin; returns at once."""
        lanes = self._split(self.job.plan)
        self._open = len(lanes)
        self._workers = min(_WORKERS, len(lanes))
        for lane in lanes:
            self._later(0.0, partial(self._advance, lane))
        self._report()
        for _ in range(self._workers):
            threading.Thread(target=self._work, name="job", daemon=True).start()
        threading.Thread(target=self._clock, name="job-clock", daemon=True).start()

    def wait(self, timeout_s: float, look: Callable[[Job], None] = lambda _job: None) -> Job:
        """Block until the job ended or `timeout_s` passed; return it as it stands then. `look` sees it twice a second
        meanwhile."""
        end = time.monotonic() + timeout_s
        # In slices: a signal that comes just before the main thread falls asleep does not wake it (Ctrl+C).
        while not self._done.wait(max(0.0, min(_SLICE_S, end - time.monotonic()))) and time.monotonic() < end:
            look(self.job)
        return self.job

    @property
    def carries(self) -> bool:
        """Whether bytes go through this program just now, which end with it."""
        with self._lock:
            return any(call.reports for call in self._calls.values())

    def cancel(self) -> str:
        """Begin no more steps and tell the calls under way; returns what comes of it."""
        with self._lock:
            self._cancelled = True
            calls = list(self._calls.values())
            for call in calls:
                call.cancelled = True
        return cancel_words(calls, self.job.plan)

    def _later(self, delay_s: float, task: Callable[[], None]) -> None:
        with self._turn:
            heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._numbers), task))
            self._turn.notify()

    def _take(self) -> Callable[[], None] | None:
        """The task whose time has come, waiting for it; None when all lanes have ended or the program leaves."""
        with self._turn:
            while self._open and not self._jobs.stopped:
                wait_s = self._due[0][0] - time.monotonic() if self._due else _LOOK_S
                if wait_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._turn.wait(min(wait_s, _LOOK_S))
            return None

    def _work(self) -> None:
        try:
            self._jobs.recorded()
            while (task := self._take()) is not None:
                task()
        finally:
            with self._turn:
                self._workers -= 1
                last = self._workers == 0
            if last:
                self._end()
            self._jobs.leave()

    def _clock(self) -> None:
        """Tell of calls that do not return, as long as the job is under way."""
        while not self._done.wait(_CLOCK_S) and not self._jobs.stopped:
            if self._note_stuck():
                self._report()

    def _note_stuck(self) -> bool:
        """Note the calls that should have returned and put another worker in the place of each that waits for one;
        whether there is any such that was not told of."""
        with self._lock:
            now_s = time.monotonic()
            stuck = [call for call in self._calls.values() if call.begun_s + call.limit_s < now_s and not call.told]
            for call in stuck:
                call.told = True
                self._results[call.index] = StepResult(call.step, Status.PENDING, "no answer yet", _STUCK_HINT)
            if stuck:
                self._update(self._standing())
        for _ in stuck:
            self._stand_in()
        return bool(stuck)

    def _stand_in(self) -> None:
        with self._turn:
            if not self._workers or self._workers >= min(_MOST_WORKERS, self._open):
                return
            self._workers += 1
        threading.Thread(target=self._work, name="job", daemon=True).start()

    def _advance(self, lane: Lane) -> None:
        """Begin the next step of a target: after a failure a fallback alone, else another; cancelled, what is owed."""
        while lane.left and (not self._cancelled or lane.owes(self.job.plan)):
            index, lane.begun = lane.left.pop(0), True
            step = self.job.plan.steps[index]
            if step.only_if_failed is lane.failed:
                self._begin(lane, index, step)
                return
            if lane.failed:
                break
        with self._turn:
            self._open -= 1
            self._turn.notify_all()

    def _begin(self, lane: Lane, index: int, step: Step) -> None:
        self._set(index, StepResult(step, Status.RUNNING, step.title))
        call = Call(index, step, time.monotonic(), STUCK_AFTER_S)
        with self._lock:
            self._calls[index] = call
            call.cancelled = self._cancelled
        try:
            outcome = self._jobs.perform(step, call, self._moved)
        except OpError as error:
            status = Status.CANCELLED if isinstance(error, CancelledError) else Status.FAILED
            self._settle(lane, index, StepResult(step, status, clean(str(error)), error.advice, error.code))
            return
        finally:
            with self._lock:
                del self._calls[index]
                self._works.pop(index, None)
        if outcome.watch is not None:
            hint = outcome.hint_now()
            self._set(index, StepResult(step, Status.RUNNING, "asked for", hint, output=outcome.output, accepted=True))
        watch = self._watches[index] = Watch(lane, index, step, outcome, time.monotonic())
        self._look(watch)

    def _moved(self, call: Call, work: Work) -> None:
        """Show how far the work has come; of steps at the same time, all together."""
        with self._lock:
            self._works[call.index] = work
            self.job = replace(self.job, entry=replace(self.job.entry, work=together(self._works.values())))
        with self._reporting:
            self._jobs.moved(self.job)

    def _look(self, watch: Watch) -> None:
        """Look whether the host has complied, and again later, less often the longer it takes; say so once when it
        takes longer than the op's patience."""
        progress, waited_s = self._progress(watch), time.monotonic() - watch.begun_s
        if progress is Progress.PENDING and waited_s < _EXPIRE_S:
            if waited_s > watch.outcome.patience_s and not watch.told:
                watch.told = True
                hint = watch.outcome.hint_now()
                self._set(watch.index, StepResult(watch.step, Status.PENDING, "still pending", hint, accepted=True))
            self._later(min(max(_LOOK_S, waited_s / 10), _SLOWEST_LOOK_S), partial(self._look, watch))
            return
        self._close(watch)
        self._settle(watch.lane, watch.index, result_of(watch.step, watch.outcome, progress))

    @staticmethod
    def _progress(watch: Watch) -> Progress:
        """What the host says; a watch that breaks is not asked again."""
        try:
            return watch.look()
        except Exception:  # noqa: BLE001 - a worker that dies unseen leaves a job that never ends
            _log.exception("watching %s", watch.step.title)
            watch.outcome = replace(watch.outcome, hint="it could not be watched; look at its state", told=None)
            return Progress.FAILED

    def _close(self, watch: Watch) -> None:
        self._watches.pop(watch.index, None)
        watch.close()
        self._jobs.touched(watch.step)

    def _settle(self, lane: Lane, index: int, result: StepResult) -> None:
        """Note how a step ended and go on with its target."""
        self._set(index, result)
        lane.failed = result.status is not Status.DONE
        self._later(0.0, partial(self._advance, lane))

    def _set(self, index: int, result: StepResult) -> None:
        with self._lock:
            self._results[index] = result
            self._update(self._standing())
        self._report()

    def _report(self) -> None:
        """Report how the job stands; one thread at a time, so that what is reported last is what was true last."""
        with self._reporting:
            self._jobs.changed(self.job)

    def _standing(self) -> Status:
        pending = any(result.status is Status.PENDING for result in self._results.values())
        return Status.PENDING if pending else Status.RUNNING

    def _update(self, status: Status, **changes: object) -> None:
        results = tuple(self._results[index] for index in sorted(self._results))
        lines = tuple(result.entry_line for result in results)
        work = together(self._works.values())
        entry = replace(self.job.entry, status=status, results=lines, work=work, **changes)  # type: ignore[arg-type]
        self.job = Job(entry, self.job.plan, results)

    def _end(self) -> None:
        """Note the end; what was left behind when the program leaves is not confirmed."""
        for watch in list(self._watches.values()):
            self._close(watch)
        with self._lock:
            for index, result in self._results.items():
                if not result.status.ended:
                    self._results[index] = unconfirmed(result.step, result.hint, accepted=result.accepted)
            statuses = {result.status for result in self._effective()}
            if self._open:
                statuses.add(Status.EXPIRED)
            if self._cancelled and self._left_out():
                statuses.add(Status.CANCELLED)
            worst = next((s for s in _WORST if s in statuses), Status.DONE)
            ended = [(result.step, result.status) for result in self._results.values()]
            self._update(worst, ended_ns=time.time_ns(), undo=undo_of(self._effective()), asked=left_open(ended))
        self._report()
        self._jobs.recorded()
        self._done.set()

    def _left_out(self) -> bool:
        """Whether steps were not begun that are no fallbacks."""
        steps = enumerate(self.job.plan.steps)
        return any(index not in self._results and not step.only_if_failed for index, step in steps)

    def _effective(self) -> list[StepResult]:
        """The results that count: a failure that a fallback made good does not."""
        kept: list[StepResult] = []
        for index in sorted(self._results):
            result = self._results[index]
            if result.step.only_if_failed and kept and kept[-1].step.target == result.step.target:
                kept.pop()
            kept.append(result)
        return kept
