"""QEMU's monitor through virtdeck: answers, failures that arrive as success, the balloon, and the prompt by keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.actions import Deck, virtdeck
from tests.lab.domain import Shape, blank_xml, element
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.screen_words import open_deck
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.plan import Confirm, Plan
from tui.runtime.jobs import Job

TAINTED = "tainted: custom monitor control commands issued"


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


def ask(deck: Deck, name: str, command: str, protocol: str = "hmp") -> Job:
    """What became of one command."""
    return deck.run(deck.plan("domain.monitor", name, command=command, protocol=protocol))


def free_kib(lab: LabHost, name: str) -> int:
    """The memory that the guest itself has in all."""
    with lab.console(name) as console:
        found = re.search(r"Mem:\s+(\d+)", console.run("free")[1])
    assert found is not None
    return int(found[1])


def test_answers_and_failures(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    assert TAINTED not in lab.virsh("dominfo", name).stdout
    job = ask(deck, name, "info status")
    assert (job.status, job.results[0].output) == (Status.DONE, "VM status: running\r\n")
    assert TAINTED in lab.virsh("dominfo", name).stdout
    job = ask(deck, name, "query-status", "qmp")
    assert job.status is Status.DONE
    assert '"status":"running"' in job.results[0].output
    for command, protocol, why in (
        ("foo", "hmp", "unknown command: 'foo'"),
        ("info foo", "hmp", "unknown command: 'info foo'"),
        ("info balloon", "hmp", "No balloon device has been activated"),
        ("sendkey nope", "hmp", "invalid parameter: nope"),
        ("screendump", "hmp", 'screendump: filename expected; Try "help screendump" for more information'),
        ("nope", "qmp", "The command nope has not been found"),
        ('device_del {"id": "nope"}', "qmp", "Device 'nope' not found"),
    ):
        job = ask(deck, name, command, protocol)
        assert job.status is Status.FAILED, command
        assert why in job.results[0].message
        assert deck.entry(job).results[0].count(name) == 1


def test_every_failure_that_qemu_has_texts_for(lab: LabHost, deck: Deck, name: str) -> None:
    """What the human monitor says today, so that another QEMU's words are noticed."""
    lab.define_blank(name, start=True)
    commands = (
        "print 1+", "stop now", "device_add foo", "boot_set z", "cpu 7", "trace-event foo on", "eject foo",
        "info registers -z", "gpa2hva 0xfffffffffff", "hostfwd_add x", "qom-list /nope", "migrate foo",
    )  # fmt: skip
    assert {command: ask(deck, name, command).status for command in commands} == dict.fromkeys(commands, Status.FAILED)


def test_the_guest_follows_its_balloon_and_undo_gives_it_back(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name)
    before = free_kib(lab, name)
    job = ask(deck, name, "balloon 80")
    assert job.status is Status.DONE
    assert job.results[0].message == "the guest has 80.0M"
    assert free_kib(lab, name) == before - 16 * 1024
    assert ask(deck, name, "info balloon").results[0].output == "balloon: actual=80\r\n"
    entry = deck.entry(job)
    assert [step.command[-1] for step in entry.undo] == ["balloon 96"]
    assert deck.run(Plan("undo", f"Undo: {entry.title}", entry.undo), entry.id).status is Status.DONE
    assert free_kib(lab, name) == before


def without_driver(lab: LabHost, name: str) -> None:
    """A domain with a balloon device and nothing that takes part in it: it stays as it is."""
    root = blank_xml(Shape(name=name, memory_mib=96, machine="pc"), lab.emulator)
    devices = root.find("devices")
    assert devices is not None
    for found in devices.findall("memballoon"):
        devices.remove(found)
    devices.append(element("memballoon", model="virtio"))
    lab.define(root, start=True)


