"""The pin matrix by keys alone, in a terminal, on real QEMU; libvirt and the kernel are asked what became of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.lab.actions import affinities, allowed_list
from tests.lab.host import LabHost
from tests.lab.namespaces import run, wait_until
from tests.lab.screen_words import Deck, open_deck
from tests.terminal import Terminal

FIRST = min(os.sched_getaffinity(0))
LAST = max(os.sched_getaffinity(0))


def pins(lab: LabHost, name: str, option: str) -> dict[str, str]:
    """The CPUs of each vCPU as virsh tells them of one side."""
    told = lab.virsh("vcpupin", name, option).stdout
    return dict(re.findall(r"^ *(\d+) +(\S+)$", told, re.MULTILINE))


def vcpu_threads(pid: int) -> dict[str, int]:
    """The thread ids of the vCPUs of a QEMU process: `CPU 0`, `CPU 1`."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    named = {(task / "comm").read_text().strip().partition("/")[0]: int(task.name) for task in tasks}
    return {name: tid for name, tid in named.items() if name.startswith("CPU ")}


def open_matrix(deck: Deck) -> None:
    """Press the key until the matrix is there with the threads and CPUs: of a guest that was seen a moment ago the
    screen may say that its configuration is not read yet."""

    def answered(_terminal: Terminal) -> bool:
        return "Pins of " in deck.terminal.text() or "not read yet" in deck.toasts()

    while "Pins of " not in deck.terminal.text():
        deck.press("P")
        deck.terminal.wait_for(answered)
        if "not read yet" in deck.toasts():
            deck.terminal.wait_for(lambda _terminal: "not read yet" not in deck.toasts())
    deck.expect(r"^vcpu 0 ")
    deck.expect(r"^CPU +\d")


@pytest.mark.skipif(FIRST == LAST, reason="one CPU leaves nothing to choose")
def test_five_presses_from_the_list_to_a_pin_and_back(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_guest(name, vcpus=2)
    before = (pins(lab, name, "--live"), pins(lab, name, "--config"), affinities(lab, name))
    with open_deck(lab, tmp_path, size=(80, 24)) as deck:
        deck.focus(name)
        open_matrix(deck)
        deck.expect("not pinned")
        deck.press("j", "space", "enter")
        said = " ".join(deck.confirm().split())
        assert f"vcpupin {name} 1 0 --live" in said
        assert f"vcpupin {name} 1 0 --config" in said
        deck.expect_toast(f"Pin {name}: done")
        assert pins(lab, name, "--live")["1"] == "0"
        assert pins(lab, name, "--config")["1"] == "0"
        assert pins(lab, name, "--live")["0"] == before[0]["0"]
        assert dict(affinities(lab, name)) == {**dict(before[2]), "CPU 1": "0"}
        open_matrix(deck)
        deck.press("j")
        deck.expect(r"vcpu 1: may run on 0$")
        deck.press("escape")
        deck.expect_row(name, "running")
        deck.open_pane("7", "Status")
        deck.press("g", "u")
        deck.confirm()
        deck.expect_toast(f"Undo: Pin {name}: done")
        wait_until(lambda: affinities(lab, name) == before[2], "the affinities of before")
        assert pins(lab, name, "--live") == before[0]
        assert pins(lab, name, "--config") == before[1]


@pytest.mark.skipif(FIRST == LAST, reason="one CPU leaves nothing to choose")
def test_a_drift_is_shown_and_set_right(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_guest(name, vcpus=1)
    lab.virsh("vcpupin", name, "0", str(LAST), "--live")
    thread = vcpu_threads(lab.qemu_pid(name))["CPU 0"]
    with open_deck(lab, tmp_path) as deck:
        deck.focus(name)
        open_matrix(deck)
        deck.expect(rf"vcpu 0: may run on {LAST} \(next boot: not pinned\)")
        run(["taskset", "-pc", str(FIRST), str(thread)])
        deck.expect(rf"kernel: {FIRST}: drift")
        deck.expect(r"vcpu 0 +!")
        deck.press("w", "space", "space", "enter")
        deck.expect_dialog(rf"vcpupin {name} 0 {LAST} --live")
        deck.press("enter")
        deck.expect_toast(f"Pin {name}: done")
        assert allowed_list(thread) == str(LAST)


@pytest.mark.skipif(FIRST == LAST, reason="one CPU leaves nothing to choose")
def test_a_qemu_that_libvirt_does_not_know_is_pinned_thread_by_thread(lab: LabHost, tmp_path: Path, name: str) -> None:
    pid = lab.spawn_unmanaged(f"{name}-stray", vcpus=2)
    wait_until(lambda: len(vcpu_threads(pid)) == 2, "two vCPU threads")
    threads = vcpu_threads(pid)
    before = allowed_list(threads["CPU 0"])
    with open_deck(lab, tmp_path) as deck:
        deck.focus(f"{name}-stray")
        open_matrix(deck)
        deck.expect(r"edits apply now ·")
        deck.press("j", "space", "enter")
        deck.expect_dialog(f"taskset -pc 0 {threads['CPU 1']}")
        deck.press("enter")
        deck.expect_toast(f"{name}-stray.*: done")
        assert taskset(threads["CPU 1"]) == "0"
        assert allowed_list(threads["CPU 0"]) == before


def taskset(tid: int) -> str:
    """The CPUs of a thread as taskset tells them."""
    return run(["taskset", "-pc", str(tid)]).stdout.rpartition(": ")[2].strip()


def test_leaving_the_matrix_changes_nothing(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_blank(name, vcpus=2, start=True)
    before = affinities(lab, name)
    with open_deck(lab, tmp_path, size=(80, 24)) as deck:
        deck.focus(name)
        open_matrix(deck)
        deck.press("enter")
        deck.expect("nothing changed")
        deck.press("space", "enter")
        deck.expect_dialog(f"vcpupin {name} 0")
        deck.press("escape")
        deck.expect(r"vcpu 0 +\*")
        deck.press("escape")
        deck.expect(r"esc again drops the edits of 1 row")
        deck.press("escape")
        deck.expect_row(name, "running")
        assert affinities(lab, name) == before
        assert deck.journal() == []
