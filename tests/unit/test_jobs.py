"""Jobs on libvirt's in-process test driver: results, fallbacks, calls that do not return, threads that ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tui import ops
from tui.actions import BY_ID
from tui.actions.base import Context, make_plan
from tui.model.journal import Status
from tui.model.plan import Plan, Request, Step
from tui.model.process import QemuProcess, QemuThread, ThreadRole
from tui.ops import request_types
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.lifecycle import Destroy, Resume, Save, Start, Suspend
from tui.ops.process import SetAffinity, set_affinity
from tui.ops.vcpus import SetVcpus
from tui.runtime import jobs as jobs_module
from tui.runtime.collector import Collector
from tui.runtime.jobs import Job, Jobs
from tui.runtime.journal import Journal

URI = "test:///default"
UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
"""Of the one domain that the driver begins with."""


def wait_for(condition: Callable[[], object], what: str, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector(URI, read_only=False, interval_s=30, publish=lambda _snapshot: None)
    collector.start()
    wait_for(lambda: collector.board.snapshot.domains_read_ns is not None, "the host is read")
    yield collector
    collector.stop()


class Desk:
    """What carries out plans here, and all that it reported."""

    def __init__(self, collector: Collector, path: Path) -> None:
        self.path = path
        self.reported: list[Job] = []
        self.journal = Journal(path, request_types)
        self.jobs = Jobs(collector, self.journal, URI, lambda _keys: None, self.reported.append)

    def run(self, *steps: Step) -> Job:
        return self.jobs.run(Plan("test", "Test", steps)).wait(10)


@pytest.fixture
def desk(collector: Collector, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(collector, tmp_path / "journal.jsonl")
    yield desk
    desk.jobs.stop()


def step(request: Request, target: str = UUID, **more: Any) -> Step:
    return Step(f"{type(request).__name__.lower()} it", ("true",), request, target, **more)


def test_steps_of_a_target_follow_each_other_and_are_undone_backwards(desk: Desk) -> None:
    back = step(Resume(UUID))
    job = desk.run(step(Suspend(UUID), undo=(back,)), step(Resume(UUID)))
    assert job.status is Status.DONE
    assert job.entry.results == ("suspend it: suspended", "resume it: resumed")
    assert job.entry.undo == (back,)
    assert desk.jobs.running() == []


def test_the_file_has_what_ended_when_the_wait_for_it_is_over(desk: Desk) -> None:
    job = desk.run(step(Suspend(UUID)))
    later = Journal(desk.path, request_types)
    later.load()
    assert later.get(job.entry.id) == job.entry


def test_after_a_failure_only_a_fallback_is_begun(desk: Desk) -> None:
    plan = (step(Start(UUID)), step(Destroy(UUID), only_if_failed=True), step(Start(UUID)))
    job = desk.run(*plan)
    assert [result.status for result in job.results] == [Status.FAILED, Status.DONE, Status.DONE]
    assert job.status is Status.DONE
    failed = desk.run(step(Start(UUID)), step(Suspend(UUID)))
    assert (failed.status, len(failed.results)) == (Status.FAILED, 1)


class Stuck:
    """An op that does not return before it is let go, as a call to a hung QEMU."""

    def __init__(self) -> None:
        self.calls = 0
        self.gone_on = threading.Event()

    def __call__(self, request: Any, context: OpContext) -> Outcome:
        if isinstance(request, Save):
            context.release(context.long())
        self.calls += 1
        if not self.gone_on.wait(20):
            raise OpError("wait for", "the test", "was never let go")
        return Outcome("came back")


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    stuck = Stuck()
    for kind in (Suspend, Save):
        monkeypatch.setitem(ops._OPS, kind, stuck)
    monkeypatch.setattr(jobs_module, "STUCK_AFTER_S", 0.2)
    monkeypatch.setattr(jobs_module, "_CLOCK_S", 0.05)
    yield stuck
    stuck.gone_on.set()


def test_a_call_that_does_not_return_is_pending_and_settles_later(desk: Desk, stuck: Stuck) -> None:
    handle = desk.jobs.run(Plan("test", "Test", (step(Suspend(UUID)),)))
    wait_for(lambda: desk.reported[-1].status is Status.PENDING, "the call is told of")
    [result] = handle.job.problems()
    assert result.hint == "its QEMU or libvirtd does not answer; x forces it off"
    told = "suspend it: no answer yet; its QEMU or libvirtd does not answer; x forces it off"
    assert desk.journal.entries()[-1].results == (told,)
    assert [job.status for job in desk.reported].count(Status.PENDING) == 1
    stuck.gone_on.set()
    job = handle.wait(5)
    assert (job.status, job.entry.results) == (Status.DONE, ("suspend it: came back",))
    assert desk.reported[-1].status is Status.DONE
    assert desk.jobs.running() == []


def test_what_must_follow_a_step_is_done_although_the_user_cancelled(desk: Desk, stuck: Stuck) -> None:
    steps = (step(Suspend(UUID)), step(Resume(UUID), finishes=True), step(Destroy(UUID)))
    run = desk.jobs.run(Plan("test", "Test", steps))
    wait_for(lambda: stuck.calls, "the first step is under way")
    assert str(desk.jobs.cancel(run.job.entry.id)).endswith("not begun, but for what must follow it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ops._OPS, Resume, lambda _request, _context: Outcome("as it was"))
        stuck.gone_on.set()
        job = run.wait(10)
    assert (job.status, job.entry.results) == (Status.CANCELLED, ("suspend it: came back", "resume it: as it was"))


def test_what_must_follow_a_step_that_was_not_begun_or_failed_is_not_begun(desk: Desk, stuck: Stuck) -> None:
    failed = desk.run(step(Start(UUID)), step(Resume(UUID), finishes=True))
    assert (failed.status, len(failed.results)) == (Status.FAILED, 1)
    steps = (step(Save(UUID, "/nowhere")), step(Resume(UUID)), step(Destroy(UUID), finishes=True))
    run = desk.jobs.run(Plan("test", "Test", steps))
    wait_for(lambda: stuck.calls, "the first step is under way")
    desk.jobs.cancel(run.job.entry.id)
    stuck.gone_on.set()
    assert len(run.wait(10).results) == 1


def test_a_call_that_is_long_by_nature_is_not_called_stuck(desk: Desk, stuck: Stuck) -> None:
    handle = desk.jobs.run(Plan("test", "Test", (step(Save(UUID, "/nowhere")),)))
    time.sleep(0.6)
    assert handle.job.status is Status.RUNNING
    stuck.gone_on.set()
    assert handle.wait(5).status is Status.DONE


def test_a_long_call_has_a_limit_all_the_same(desk: Desk, stuck: Stuck, monkeypatch: pytest.MonkeyPatch) -> None:
    def force_off(request: Any, context: OpContext) -> Outcome:
        context.release(context.long(0.1))
        return stuck(request, context)

    monkeypatch.setattr(jobs_module, "STUCK_AFTER_S", 600.0)
    monkeypatch.setitem(ops._OPS, Destroy, force_off)
    handle = desk.jobs.run(Plan("test", "Test", (step(Destroy(UUID)),)))
    wait_for(lambda: handle.job.status is Status.PENDING, "the call is told of")
    stuck.gone_on.set()
    assert handle.wait(5).status is Status.DONE


@pytest.mark.parametrize("said", list(Progress))
def test_what_the_host_accepted_can_be_taken_back(desk: Desk, monkeypatch: pytest.MonkeyPatch, said: Progress) -> None:
    """Whatever its guest made of it, and whether anybody waited for that."""
    monkeypatch.setattr(jobs_module, "_EXPIRE_S", 0.0)
    monkeypatch.setitem(ops._OPS, Suspend, lambda _request, _context: Outcome("asked", lambda: said))
    back = step(Resume(UUID))
    job = desk.run(step(Suspend(UUID), undo=(back,)))
    ended = {Progress.CONFIRMED: Status.DONE, Progress.FAILED: Status.FAILED, Progress.PENDING: Status.EXPIRED}
    assert (job.status, job.entry.undo) == (ended[said], (back,))


def test_what_was_asked_when_the_program_left_can_be_taken_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ops._OPS, Suspend, lambda _request, _context: Outcome("asked", lambda: Progress.PENDING))
    back = step(Resume(UUID))
    handle = desk.jobs.run(Plan("test", "Test", (step(Suspend(UUID), undo=(back,)),)))
    wait_for(lambda: any(result.message == "asked for" for result in handle.job.results), "it is asked for")
    desk.jobs.stop()
    job = handle.wait(5)
    assert (job.status, job.entry.undo) == (Status.EXPIRED, (back,))


def test_what_was_refused_has_no_undo(desk: Desk) -> None:
    job = desk.run(step(Start(UUID), undo=(step(Destroy(UUID)),)))
    assert (job.status, job.entry.undo) == (Status.FAILED, ())


def test_nothing_is_plugged_while_the_guest_is_asked_for_a_vcpu(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Event()

    def unplug(request: SetVcpus, _context: OpContext) -> Outcome:
        return Outcome(
            "so many", lambda: Progress.CONFIRMED if given.is_set() or not request.less else Progress.PENDING
        )

    monkeypatch.setitem(ops._OPS, SetVcpus, unplug)
    less, more, kept = (
        SetVcpus(UUID, 1, True, less=True, run=1),
        SetVcpus(UUID, 3, True, run=1),
        SetVcpus(UUID, 3, False),
    )
    asked = desk.jobs.run(Plan("test", "Test", (step(less),)))
    wait_for(lambda: any(result.message == "asked for" for result in asked.job.results), "it is asked for")
    refused = desk.run(step(more))
    assert refused.status is Status.FAILED
    assert "its guest was asked to give up a vCPU and has not done so" in refused.results[0].message
    assert desk.run(step(kept)).status is Status.DONE
    assert desk.run(step(more, "another")).status is Status.DONE
    given.set()
    assert asked.wait(5).status is Status.DONE
    assert desk.run(step(more)).status is Status.DONE


def test_calls_that_do_not_return_do_not_use_up_the_workers(desk: Desk, stuck: Stuck) -> None:
    hung = [step(Suspend(UUID), f"hung-{number}") for number in range(6)]
    handle = desk.jobs.run(Plan("test", "Test", (*hung, step(Resume(UUID), "well"))))
    wait_for(lambda: any(result.status.ended for result in handle.job.results), "the last one had its turn")
    assert stuck.calls == 6
    desk.jobs.stop()
    stuck.gone_on.set()
    assert handle.wait(5).status in (Status.FAILED, Status.EXPIRED, Status.DONE)


def test_the_hint_of_what_the_guest_has_not_done_is_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = Outcome("asked", lambda: Progress.PENDING, patience_s=0.1, hint="force it off")
    monkeypatch.setitem(ops._OPS, Suspend, lambda _request, _context: outcome)
    handle = desk.jobs.run(Plan("test", "Test", (step(Suspend(UUID)),)))
    wait_for(lambda: handle.job.status is Status.PENDING, "patience runs out")
    assert handle.job.entry.results == ("suspend it: still pending; force it off",)
    desk.jobs.stop()
    assert handle.wait(5).entry.results == ("suspend it: not confirmed",)


def test_a_watch_that_breaks_ends_the_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Progress:
        raise PermissionError(13, "no")

    monkeypatch.setitem(ops._OPS, Suspend, lambda _request, _context: Outcome("asked", broken))
    assert desk.run(step(Suspend(UUID))).status is Status.FAILED


def test_a_journal_that_hangs_stops_no_change(collector: Collector, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl", 0o600)
    desk = Desk(collector, tmp_path / "journal.jsonl")
    assert desk.run(step(Suspend(UUID))).status is Status.DONE


# Threads that end: a process of our own that loses one when it is told to


PROGRAM = """
import sys, threading
threads = [threading.Event() for _ in range(3)]
for event in threads:
    threading.Thread(target=event.wait, daemon=True).start()
