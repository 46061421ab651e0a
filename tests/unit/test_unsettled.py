"""What was asked of a guest and never confirmed: how it is told, kept, and what must not be done meanwhile."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.test_vcpus import KEY, context, domain, plan, qemu, words
from tui.actions import BY_ID
from tui.actions.base import FieldError, make_plan
from tui.actions.undoing import as_of_now, undo_reason
from tui.model.domain import Domain, DomainState
from tui.model.journal import Asked, Entry, Status
from tui.model.unsettled import unsettled
from tui.ops import request_types
from tui.ops.vcpus import asked_of
from tui.runtime.job_parts import asked_by, left_open
from tui.runtime.journal import Journal, entry_as_json, entry_from_json


def refused(one: Domain, unsettled_: dict[str, str]) -> list[str]:
    given = replace(context(one), unsettled=unsettled_)
    said = [BY_ID["domain.vcpus-more"].reason(given, one) or ""]
    for ident, values in (
        ("domain.vcpus", {"count": "3", "where": "both"}),
        ("domain.vcpu-set", {"vcpus": "3", "state": "on", "where": "live"}),
    ):
        with pytest.raises(FieldError) as error:
            make_plan(BY_ID[ident], given, [one], values)
        said.append(error.value.reason)
    return said


def test_an_unsettled_domain_is_plugged_by_no_action() -> None:
    one = domain("yhnn")
    assert all("because" in reason for reason in refused(one, {KEY: "because"}))
    given = replace(context(one), unsettled={KEY: "because"})
    assert words(plan("domain.vcpus", one, given, count="3", where="persistent")) == ["setvcpus a 3 --config"]
    assert words(plan("domain.vcpus-fewer", one, given)) == ["setvcpus a 1 --config", "setvcpus a 1 --live"]
    assert BY_ID["domain.vcpus-more"].reason(given, replace(one, id=None, state=DomainState.SHUTOFF)) is None


def entry(*asked: Asked) -> Entry:
    return Entry("id", 1, "uri", "domain.vcpus", "t", (), Status.EXPIRED, asked=asked)


@pytest.mark.parametrize(
    ("entries", "one", "open_"),
    [
        ([], domain("yhn"), False),
        ([entry(Asked(KEY, 7, 1, False))], domain("yhn"), True),
        ([entry(Asked(KEY, 7, 1, False))], domain("ynn"), False),
        ([entry(Asked(KEY, 6, 1, False))], domain("yhn"), False),
        ([entry(Asked("other", 7, 1, False))], domain("yhn"), False),
        ([entry(Asked(KEY, 7, 1, False)), entry(Asked(KEY, 7, 2, True))], domain("yhn"), False),
        ([entry(Asked(KEY, 7, 2, True)), entry(Asked(KEY, 7, 1, False))], domain("yhn"), True),
        ([entry(Asked(KEY, 7, 1, False))], replace(domain("yhn"), id=None, state=DomainState.SHUTOFF), False),
        ([entry(Asked(KEY, 7, 1, False))], replace(domain("yhn"), config=None), True),
    ],
    ids=["none", "open", "came", "restarted", "other", "settled-later", "asked-later", "off", "unread"],
)
def test_what_is_unsettled_by_the_journal(entries: list[Entry], one: Domain, open_: bool) -> None:
    assert (KEY in unsettled(entries, context(one).snapshot)) is open_


@pytest.mark.parametrize(
    ("threads", "read_ns", "open_"), [(1, 200, True), (2, 200, False), (1, 50, False), (0, 200, False)]
)
def test_threads_tell_of_a_vcpu_that_is_gone(threads: int, read_ns: int, open_: bool) -> None:
    """Only when they were counted after libvirt was; where none is named, nothing is known."""
    seen = context(domain("yhn"), processes={"1:1": qemu(threads, read_ns)}).snapshot
    assert (KEY in unsettled([], seen)) is open_


def test_a_plan_notes_what_may_stay_open_and_its_end_what_did() -> None:
    made = plan("domain.vcpus-fewer", domain("yhhn"))
    kept, live = made.steps
    assert asked_by(made) == (Asked(KEY, 7, 2, False),)
    assert left_open([(kept, Status.DONE), (live, Status.EXPIRED)]) == (Asked(KEY, 7, 2, False),)
    assert left_open([(kept, Status.DONE), (live, Status.DONE)]) == (Asked(KEY, 7, 2, True),)
    assert left_open([(kept, Status.DONE), (live, Status.FAILED)]) == ()
    assert left_open([(kept, Status.FAILED)]) == ()
    plugging = plan("domain.vcpus-more", domain("yhhn"))
    assert asked_by(plugging) == ()
    assert left_open([(plugging.steps[0], Status.DONE)]) == (Asked(KEY, 7, 4, True),)


def test_what_is_open_outlives_the_program_that_was_killed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", request_types)
    made = plan("domain.vcpus-fewer", domain("yhhn"))
    journal.begin(made, "uri", asked=asked_by(made))
    assert journal.flush(5)
    later = Journal(tmp_path / "journal.jsonl", request_types)
    later.load()
    [read] = later.entries()
    assert (read.status, read.asked) == (Status.UNKNOWN, (Asked(KEY, 7, 2, False),))


def test_lines_of_earlier_versions_can_be_read_and_hostile_ones_not() -> None:
    data = json.loads(json.dumps(entry_as_json(entry(Asked(KEY, 7, 1, False)))))
    assert entry_from_json(data, request_types()).asked == (Asked(KEY, 7, 1, False),)
    old = {name: value for name, value in data.items() if name != "asked"}
    assert entry_from_json(old, request_types()).asked == ()
    for damage in ({"run": "7"}, {"vcpus": True}, {"settled": 1}, {"target": None}):
        with pytest.raises(TypeError):
            entry_from_json({**data, "asked": [data["asked"][0] | damage]}, request_types())


def test_undo_plugs_nothing_into_an_unsettled_domain() -> None:
    made = plan("domain.vcpus-fewer", domain("yhhn"))
    settled = context(domain("yhhn"))
    open_ = replace(settled, unsettled={KEY: "because"})
    assert undo_reason(made.undo_steps(), open_) == "because"
    assert undo_reason(made.undo_steps(), settled) is None
    back = plan("domain.vcpus-more", domain("yhhn")).undo_steps()
    assert undo_reason(back, open_) is None
    again, _notes = as_of_now(back, context(replace(domain("yhhn"), id=9)))
    assert [asked.run for step in again if (asked := asked_of(step.request))] == [9]
