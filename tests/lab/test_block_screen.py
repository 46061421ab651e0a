"""Block jobs as the screen shows them: whoever began them, with their rate, and not waiting for a QEMU that hangs."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.lab.actions import virtdeck
from tests.lab.block_words import layered, until
from tests.lab.disk_words import StorageDeck, done
from tests.lab.host import LabHost
from tests.lab.screen_words import open_deck
from tui.model.snapshot import HostSnapshot
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus


def test_a_job_of_somebody_else_is_seen_and_ended_by_keys(lab: LabHost, tmp_path: Path, name: str) -> None:
    made = layered(lab, name)
    target = lab.images / f"{name}-theirs"
    with open_deck(lab, tmp_path, size=(140, 50)) as screen:
        screen.focus(name)
        screen.press(*["]"] * 4)
        screen.expect("virtio disk qcow2")
        lab.virsh("blockcopy", name, "vda", "--dest", str(target), "--transient-job", "--bandwidth", "1")
        screen.press("enter")
        screen.expect(r"copy \d+%, .*/s, at most 1\.0M/s")
        screen.expect(f"to {str(target)[:20]}")
        screen.act("J", device="vda", end="abort")
        screen.expect_toast("End a block job of .*: done")
        screen.terminal.wait_for(lambda term: "copy " not in term.text(), 20)
        assert made.job() == ""
        screen.press("J")
        screen.expect_toast("no block job is under way on its disks")


def test_a_move_from_the_palette(lab: LabHost, tmp_path: Path, name: str) -> None:
    made = layered(lab, name)
    lab.define_pool("p", lab.images / f"{name}-pool")
    with open_deck(lab, tmp_path, size=(140, 50)) as screen:
        screen.focus(name)
        screen.expect_no_dialog()
        screen.press(":")
        screen.terminal.type("domain.disk-move")
        screen.press("enter")
        screen.expect_dialog("vol-create-as p")
        screen.confirm()
        screen.expect_toast("Move a disk of .*: done")
        assert made.chain() == made.chain(later=True) == [lab.images / f"{name}-pool" / made.images[0].name]


def test_without_the_screen(lab: LabHost, tmp_path: Path, name: str) -> None:
    made = layered(lab, name, "one")
    lab.define_pool("p", lab.images / f"{name}-pool")
    planned = virtdeck(lab.uri, tmp_path, "do", "domain.disk-commit", name, "--set", "device=vda", "--plan")
    assert f"blockcommit {name} vda --base {made.images[0]} --active --pivot" in planned.stdout
    words = ("--set", "device=vda", "--set", "pool=p", "--yes")
    moved = virtdeck(lab.uri, tmp_path, "do", "domain.disk-move", name, *words)
    assert moved.returncode == 0, moved.stderr
    assert "vda is" in moved.stdout
    assert made.chain() == [lab.images / f"{name}-pool" / made.images[1].name]
    ended = virtdeck(lab.uri, tmp_path, "do", "domain.disk-job", name, "--yes")
    assert (ended.returncode, "no block job is under way on its disks" in ended.stderr) == (1, True)


def test_a_hung_qemu_in_the_detail_stops_nobody_else(lab: LabHost, name: str) -> None:
    key, other = (layered(lab, each, size_mib=16) for each in (name, f"{name}-other"))
    with lab.connect() as connection:
        uuids = [connection.lookupByName(made.name).UUIDString() for made in (key, other)]
    collector = Collector(lab.uri, read_only=True, interval_s=0.5, publish=lambda _snapshot: None)
    collector.focus(Focus((), uuids[0]))
    collector.start()
    collector.start_slow()

    def jobs(seen: HostSnapshot, uuid: str) -> object:
        usage = seen.usage.get(uuid)
        return None if usage is None else usage.block_jobs

    pid = lab.qemu_pid(name)
    try:
        assert collector.board.wait(lambda seen: jobs(seen, uuids[0]) == (), 20)
        assert jobs(collector.board.snapshot, uuids[1]) is None, "only the one that is open is asked"
        os.kill(pid, signal.SIGSTOP)
        assert collector.board.wait(lambda seen: uuids[0] in seen.monitors, 20)
        before = collector.board.snapshot.usage[uuids[1]].read_ns
        assert collector.board.wait(lambda seen: seen.usage[uuids[1]].read_ns > before, 10)
        os.kill(pid, signal.SIGCONT)
        assert collector.board.wait(lambda seen: jobs(seen, uuids[0]) == (), 20)
        collector.focus(Focus((), uuids[1]))
        assert collector.board.wait(lambda seen: jobs(seen, uuids[1]) == () and jobs(seen, uuids[0]) is None, 20)
    finally:
        os.kill(pid, signal.SIGCONT)
        collector.stop()
    until(lambda: not key.job(), "no job anywhere")


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_figures_asked_for_during_a_pull_kill_no_qemu(lab: LabHost, tmp_path: Path, name: str, whose: str) -> None:
    """QEMU 7.2 dies of five in eight pulls when its images are asked about all the time."""
    for number in range(6):
        made = layered(lab, f"{name}-{number}", "one", "two")
        with StorageDeck(lab.uri, tmp_path / str(number)) as deck:
            plan = deck.plan("domain.disk-pull", made.name)
            collector, stop = deck.collector, threading.Event()
            asking = threading.Thread(target=_ask_on, args=(collector, stop))
            asking.start()
            try:
                if whose == "ours":
                    done(deck.run(plan))
                else:
                    lab.virsh("blockpull", made.name, "vda", "--bandwidth", "16000000", "--bytes", "--wait")
                time.sleep(0.1)
            finally:
                stop.set()
                asking.join()
            assert lab.state(made.name)[0] == 1, "its QEMU is gone"
            assert made.chain() == [made.images[2]]


def _ask_on(collector: Collector, stop: threading.Event) -> None:
    """Have it read figures as often as it can."""
    while not stop.wait(0.002):
        collector.monitors.nudge()
