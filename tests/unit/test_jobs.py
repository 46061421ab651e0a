"""Jobs: plans carried out on a real (in-process) host, each target on its own, with results, journal and undo."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.conftest import wait, watched
from tui.demo import scaled_host
from tui.model.domain import Domain, DomainState
from tui.model.journal import Status
from tui.model.plan import Plan, Step
from tui.ops import request_types
from tui.ops.define import Rename
from tui.ops.lifecycle import Destroy, Resume, SetAutostart, Start, Suspend
from tui.runtime.collector import Collector
from tui.runtime.jobs import Job, Jobs
from tui.runtime.journal import Journal

RunPlan = Callable[..., Job]


@pytest.fixture
def reports() -> list[Job]:
    return []


@pytest.fixture
def jobs(plain: Collector, reports: list[Job]) -> Jobs:
    return Jobs(plain, Journal(None, request_types), plain.uri, plain.nudge, reports.append)


def domain(collector: Collector, name: str) -> Domain:
    return next(domain for domain in collector.board.snapshot.domains.values() if domain.name == name)


def suspend(target: Domain, fallback: bool = False) -> Step:
    undo = Step(f"resume {target.name}", ("virsh", "resume", target.name), Resume(target.key), target.key)
    command = ("virsh", "suspend", target.name)
    return Step(
        f"suspend {target.name}", command, Suspend(target.key), target.key, (undo,), only_if_failed=fallback
    )


def start(target: Domain, fallback: bool = False) -> Step:
    command = ("virsh", "start", target.name)
    return Step(f"start {target.name}", command, Start(target.key), target.key, only_if_failed=fallback)


def run(jobs: Jobs, *steps: Step) -> Job:
    job = jobs.run(Plan("test", "A plan", steps)).wait(10)
    assert job.status.ended
    return job


def test_what_the_host_confirms_is_done(plain: Collector, jobs: Jobs, reports: list[Job]) -> None:
    running = domain(plain, "vm-00000")
    job = run(jobs, suspend(running))
    assert job.status is Status.DONE
    assert [result.line for result in job.results] == ["suspend vm-00000: suspended"]
    assert job.entry.results == ("suspend vm-00000: suspended",)
    assert job.entry.undo == suspend(running).undo
    assert job.entry.ended_ns is not None
    assert [report.status for report in reports][0] is Status.RUNNING
    assert reports[-1] == job
    assert jobs.running() == []
    wait(plain, lambda seen: seen.domains[running.key].state is DomainState.PAUSED, "it is read again at once")


def test_what_fails_says_what_on_what_and_why(plain: Collector, jobs: Jobs) -> None:
    off = domain(plain, "vm-00002")
    job = run(jobs, suspend(off))
    assert job.status is Status.FAILED
    assert "suspend vm-00002: " in job.results[0].message
    assert "libvirt code" in job.results[0].message
    assert job.entry.undo == ()
    assert job.problems() == list(job.results)


def test_a_failure_ends_its_own_target_alone(plain: Collector, jobs: Jobs) -> None:
    off, running = domain(plain, "vm-00002"), domain(plain, "vm-00000")
    on = Step("autostart", ("virsh", "autostart", "x"), SetAutostart(off.key, True), off.key)
    job = run(jobs, suspend(off), on, suspend(running))
    assert job.status is Status.FAILED
    assert [(result.step.title, result.status) for result in job.results] == [
        ("suspend vm-00002", Status.FAILED),
        ("suspend vm-00000", Status.DONE),
    ]
    assert job.entry.undo == suspend(running).undo, "what was done can be undone"


def test_a_fallback_runs_only_after_a_failure_and_makes_it_good(plain: Collector, jobs: Jobs) -> None:
    off, running = domain(plain, "vm-00002"), domain(plain, "vm-00000")
    job = run(jobs, suspend(off), start(off, fallback=True), suspend(running), start(running, fallback=True))
    assert job.status is Status.DONE
    assert [result.step.title for result in job.results] == ["suspend vm-00002", "start vm-00002", "suspend vm-00000"]
    wait(plain, lambda seen: seen.domains[off.key].active)


def test_a_fallback_that_fails_too_is_a_failure(plain: Collector, jobs: Jobs) -> None:
    off = domain(plain, "vm-00002")
    hard = Step("off", ("virsh", "destroy", off.name), Destroy(off.key), off.key, only_if_failed=True)
    job = run(jobs, suspend(off), hard)
    assert job.status is Status.FAILED
    assert len(job.results) == 2


def test_undo_takes_all_back_last_first(plain: Collector, jobs: Jobs) -> None:
    off = domain(plain, "vm-00002")

    def rename(old: str, new: str) -> Step:
        back = Step(f"back to {old}", ("x",), Rename(off.key, old), off.key)
        return Step(f"to {new}", ("x",), Rename(off.key, new), off.key, (back,))

    job = run(jobs, rename("vm-00002", "one"), rename("one", "two"))
    assert [step.title for step in job.entry.undo] == ["back to one", "back to vm-00002"]
    undo = jobs.run(Plan("undo", "Undo", job.entry.undo), job.entry.id).wait(10)
    assert undo.status is Status.DONE
    assert undo.entry.undoes == job.entry.id
    wait(plain, lambda seen: seen.domains[off.key].name == "vm-00002")


def test_many_targets_at_once(plain: Collector, jobs: Jobs, reports: list[Job]) -> None:
    running = [item for item in plain.board.snapshot.domains.values() if item.active]
    job = run(jobs, *(suspend(item) for item in running))
    assert job.status is Status.DONE
    assert len(job.results) == len(running) == 8
    assert [result.step.target for result in job.results] == [item.key for item in running], "in the plan's order"
    assert max(len(report.results) for report in reports) == 8


def test_what_the_layer_below_cannot_take_fails_the_step_not_the_job(plain: Collector, jobs: Jobs) -> None:
    off = domain(plain, "vm-00002")
    job = run(jobs, Step("rename", ("x",), Rename(off.key, "a\0b"), off.key))
    assert job.status is Status.FAILED
    assert "ValueError" in job.results[0].message
    assert job.results[0].message.isprintable()


def test_a_target_that_is_gone(plain: Collector, jobs: Jobs) -> None:
    job = run(jobs, Step("start x", ("x",), Start("0" * 8 + "-0000-4000-8000-" + "0" * 12), "x"))
    assert job.status is Status.FAILED
    assert "somebody else removed it" in job.results[0].message


def test_reading_only_refuses_each_step(tmp_path: Path) -> None:
    with watched(scaled_host(tmp_path, 3), read_only=True) as collector:
        jobs = Jobs(collector, Journal(None, request_types), collector.uri, collector.nudge, lambda _job: None)
        job = run(jobs, suspend(domain(collector, "vm-00000")), start(domain(collector, "vm-00002")))
        assert job.status is Status.FAILED
        assert all("--read-only" in result.message for result in job.results)
        assert domain(collector, "vm-00000").state is DomainState.RUNNING


def test_after_stopping_no_step_is_begun(plain: Collector, jobs: Jobs) -> None:
    jobs.stop()
    job = jobs.run(Plan("test", "A plan", (suspend(domain(plain, "vm-00000")),))).wait(5)
    assert job.status is Status.EXPIRED
    assert job.results == ()
    assert domain(plain, "vm-00000").state is DomainState.RUNNING


def test_its_threads_end_with_it(plain: Collector, jobs: Jobs) -> None:
    run(jobs, *(suspend(item) for item in plain.board.snapshot.domains.values() if item.active))
    for thread in threading.enumerate():
        if thread.name == "job":
            thread.join(2)
            assert not thread.is_alive()
