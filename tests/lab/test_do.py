"""`virtdeck do` as scripts and people meet it: exit codes, plans, questions, partial failures, pipes and Ctrl+C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.actions import Completed, environment, look_at_all, virtdeck
from tests.lab.domain import Shape, blank_xml, nic_xml
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.twins import OFF, PAUSED, RUNNING
from tui.model.journal import Status
from tui.ops import request_types
from tui.runtime.journal import Journal

STATE = Path("state") / "virtdeck"


def do(lab: LabHost, home: Path, *words: str) -> Completed:
    """Run it, whatever comes of it."""
    return virtdeck(lab.uri, home, "do", *words)


def test_exit_codes(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_blank(name)
    assert do(lab, tmp_path, "domain.autostart", name, "--yes").returncode == 0
    assert do(lab, tmp_path, "domain.suspend", name, "--yes").returncode == 1
    for words, why in (
        (["domain.boot", name], "no action 'domain.boot'"),
        (["domain.start"], "needs at least one domain"),
        (["domain.start", "nobody"], "no domain nobody"),
        (["domain.start", name, "--set", "paused=maybe"], "paused: must be one of: yes, no"),
        (["domain.start", name, "--set", "colour=red"], "no such field"),
        (["domain.start", name, "--set", "paused"], "must be FIELD=VALUE"),
        (["domain.save", name, name + "x"], "takes one domain"),
        (["domain.restore", "--set", "path=here"], "must be an absolute path"),
        (["domain.rename", name], "needs --set name="),
        (["domain.describe", name, "--set", "description="], "title: change it or the description"),
        (["domain.define", name], "takes no target"),
    ):
        done = do(lab, tmp_path, *words, "--yes")
        assert (done.returncode, done.stdout) == (2, ""), words
        assert why in done.stderr
    nowhere = virtdeck(f"qemu+unix:///system?socket={tmp_path}/none", tmp_path, "do", "domain.start", name, "--yes")
    assert (nowhere.returncode, nowhere.stdout) == (3, "")
    assert "cannot connect" in nowhere.stderr


def test_a_plan_changes_nothing(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_blank(name, start=True)
    before = look_at_all(lab)
    for action in ("suspend", "destroy", "managedsave", "undefine", "autostart", "reset", "shutdown"):
        done = do(lab, tmp_path, f"domain.{action}", name, "--plan")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"virsh -c '{lab.uri}' {action} {name}" in done.stdout
    told = json.loads(do(lab, tmp_path, "domain.destroy", name, "--plan", "--json").stdout)
    assert [step["command"][3:] for step in told["steps"]] == [["destroy", name, "--graceful"], ["destroy", name]]
    assert look_at_all(lab) == before
    assert not (tmp_path / STATE).exists()


def test_without_a_terminal_it_refuses(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_blank(name)
    done = do(lab, tmp_path, "domain.start", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused: not on a terminal, and --yes was not given" in done.stderr
    assert lab.state(name)[0] == OFF
    assert not (tmp_path / STATE).exists()


@pytest.mark.parametrize(("answer", "code", "state"), [("y\n", 0, RUNNING), ("n\n", 1, OFF), ("\x04", 1, OFF)])
def test_on_a_terminal_it_asks(lab: LabHost, tmp_path: Path, name: str, answer: str, code: int, state: int) -> None:
    lab.define_blank(name)
    shown, done = on_a_terminal(lab, tmp_path, answer, "domain.start", name)
    assert done == code
    assert f"start {name}" in shown
    assert "Type y to go on" in shown
    assert ("nothing was changed" in shown) is (code == 1)
    assert "Traceback" not in shown
    assert lab.state(name)[0] == state


def on_a_terminal(lab: LabHost, home: Path, answer: str, *words: str) -> tuple[str, int]:
    """What it shows to somebody who gives that answer, and its exit code."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "tui", "-c", lab.uri, "do", *words]
    with subprocess.Popen(argv, env=environment(home), stdin=theirs, stdout=theirs, stderr=theirs) as program:
        os.close(theirs)
        shown = read_until(ours, "to go on: ")
        os.write(ours, answer.encode())
        shown += read_until(ours, None)
        code = program.wait(30)
    os.close(ours)
    return shown, code


