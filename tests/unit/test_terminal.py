"""The terminal harness itself: what it draws, sends, counts and ends."""

from __future__ import annotations

import signal
import sys
import time

import psutil
import pytest

from tests.terminal import ScreenError, Terminal, encode_key
from tests.tools.emulator import Emulator

ECHO_KEYS = """
import os, termios, tty
tty.setraw(0, termios.TCSANOW)
os.write(1, b"ready\\r\\n")
while (data := os.read(0, 64)) != b"q":
    os.write(1, repr(data).encode() + b"\\r\\n")
raise SystemExit(7)
"""
QUERIES = """
import os, sys, termios, tty
tty.setraw(0, termios.TCSANOW)
os.write(1, b"\\x1b[?2026$p\\x1b[c")
got = b""
while not got.endswith(b"c"):
    got += os.read(0, 64)
os.write(1, repr(got).encode())
"""
SIZES = """
import os, signal
def show(*_):
    os.write(1, b"%dx%d\\r\\n" % os.get_terminal_size())
signal.signal(signal.SIGWINCH, show)
show()
while True:
    signal.pause()
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def drawn(data: bytes, columns: int = 20, rows: int = 3) -> Emulator:
    emulator = Emulator(columns, rows)
    emulator.feed(data)
    return emulator


def test_keys_reach_the_program_and_its_exit_code_comes_back() -> None:
    with Terminal(python(ECHO_KEYS), columns=40, rows=10) as term:
        term.wait_for("ready")
        for key, shown in (("s", r"b's'"), ("ctrl+c", r"b'\\x03'"), ("f5", r"b'\\x1b\[15~'"), ("up", r"b'\\x1b\[A'")):
            term.press(key)
            term.wait_for(shown)
        term.type("q")
        assert term.exit() == 7
        assert not term.running


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("enter", b"\r"),
        ("shift+tab", b"\x1b[Z"),
        ("ctrl+up", b"\x1b[1;5A"),
        ("alt+x", b"\x1bx"),
        ("ctrl+p", b"\x10"),
        ("G", b"G"),
        ("f12", b"\x1b[24~"),
        ("pagedown", b"\x1b[6~"),
    ],
)
def test_keys_are_encoded_as_xterm_does(name: str, data: bytes) -> None:
    assert encode_key(name) == data


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match="hyper"):
        encode_key("hyper+x")


def test_terminal_queries_are_answered() -> None:
    with Terminal(python(QUERIES)) as term:
        term.wait_for(r"2026;2\$y.*62;22c")


def test_the_size_is_set_before_the_program_starts_and_changes_are_signalled() -> None:
    with Terminal(python(SIZES), columns=81, rows=25) as term:
        term.wait_for("^81x25$")
        term.resize(132, 50)
        term.wait_for("^132x50$")
        assert len(term.lines()) == 50


def test_a_failed_wait_shows_the_screen_and_says_that_the_program_ended() -> None:
    with (
        Terminal(["printf", "last words"]) as term,
        pytest.raises(ScreenError, match=r"(?s)ended.*code 0.*last words"),
    ):
        term.wait_for("never", timeout=5)


def test_a_wait_gives_up_in_time() -> None:
    with Terminal(["sleep", "60"]) as term:
        begun = time.monotonic()
        with pytest.raises(ScreenError, match=r"0\.2 s passed"):
            term.wait_for("never", timeout=0.2)
        assert time.monotonic() - begun < 1


def test_closing_ends_a_child_that_ignores_everything() -> None:
    with Terminal(["sh", "-c", "trap '' TERM HUP INT; echo up; while :; do sleep 1; done"]) as term:
        term.wait_for("up")
        pid = term.pid
    assert not psutil.pid_exists(pid)


def test_a_stopped_child_is_ended_too() -> None:
    with Terminal(["cat"]) as term:
        term.signal(signal.SIGSTOP)
        pid = term.pid
    assert not psutil.pid_exists(pid)


def test_bytes_are_kept_as_they_left() -> None:
    with Terminal(python(ECHO_KEYS)) as term:
        term.wait_for("ready")
        mark = term.mark()
        term.press("x")
        term.wait_for("b'x'")
        assert term.bytes_since(mark) == b"b'x'\r\n"


def test_cpu_time_and_memory_are_the_childs() -> None:
    with Terminal(python("import time\nwhile time.process_time() < 0.3: pass\nprint('spun')\ntime.sleep(60)")) as term:
        term.wait_for("spun")
        assert 0.25 < term.cpu_time() < 1
        assert 4 << 20 < term.rss() < 64 << 20


def test_half_a_frame_is_never_seen() -> None:
    emulator = drawn(b"old\r")
    assert not emulator.feed(b"\x1b[?2026hne")
    assert emulator.lines()[0] == "old"
    assert emulator.feed(b"w\x1b[?2026l")
    assert emulator.lines()[0] == "new"


def test_half_an_escape_sequence_is_never_printed() -> None:
    emulator = drawn(b"a\x1b[38;2;1")
    assert emulator.lines()[0] == "a"
    emulator.feed(b";2;3mb")
    assert emulator.lines()[0] == "ab"
    assert emulator.cell(1, 0).fg == "010203"


def test_the_alternate_screen_gives_the_main_one_back() -> None:
    emulator = drawn(b"shell$ \x1b[?1049hfull screen")
    assert emulator.lines()[0] == "full screen"
    assert 1049 in emulator.private_modes
    emulator.feed(b"\x1b[?1049l")
    assert emulator.lines()[0] == "shell$"
    assert 1049 not in emulator.private_modes


def test_attributes_of_a_cell() -> None:
    emulator = drawn(b"\x1b[1;7;31mX\x1b[0mY")
    first, second = emulator.cell(0, 0), emulator.cell(1, 0)
    assert (first.char, first.fg, first.bold, first.reverse) == ("X", "red", True, True)
    assert (second.char, second.fg, second.bold, second.reverse) == ("Y", "default", False, False)


def test_the_signature_tells_which_rows_changed() -> None:
    emulator = drawn(b"one\r\ntwo")
    before = emulator.signature()
    emulator.feed(b"\r\x1b[7mtwo")
    after = emulator.signature()
    assert [a != b for a, b in zip(before, after, strict=True)] == [False, True, False]


def test_sequences_pyte_does_not_know_leave_no_trace() -> None:
    emulator = drawn(b"\x1b[>1u\x1b[<u\x1b[?2026$p\x1b[2 q\x1b]0;title\x07\x1bPq#0\x1b\\\x1b[4:3mok\x1b[2b")
    assert emulator.lines()[0] == "okkk"
