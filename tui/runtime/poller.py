"""The thread that keeps one host's domains up to date: connects, reads until the connection breaks, starts over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tui.model.host import LinkState
from tui.runtime.desk import Desk
from tui.runtime.session import Session
from tui.sources.connection import ConnectError, close, on_close, open_connection
from tui.sources.errors import LibvirtError, words

if TYPE_CHECKING:
    from tui.runtime.board import Board
    from tui.runtime.monitors import MonitorReader

_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_CLOSE_REASONS = ("error", "the daemon closed the connection", "keepalive timeout", "closed here")


class Poller:
    """Runs on one daemon thread per host; everything it calls may block with the daemon, so nobody waits for it."""

    def __init__(
        self,
        uri: str,
        *,
        read_only: bool,
        interval_s: float,
        board: Board,
        monitors: MonitorReader,
        prepare: Callable[[Any], None] | None = None,
    ) -> None:
        self._uri = uri
        self._prepare = prepare
        self._read_only = read_only
        self._interval_s = interval_s
        self._board = board
        self._monitors = monitors
        self.desk = Desk()
        self.connection: Any | None = None
        """The polling connection while there is one; shared with others only for drivers that need it."""

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="poller", daemon=True).start()

    def _run(self) -> None:
        attempt = 0
        while not self.desk.stopped:
            lived = False
            try:
                self.desk.work()
                connection = open_connection(self._uri, read_only=self._read_only)
                lived = True
                if self._prepare is not None:
                    self._prepare(connection)
                self._read_until_lost(connection)
            except ConnectError as error:
                self._note_loss(error.text, error.advice)
            except LibvirtError as error:
                self._note_loss(words(error), "")
            attempt = 0 if lived else attempt + 1
            self._pause(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])

    def _note_loss(self, problem: str, advice: str) -> None:
        never_read = self._board.snapshot.domains_read_ns is None
        state = LinkState.REFUSED if never_read else LinkState.LOST
        self._board.set_link(state, problem, advice, read_ns=self.desk.read_ns)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.desk.stopped and (left := end - time.monotonic()) > 0:
            self.desk.rest(left)

    def _read_until_lost(self, connection: Any) -> None:
        """Raises ConnectError or libvirtError when the connection breaks; returns when asked to stop."""
        current = [True]

        def closed(reason: int) -> None:
            # libvirt may report the end of an old connection while a new one is in use already.
            if current[0]:
                known = 0 <= reason < len(_CLOSE_REASONS)
                self.desk.break_off(_CLOSE_REASONS[reason] if known else "closed")

        self.desk.broken = ""
        on_close(connection, closed)
        self.connection = connection
        try:
            Session(connection, self.desk, self._board, self._monitors, self._interval_s).run()
        finally:
            current[0] = False
            self.connection = None
            self.desk.events.deregister(connection)
            close(connection)
