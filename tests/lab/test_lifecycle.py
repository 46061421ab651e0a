"""Domains through their lives by `virtdeck do`, plans and jobs, with guests that comply and guests that do not."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.lab.actions import Deck, Seen, look_at_all, run_commands, virtdeck
from tests.lab.domain import Shape, blank_xml, disk_xml, element, nic_xml, text
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.twins import OFF, PAUSED, RUNNING, any_reason
from tui import ops
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.lifecycle import Destroy, Start
from tui.runtime.jobs import Job

JOURNAL = "state/virtdeck/journal.jsonl"


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


def do(lab: LabHost, home: Path, action: str, *words: str) -> str:
    """Carry it out by the command line and return what it printed; it must succeed and complain of nothing."""
    done = virtdeck(lab.uri, home, "do", "--yes", f"domain.{action}", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def entries(home: Path) -> list[dict[str, Any]]:
    """The journal, the last line of each entry."""
    lines = [json.loads(line) for line in (home / JOURNAL).read_text().splitlines()]
    return list({line["id"]: line for line in lines}.values())


def test_a_guest_through_its_life(lab: LabHost, tmp_path: Path, name: str) -> None:
    live_through(lab, tmp_path, name)
    made = entries(tmp_path)
    assert (tmp_path / JOURNAL).stat().st_mode & 0o777 == 0o600
    assert [entry["action"] for entry in made] == [f"domain.{action}" for action in LIFE]
    assert {entry["status"] for entry in made} == {"done"}
    for entry, action in zip(made, LIFE, strict=True):
        assert len(entry["commands"]) == 1 or action == "destroy"
        assert f" {action} {tmp_path if action == 'restore' else name}" in entry["commands"][0]
        assert len(entry["results"]) == 1
        assert bool(entry["undo"]) is (action in ("suspend", "resume", "save", "undefine"))
    assert made[3]["results"] == [f"suspend {name}: suspended"]
    assert [step["title"] for step in made[3]["undo"]] == [f"resume {name}"]


LIFE = ("start", "shutdown", "start", "suspend", "resume", "save", "restore", "destroy", "undefine")


def live_through(lab: LabHost, home: Path, name: str) -> None:
    """A guest from its first start until libvirt forgets it; AssertionError when something else comes of an action."""
    lab.define_guest(name, start=False)
    assert do(lab, home, "start", name) == f"start {name}: started\n"
    assert lab.state(name) == (RUNNING, 1)
    lab.wait_ready(name)
    assert do(lab, home, "shutdown", name, "--set", "mode=acpi") == f"shut down {name}: shut down\n"
    assert lab.state(name) == (OFF, 1)
    assert "POWER-BUTTON" in lab.console_log(name)
    do(lab, home, "start", name)
    lab.wait_ready(name)
    with lab.console(name) as console:
        console.run("echo kept > /tmp/note")
    do(lab, home, "suspend", name)
    assert lab.state(name) == (PAUSED, 1)
    do(lab, home, "resume", name)
    do(lab, home, "save", name, "--set", f"path={home}/state.save")
    assert lab.state(name) == (OFF, 5)
    do(lab, home, "restore", "--set", f"path={home}/state.save")
    with lab.console(name) as console:
        assert console.run("cat /tmp/note") == (0, "kept")
    do(lab, home, "destroy", name)
    assert lab.state(name) == (OFF, 2)
    kept = Path(do(lab, home, "undefine", name).partition("its XML is kept in ")[2].strip())
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert name not in lab.virsh("list", "--all", "--name").stdout.split()


def test_this_suite_fails_when_start_does_nothing(
    lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same check, with start as it is and with start patched out."""
    lab.define_blank(name)

    def check() -> None:
        assert deck.run(deck.plan("domain.start", name)).status is Status.DONE
        assert lab.state(name) == (RUNNING, 1)

    with monkeypatch.context() as patch:
        patch.setitem(ops._OPS, Start, lambda _request, _context: Outcome("started"))
        with pytest.raises(AssertionError):
            check()
    check()


