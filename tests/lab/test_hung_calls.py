"""Calls to a QEMU that does not answer: they are told of as such, and hold up no other domain."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.actions import Deck
from tests.lab.domain import Shape, blank_xml
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tui.model.journal import Status
from tui.model.plan import Plan, Step
from tui.ops.monitor import MonitorCommand
from tui.ops.vcpus import SetVcpus
from tui.runtime import jobs as jobs_module


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("what", ["monitor", "unplug"])
def test_no_answer_is_said(lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(jobs_module, "STUCK_AFTER_S", 0.5)
    # One worker: who waits for the hung one would hold up the rest.
    monkeypatch.setattr(jobs_module, "_WORKERS", 1)
    for part in "ab":
        lab.define(blank_xml(Shape(name=f"{name}-{part}", vcpus=1, vcpus_max=2), lab.emulator), start=True)
        lab.virsh("setvcpus", f"{name}-{part}", "2", "--live")
    seen = deck.read()
    hung, well = (next(d for d in seen.domains.values() if d.raw_name == f"{name}-{part}") for part in "ab")
    request = SetVcpus(hung.key, 1, True, less=True, run=hung.id or 0)
    asked = MonitorCommand(hung.key, "info status") if what == "monitor" else request
    steps = (
        Step("ask the hung one", ("true",), asked, hung.key),
        Step("ask the other", ("true",), MonitorCommand(well.key, "info status"), well.key),
    )
    jobs = deck.jobs()
    with stopped(lab.qemu_pid(hung.raw_name)):
        handle = jobs.run(Plan("test", "Test", steps))
        wait_until(lambda: len(handle.job.results) == 2, "both to be begun", timeout=20)
        wait_until(lambda: handle.job.results[1].status is Status.DONE, "the other to answer", timeout=20)
        assert handle.job.results[0].message == "no answer yet"
        assert handle.job.status is Status.PENDING
    job = handle.wait(40)
    jobs.stop()
    assert job.results[0].message != "no answer yet"
    assert job.status.ended
