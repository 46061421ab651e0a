"""The program driven by keys alone, in a terminal, against real QEMU; libvirt itself is asked after each step."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.lab import domain
from tests.lab.host import LabHost
from tests.lab.namespaces import is_alive, run, wait_until
from tests.lab.screen_words import Deck, open_deck
from tui.model.cpuset import parse_cpus

RUNNING, PAUSED, OFF = 1, 3, 5


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """The program on the lab's host, 120 x 40."""
    with open_deck(lab, tmp_path) as opened:
        yield opened


def exists(lab: LabHost, name: str) -> bool:
    return name in lab.virsh("list", "--all", "--name").stdout.split()


def xml_file(lab: LabHost, name: str, folder: Path) -> Path:
    """The XML of a guest that is not defined any more, in a file."""
    lab.define_guest(name, start=False)
    path = folder / f"{name}.xml"
    path.write_text(lab.virsh("dumpxml", name).stdout)
    lab.virsh("undefine", name)
    return path


@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])
def test_the_whole_life_of_a_guest(lab: LabHost, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    xml = xml_file(lab, name, tmp_path)
    with open_deck(lab, tmp_path, size=size) as deck:
        said = deck.act("n", path=str(xml))
        assert "virsh" in said
        deck.expect_row(name, "shut off")
        assert lab.state(name)[0] == OFF
        deck.focus(name)
        _start_pause_resume(lab, deck, name)
        _save_and_restore(lab, deck, name)
        _managed_save(lab, deck, name)
        _shut_down(lab, deck, name)
        _force_off_and_undefine(lab, deck, name)
        titles = [entry["title"] for entry in deck.journal()]
        assert [entry["status"] for entry in deck.journal()] == ["done"] * len(titles)
        assert len(titles) == 15


def _start_pause_resume(lab: LabHost, deck: Deck, name: str) -> None:
    deck.act("s")
    deck.expect_row(name, "● running")
    deck.expect_toast(f"Start {name}: done")
    assert lab.state(name)[0] == RUNNING
    lab.wait_ready(name)
    deck.act("p")
    deck.expect_row(name, "◐ paused")
    assert lab.state(name) == (PAUSED, 1)
    deck.expect_toast(f"Suspend {name}: done")
    deck.act("p")
    deck.expect_row(name, "● running")
    assert lab.state(name)[0] == RUNNING
    deck.expect_toast(f"Resume {name}: done")


def _save_and_restore(lab: LabHost, deck: Deck, name: str) -> None:
    image = lab.root / "lib" / f"{name}.save"
    inside = f"/var/lib/libvirt/{image.name}"
    deck.act("w", path=inside)
    deck.expect_row(name, r"shut off \(s")
    assert lab.state(name) == (OFF, 5)
    assert image.stat().st_size > 1_000_000
    deck.expect_toast(f"Save to file {name}: done")
    deck.act("W", path=inside)
    deck.expect_row(name, "● running")
    assert lab.state(name) == (RUNNING, 3)
    deck.expect_toast("Restore from file: done")


def _managed_save(lab: LabHost, deck: Deck, name: str) -> None:
    deck.act("m")
    deck.expect_row(name, r"shut off \(s.* S$")
    assert lab.virsh("dominfo", name).stdout.count("Managed save:   yes") == 1
    deck.expect_toast(f"Save {name}: done")
    deck.act("s")
    deck.expect_row(name, "● running")
    assert lab.state(name) == (RUNNING, 3), "it must continue, not boot"
    deck.expect_toast(f"Start {name}: done")


def _shut_down(lab: LabHost, deck: Deck, name: str) -> None:
    deck.act("d", mode="acpi")
    lab.wait_console(name, "POWER-BUTTON")
    deck.expect_row(name, "○ shut off", timeout=20)
    assert lab.state(name) == (OFF, 1)
    deck.expect_toast(f"Shut down {name}: done")


def _force_off_and_undefine(lab: LabHost, deck: Deck, name: str) -> None:
    deck.act("s", paused="yes")
    deck.expect_row(name, "◐ paused")
    assert lab.state(name)[0] == PAUSED
    deck.act("m")
    deck.expect_row(name, r"shut off \(s.* S$")
    said = deck.act("M")
    assert "loses the saved state" in said
    deck.expect_row(name, r"shut off(?!.* S$)")
    assert "Managed save:   no" in lab.virsh("dominfo", name).stdout
    deck.act("s")
    deck.expect_row(name, "● running")
    said = deck.act("x")
    assert "not written to disk" in said
    deck.expect_row(name, "○ shut off")
    assert lab.state(name) == (OFF, 2)
    deck.act("D")
    deck.expect_no_row(name)
    assert not exists(lab, name)


def test_keys_typed_ahead_meet_what_they_were_typed_for(lab: LabHost, tmp_path: Path, name: str) -> None:
    # A slow link delivers at once what was typed in a second: the letters of the filter must not run actions.
    lab.define_blank(f"{name}-pawn", start=True)
    lab.define_blank(f"{name}-rook", start=True)
    with open_deck(lab, tmp_path) as deck:
        deck.expect_row(f"{name}-rook", "running")
        deck.terminal.type(f"/{name}-rook\rp\r7")
        deck.expect(f"● done +Suspend {name}-rook")
        assert lab.state(f"{name}-rook")[0] == PAUSED
        deck.terminal.type("u\r2tthe castle\x15the tower\r7")
        deck.expect(f"● done +Undo: Suspend {name}-rook")
        deck.expect(f"● done +Describe {name}-rook")
        assert lab.state(f"{name}-rook")[0] == RUNNING
        assert lab.virsh("desc", "--title", f"{name}-rook").stdout.strip() == "the tower"
        assert lab.state(f"{name}-pawn")[0] == RUNNING
        assert len(deck.journal()) == 3


def test_a_guest_that_ignores_acpi_while_others_are_changed(lab: LabHost, deck: Deck, name: str) -> None:
    deaf, blank, new = f"{name}-deaf", f"{name}-blank", f"{name}-renamed"
    lab.define_guest(deaf, acpi=False)
    lab.define_blank(blank)
    deck.focus(deaf)
    deck.expect_row(deaf, "● running")
    deck.act("d", mode="acpi")
    asked = time.monotonic()
    _autostart_rename_and_title(lab, deck, blank, new)
    deck.expect_toast("has not shut down; force it off", timeout=20)
    assert 14 < time.monotonic() - asked < 20
    deck.open_pane("7", "Status")
    deck.expect(rf"◔ pending +Shut down {deaf}")
    deck.open_pane("2", "State")
    deck.focus(deaf)
    assert lab.state(deaf)[0] == RUNNING
    assert "x force off" in deck.hints()
    deck.act("x", mode="force")
    deck.expect_row(deaf, "○ shut off")
    assert lab.state(deaf) == (OFF, 2)
    wait_until(lambda: all(entry["status"] == "done" for entry in deck.journal()), "the shutdown to be over")


def _autostart_rename_and_title(lab: LabHost, deck: Deck, name: str, new: str) -> None:
    deck.focus(name)
    deck.act("a")
    deck.expect_row(name, " A$")
    assert "Autostart:      enable" in lab.virsh("dominfo", name).stdout
    deck.act("a")
    deck.expect_row(name, "[^A]$")
    assert "Autostart:      disable" in lab.virsh("dominfo", name).stdout
    deck.act("e", name=new)
    assert exists(lab, new)
    assert not exists(lab, name)
    deck.focus(new)
    deck.act("t", title="Ledger of the house", description="Who owes whom")
    deck.expect("Title +Ledger of the house")
    assert lab.virsh("desc", "--title", new).stdout.strip() == "Ledger of the house"
    deck.expect("Who owes whom")
    assert lab.virsh("desc", new).stdout.strip() == "Who owes whom"


def test_one_action_on_all_that_are_marked(lab: LabHost, deck: Deck, name: str) -> None:
    names = [f"{name}-{part}" for part in ("ash", "elm", "oak", "yew")]
    for part in names:
        lab.define_blank(part, start=not part.endswith("elm"))
    deck.expect_row(names[3], "running")
    deck.show_only(name)
    deck.press("g", "space", "space", "space")
    deck.expect("3 marked")
    said = deck.act("p")
    assert f"{names[1]}: skipped, it is shut off" in said
    assert said.count("$ virsh") == 2
    for part, state in zip(names, (PAUSED, OFF, PAUSED, RUNNING), strict=True):
        deck.expect_row(part, {PAUSED: "◐ paused", OFF: "○ shut off", RUNNING: "● running"}[state])
        assert lab.state(part)[0] == state
    deck.expect_toast("Suspend 2 domains: done")
    deck.press("escape", "*")
    deck.expect("4 marked")
    said = deck.act("x", mode="force")
    assert said.count("$ virsh") == 3
    for part in names:
        deck.expect_row(part, "○ shut off")
        assert lab.state(part)[0] == OFF


def test_a_key_that_cannot_work_says_why(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(f"{name}-off")
    lab.define_blank(f"{name}-on", start=True)
    deck.focus(f"{name}-off")
    for key, why in (
        ("d", "Shut down: it is shut off"),
        ("x", "Force off: it is shut off"),
        ("p", "Suspend: it is shut off"),
        ("m", "Save: it is shut off"),
        ("M", "Remove saved state: it has no saved state"),
    ):
        deck.press(key)
        deck.expect_toast(re.escape(why))
    assert not re.search(r"\bp (pause|resume)\b|\bx force", deck.hints())
    deck.focus(f"{name}-on")
    for key, why in (("s", "Start: it is running already"), ("e", "Rename: it is running; libvirt renames only")):
        deck.press(key)
        deck.expect_toast(re.escape(why))
    assert lab.state(f"{name}-off")[0] == OFF
    assert lab.state(f"{name}-on")[0] == RUNNING
    deck.press("e")
    assert not deck.dialog()


def test_an_action_that_fails_says_what_libvirt_said(lab: LabHost, deck: Deck, name: str) -> None:
    missing = lab.images / "not-there.qcow2"
    shape_name = f"{name}-lost"
    lab.define_guest(shape_name, start=False, devices=(domain.disk_xml(missing, "vdb"),))
    deck.focus(shape_name)
    deck.act("s")
    deck.expect_toast(r"start .*not-there\.qcow2.*No such file", timeout=15)
    assert lab.state(shape_name)[0] == OFF
    text = deck.read_journal()
    assert "✖ failed" in text
    assert "No such file or directory" in " ".join(text.split())


def test_the_journal_shows_the_command_and_takes_changes_back(lab: LabHost, tmp_path: Path, name: str) -> None:
    before = lab.define_blank(name, start=True)
    with open_deck(lab, tmp_path) as deck:
        deck.focus(name)
        deck.expect_row(name, "● running")
        deck.act("p")
        deck.expect_row(name, "◐ paused")
        text = deck.read_journal()
        assert f"Suspend {name}" in text
        squeezed = "".join(text.split())
        assert re.search(rf"virsh-c'?{re.escape(lab.uri)}'?suspend{name}", squeezed), "commands are broken into lines"
        assert f"suspend{name}:suspended" in squeezed
        _undo_newest(deck, f"Suspend {name}")
        deck.expect_row(name, "● running")
        assert lab.state(name)[0] == RUNNING
        deck.act("x", mode="force")
        deck.expect_row(name, "shut off")
        said = deck.act("D")
        assert "its XML is kept" in said
        deck.expect_no_row(name)
        assert not exists(lab, name)
    # The undo outlives the program.
    with open_deck(lab, tmp_path) as deck:
        _undo_newest(deck, f"Undefine {name}")
        deck.expect_row(name, "shut off")
        assert lab.virsh("domuuid", name).stdout.strip() == before.uuid
        assert not deck.terminal.running or deck.journal()[-1]["title"] == f"Undo: Undefine {name}"
    state = tmp_path / "state" / "virtdeck"
    assert (state / "journal.jsonl").stat().st_mode & 0o777 == 0o600
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (state / "kept").iterdir())


def _undo_newest(deck: Deck, title: str) -> None:
    deck.open_pane("7", "Status")
    deck.press("g")
    deck.expect(rf"What +{re.escape(title)}")
    deck.press("u")
    deck.confirm()
    deck.expect("undone")
    deck.press("u", "j", "u")
    deck.expect_toast("it was undone already|this change cannot be undone")
    deck.open_pane("2", "State")


def test_a_transient_domain_and_one_that_is_redefined(lab: LabHost, deck: Deck, tmp_path: Path, name: str) -> None:
    xml = xml_file(lab, name, tmp_path)
    deck.act("N", path=str(xml), paused="yes")
    deck.expect_row(name, r"paused.* T$")
    assert "Persistent:     no" in lab.virsh("dominfo", name).stdout
    deck.focus(name)
    deck.press("a")
    deck.expect_toast("Autostart: it is transient")
    said = deck.act("n", path=str(xml))
    assert f"{name} exists" in said
    deck.expect_row(name, r"paused[^T]*$")
    assert "Persistent:     yes" in lab.virsh("dominfo", name).stdout
    broken = tmp_path / "broken.xml"
    broken.write_text(xml.read_text().replace("<on_crash>", "<on_smash>").replace("</on_crash>", "</on_smash>"))
    deck.act("n", path=str(broken))
    deck.expect_toast(r"define .*(on_smash|did not expect|validat)")


@pytest.fixture
def stray(lab: LabHost, name: str) -> int:
    """The process id of a QEMU that libvirt does not know, called NAME-stray, with two vCPUs."""
    return lab.spawn_unmanaged(f"{name}-stray", vcpus=2)


def affinities(pid: int) -> set[frozenset[int]]:
    """The CPUs that taskset says the threads of a process may run on."""
    lines = run(["taskset", "-apc", str(pid)]).stdout.splitlines()
    return {frozenset(parse_cpus(line.rpartition(": ")[2])) for line in lines}


def test_a_qemu_that_libvirt_does_not_know(lab: LabHost, stray: int, deck: Deck, name: str) -> None:
    shown = f"{name}-stray"
    deck.focus(shown)
    deck.expect_row(shown, "◇ unmanaged")
    deck.expect(rf"Pid +{stray} of")
    assert not exists(lab, shown)
    all_cpus = os.sched_getaffinity(0)
    last = max(all_cpus)
    said = deck.act("c", role="all", cpus=str(last))
    assert f"taskset -apc {last} {stray}" in said
    deck.expect_toast("Set CPUs .*: done")
    assert affinities(stray) == {frozenset({last})}
    text = deck.read_journal()
    assert f"taskset -apc {last} {stray}" in text
    _undo_newest(deck, "Set CPUs")
    assert affinities(stray) == {frozenset(all_cpus)}
    deck.act("c", role="vcpu", cpus=str(min(all_cpus)))
    wait_until(lambda: len(affinities(stray)) == (2 if len(all_cpus) > 1 else 1), "the vCPU threads to be bound")
    said = deck.act("d")
    assert f"kill -TERM {stray}" in said
    deck.expect_toast(f"Terminate {shown}: done")
    assert not is_alive(stray)
    deck.expect_no_row(shown)


def test_a_stopped_unmanaged_qemu_is_killed(lab: LabHost, stray: int, deck: Deck, name: str) -> None:
    shown = f"{name}-stray"
    psutil.Process(stray).suspend()
    deck.focus(shown)
    deck.expect_row(shown, "◇ stopped")
    deck.act("d")
    time.sleep(0.5)
    assert is_alive(stray)
    deck.act("x")
    deck.expect_no_row(shown)
    assert not is_alive(stray)
