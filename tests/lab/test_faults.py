"""What goes wrong around the program: libvirtd, QEMU, other people's changes, the terminal; driven by its keys."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import domain
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.screen_words import CHECKOUT, FIRST_ROW, Deck, open_deck, xdg
from tests.terminal import Terminal

RUNNING, PAUSED, OFF, CRASHED = 1, 3, 5, 6
AT_REST = {7, 25}
"""The private modes of a terminal that no program has changed: wrapping, a visible cursor."""
_CLOCK = r"\d\d:\d\d:\d\d"
_FLIP = """
import sys, time, libvirt
found = libvirt.open(sys.argv[1]).lookupByName(sys.argv[2])
end, count = time.monotonic() + float(sys.argv[3]), 0
while time.monotonic() < end:
    found.suspend()
    found.resume()
    count += 2
print(count)
"""


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """The program on the lab's host, 120 x 40."""
    with open_deck(lab, tmp_path) as opened:
        yield opened


@contextmanager
def stopped(lab: LabHost) -> Iterator[None]:
    """While the block runs, libvirtd is stopped by SIGSTOP."""
    lab.stop_daemon()
    try:
        yield
    finally:
        lab.continue_daemon()


def key_delays_ms(deck: Deck, count: int, pause_s: float = 0.1) -> list[float]:
    """The milliseconds from each of `count` key presses to the bytes that show the cursor moved, from the first row to
    the second and back."""
    delays = []
    for index in range(count):
        row = FIRST_ROW + (1 - index % 2) + ("since" in deck.terminal.line(2))
        pressed = deck.terminal.press("k" if index % 2 else "j")
        delays.append((wait_for_bold(deck.terminal, row) - pressed) * 1000)
        time.sleep(pause_s)
    return delays


def wait_for_bold(terminal: Terminal, row: int) -> float:
    """Wait until a line of the list is that of the cursor; return the stamp of the bytes that made it so."""
    return terminal.wait_for(lambda term: term.cell(1, row).bold, timeout=5)


def assert_prompt(delays: Sequence[float], usual: Sequence[float] = ()) -> None:
    """The UI loop never stood still: no key waited for more than its turn. `usual` are delays of the same minute with
    nothing wrong: where other programs keep the machine busy, twice as much is let pass."""
    ordered, p90 = sorted(delays), p90_of(delays)
    print(f"keys: median {statistics.median(ordered):.1f} ms, p90 {p90:.1f} ms, worst {ordered[-1]:.1f} ms")
    assert p90 <= max(50, 2 * p90_of(usual or [0]))


def p90_of(delays: Sequence[float]) -> float:
    """The delay that one in ten exceeds."""
    return sorted(delays)[int(len(delays) * 0.9)]


def leave(deck: Deck, key: str = "q") -> None:
    """Press a key that quits and see the program go within a second, with the terminal as it was."""
    pressed = deck.terminal.press(key)
    assert deck.terminal.exit(timeout=2) == 0
    assert time.monotonic() - pressed < 1
    assert deck.terminal.emulator.private_modes == AT_REST


def as_of(deck: Deck) -> float:
    """The instant of the data on the screen that the banner names, in seconds since the epoch."""
    clock = re.search(rf"as of ({_CLOCK})", deck.terminal.line(2))
    assert clock is not None
    today = time.strftime("%Y-%m-%d ")
    return time.mktime(time.strptime(today + clock[1], "%Y-%m-%d %H:%M:%S"))