def test_a_guest_that_does_not_give_it_is_told_of(
    lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_driver(lab, name)
    monkeypatch.setattr("tui.ops.memory.BALLOON_PATIENCE_S", 0.3)
    monkeypatch.setattr("tests.lab.actions._JOB_S", 5.0)
    job = ask(deck, name, "balloon 64")
    assert job.status is Status.PENDING
    assert job.results[0].hint == (
        "the guest did not give it: it has 96.0M, not 64.0M; no balloon driver, or nothing to spare"
    )
    assert deck.entry(job).undo == ()
    answer = ask(deck, name, "info balloon").results[0].output
    assert answer == "balloon: actual=96\r\n"


def test_refusals_change_nothing(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(f"{name}-on", start=True)
    lab.define_blank(f"{name}-off")
    lab.define_guest(f"{name}-guest", wait=False)
    for which, command, why in (
        ("on", "balloon 64", "has no balloon device"),
        ("guest", "balloon 97", "97 MiB is more than its maximum of 96 MiB"),
        ("guest", "balloon 1G", "whole MiB"),
        ("guest", "balloon 64\nstop", "one line"),
        ("off", "info status", "it is shut off"),
    ):
        with pytest.raises(FieldError, match=why):
            deck.plan("domain.monitor", f"{name}-{which}", command=command)
    command = 'human-monitor-command {"command-line": "balloon 1"}'
    with pytest.raises(FieldError, match="with the protocol hmp"):
        deck.plan("domain.monitor", f"{name}-guest", command=command, protocol="qmp")
    assert TAINTED not in lab.virsh("dominfo", f"{name}-guest").stdout


def test_too_little_for_the_guest_wants_its_name_typed(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name, wait=False)
    plan = deck.plan("domain.monitor", name, command="balloon 63")
    assert (plan.confirm, plan.phrase) == (Confirm.TYPE, name)
    assert "kills processes for want of memory, or panics" in plan.losses()[0]


def forced_off(lab: LabHost, deck: Deck, name: str, then: str) -> Job:
    """What became of a job that waits for a guest's balloon when the guest goes and virsh does this with it."""
    without_driver(lab, name)
    plan = deck.plan("domain.monitor", name, command="balloon 64")
    jobs = deck.jobs()
    run = jobs.run(plan)
    wait_until(lambda: any(result.message == "asked for" for result in run.job.results), "it to be asked", timeout=20)
    lab.virsh("destroy", name)
    assert lab.virsh(then, name).returncode == 0
    job = run.wait(20)
    jobs.stop()
    return job


def test_a_guest_that_is_gone_or_runs_anew_before_it_gave_it(lab: LabHost, deck: Deck, name: str) -> None:
    for then in ("undefine", "start"):
        job = forced_off(lab, deck, name, then)
        assert (job.status, job.results[0].hint) == (Status.FAILED, "it stopped before the guest did it"), then


def test_of_a_long_answer_the_end_is_kept(lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.define_blank(name, start=True)
    whole = ask(deck, name, "info version").results[0].output
    monkeypatch.setattr("tui.ops.monitor.MOST_OUTPUT", len(whole))
    assert ask(deck, name, "info version").results[0].output == whole
    monkeypatch.setattr("tui.ops.monitor.MOST_OUTPUT", 4)
    cut = ask(deck, name, "info version").results[0].output
    assert cut == f"[the first {len(whole) - 4} characters are left out]\n{whole[-4:]}"


def test_read_only_and_other_drivers_say_why(lab: LabHost, name: str, tmp_path: Path) -> None:
    lab.define_blank(name, start=True)
    with Deck(lab.uri, tmp_path, read_only=True) as deck, pytest.raises(FieldError, match="--read-only"):
        deck.plan("domain.monitor", name, command="info status")
    with Deck("test:///default", tmp_path) as deck, pytest.raises(FieldError, match="TEST driver has no QEMU monitor"):
        deck.plan("domain.monitor", "test", command="info status")


def test_what_a_plan_says(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    reads = deck.plan("domain.monitor", name, command="info status")
    writes = deck.plan("domain.monitor", name, command="stop")
    quits = deck.plan("domain.monitor", name, command="quit")
    assert reads.confirm is writes.confirm is quits.confirm is Confirm.ASK
    assert [len(plan.notes) for plan in (reads, writes, quits)] == [1, 2, 2]
    assert "tainted (custom-monitor)" in reads.notes[0]
    assert "libvirt is not told" in writes.notes[1]
    assert [plan.losses() for plan in (reads, writes)] == [[], []]
    assert "its QEMU ends at once" in quits.losses()[0]
    assert reads.command_lines() == [f"virsh -c '{lab.uri}' qemu-monitor-command {name} --hmp 'info status'"]


def test_on_the_command_line(lab: LabHost, name: str, tmp_path: Path) -> None:
    lab.define_blank(name, start=True)
    words = ("do", "domain.monitor", name, "--yes", "--set")
    done = virtdeck(lab.uri, tmp_path, *words, "command=info status")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "VM status: running"
    failed = virtdeck(lab.uri, tmp_path, *words, "command=info balloon")
    assert failed.returncode == 1
    assert "No balloon device" in failed.stderr


def test_the_prompt_by_keys(lab: LabHost, name: str, tmp_path: Path) -> None:
    """A name that a terminal would obey, told by QEMU itself, is seen and not obeyed."""
    hostile = f"{name}-\u009b31m\u202ered"
    lab.define_blank(hostile, start=True)
    with open_deck(lab, tmp_path, size=(80, 24)) as deck:
        deck.expect(rf"{name}-.*running")
        deck.show_only(name)
        deck.expect("x force off")
        deck.press("!")
        deck.expect_dialog(r"QEMU monitor of")
        deck.terminal.type("info name\r")
        said = deck.expect_dialog("(?s)tainted.*qemu-monitor-command.*yes, do it")
        assert "loses" not in said
        deck.press("y")
        deck.expect_dialog(rf"(?m)^{name}-\S*red")
        deck.terminal.type("info status\r")
        deck.expect_dialog("VM status: running")
        deck.terminal.type("info foo\r")
        deck.expect_dialog("unknown command: 'info foo'")
        deck.terminal.type("stop\r")
        deck.expect_dialog("libvirt is not told")
        deck.press("y")
        deck.expect_dialog(r": done")
        deck.press("escape")
        deck.expect_no_dialog()
        deck.expect(rf"{name}-.*paused")
        assert lab.state(hostile)[0] == 3
        assert [entry["status"] for entry in deck.journal()] == ["done", "done", "failed", "done"]
        written = deck.terminal.bytes_since()
        assert "\u009b31m".encode() not in written
        assert "\u202e".encode() not in written