print(*[thread.native_id for thread in threading.enumerate()], flush=True)
for line in sys.stdin:
    threads[int(line)].set()
"""


def _is_gone(place: Path) -> bool:
    return not place.exists()


class Threads:
    """A process with four threads, the first its own."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program
        assert program.stdout is not None
        self.tids = [int(word) for word in program.stdout.readline().split()]
        with open(f"/proc/{program.pid}/stat", "rb") as stat:
            start = stat.read().rpartition(b")")[2].split()[19].decode()
        self.pid = program.pid
        self.key = f"{program.pid}:{start}"

    def end(self, *numbers: int) -> None:
        assert self._program.stdin is not None
        for number in numbers:
            print(number - 1, file=self._program.stdin, flush=True)
            task = Path(f"/proc/{self.pid}/task/{self.tids[number]}")
            wait_for(partial(_is_gone, task), "the thread ends")

    def cpus(self) -> dict[int, set[int]]:
        tasks = (int(name) for name in os.listdir(f"/proc/{self.pid}/task"))
        return {tid: os.sched_getaffinity(tid) for tid in tasks}

    def process(self, *roles: ThreadRole) -> QemuProcess:
        now = self.cpus()
        threads = tuple(
            QemuThread(tid, "x", role, None, 0, tuple(sorted(now[tid])), None)
            for tid, role in zip(self.tids, roles, strict=True)
        )
        return QemuProcess(
            self.key,
            self.pid,
            "x",
            None,
            "",
            "",
            None,
            "",
            "",
            None,
            0,
            1,
            1,
            0,
            None,
            0,
            "",
            threads,
            (),
            (),
            (),
            (),
            0,
        )


