"""The program under measurement, started on a host in a terminal of 120x40, with folders of its own."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.hosts import Hosts, PopulatedHost
from tests.terminal import Terminal

COLUMNS, ROWS = 120, 40
FRAME = "Domains"
"""Text of the pane tabs: the frame is there before anything of the host is."""
_START_TIMEOUT_S = 60.0


def installed_program() -> tuple[str, ...]:
    """Return the argument list of the installed command, else of the module."""
    script = Path(sys.executable).with_name("virtdeck")
    return (str(script),) if script.exists() else (sys.executable, "-m", "tui")


def shows(names: frozenset[str]) -> Callable[[Terminal], bool]:
    """Return a predicate: one of `names` stands on the screen as a word."""

    def domain_name(terminal: Terminal) -> bool:
        return not names.isdisjoint(" ".join(terminal.emulator.lines()).split())

    return domain_name


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program used over a stretch of time."""

    cpu_percent: float
    bytes_per_s: float


@dataclass(slots=True)
class Bench:
    """What every benchmark gets: the hosts, the program, and how long it may take."""

    hosts: Hosts
    argv: tuple[str, ...] = field(default_factory=installed_program)
    quick: bool = False

    @contextmanager
    def start(self, uri: str) -> Iterator[Terminal]:
        """Start the program on `uri`, without any of the user's configuration."""
        with tempfile.TemporaryDirectory(prefix="virtdeck-bench-") as folder:
            env = {f"XDG_{kind}_HOME": f"{folder}/{kind}" for kind in ("CONFIG", "STATE", "CACHE", "DATA")}
            with Terminal([*self.argv, "-c", uri], COLUMNS, ROWS, env=env) as terminal:
                yield terminal

    @contextmanager
    def settled(self, host: PopulatedHost, seconds: float | None = None) -> Iterator[Terminal]:
        """Start the program on `host` and give it when names are shown and `seconds` (10, quick: 4) have passed."""
        with self.start(host.uri) as terminal:
            terminal.wait_for(shows(host.names), _START_TIMEOUT_S)
            time.sleep(seconds if seconds is not None else 4 if self.quick else 10)
            yield terminal

    def usage(self, terminal: Terminal) -> Usage:
        """Leave the program alone for 20 s (quick: 6) and return what it used and wrote meanwhile."""
        mark, cpu, begun = terminal.mark(), terminal.cpu_time(), time.monotonic()
        time.sleep(6 if self.quick else 20)
        seconds = time.monotonic() - begun
        return Usage(
            cpu_percent=100 * (terminal.cpu_time() - cpu) / seconds,
            bytes_per_s=len(terminal.bytes_since(mark)) / seconds,
        )