def read_until(terminal: int, text: str | None) -> str:
    """What comes until the text was seen, or until the other end is closed."""
    seen = b""
    while text is None or text.encode() not in seen:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    return seen.decode()


def test_one_that_fails_does_not_hold_up_the_others(lab: LabHost, tmp_path: Path, name: str) -> None:
    good = [lab.define_blank(f"{name}-{letter}").name for letter in "ab"]
    bad = lab.define(blank_xml(Shape(f"{name}-c", machine="pc", devices=(nic_xml("absent"),)), lab.emulator))
    done = do(lab, tmp_path, "domain.start", bad.name, *good, lab_uuid(lab, good[0]), "--yes")
    assert done.returncode == 1
    assert sorted(done.stdout.splitlines()) == [f"start {other}: started" for other in good]
    assert done.stderr.startswith(f"start {bad.name}: Network not found")
    assert [lab.state(other)[0] for other in (*good, bad.name)] == [RUNNING, RUNNING, OFF]
    entry = journal(tmp_path).entries()[-1]
    assert (entry.status, len(entry.results)) == (Status.FAILED, 3)


def test_one_that_cannot_be_is_named_and_skipped(lab: LabHost, tmp_path: Path, name: str) -> None:
    running, off = lab.define_blank(f"{name}-a", start=True).name, lab.define_blank(f"{name}-b").name
    done = do(lab, tmp_path, "domain.suspend", running, off, "--yes")
    assert (done.returncode, done.stdout) == (1, f"suspend {running}: suspended\n")
    assert f"{off}: skipped, it is shut off" in done.stderr
    assert lab.state(running)[0] == PAUSED
    undone = journal(tmp_path).entries()[-1].undo
    assert [step.title for step in undone] == [f"resume {running}"]


def lab_uuid(lab: LabHost, name: str) -> str:
    return lab.virsh("domuuid", name).stdout.strip()


def journal(home: Path) -> Journal:
    """The journal as the next session reads it."""
    read = Journal(home / STATE / "journal.jsonl", request_types)
    read.load()
    return read


def test_a_closed_pipe_stops_no_change(lab: LabHost, tmp_path: Path, name: str) -> None:
    names = [lab.define_blank(f"{name}-{number}").name for number in range(6)]
    argv = [sys.executable, "-m", "tui", "-c", lab.uri, "do", "domain.autostart", *names, "--set", "on=on", "--yes"]
    with subprocess.Popen(
        argv, env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        errors = program.stderr.read().decode()
        assert program.wait(30) in (0, 128 + signal.SIGPIPE)
    assert errors == ""
    with lab.connect() as connection:
        assert all(connection.lookupByName(other).autostart() for other in names)
    assert journal(tmp_path).entries()[-1].status is Status.DONE


def test_ctrl_c_is_clean_and_the_journal_knows(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_blank(name, start=True)
    argv = [sys.executable, "-m", "tui", "-c", lab.uri, "do", "domain.shutdown", name, "--yes"]
    file = tmp_path / STATE / "journal.jsonl"
    with subprocess.Popen(
        argv, env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        wait_until(file.exists, "the change to begin")
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=10)
    assert (program.returncode, out, errors) == (128 + signal.SIGINT, b"", b"")
    [entry] = journal(tmp_path).entries()
    assert (entry.status, entry.commands) == (Status.UNKNOWN, (f"virsh -c '{lab.uri}' shutdown {name}",))


def test_a_journal_that_cannot_be_written_is_said(lab: LabHost, tmp_path: Path, name: str) -> None:
    """The change is made all the same: the host is more important than the record."""
    lab.define_blank(name)
    (tmp_path / "state").write_text("a file where the folder should be")
    done = do(lab, tmp_path, "domain.autostart", name, "--set", "on=on", "--yes")
    assert (done.returncode, done.stdout) == (0, f"autostart {name} on: starts with the host\n")
    assert "not written to the journal" in done.stderr
