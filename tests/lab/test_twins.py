"""Every action does what its command does: virtdeck changes one twin, the real tools change the other, and libvirt
tells the same of both; and so for the way back."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.actions import Deck, Seen, run_commands, same
from tests.lab.host import LabHost
from tests.lab.namespaces import is_alive, wait_until
from tests.lab.twins import CASES, OFF, RUNNING, Case, Twin, state, twins
from tui.actions import ACTIONS
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.plan import Plan, Step
from tui.ops.base import Outcome
from tui.ops.define import Define, Undefine
from tui.runtime.jobs import Job

_numbers = itertools.count(1)


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_twins(lab: LabHost, deck: Deck, tmp_path: Path, case: Case) -> None:
    try_case(lab, deck, tmp_path, case)


def try_case(lab: LabHost, deck: Deck, folder: Path, case: Case) -> None:
    """Make the twins, change both, compare; take both back, compare."""
    ours, theirs = twins(lab, folder, next(_numbers), named=case.named)
    case.make(ours)
    case.make(theirs)
    values = [{**case.values, **case.paths(twin)} for twin in (ours, theirs)]
    before = same(ours.seen, theirs.seen, lambda _seen: True)
    reading = deck.read()
    plan, by_hand = (
        deck.plan_of(reading, case.action, [twin.name], given)
        for twin, given in zip((ours, theirs), values, strict=True)
    )
    job = change(deck, theirs, plan, by_hand.steps)
    after = same(ours.seen, theirs.seen, case.reached)
    assert after != before or case.action == "domain.reset"
    assert bool(job.entry.undo) is case.undo
    if case.undo:
        assert job.entry.undo == plan.undo_steps()
        take_back(deck, job, theirs, by_hand)
        back = same(ours.seen, theirs.seen, lambda seen: case.forgiven(seen) == case.forgiven(before))
        assert back != after


def change(deck: Deck, theirs: Twin, plan: Plan, by_hand: tuple[Step, ...], undoes: str = "") -> Job:
    """Carry out our plan and, at the same time, the commands for the other twin."""
    ended = deck.start(plan, undoes)
    keep_xml(theirs, by_hand)
    run_commands(by_hand)
    job = ended()
    assert job.status is Status.DONE, job.results
    assert [result.step for result in job.results] == [step for step in plan.steps if not step.only_if_failed]
    return job


def keep_xml(twin: Twin, steps: tuple[Step, ...]) -> None:
    """Keep the XML that undo needs, as our op does before it changes it; virsh would write it to standard output."""
    for step in steps:
        request = step.request
        path = request.backup if isinstance(request, (Define, Undefine)) else ""
        if path:
            Path(path).parent.mkdir(exist_ok=True)
            Path(path).write_text(
                twin.lab.virsh("dumpxml", step.target, "--inactive", "--security-info").stdout
            )


def take_back(deck: Deck, job: Job, theirs: Twin, by_hand: Plan) -> None:
    """Undo our change as a later session would, from the journal's file, and the other by the commands of its undo."""
    entry = deck.entry(job)
    assert entry.undo == job.entry.undo
    change(deck, theirs, Plan("undo", f"Undo: {entry.title}", entry.undo), by_hand.undo_steps(), entry.id)
    assert deck.journal().undone(entry.id)


GUEST_CASES = (
    ("domain.reboot", "default", (2, 0, 1)),
    ("domain.reboot", "acpi", (2, 1, 0)),
    ("domain.reboot", "agent", (2, 0, 1)),
    ("domain.shutdown", "default", (1, 0, 1)),
    ("domain.shutdown", "acpi", (1, 1, 0)),
    ("domain.shutdown", "agent", (1, 0, 1)),
)
"""Action, mode, and what the guest's console shows of it."""


def test_guests_comply(lab: LabHost, deck: Deck, tmp_path: Path) -> None:
    ours, theirs = twins(lab, tmp_path, next(_numbers))
    ours, theirs = (boot(twin) for twin in (ours, theirs))
    for twin in (ours, theirs):
        lab.wait_ready(twin.name)
        lab.wait_agent(twin.name)
    shown = (1, 0, 0)
    for action, mode, marks in GUEST_CASES:
        if same(ours.seen, theirs.seen, lambda _seen: True).state == (OFF, 1):
            shown = again(ours, theirs)
        reading = deck.read()
        plan, by_hand = (deck.plan_of(reading, action, [twin.name], {"mode": mode}) for twin in (ours, theirs))
        change(deck, theirs, plan, by_hand.steps)
        print(action, mode, marks)
        shown = (shown[0] + marks[0] - 1, shown[1] + marks[1], shown[2] + marks[2])
        same(ours.seen, theirs.seen, lambda seen, shown=shown: seen.console == shown)


def boot(twin: Twin) -> Twin:
    made = twin.lab.define_guest(twin.name, agent=True, wait=False)
    return replace(twin, uuid=made.uuid)