@pytest.fixture
def threads() -> Iterator[Threads]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            yield Threads(program)
        finally:
            program.kill()


W, E = ThreadRole.WORKER, ThreadRole.EMULATOR


def plan_of(collector: Collector, process: QemuProcess, role: str) -> Plan:
    context = Context(collector.board.snapshot, Path("/nowhere"))
    cpu = min(os.sched_getaffinity(0))
    return make_plan(BY_ID["process.affinity"], context, [process], {"role": role, "cpus": str(cpu)})


@pytest.mark.parametrize("role", ["all", "worker"])
def test_threads_that_ended_are_passed_over(desk: Desk, collector: Collector, threads: Threads, role: str) -> None:
    """Between plan and change, and between change and undo."""
    before = threads.cpus()
    plan = plan_of(collector, threads.process(E, W, W, W), role)
    threads.end(1)
    job = desk.run(*plan.steps)
    assert job.status is Status.DONE, job.results
    bound = {tid: {min(os.sched_getaffinity(0))} for tid in threads.tids[(0 if role == "all" else 2) :]}
    bound.pop(threads.tids[1], None)
    assert {tid: cpus for tid, cpus in threads.cpus().items() if tid in bound} == bound
    threads.end(3)
    undone = desk.run(*job.entry.undo)
    assert undone.status is Status.DONE, undone.results
    assert threads.cpus() == {tid: before[tid] for tid in (threads.tids[0], threads.tids[2])}