def test_libvirtd_killed_and_back(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(f"{name}-a", start=True)
    lab.define_blank(f"{name}-b", start=True)
    deck.expect_row(f"{name}-b", "● running")
    deck.show_only(name)
    deck.press("g")
    # Nothing changes for longer than one reading takes: what is on the screen was right until libvirtd died.
    usual = key_delays_ms(deck, 20)
    time.sleep(1)
    killed, clock = time.monotonic(), time.time()
    lab.kill_daemon()
    shown = deck.expect(rf"lost since {_CLOCK}.*what you see is as of {_CLOCK}", timeout=5)
    assert shown - killed < 2
    assert clock - 3 < as_of(deck) < clock + 1
    deck.expect("⚠ not connected$")
    assert "● running" in deck.row(f"{name}-a")
    assert_prompt(key_delays_ms(deck, 20, 0.05), usual)
    deck.press("p")
    deck.expect_toast("Suspend: the connection to libvirt is lost")
    assert "● running" in deck.row(f"{name}-b")
    os.kill(lab.qemu_pid(f"{name}-b"), signal.SIGKILL)
    lab.start_daemon()
    deck.expect("● live$", timeout=8)
    deck.expect_row(f"{name}-b", "○ shut off")
    assert "what you see is as of" not in deck.terminal.text()
    deck.expect_row(f"{name}-a", "● running +[0-9]")
    lab.virsh("suspend", f"{name}-a")
    deck.expect_row(f"{name}-a", "◐ paused", timeout=6)
    deck.focus(f"{name}-a")
    deck.act("p")
    deck.expect_row(f"{name}-a", "● running")
    assert lab.state(f"{name}-a")[0] == RUNNING


def test_libvirtd_stopped_for_long(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(f"{name}-a", start=True)
    lab.define_blank(f"{name}-b")
    deck.expect_row(f"{name}-b", "○ shut off")
    deck.show_only(name)
    deck.press("g")
    usual = key_delays_ms(deck, 14)
    with stopped(lab):
        since = time.monotonic()
        delays = key_delays_ms(deck, 14)
        deck.expect(rf"not answering since {_CLOCK}.*what you see is as of {_CLOCK}", timeout=6)
        assert time.monotonic() - since < 6
        delays += key_delays_ms(deck, 26)
        assert_prompt(delays, usual)
        assert "● running" in deck.row(f"{name}-a")
        deck.press("g", "x")
        deck.expect_toast("Force off: the connection to libvirt is not answering")
        # The keepalive gives the connection up; opening another one hangs in the daemon as long as it is stopped.
        deck.expect("keepalive", timeout=20)
        assert_prompt(key_delays_ms(deck, 14, 0.05), usual)
    deck.expect("● live$", timeout=10)
    lab.virsh("start", f"{name}-b")
    deck.expect_row(f"{name}-b", "● running", timeout=6)


def test_libvirtd_stopped_for_a_moment_and_quitting_while_it_is(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    deck.expect_row(name, "● running")
    with stopped(lab):
        deck.expect(f"not answering since {_CLOCK}", timeout=6)
    deck.expect("● live$", timeout=6)
    lab.virsh("suspend", name)
    deck.expect_row(name, "◐ paused", timeout=6)
    with stopped(lab):
        deck.expect(f"not answering since {_CLOCK}", timeout=6)
        deck.press("?")
        deck.expect_dialog("keys and signs")
        leave(deck, "ctrl+c")
    assert lab.state(name)[0] == PAUSED


def test_a_change_that_hangs_in_a_stopped_libvirtd(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    deck.focus(name)
    deck.expect_row(name, "● running")
    deck.press("p")
    deck.expect_dialog("enter go")
    with stopped(lab):
        deck.press("enter")
        deck.expect_no_dialog()
        deck.press("q")
        deck.expect_toast("1 changes? (is|are) still being made; press q again")
        leave(deck)


def test_starting_while_libvirtd_is_stopped(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_blank(name)
    with stopped(lab), open_deck(lab, tmp_path, live=False) as deck:
        deck.expect("◌ connecting", timeout=5)
        deck.expect(f"not answering since {_CLOCK}", timeout=8)
        deck.press("?")
        deck.expect_dialog("keys and signs")
        deck.press("escape")
        lab.continue_daemon()
        deck.expect("● live$")
        deck.expect_row(name, "○ shut off")
    with stopped(lab), open_deck(lab, tmp_path, live=False) as deck:
        deck.expect("◌ connecting", timeout=5)
        leave(deck)


def test_libvirtd_restarted_while_a_guest_runs(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    deck.focus(name)
    deck.expect_row(name, "● running")
    deck.act("p")
    deck.expect_row(name, "◐ paused")
    before = lab.qemu_pid(name)
    lab.restart_daemon()
    deck.expect("⚠ not connected$")
    deck.expect("● live$", timeout=8)
    deck.expect_row(name, "◐ paused")
    deck.act("p")
    deck.expect_row(name, "● running")
    assert lab.qemu_pid(name) == before
    assert lab.state(name)[0] == RUNNING


def test_qemu_killed(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    deck.focus(name)
    deck.expect_row(name, "● running")
    killed = time.monotonic()
    os.kill(lab.qemu_pid(name), signal.SIGKILL)
    # libvirt reports "failed" in the event, and "crashed" as the reason of the state.
    assert deck.expect_row(name, r"○ shut off \(cr", timeout=5) - killed < 1
    deck.expect(r"State +○ shut off \(crashed\)")
    assert lab.state(name) == (OFF, 3)
    deck.act("s")
    deck.expect_row(name, "● running")


def test_a_guest_that_panics(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name, on_crash="preserve", devices=[domain.element("panic", model="isa")])
    deck.focus(name)
    deck.expect_row(name, "● running")
    with lab.console(name) as console:
        console.send("echo c > /proc/sysrq-trigger\n")
        deck.expect_row(name, r"✖ crashed")
    assert lab.state(name)[0] == CRASHED
    deck.act("x", mode="force")
    deck.expect_row(name, "○ shut off")
    assert lab.state(name)[0] == OFF


def cpu_percent(deck: Deck, name: str) -> float:
    """What the row of `name` says of its CPU; 0 while it says nothing."""
    match = re.search(r"running\s+(\d+(?:\.\d+)?)\s", deck.row(name))
    return float(match[1]) if match else 0.0


def test_two_qemus_stopped(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(f"{name}-a")
    for part in ("y", "z"):
        lab.define_blank(f"{name}-{part}", start=True)
    for part in ("a", "y", "z"):
        deck.expect_row(f"{name}-{part}", "● running +[0-9]")
    deck.show_only(f"{name}-")
    deck.press("g")
    usual = key_delays_ms(deck, 14, 0.05)
    pids = [lab.qemu_pid(f"{name}-{part}") for part in ("y", "z")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for part in ("y", "z"):
            deck.expect_row(f"{name}-{part}", r"⚠ monitor stuck +\?", timeout=15)
        deck.focus(f"{name}-z")
        deck.expect(f"Its monitor is silent since {_CLOCK}")
        deck.show_only(f"{name}-")
        deck.press("g")
        with lab.console(f"{name}-a") as console:
            console.run("yes > /dev/null & true")
        deck.terminal.wait_for(lambda _term: cpu_percent(deck, f"{name}-a") > 40, timeout=12)
        assert "monitor stuck" in deck.row(f"{name}-z")
        lab.virsh("suspend", f"{name}-a")
        deck.expect_row(f"{name}-a", "◐ paused", timeout=6)
        assert_prompt(key_delays_ms(deck, 20, 0.05), usual)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    for part in ("y", "z"):
        deck.expect_row(f"{name}-{part}", "● running +[0-9]", timeout=10)
    lab.virsh("destroy", f"{name}-z")
    deck.expect_row(f"{name}-z", "○ shut off", timeout=6)
    assert len(deck.rows()) == 3, "its QEMU counts as unmanaged until the next scan"


def test_domains_that_go_under_the_cursor(lab: LabHost, deck: Deck, name: str) -> None:
    for part in "abc":
        lab.define_blank(f"{name}-{part}", start=part == "b")
    lab.virsh("undefine", f"{name}-b")
    deck.expect_row(f"{name}-b", "● running.*T")
    deck.show_only(name)
    deck.press("g", "j")
    deck.expect_cursor(f"{name}-b")
    lab.virsh("destroy", f"{name}-b")
    deck.expect_no_row(f"{name}-b", timeout=6)
    deck.expect_cursor(f"{name}-c")
    lab.virsh("undefine", f"{name}-c")
    deck.expect_no_row(f"{name}-c", timeout=6)
    deck.expect_cursor(f"{name}-a")
    deck.press("enter")
    deck.expect(rf"^Name +{name}-a")
    lab.virsh("undefine", f"{name}-a")
    deck.terminal.wait_for(lambda term: f"{name}-a" not in term.text(), timeout=6)
    deck.press("escape")
    deck.expect("no row passes the filter|no domains here")
    deck.press("s", "x")
    deck.terminal.wait_quiet()
    assert not deck.dialog()
    leave(deck)


def test_a_domain_goes_while_its_dialog_is_open(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name)
    deck.focus(name)
    deck.press("s")
    deck.expect_dialog("enter go")
    lab.virsh("undefine", name)
    deck.expect("no row passes the filter|no domains here")
    deck.confirm()
    deck.expect_toast("start .*: Domain not found.*It is gone: somebody else removed it")


def test_a_domain_that_somebody_else_renames(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(f"{name}-a")
    lab.define_blank(f"{name}-m")
    deck.show_only(name)
    deck.expect_row(f"{name}-m", "shut off")
    deck.press("g")
    deck.expect_cursor(f"{name}-a")
    lab.virsh("domrename", f"{name}-a", f"{name}-z")
    deck.expect_row(f"{name}-z", "shut off", timeout=6)
    deck.expect_no_row(f"{name}-a", timeout=6)
    deck.expect_cursor(f"{name}-z")
    assert [row.split()[0] for row in deck.rows()] == [f"{name}-m", f"{name}-z"]
    deck.act("s")
    deck.expect_row(f"{name}-z", "● running")
    assert lab.state(f"{name}-z")[0] == RUNNING


def test_hundreds_of_events_a_second(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(f"{name}-a", start=True)
    lab.define_blank(f"{name}-b")
    deck.expect_row(f"{name}-a", "● running")
    deck.show_only(name)
    deck.press("g")
    usual = key_delays_ms(deck, 14, 0.08)
    before = deck.terminal.cpu_time()
    argv = [sys.executable, "-c", _FLIP, lab.uri, f"{name}-a", "4"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as flipping:
        delays = key_delays_ms(deck, 25, 0.08)
        changes = int(flipping.communicate()[0])
    used = deck.terminal.cpu_time() - before
    print(f"{changes} changes in 4 s, {used:.2f} s CPU")
    assert changes > 100
    assert_prompt(delays, usual)
    lab.virsh("suspend", f"{name}-a")
    deck.expect_row(f"{name}-a", "◐ paused", timeout=6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("daemon", ["answers", "stopped"])
def test_signals_end_it_in_order(lab: LabHost, deck: Deck, name: str, number: signal.Signals, daemon: str) -> None:
    lab.define_blank(name, start=True)
    deck.expect_row(name, "● running")
    assert {1000, 1049} <= deck.terminal.emulator.private_modes
    if daemon == "stopped":
        lab.stop_daemon()
        time.sleep(0.5)
    sent = time.monotonic()
    deck.terminal.signal(number)
    assert deck.terminal.exit(timeout=2) == 128 + number
    assert time.monotonic() - sent < 1
    assert deck.terminal.emulator.private_modes == AT_REST
    lab.continue_daemon()
    assert lab.state(name)[0] == RUNNING


def test_the_terminal_is_closed(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_blank(name, start=True)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    argv = ["setsid", "-c", sys.executable, "-m", "tui", "-c", lab.uri]
    environment = os.environ | dict(xdg(tmp_path)) | {"TERM": "xterm-256color"}
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=CHECKOUT) as process:
        os.close(slave)
        seen = b""
        while name.encode() not in seen:
            seen += os.read(master, 65536)
        os.close(master)
        closed = time.monotonic()
        assert process.wait(timeout=6) != 0
        assert time.monotonic() - closed < 1
    assert lab.state(name)[0] == RUNNING


def test_killed_it_leaves_the_guests_alone(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    deck.focus(name)
    deck.expect_row(name, "● running")
    deck.act("p")
    deck.terminal.signal(signal.SIGKILL)
    deck.terminal.exit()
    wait_until(lambda: deck.journal()[-1]["title"] == f"Suspend {name}", "the journal to know of it")
    assert lab.state(name)[0] in (RUNNING, PAUSED)


def test_no_libvirtd_to_connect_to(lab: LabHost, tmp_path: Path) -> None:
    uri = f"qemu+unix:///system?socket={lab.root / 'nothing-here'}"
    argv = [sys.executable, "-m", "tui", "-c", uri]
    with Terminal(argv, 80, 24, env=xdg(tmp_path), cwd=CHECKOUT) as terminal:
        assert terminal.exit(timeout=5) == 3
        said = " ".join(terminal.text().split())
        assert "virtdeck: cannot connect to" in said
        assert "No such file or directory" in said
        assert "Is libvirtd running?" in said
        assert terminal.emulator.private_modes == AT_REST


@pytest.mark.parametrize("socket", ["libvirt-sock", "libvirt-sock-ro"])
def test_read_only_refuses_every_key(lab: LabHost, tmp_path: Path, name: str, socket: str) -> None:
    off, on, stray = f"{name}-a", f"{name}-b", f"{name}-c"
    lab.define_blank(off)
    lab.define_blank(on, start=True)
    lab.spawn_unmanaged(stray)
    uri = f"qemu+unix:///system?socket={lab.sockets / socket}"
    with open_deck(lab, tmp_path, "--read-only", uri=uri) as deck:
        deck.expect("READ-ONLY")
        for row, keys in ((off, "saDetnNW"), (on, "drxpmwaRD"), (stray, "dxc")):
            deck.focus(row)
            for key in keys:
                deck.press(key)
                deck.expect_toast("virtdeck runs with --read-only")
                assert not deck.dialog()
        assert not re.search(r"start|force off|define", deck.hints())
        assert not (tmp_path / "state" / "virtdeck" / "journal.jsonl").exists()
    assert lab.state(off)[0] == OFF
    assert lab.state(on)[0] == RUNNING
