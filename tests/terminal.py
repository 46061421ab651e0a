"""A program in a pseudo-terminal: keys go in, a rendered screen and every byte come out.

    with Terminal([sys.executable, "-m", "tui", "--demo"], columns=80, rows=24) as term:
        term.wait_for("Domains")
        term.press("j", "enter")
        assert "web1" in term.line(3)

A thread of its own reads, stamps and keeps the bytes and answers the queries that Textual sends; the screen is drawn
in the caller's thread, when the caller looks. All stamps are time.monotonic() seconds, taken when the bytes arrived.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import psutil

from tests.tools.emulator import Cell, Emulator

_QUERY_TAIL = 16
_ANSWERS: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    (re.compile(rb"\x1b\[0?c"), b"\x1b[?62;22c"),  # primary device attributes
    (re.compile(rb"\x1b\[>0?c"), b"\x1b[>0;276;0c"),  # secondary device attributes
    (re.compile(rb"\x1b\]10;\?(?:\x07|\x1b\\)"), b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\"),  # foreground
    (re.compile(rb"\x1b\]11;\?(?:\x07|\x1b\\)"), b"\x1b]11;rgb:0000/0000/0000\x1b\\"),  # background
    (re.compile(rb"\x1b\[\?2026\$p"), b"\x1b[?2026;2$y"),  # synchronized output: known, now off
    (re.compile(rb"\x1b\[\?2048\$p"), b"\x1b[?2048;0$y"),  # in-band resize reports: not known
)
_KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "space": " ",
    "backspace": "\x7f",
    "insert": "\x1b[2~",
    "delete": "\x1b[3~",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    **{f"f{n}": f"\x1b[{code}~" for n, code in enumerate((15, 17, 18, 19, 20, 21, 23, 24), start=5)},
}
_CURSOR_KEYS = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_MODIFIERS = {"shift": 2, "alt": 3, "ctrl": 5}
_CTRL_PUNCTUATION = {"\\": "\x1c", "]": "\x1d", "^": "\x1e", "_": "\x1f", "@": "\x00", "space": "\x00"}


def encode_key(name: str) -> bytes:
    """Return the bytes that xterm sends for a key in Textual's spelling (`s`, `enter`, `ctrl+c`, `shift+up`, `f5`);
    raises ValueError for a name no terminal has."""
    if name in _KEYS:
        return _KEYS[name].encode()
    if len(name) == 1:
        return name.encode()
    modifier, _, key = name.rpartition("+")
    if key in _CURSOR_KEYS:
        prefix = f"1;{_MODIFIERS[modifier]}" if modifier else ""
        return f"\x1b[{prefix}{_CURSOR_KEYS[key]}".encode()
    if modifier == "alt":
        return b"\x1b" + encode_key(key)
    if modifier == "ctrl" and key in _CTRL_PUNCTUATION:
        return _CTRL_PUNCTUATION[key].encode()
    if modifier == "ctrl" and len(key) == 1 and key.isalpha() and key.isascii():
        return bytes([ord(key.lower()) & 0x1F])
    raise ValueError(f"no key is called {name!r}")


class ScreenError(AssertionError):
    """What was waited for did not come; the message holds the whole screen."""


class Terminal:
    """A child process on a pseudo-terminal of its own; leaving the context ends that child and nothing else."""

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        columns: int = 120,
        rows: int = 40,
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        """Start `argv`; `env` is laid over this process's environment, None removes a variable."""
        self.size = (columns, rows)
        self.emulator = Emulator(columns, rows)
        self._arrived = threading.Condition()
        self._output = bytearray()
        self._chunks: deque[tuple[float, int]] = deque()
        self._fed = 0
        self._ended = False
        self._master, slave = os.openpty()
        _set_size(slave, columns, rows)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self.started = time.monotonic()
        # setsid -c makes the pseudo-terminal the controlling one without Python code between fork and exec.
        self._process = subprocess.Popen(
            ["setsid", "-c", *argv], stdin=slave, stdout=slave, stderr=slave, env=_environment(env or {}), cwd=cwd
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, name="terminal-reader", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- keys ---------------------------------------------------------------------------------------------------

    def press(self, *keys: str) -> float:
        """Send keys by Textual's names, one write each, and return the stamp of the last write."""
        stamp = time.monotonic()
        for key in keys:
            stamp = time.monotonic()
            os.write(self._master, encode_key(key))
        return stamp

    def type(self, text: str) -> None:
        """Send `text` as typed characters."""
        self.send(text.encode())

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        os.write(self._master, data)

    def click(self, x: int, y: int) -> None:
        """Press and release the left mouse button in column `x` of row `y`, from 0 (SGR mouse reports)."""
        os.write(self._master, f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m".encode())

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the kernel sends SIGWINCH."""
        self._draw_all()
        self.size = (columns, rows)
        self.emulator.resize(columns, rows)
        _set_size(self._master, columns, rows)

    # -- screen -------------------------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """Return the rows of the screen as it is now, from the top, without trailing blanks."""
        self._draw_all()
        return self.emulator.lines()

    def line(self, y: int) -> str:
        """Return row `y`, from 0, without trailing blanks."""
        return self.lines()[y]

    def text(self) -> str:
        """Return the screen as it is now, rows joined by line feeds."""
        return "\n".join(self.lines())

    def cell(self, x: int, y: int) -> Cell:
        """Return the cell in column `x` of row `y`, both from 0, with its colours and attributes."""
        self._draw_all()
        return self.emulator.cell(x, y)

    def signature(self) -> tuple[int, ...]:
        """Return one hash a row of its text and attributes as they are now, to see whether and where they change."""
        self._draw_all()
        return self.emulator.signature()

    def find(self, text: str) -> tuple[int, int]:
        """Return column and row of the first cell of `text`, exact where no wide characters stand before it;
        raises ScreenError when it is not on the screen."""
        for y, line in enumerate(self.lines()):
            if (x := line.find(text)) >= 0:
                return x, y
        raise ScreenError(self._describe(f"{text!r} is not on the screen"))

    def wait_for(self, what: str | re.Pattern[str] | Callable[[Terminal], bool], timeout: float = 20.0) -> float:
        """Wait until the screen matches a regular expression (^ and $ per row) or a predicate is true; return the
        stamp of the bytes that made it so; raises ScreenError after `timeout` seconds or at the child's end."""
        shown = what if isinstance(what, str) else getattr(what, "pattern", getattr(what, "__name__", "predicate"))
        holds = what if callable(what) else self._matcher(re.compile(what, re.MULTILINE))
        deadline = time.monotonic() + timeout
        stamp: float | None = time.monotonic()
        while True:
            if stamp is not None and holds(self):
                return stamp
            drawn, stamp = self._draw_next(deadline - time.monotonic())
            if not drawn:
                break
        self.emulator.flush()
        if holds(self):
            return time.monotonic()
        reason = "the program ended" if self._ended else f"{timeout:g} s passed"
        raise ScreenError(self._describe(f"{reason} while waiting for {shown!r}"))

    def wait_quiet(self, gap: float = 0.15, timeout: float = 20.0) -> float:
        """Wait until `gap` seconds pass without output and return the stamp of the last bytes before them."""
        deadline = time.monotonic() + timeout
        last = time.monotonic()
        while time.monotonic() < deadline and not self._ended:
            drawn, stamp = self._draw_next(gap)
            if not drawn:
                return last
            last = stamp or last
        if self._ended:
            return last
        raise ScreenError(self._describe(f"output did not pause for {gap:g} s within {timeout:g} s"))

    # -- bytes --------------------------------------------------------------------------------------------------

    def mark(self) -> int:
        """Return the number of bytes the program has written so far, for `bytes_since`."""
        with self._arrived:
            return len(self._output)

    def bytes_since(self, mark: int = 0) -> bytes:
        """Return what the program has written since `mark`, as it left for the terminal."""
        with self._arrived:
            return bytes(self._output[mark:])

    # -- process ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child has not ended yet."""
        return self._process.poll() is None

    def cpu_time(self) -> float:
        """Return the CPU seconds the child and its reaped children have used; raises psutil.NoSuchProcess."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system + times.children_user + times.children_system

    def rss(self) -> int:
        """Return the resident memory of the child in bytes (/proc/PID/statm); raises psutil.NoSuchProcess."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child."""
        self._process.send_signal(number)

    def exit(self, timeout: float = 5.0) -> int:
        """Wait for the child to end by itself and return its exit code (negative: the signal that ended it); raises
        ScreenError when it is still there after `timeout` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ScreenError(self._describe(f"the program is still running after {timeout:g} s")) from None
        self._reader.join(timeout=1.0)
        self._draw_all()
        return code

    def close(self) -> None:
        """End the child if it still runs (SIGTERM, after two seconds SIGKILL) and free the terminal."""
        if self._master < 0:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        os.eventfd_write(self._wake, 1)
        self._reader.join()
        os.close(self._master)
        os.close(self._wake)
        self._master = -1

    # -- inside -------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        tail = b""
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._master not in ready:
                break
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: the last descriptor of the other side is closed
                break
            stamp = time.monotonic()
            self._answer(tail, data)
            tail = (tail + data)[-_QUERY_TAIL:]
            with self._arrived:
                self._output += data
                self._chunks.append((stamp, len(self._output)))
                self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def _answer(self, tail: bytes, data: bytes) -> None:
        found = [(match.end(), answer) for query, answer in _ANSWERS for match in query.finditer(tail + data)]
        for end, answer in sorted(found):
            if end > len(tail):
                os.write(self._master, answer)

    def _draw_next(self, timeout: float) -> tuple[bool, float | None]:
        """Draw one chunk: (False, None) when none came in time; no stamp when it could not change the screen."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._chunks or self._ended, max(0.0, timeout))
            if not self._chunks:
                return False, None
            stamp, end = self._chunks.popleft()
            data = bytes(self._output[self._fed : end])
            self._fed = end
        return True, stamp if self.emulator.feed(data) else None

    def _draw_all(self) -> None:
        while self._chunks:
            self._draw_next(0.0)

    def _matcher(self, pattern: re.Pattern[str]) -> Callable[[Terminal], bool]:
        return lambda _term: pattern.search("\n".join(self.emulator.lines())) is not None

    def _describe(self, what: str) -> str:
        columns, rows = self.size
        state = "running" if self.running else f"exit code {self._process.returncode}"
        screen = "\n".join(f"{y:3}│{line}" for y, line in enumerate(self.lines()))
        return f"{what} ({columns}x{rows}, {state})\n{screen}"


def _set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _environment(over: Mapping[str, str | None]) -> dict[str, str]:
    """Return this process's environment as a terminal emulator would hand it on, with `over` laid over it."""
    base: dict[str, str | None] = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "COLUMNS": None,
        "LINES": None,
        "NO_COLOR": None,
        "TMUX": None,
        **over,
    }
    return {name: value for name, value in base.items() if value is not None}
