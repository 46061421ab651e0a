"""Saving to a file that is there, undefining what has checkpoints, and actions that the connection does not have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tui.actions import BY_ID
from tui.actions.base import Context, make_plan
from tui.model.domain import Domain, DomainState
from tui.model.host import Connection, ConnectionState, Host
from tui.model.plan import Confirm
from tui.model.snapshot import HostSnapshot
from tui.model.text import natural

DOMAIN = Domain("6a9dbb1e-8a50-4bb2-9c2b-6f9f4b6f3c11", "one", "one", 1, DomainState.RUNNING, "", persistent=True)
HOST = Host("here", "QEMU", "9", "7", "x86_64", 1, 1, 1, local=True)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    connection = Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False)
    return Context(HostSnapshot(0, 0, connection, HOST), tmp_path)


def test_a_file_that_would_be_lost_is_asked_for(context: Context, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("of last week")
    lost = make_plan(BY_ID["domain.save"], context, [DOMAIN], {"path": str(tmp_path / "there")})
    assert (lost.losses(), lost.confirm) == ([f"what is in the file {tmp_path}/there"], Confirm.ASK)
    new = make_plan(BY_ID["domain.save"], context, [DOMAIN], {"path": str(tmp_path / "new")})
    assert (new.losses(), new.notes, new.confirm) == ([], (), Confirm.NONE)


def test_of_a_file_elsewhere_a_note_is_all_there_is(context: Context, tmp_path: Path) -> None:
    away = replace(context, snapshot=replace(context.snapshot, host=replace(HOST, local=False)))
    made = make_plan(BY_ID["domain.save"], away, [DOMAIN], {"path": str(tmp_path)})
    assert made.losses() == []
    assert "is overwritten" in made.notes[0]


@pytest.mark.parametrize(("snapshots", "checkpoints"), [(False, True), (True, False), (True, True), (None, None)])
def test_undefine_asks_for_what_is_there(context: Context, snapshots: bool | None, checkpoints: bool | None) -> None:
    domain = replace(DOMAIN, snapshots=snapshots, checkpoints=checkpoints)
    (step,) = make_plan(BY_ID["domain.undefine"], context, [domain], {}).steps
    assert ("--snapshots-metadata" in step.command) is bool(snapshots)
    assert ("--checkpoints-metadata" in step.command) is bool(checkpoints)


def test_what_the_connection_does_not_have_is_not_offered(context: Context) -> None:
    poorer = replace(context, missing={("domain.reset", "running"): "the driver has no such call"})
    assert BY_ID["domain.reset"].reason(context, DOMAIN) is None
    assert BY_ID["domain.reset"].reason(poorer, DOMAIN) == "the driver has no such call"
    assert BY_ID["domain.reset"].reason(poorer, replace(DOMAIN, state=DomainState.PAUSED)) is None
    assert BY_ID["domain.destroy"].reason(poorer, DOMAIN) is None


def test_names_are_ordered_by_their_numbers_however_long() -> None:
    names = ["web10", "web2", "9" * 5000, "web02b", "10", "9"]
    assert sorted(names, key=natural) == ["9", "10", "9" * 5000, "web2", "web02b", "web10"]
