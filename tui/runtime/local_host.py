"""The thread that keeps up what is told of this machine where no libvirt is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.model.host import ConnectionState
from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.runtime.board import Board

_EVERY_S = 10.0
_OF_LIBVIRT = ("domains", "configs", "usage", "addresses", "storage", "networks")


class LocalHost:
    """Publishes size, load and free memory of this machine, its CPUs while somebody looks, and that there is nothing
    to wait for from libvirt."""

    def __init__(self, board: Board, *, watched: Callable[[], bool]) -> None:
        self._board = board
        self._watched = watched
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Say that there is no libvirt, and start the thread."""
        self._board.update(domains_read_ns=self._board.snapshot.taken_ns)
        for source in _OF_LIBVIRT:
            self._board.update(done=source)
        self._board.set_link(ConnectionState.ABSENT)
        run_forever("local host", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """See at once whether somebody looks."""
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("host", problem)

    def _run(self) -> None:
        from tui.runtime.host_reader import HostReader
        from tui.sources.host_cpus import read_local_counters
        from tui.sources.local_host import read_local_cpus, read_local_host

        reader = HostReader(self._board, read_local_cpus, lambda _cpus: read_local_counters())
        due_s = 0.0
        while not self._stopped:
            self._wake.clear()
            if time.monotonic() >= due_s:
                self._board.update(host=read_local_host())
                due_s = time.monotonic() + _EVERY_S
            watched = self._watched()
            reader.round(watched)
            self._failed("")
            rest_s = reader.wait_s(watched)
            self._wake.wait(max(0.0, due_s - time.monotonic()) if rest_s is None else rest_s)
