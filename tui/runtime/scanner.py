"""The thread that looks for QEMU processes on this machine."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.runtime.board import Board

_SLOWEST_S = 4.0


class Scanner:
    """Publishes the QEMU processes of this machine; says so when the host is another machine."""

    def __init__(self, board: Board, *, local: bool, interval_s: float) -> None:
        self._board = board
        self._local = local
        self._interval_s = max(interval_s, _SLOWEST_S)
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Start the thread, or note why there is nothing to scan."""
        if not self._local:
            self._board.note_limit("processes", "processes: the host is not this machine")
            self._board.update(done="processes")
            return
        run_forever("scanner", self._run, self._failed, lambda: self._stopped)

    def _failed(self, problem: str) -> None:
        self._board.note_problem("scanner", problem)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Scan at once."""
        self._wake.set()

    def _run(self) -> None:
        # psutil costs 20 ms to import: not before the first picture.
        from tui.sources.processes import ProcessSource

        source = ProcessSource()
        while not self._stopped:
            found = {process.key: process for process in source.read()}
            if found or self._board.snapshot.processes:
                self._board.update(processes=found, processes_read_ns=time.time_ns())
            self._board.update(done="processes")
            self._board.note_problem("scanner", "")
            self._wake.wait(self._interval_s)
            self._wake.clear()
