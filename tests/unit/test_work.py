"""Long work: what its readings make of rate and time left, how jobs show it, and how they end it early."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_jobs import UUID, Desk, collector, step, wait_for
from tui import ops
from tui.model.journal import Entry, Status
from tui.model.plan import Plan
from tui.model.work import Meter, Work
from tui.ops.base import CancelledError, OpContext, Outcome
from tui.ops.lifecycle import Resume, Save, Suspend
from tui.panes import chrome
from tui.panes.journal import PANE, JournalRow
from tui.runtime.collector import Collector

__all__ = ["collector"]

_MIB = 1024**2


def test_rate_and_time_left_come_from_the_last_seconds() -> None:
    meter = Meter()
    assert meter.read(10.0, 0, 100 * _MIB) == Work(0, 100 * _MIB)
    work = meter.read(12.0, 20 * _MIB, 100 * _MIB)
    assert (work.rate, work.left_s, work.share) == (10 * _MIB, 8.0, 0.2)
    assert work.words() == "20.0M of 100M, 10.0M/s, 8s left"
    # Ten seconds in which nothing came: what was fast before is forgotten.
    slow = meter.read(22.0, 20 * _MIB, 100 * _MIB)
    assert (slow.rate, slow.left_s) == (0, None)
    assert slow.words() == "20.0M of 100M, 0/s"


def test_a_counter_that_begins_anew_has_no_rate_yet() -> None:
    meter = Meter()
    meter.read(0.0, 50, 100)
    assert meter.read(1.0, 10, 100).rate is None


def test_bar_and_share() -> None:
    assert Work(0, 8).bar(4) == "    "
    assert Work(3, 8).bar(4) == "█▌  "
    assert Work(8, 8).bar(4) == "████"
    assert Work(9, 8).percent() == "100%"
    unknown = Work(5, None, 1.0)
    assert (unknown.bar(4), unknown.percent(), unknown.words()) == ("    ", "", "5B, 1B/s")
    assert Work(1, 8, 1.0, cancelling=True).words() == "1B of 8B, 1B/s, stopping"


class Copy:
    """An op that copies until it is let go, and stops when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.end = threading.Event()

    def __call__(self, request: Any, context: OpContext) -> Outcome:
        context.release(context.long())
        self.calls += 1
        for done in range(2000):
            context.progress(done * _MIB, 2000 * _MIB)
            if context.cancelled:
                raise CancelledError("copy", "it", "cancelled; nothing is left of it")
            if self.end.wait(0.01):
                break
        return Outcome("copied")


@pytest.fixture
def desk(collector: Collector, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(collector, tmp_path / "journal.jsonl")
    yield desk
    desk.jobs.stop()


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Copy]:
    copy = Copy()
    monkeypatch.setitem(ops._OPS, Save, copy)
    monkeypatch.setattr("tui.runtime.job_parts._READ_S", 0.05)
    yield copy
    copy.end.set()


def entry(desk: Desk) -> Entry:
    return desk.journal.entries()[-1]


def test_progress_is_shown_and_never_written(desk: Desk, copy: Copy) -> None:
    handle = desk.jobs.run(Plan("test", "Test", (step(Save(UUID, "/x")),)))
    wait_for(lambda: (work := entry(desk).work) is not None and work.rate, "a rate is told")
    seen = entry(desk)
    assert seen.work is not None
    assert seen.work.total == 2000 * _MIB
    assert not seen.status.ended
    line = chrome.under_way(desk.journal.entries())
    assert line is not None
    assert "of 2.0G" in "".join(span.text for span in line)
    cell = next(column for column in PANE.columns if column.key == "status").render(JournalRow(seen, False))
    assert cell.text.endswith("%")
    time.sleep(0.3)
    copy.end.set()
    job = handle.wait(5)
    assert (job.status, job.entry.work) == (Status.DONE, None)
    assert chrome.under_way(desk.journal.entries()) is None
    lines = desk.path.read_text().splitlines()
    assert len(lines) == 2, "begin and end alone"
    assert not any('"work"' in line for line in lines)


def test_cancel_ends_the_work_and_begins_nothing_more(desk: Desk, copy: Copy) -> None:
    steps = (step(Save(UUID, "/x")), step(Suspend(UUID)), step(Resume(UUID), only_if_failed=True))
    handle = desk.jobs.run(Plan("test", "Test", steps))
    wait_for(lambda: entry(desk).work is not None, "its progress is told")
    assert desk.jobs.cancel(handle.job.entry.id) == "Test: stopping"
    job = handle.wait(5)
    assert job.status is Status.CANCELLED
    assert job.entry.results == ("save it: copy it: cancelled; nothing is left of it.",)
    assert job.entry.undo == ()
    assert desk.jobs.cancel(handle.job.entry.id) is None


def test_a_step_that_cannot_be_interrupted_ends_and_the_next_is_not_begun(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, let_go = threading.Event(), threading.Event()

    def deaf(_request: Any, _context: OpContext) -> Outcome:
        inside.set()
        assert let_go.wait(5)
        return Outcome("saved")

    monkeypatch.setitem(ops._OPS, Save, deaf)
    handle = desk.jobs.run(Plan("test", "Test", (step(Save(UUID, "/x")), step(Suspend(UUID)))))
    assert inside.wait(5)
    words = desk.jobs.cancel(handle.job.entry.id)
    assert words == "Test: this step cannot be interrupted; what follows it is not begun"
    let_go.set()
    job = handle.wait(5)
    assert (job.status, job.entry.results) == (Status.CANCELLED, ("save it: saved",))
