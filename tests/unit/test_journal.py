"""The journal: what it keeps, in memory and in its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tui.model.journal import Entry, Status
from tui.model.plan import Plan, Step
from tui.ops import request_types
from tui.ops.lifecycle import Resume, Start, Suspend
from tui.ops.process import SetAffinity
from tui.runtime.journal import Journal, entry_as_json, entry_from_json

UNDO = Step("resume a", ("virsh", "resume", "a"), Resume("uuid"), "uuid", loses="sleep")
PLAN = Plan("domain.suspend", "Suspend a", (Step("suspend a", ("virsh", "suspend", "a"), Suspend("uuid"), "uuid"),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


@pytest.fixture
def journal(path: Path) -> Journal:
    return Journal(path, request_types)


def ended(entry: Entry, status: Status = Status.DONE) -> Entry:
    return replace(entry, status=status, results=("suspend a: suspended",), ended_ns=entry.at_ns + 5, undo=(UNDO,))


def test_a_change_is_there_from_its_begin_on(journal: Journal) -> None:
    entry = journal.begin(PLAN, "test:///default")
    assert journal.entries() == (entry,)
    assert (entry.status, entry.title, entry.commands) == (Status.RUNNING, "Suspend a", ("virsh suspend a",))
    journal.update(ended(entry))
    assert journal.entries() == (ended(entry),)
    assert journal.get(entry.id) == ended(entry)
    assert journal.get("nothing") is None


def test_ids_are_unique(journal: Journal) -> None:
    assert len({journal.begin(PLAN, "x").id for _ in range(200)}) == 200


def test_the_file_is_the_owners_alone_and_holds_lines_of_json(journal: Journal, path: Path) -> None:
    entry = journal.begin(PLAN, "test:///default")
    journal.update(ended(entry))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["status"] for line in lines] == ["running", "done"]
    assert lines[1]["undo"][0]["request"] == {"type": "Resume", "key": "uuid"}


def test_a_later_session_reads_it_back(journal: Journal, path: Path) -> None:
    done, open_one = journal.begin(PLAN, "a"), journal.begin(PLAN, "b")
    journal.update(ended(done))
    later = Journal(path, request_types)
    later.load()
    assert [entry.id for entry in later.entries()] == [open_one.id, done.id] or [
        entry.id for entry in later.entries()
    ] == [done.id, open_one.id]
    assert later.get(done.id) == ended(done)
    interrupted = later.get(open_one.id)
    assert interrupted is not None
    assert interrupted.status is Status.UNKNOWN
    assert later.problem == ""


def test_no_file_is_no_problem(journal: Journal) -> None:
    journal.load()
    assert (journal.entries(), journal.problem) == ((), "")


def test_lines_that_cannot_be_understood_are_counted_and_passed_over(journal: Journal, path: Path) -> None:
    entry = journal.begin(PLAN, "a")
    journal.update(ended(entry))
    good = path.read_bytes()
    strange = json.dumps({**entry_as_json(ended(entry)), "status": "exploded"}).encode()
    path.write_bytes(b"{}\nnot json\n[1]\n\xff\xfe\n" + strange + b"\n" + good + b'{"half')
    later = Journal(path, request_types)
    later.load()
    assert [entry.id for entry in later.entries()] == [entry.id]
    assert "6 lines of" in later.problem


def test_an_undo_of_a_request_that_is_not_known_any_more_is_passed_over(journal: Journal, path: Path) -> None:
    journal.update(ended(journal.begin(PLAN, "a")))
    path.write_bytes(path.read_bytes().replace(b'"type": "Resume"', b'"type": "Reticulate"'))
    later = Journal(path, request_types)
    later.load()
    assert "1 lines of" in later.problem


def test_texts_of_the_file_are_cleaned(journal: Journal, path: Path) -> None:
    journal.update(replace(ended(journal.begin(PLAN, "a")), title="\x1b[2Jx", results=("\u202ex",)))
    later = Journal(path, request_types)
    later.load()
    assert later.entries()[0].title == "␛[2Jx"
    assert later.entries()[0].results == ("�x",)


def test_a_file_that_cannot_be_written_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    journal = Journal(tmp_path / "state" / "journal.jsonl", request_types)
    entry = journal.begin(PLAN, "a")
    assert journal.entries() == (entry,)
    assert "state" in journal.problem
    journal.load()
    assert journal.problem != ""


def test_it_tells_of_every_change(journal: Journal) -> None:
    told: list[int] = []
    journal.on_change = lambda: told.append(1)
    journal.update(ended(journal.begin(PLAN, "a")))
    assert len(told) == 2


def test_it_keeps_the_newest_thousand(path: Path) -> None:
    journal = Journal(None, request_types)
    first = journal.begin(PLAN, "a")
    for _ in range(1000):
        journal.begin(PLAN, "a")
    assert len(journal.entries()) == 1000
    assert journal.get(first.id) is None
    assert not path.exists()


def test_undone_is_what_a_later_done_entry_undid(journal: Journal) -> None:
    entry = journal.begin(PLAN, "a")
    back = journal.begin(PLAN, "a", undoes=entry.id)
    assert not journal.undone(entry.id)
    journal.update(ended(back, Status.FAILED))
    assert not journal.undone(entry.id)
    journal.update(ended(back))
    assert journal.undone(entry.id)


@pytest.mark.parametrize("request_", [Start("u", True, False), SetAffinity("1:2", ((3, (0, 1)), (4, (2,))))])
def test_requests_survive_json(request_: Start | SetAffinity) -> None:
    step = Step("x", ("a", "b"), request_, "u", loses="all")
    entry = Entry("id", 1, "uri", "action", "title", ("a b",), Status.EXPIRED, ("r",), 2, (step,), "other")
    assert entry_from_json(json.loads(json.dumps(entry_as_json(entry))), request_types()) == entry
