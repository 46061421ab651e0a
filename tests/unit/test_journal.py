"""The journal: what it keeps, in memory and in its file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def written(journal: Journal) -> None:
    """Wait until the file has all."""
    assert journal.flush(5)


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
    written(journal)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["status"] for line in lines] == ["running", "done"]
    assert lines[1]["undo"][0]["request"] == {"type": "Resume", "key": "uuid"}


def test_a_later_session_reads_it_back(journal: Journal, path: Path) -> None:
    done, open_one = journal.begin(PLAN, "a"), journal.begin(PLAN, "b")
    journal.update(ended(done))
    written(journal)
    later = Journal(path, request_types)
    later.load()
    assert [entry.id for entry in later.entries()] == [done.id, open_one.id]
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
    written(journal)
    good = path.read_bytes()
    strange = json.dumps({**entry_as_json(ended(entry)), "status": "exploded"}).encode()
    path.write_bytes(b"{}\nnot json\n[1]\n\xff\xfe\n" + strange + b"\n" + good + b'{"half')
    later = Journal(path, request_types)
    later.load()
    assert [entry.id for entry in later.entries()] == [entry.id]
    assert "6 lines of" in later.problem


def test_an_undo_of_a_request_that_is_not_known_any_more_is_passed_over(journal: Journal, path: Path) -> None:
    journal.update(ended(journal.begin(PLAN, "a")))
    written(journal)
    path.write_bytes(path.read_bytes().replace(b'"type": "Resume"', b'"type": "Reticulate"'))
    later = Journal(path, request_types)
    later.load()
    assert "1 lines of" in later.problem


def test_texts_of_the_file_are_cleaned(journal: Journal, path: Path) -> None:
    journal.update(replace(ended(journal.begin(PLAN, "a")), title="\x1b[2Jx", results=("\u202ex",)))
    written(journal)
    later = Journal(path, request_types)
    later.load()
    assert later.entries()[0].title == "␛[2Jx"
    assert later.entries()[0].results == ("�x",)


def test_a_file_that_cannot_be_written_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    journal = Journal(tmp_path / "state" / "journal.jsonl", request_types)
    entry = journal.begin(PLAN, "a")
    written(journal)
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


def test_undone_is_what_a_later_entry_undid_or_is_undoing(journal: Journal) -> None:
    entry = journal.begin(PLAN, "a")
    assert not journal.undone(entry.id)
    back = journal.begin(PLAN, "a", undoes=entry.id)
    assert journal.undone(entry.id)
    for status, undone in {
        Status.PENDING: True,
        Status.FAILED: False,
        Status.EXPIRED: False,
        Status.DONE: True,
    }.items():
        journal.update(ended(back, status))
        assert journal.undone(entry.id) is undone, status


@pytest.mark.parametrize("request_", [Start("u", True, False), SetAffinity("1:2", ((3, (0, 1)), (4, (2,))))])
def test_requests_survive_json(request_: Start | SetAffinity) -> None:
    step = Step("x", ("a", "b"), request_, "u", loses="all", typed=True, finishes=True)
    entry = Entry("id", 1, "uri", "action", "title", ("a b",), Status.EXPIRED, ("r",), 2, (step,), "other")
    assert entry_from_json(json.loads(json.dumps(entry_as_json(entry))), request_types()) == entry


def changed(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry.update(fields)


def in_step(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry["undo"][0].update(fields)


def in_request(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry["undo"][0]["request"].update(fields)


HOSTILE = {
    "at_ns is text": changed(at_ns="1"),
    "at_ns is true": changed(at_ns=True),
    "at_ns is infinite": changed(at_ns=float("inf")),
    "at_ns is no number": changed(at_ns=float("nan")),
    "at_ns is huge": changed(at_ns=10**30),
    "at_ns is negative": changed(at_ns=-1),
    "ended_ns is infinite": changed(ended_ns=float("-inf")),
    "title is a list": changed(title=["x"]),
    "status is a list": changed(status=["done"]),
    "results is text": changed(results="abc"),
    "commands holds a number": changed(commands=[1]),
    "undo is an object": changed(undo={}),
    "undo holds text": changed(undo=["x"]),
    "loses is a number": in_step(loses=3),
    "loses is a list": in_step(loses=["x"]),
    "target is a list": in_step(target=["x"]),
    "command is text": in_step(command="rm -rf /"),
    "request is a list": in_step(request=["Resume"]),
    "key is a list": in_request(key=["uuid"]),
    "key is null": in_request(key=None),
    "a field too many": in_request(surprise=1),
    "the type is a list": in_request(type=["Resume"]),
    "a flag is a number": in_request(type="Start", paused=1),
    "a tid is text": in_request(type="SetAffinity", affinities=[["3", [0]]]),
    "a pair is three": in_request(type="SetAffinity", affinities=[[3, [0], 1]]),
    "the pairs are a number": in_request(type="SetAffinity", affinities=7),
}


@pytest.mark.parametrize("damage", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_line_ends_nothing_but_itself(
    journal: Journal, path: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    for _ in range(2):
        journal.update(ended(journal.begin(PLAN, "a")))
    written(journal)
    bad = entry_as_json(ended(journal.begin(PLAN, "a")))
    bad = json.loads(json.dumps({**bad, "id": "bad"}))
    damage(bad)
    with path.open("a") as file:
        file.write(json.dumps(bad) + "\n")
    later = Journal(path, request_types)
    later.load()
    assert len(later.entries()) >= 2
    assert later.get("bad") is None
    assert "1 lines of" in later.problem


@pytest.mark.parametrize("line", [b"[" * 100_000, b"9" * 5000, b'"\\ud800"', b"\x00", b'{"undo": 1}'])
def test_lines_that_break_parsers(journal: Journal, path: Path, line: bytes) -> None:
    journal.update(ended(journal.begin(PLAN, "a")))
    written(journal)
    path.write_bytes(line + b"\n" + path.read_bytes())
    later = Journal(path, request_types)
    later.load()
    assert len(later.entries()) == 1
    assert "1 lines of" in later.problem


def test_losses_of_the_file_are_cleaned(journal: Journal, path: Path) -> None:
    entry = journal.begin(PLAN, "a")
    journal.update(replace(ended(entry), undo=(replace(UNDO, loses="\x1b]0;owned\x07", title="\x1bt"),)))
    written(journal)
    later = Journal(path, request_types)
    later.load()
    [step] = later.entries()[0].undo
    assert (step.loses, step.title, step.request) == ("␛]0;owned␇", "␛t", UNDO.request)


def test_every_request_survives_the_strict_reader() -> None:
    values = {"str": "x", "bool": True, "int": 1, "str | None": None, "tuple[int, ...]": (1,)}
    values["tuple[tuple[int, tuple[int, ...]], ...]"] = ((3, (0, 1)),)
    values |= {"tuple[tuple[str, int], ...]": (("x", 1),), "int | None": 1}
    values |= {"tuple[str, ...]": ("x",), "tuple[tuple[str, str, str], ...]": (("x", "y", "z"),)}
    values["tuple[tuple[str, str], ...]"] = (("x", "y"),)
    for kind in request_types().values():
        request = kind(**{name: values[str(field.type)] for name, field in kind.__dataclass_fields__.items()})
        entry = Entry("id", 1, "uri", "a", "t", (), Status.DONE, (), 2, (Step("x", ("a",), request, "u"),))
        assert entry_from_json(json.loads(json.dumps(entry_as_json(entry))), request_types()) == entry


def test_a_file_that_others_could_read_is_closed_to_them(journal: Journal, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    path.chmod(0o644)
    journal.begin(PLAN, "a")
    written(journal)
    assert path.stat().st_mode & 0o777 == 0o600


def test_reading_leaves_the_changes_of_this_session_alone(journal: Journal, path: Path) -> None:
    """The file is read while changes are being made, whose lines it may have already."""
    earlier = [journal.begin(PLAN, "a"), journal.begin(PLAN, "b")]
    written(journal)
    now = Journal(path, request_types)
    running, done = now.begin(PLAN, "c"), now.begin(PLAN, "d")
    now.update(ended(done))
    written(now)
    now.load()
    assert [entry.id for entry in now.entries()] == [entry.id for entry in (*earlier, running, done)]
    statuses = [entry.status for entry in now.entries()]
    assert statuses == [Status.UNKNOWN, Status.UNKNOWN, Status.RUNNING, Status.DONE]


def test_no_more_than_a_thousand_are_read_back(journal: Journal, path: Path) -> None:
    entry = entry_as_json(ended(journal.begin(PLAN, "a")))
    written(journal)
    path.write_text("".join(json.dumps({**entry, "id": f"e{number}"}) + "\n" for number in range(1100)))
    later = Journal(path, request_types)
    own = later.begin(PLAN, "b")
    later.load()
    assert [later.entries()[0].id, later.entries()[-2].id] == ["e101", "e1099"]
    assert (len(later.entries()), later.entries()[-1]) == (1000, own)


def test_a_file_that_hangs_holds_up_nobody(journal: Journal, path: Path) -> None:
    """Opening a FIFO to write waits for a reader, as opening a file on a dead NFS server waits for the server."""
    path.parent.mkdir(parents=True)
    os.mkfifo(path, 0o600)
    begun = time.monotonic()
    entry = journal.begin(PLAN, "a")
    journal.update(ended(entry))
    assert journal.entries() == (ended(entry),)
    assert not journal.flush(0.05)
    assert time.monotonic() - begun < 1
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    written(journal)
    lines = os.read(reader, 65536).splitlines()
    os.close(reader)
    assert [json.loads(line)["status"] for line in lines] == ["running", "done"]


def test_what_is_written_comes_in_order_and_complete(journal: Journal, path: Path) -> None:
    entries = [journal.begin(PLAN, "a") for _ in range(200)]
    written(journal)
    assert [json.loads(line)["id"] for line in path.read_bytes().splitlines()] == [entry.id for entry in entries]
