"""The thread that reads libvirt's networks: XML, leases and ports are a call for each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tui.runtime.threads import run_forever
from tui.sources.connection import ConnectError, close, is_alive
from tui.sources.errors import LibvirtError, is_lost, words

if TYPE_CHECKING:
    from tui.runtime.board import Board
    from tui.sources.network_events import NetworkEvents
    from tui.sources.networks import NetworkReader

_WATCHED_S, _UNWATCHED_S = 5.0, 120.0
# What reading may cost of one CPU while nobody looks.
_SHARE = 0.0005
_AGAIN_S = 5.0
# Guests are started by the dozen; one reading serves them all.
_GATHER_S = 0.1


class NetworkWatcher:
    """Publishes the networks of one host: at once when asked, every few seconds while somebody looks, seldom otherwise.
    Events tell of networks that come and go and of guests that plug in; of leases and of changes to a network there are
    none."""

    def __init__(
        self,
        open_link: Callable[[], Any],
        board: Board,
        *,
        owns_link: bool,
        watched: Callable[[], bool],
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a watcher; `moved` is told of every event: with a network its dnsmasq and its rules come and go."""
        self._open_link = open_link
        self._board = board
        self._owns_link = owns_link
        self._watched = watched
        self._moved = moved
        self._heard = False
        self._wake = threading.Event()
        self._stopped = False
        self._cost_s = 0.0
        self._connection: Any | None = None
        self._events: NetworkEvents | None = None

    def start(self) -> None:
        """Start the thread."""
        run_forever("network reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave; it does so after the call it is in."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Read at once."""
        self._wake.set()

    def _hear(self) -> None:
        self._heard = True
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("networks", problem)

    def _run(self) -> None:
        reader: NetworkReader | None = None
        while not self._stopped:
            # Whoever asked before a reading begins is answered by it.
            self._wake.clear()
            try:
                reader = reader or self._open()
                self._read(reader)
                pause_s = self._pause_s()
            except (ConnectError, LibvirtError) as error:
                if self._is_refused(error):
                    self._failed(f"networks cannot be read: {words(error)}")
                    self._board.update(done="networks")
                    pause_s = self._pause_s()
                else:
                    # That the connection is lost the poller says; here it only means to open another.
                    reader, pause_s = None, _AGAIN_S
                    self._drop()
            # To be stopped is never missed, whenever it came.
            if not self._stopped and self._wake.wait(pause_s) and not self._stopped:
                time.sleep(_GATHER_S)
        del reader
        self._drop()

    def _is_refused(self, error: Exception) -> bool:
        """Whether libvirt does not tell of networks, on a connection that holds."""
        return self._connection is not None and is_alive(self._connection) and not is_lost(error)

    def _open(self) -> NetworkReader:
        from tui.sources.network_events import NetworkEvents
        from tui.sources.networks import NetworkReader

        self._connection = self._open_link()
        self._events = NetworkEvents(self._hear)
        self._events.register(self._connection)
        return NetworkReader(self._connection)

    def _drop(self) -> None:
        if self._connection is not None and self._events is not None:
            self._events.deregister(self._connection)
        if self._connection is not None and self._owns_link:
            close(self._connection)
        self._connection = None

    def _read(self, reader: NetworkReader) -> None:
        before = time.thread_time()
        found = reader.read(lambda: self._stopped)
        self._cost_s = time.thread_time() - before
        if self._stopped:
            return
        heard, self._heard = self._heard, False
        if heard:
            self._moved()
        self._board.update(done="networks", networks=found)
        self._failed("")

    def _pause_s(self) -> float:
        return _WATCHED_S if self._watched() else max(_UNWATCHED_S, self._cost_s / _SHARE)
