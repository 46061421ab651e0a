"""The thread that keeps one host's domains up to date: connects, reads until the connection breaks, starts over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tui.model.host import ConnectionState
from tui.runtime.desk import Desk
from tui.runtime.session import Session
from tui.runtime.threads import run_forever
from tui.sources.connection import (
    ConnectError,
    NoAnswerError,
    close,
    is_shared_only,
    let_go,
    on_close,
    open_within,
)
from tui.sources.errors import LibvirtError, words

if TYPE_CHECKING:
    from tui.runtime.agents import AgentReader
    from tui.runtime.board import Board
    from tui.runtime.monitors import MonitorReader

_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
# A connection that broke sooner is no reason to try again at once.
_LASTING_S = 5.0
_QUICK_S = 3.0
_OPEN_S, _LONGEST_OPEN_S = 30.0, 300.0
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
        agents: AgentReader,
        prepare: Callable[[Any], None] | None = None,
    ) -> None:
        self._uri = uri
        self._prepare = prepare
        self._read_only = read_only
        self._interval_s = interval_s
        self._board = board
        self._monitors = monitors
        self._agents = agents
        self._tried = False
        self.desk = Desk()
        self.connection: Any | None = None
        """The polling connection while there is one; shared with others only for drivers that need it."""

    def start(self) -> None:
        """Start the thread."""
        run_forever("poller", self._run, self._internal, lambda: self.desk.stopped)

    def _internal(self, problem: str) -> None:
        self._board.set_link(ConnectionState.LOST, problem, read_ns=self.desk.read_ns)

    def _run(self) -> None:
        attempt = 0
        while not self.desk.stopped:
            begun_s = time.monotonic()
            try:
                self._one_connection(attempt)
            except NoAnswerError as error:
                self._board.set_link(ConnectionState.SILENT, error.text, error.advice, read_ns=self.desk.read_ns)
            except ConnectError as error:
                self._note_loss(error.text, error.advice, quick=time.monotonic() - begun_s < _QUICK_S)
            except LibvirtError as error:
                self._note_loss(words(error), "", quick=False)
            attempt = 0 if time.monotonic() - begun_s > _LASTING_S else attempt + 1
            self._pause(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])

    def _one_connection(self, attempt: int) -> None:
        """From open to loss; the more often nobody answered, the longer the next open may take, since each leaves a
        thread behind."""
        self.desk.work()
        deadline_s = min(_OPEN_S * 2**attempt, _LONGEST_OPEN_S)
        connection = open_within(self._uri, read_only=self._read_only, deadline_s=deadline_s)
        if self._prepare is not None:
            self._prepare(connection)
        self._read_until_lost(connection)

    def _note_loss(self, problem: str, advice: str, *, quick: bool) -> None:
        """Only the very first attempt can be refused; whoever was let in once, or had to wait, is reconnected. It stays
        refused until it is let in: who asks for the state may be late."""
        before = self._board.snapshot
        refused = quick and not self._tried and before.domains_read_ns is None
        refused = refused or before.connection.state is ConnectionState.REFUSED
        self._tried = True
        state = ConnectionState.REFUSED if refused else ConnectionState.LOST
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
            Session(connection, self.desk, self._board, self._monitors, self._agents, self._interval_s).run()
        finally:
            current[0] = False
            self.connection = None
            self.desk.events.deregister(connection)
            # One that other threads use as well ends with the last of them: libvirt would free it under their calls.
            (let_go if is_shared_only(self._uri) else close)(connection)