def test_a_guest_that_ignores_its_power_button(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_guest(name, acpi=False)
    words = ("do", "domain.shutdown", name, "--yes", "--timeout", "3")
    begun = time.monotonic()
    done = virtdeck(lab.uri, tmp_path, *words)
    assert 3 < time.monotonic() - begun < 10
    assert (done.returncode, done.stdout) == (1, "")
    hint = "the guest has not shut down; force it off, or wait"
    assert done.stderr == f"virtdeck: shut down {name}: still pending after 3 s: {hint}\n"
    assert lab.state(name)[0] == RUNNING
    told = json.loads(virtdeck(lab.uri, tmp_path, *words, "--json").stdout)
    assert (told["status"], told["results"][0]["status"]) == ("running", "running")
    for entry in entries(tmp_path):
        assert (entry["status"], entry["results"]) == ("expired", [f"shut down {name}: not confirmed"])
    assert "forced off" in do(lab, tmp_path, "destroy", name)


def test_guests_that_take_their_time_hold_up_nobody(lab: LabHost, deck: Deck, name: str) -> None:
    """More of them than there are workers, and the guest that complies comes last."""
    slow = [lab.define_blank(f"{name}-{number}", start=True).name for number in range(6)]
    lab.define_guest(name)
    jobs = deck_jobs(deck, "domain.shutdown", *slow, name)
    lab.wait_state(name, OFF, timeout=10)
    assert jobs().status is Status.RUNNING
    for other in slow:
        lab.virsh("destroy", other)
    wait_until(lambda: jobs().status.ended, "the job to see that all are off")
    assert jobs().status is Status.DONE


def deck_jobs(deck: Deck, action: str, *targets: str) -> Callable[[], Job]:
    """Begin an action; what is returned tells how it stands."""
    plan = deck.plan(action, *targets)
    handle = deck.jobs().run(plan)
    return lambda: handle.job


def test_a_hung_qemu_holds_up_nobody(lab: LabHost, deck: Deck, name: str) -> None:
    names = [lab.define_blank(f"{name}-{number}", start=True).name for number in range(6)]
    hung = lab.qemu_pid(names[0])
    os.kill(hung, signal.SIGSTOP)
    try:
        job = deck_jobs(deck, "domain.suspend", *names)
        for other in names[1:]:
            lab.wait_state(other, PAUSED, timeout=5)
        # A guest has paused before the call that paused it returns.
        stuck = {f"suspend {names[0]}"}
        wait_until(
            lambda: {r.step.title for r in job().results if not r.status.ended} == stuck, "all others to be done"
        )
        assert job().status is Status.RUNNING
    finally:
        os.kill(hung, signal.SIGCONT)
    wait_until(lambda: job().status.ended, "the job to end")
    assert job().status is Status.DONE
    assert lab.state(names[0])[0] == PAUSED


def test_nothing_is_begun_after_leaving(lab: LabHost, deck: Deck, name: str) -> None:
    """All workers wait for hung QEMUs when the user leaves; the domain whose turn had not come is left alone."""
    names = [lab.define_blank(f"{name}-{number}", start=True).name for number in range(5)]
    hung = [lab.qemu_pid(other) for other in names[:4]]
    plan, jobs = deck.plan("domain.suspend", *names), deck.jobs()
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    try:
        handle = jobs.run(plan)
        wait_until(lambda: len(handle.job.results) == 4, "all workers to be busy")
        jobs.stop()
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)
    job = handle.wait(10)
    assert job.status is Status.EXPIRED
    assert [result.step.title for result in job.results] == [f"suspend {other}" for other in names[:4]]
    assert lab.state(names[4])[0] == RUNNING