def test_nobody_left_is_a_failure(desk: Desk, collector: Collector, threads: Threads) -> None:
    plan = plan_of(collector, threads.process(E, W, W, W), "worker")
    threads.end(1, 2, 3)
    job = desk.run(*plan.steps)
    assert job.status is Status.FAILED
    assert "ESRCH" in job.results[0].message


def test_what_is_said_of_threads_that_ended(threads: Threads) -> None:
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    all_of_them = SetAffinity(threads.key, tuple((tid, cpus) for tid in threads.tids))
    threads.end(2)
    context: Any = None
    assert set_affinity(all_of_them, context).message == f"3 threads of pid {threads.pid} bound, 1 had ended"
    gone = ((threads.tids[2], cpus),)
    said = set_affinity(SetAffinity(threads.key, gone, (threads.pid,)), context).message
    assert said == f"thread {threads.tids[2]} of pid {threads.pid} had ended"
    with pytest.raises(OpError, match="no such thread"):
        set_affinity(SetAffinity(threads.key, gone), context)


def test_threads_of_the_kernel_have_commands_of_their_own(collector: Collector, threads: Threads) -> None:
    """taskset -a takes the process's own alone."""
    cpu = min(os.sched_getaffinity(0))
    lines = plan_of(collector, threads.process(E, W, ThreadRole.VHOST, W), "all").command_lines()
    assert lines == [f"taskset -apc {cpu} {threads.pid}", f"taskset -pc {cpu} {threads.tids[2]}"]