def test_a_reboot_that_ends_otherwise_is_no_success(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    job = deck_jobs(deck, "domain.reboot", name)
    wait_until(lambda: any(result.hint for result in job().results), "the reboot to be asked for")
    lab.virsh("destroy", name)
    wait_until(lambda: job().status.ended, "the job to end", timeout=5)
    assert job().status is Status.FAILED


@pytest.mark.parametrize("gone", [True, False])
def test_a_guest_that_is_quicker_than_its_agent(
    lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """libvirt's error when the guest took the agent's answer with it, which a real guest leaves now and then."""

    def shut_down(handle: Any, _flags: int) -> None:
        if gone:
            handle.destroy()
        error = libvirt.libvirtError("virDomainShutdownFlags() failed")
        text = "End of file from agent socket"
        error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, 0, f"internal error: {text}", 2, text, None, None, -1, -1)
        raise error

    lab.define_blank(name, start=True)
    monkeypatch.setattr(libvirt.virDomain, "shutdownFlags", shut_down)
    job = deck.run(deck.plan("domain.shutdown", name, mode="agent"))
    assert job.status is (Status.DONE if gone else Status.FAILED)
    assert gone or "internal error: End of file from agent socket (libvirt code 1)" in job.results[0].message


def test_force_follows_where_grace_fails(lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A QEMU that does not leave takes libvirt 25 s and more; here its refusal comes at once."""
    real = ops._OPS[Destroy]

    def destroy(request: Destroy, context: OpContext) -> Outcome:
        if request.graceful:
            raise OpError("force off", name, "Failed to terminate process with SIGTERM", 38)
        return real(request, context)

    monkeypatch.setitem(ops._OPS, Destroy, destroy)
    lab.define_blank(name, start=True)
    job = deck.run(deck.plan("domain.destroy", name))
    assert job.status is Status.DONE
    assert [result.status for result in job.results] == [Status.FAILED, Status.DONE]
    assert lab.state(name)[0] == OFF
    [command] = deck.entry(job).commands
    assert command.endswith(f" destroy {name} --graceful || virsh -c '{lab.uri}' destroy {name}")


def test_only_what_was_done_is_undone(lab: LabHost, deck: Deck, name: str) -> None:
    names = [lab.define_blank(f"{name}-{letter}", start=True).name for letter in "abc"]
    plan = deck.plan("domain.suspend", *names)
    lab.virsh("destroy", names[1])
    job = deck.run(plan)
    assert job.status is Status.FAILED
    assert {step.title for step in job.entry.undo} == {f"resume {names[0]}", f"resume {names[2]}"}
    assert deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id).status is Status.DONE
    assert [lab.state(other)[0] for other in names] == [RUNNING, OFF, RUNNING]


def test_a_bulk_fills_neither_journal_nor_disk(lab: LabHost, deck: Deck, name: str) -> None:
    """Every line holds all results so far; a line for each step would grow with the square of the targets."""
    names = [lab.define_blank(f"{name}-{number:02}").name for number in range(40)]
    assert deck.run(deck.plan("domain.autostart", *names, on="on")).status is Status.DONE
    lines = deck.journal_file.read_text().splitlines()
    assert len(lines) <= 6
    last = deck.journal().entries()[-1]
    assert len(last.results) == len(last.commands) == len(last.undo) == 40


QUOTES = 'it\'s  "q" $(x) `y` ;&'
NAMES = ("-rf", "--help", "7 ", QUOTES, "[@click=app.quit]boom", "ü 漢", "a\u202eb", "%s")


def test_names_that_virsh_would_misread(lab: LabHost, deck: Deck, tmp_path: Path) -> None:
    """There is a running domain whose id or UUID they look like."""
    decoy = lab.define_blank("decoy", start=True)
    with lab.connect() as connection:
        ident = connection.lookupByName("decoy").ID()
    names = (*NAMES, str(ident), f"+{ident}", f" {ident}", decoy.uuid.upper(), decoy.uuid.replace("-", ""))
    made = {name: lab.define_blank(name).uuid for name in names}
    for name, uuid in made.items():
        on, off = (deck.plan("domain.autostart", name, on=value) for value in ("on", "off"))
        assert deck.run(on).status is Status.DONE
        assert autostarting(lab) == {uuid}, f"we took {name!r} for another"
        run_commands(off.steps)
        assert autostarting(lab) == set(), f"virsh took {name!r} for another"
    by_dash = virtdeck(lab.uri, tmp_path, "do", "--yes", "--set", "on=on", "domain.autostart", "--", "-rf")
    assert (by_dash.stdout, by_dash.stderr) == ("autostart -rf on: starts with the host\n", "")
    do(lab, tmp_path, "autostart", str(ident), QUOTES, "--set", "on=on")
    assert autostarting(lab) == {made["-rf"], made[str(ident)], made[QUOTES]}
    renamed = deck.run(deck.plan("domain.rename", "-rf", name="tame"))
    assert lab.virsh("domname", made["-rf"]).stdout.strip() == "tame"
    run_commands(renamed.entry.undo)
    assert lab.virsh("domname", made["-rf"]).stdout.strip() == "-rf"


def autostarting(lab: LabHost) -> set[str]:
    """The UUIDs of the domains that start with the host."""
    with lab.connect() as connection:
        return {found.UUIDString() for found in connection.listAllDomains(0) if found.autostart()}


def refused(lab: LabHost, deck: Deck, action: str, *targets: str, before: str = "", **values: str) -> str:
    """What the job says of an action that must fail and change nothing; `before` is a domain that goes in between."""
    plan = deck.plan(action, *targets, **values)
    if before:
        lab.virsh("undefine", before)
    seen = without_reasons(lab)
    job = deck.run(plan)
    assert job.status is Status.FAILED
    assert not job.entry.undo
    assert without_reasons(lab) == seen
    assert deck.entry(job).results == tuple(result.line for result in job.results)
    return job.results[0].message


def without_reasons(lab: LabHost) -> dict[str, Seen]:
    """All domains; libvirt notes at one that is off that a start failed."""
    return {key: any_reason(seen) for key, seen in look_at_all(lab).items()}


def with_devices(lab: LabHost, name: str, *devices: Any) -> None:
    lab.define(blank_xml(Shape(name, memory_mib=16, machine="pc", devices=devices), lab.emulator))


def test_libvirt_says_no(lab: LabHost, deck: Deck, tmp_path: Path, name: str) -> None:
    with_devices(lab, f"{name}-net", nic_xml("absent"))
    with_devices(lab, f"{name}-disk", disk_xml(tmp_path / "absent.qcow2", "vda"))
    lab.define_blank(f"{name}-gone")
    lab.define_blank(name, start=True)
    said = refused(lab, deck, "domain.start", f"{name}-net")
    assert said.startswith(f"start {name}-net: Network not found")
    assert "'absent' (libvirt code 43)" in said
    assert "No such file or directory" in refused(lab, deck, "domain.start", f"{name}-disk")
    said = refused(lab, deck, "domain.undefine", f"{name}-gone", before=f"{name}-gone")
    assert "(libvirt code 42). It is gone: somebody else removed it." in said
    assert "agent is not configured" in refused(lab, deck, "domain.shutdown", name, mode="agent")
    assert "No such file" in refused(lab, deck, "domain.save", name, path="/nowhere/at/all.save")
    assert "failed to read qemu header" in refused(
        lab, deck, "domain.restore", path=str(write(tmp_path, "not a state"))
    )
    # A byte that is no UTF-8, as Python has it from a command line.
    said = refused(lab, deck, "domain.save", name, path=f"{tmp_path}/\udcff.save")
    assert "UnicodeEncodeError" in said


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "given"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_files_that_are_no_domain(lab: LabHost, deck: Deck, tmp_path: Path, name: str) -> None:
    """What can be known beforehand makes no plan; the rest libvirt refuses."""
    for content, why in (
        ("<domain", "not XML"),
        ("<network/>", "not a domain but a <network>"),
        (b"\xff\xfe\x00", "not XML"),
        ("", "not XML"),
    ):
        with pytest.raises(FieldError, match=why):
            deck.plan("domain.define", path=str(write(tmp_path, content)))
    for path in ("/nowhere/at/all.xml", str(tmp_path)):
        with pytest.raises(FieldError, match=r"path: .*(No such file|is not a file)"):
            deck.plan("domain.create", path=path)
    with pytest.raises(FieldError, match="give the XML file"):
        deck.plan("domain.define", path=" ")
    misspelt = blank_xml(Shape(name), lab.emulator)
    misspelt.append(element("memry", text="16"))
    for action in ("domain.define", "domain.create"):
        said = refused(lab, deck, action, path=str(write(tmp_path, text(misspelt))))
        assert "code 27" in said or "XML document failed to validate" in said
    plan = deck.plan("domain.define", path=str(write(tmp_path, text(blank_xml(Shape(name), lab.emulator)))))
    write(tmp_path, b"\xff" * 16)
    job = deck.run(plan)
    assert (job.status, "'utf-8' codec can't decode" in job.results[0].message) == (Status.FAILED, True)
