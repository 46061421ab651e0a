"""A thread that reads one part of a host on a connection of its own: what hangs there holds up nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tui.runtime.threads import run_forever
from tui.sources.connection import ConnectError, close, is_alive
from tui.sources.errors import LibvirtError, words

if TYPE_CHECKING:
    from tui.runtime.board import Board

_WATCHED_S, _UNWATCHED_S = 5.0, 120.0
# What reading may cost of one CPU while nobody looks; a host of thousands of things is read less often.
_SHARE = 0.0005
_AGAIN_S = 5.0


class Reader(Protocol):
    """Reads a part of one connection."""

    def read(self, stop: Callable[[], bool]) -> Any:
        """Return the part, the same object while nothing changed; raises LibvirtError."""
        ...


class Events(Protocol):
    """What libvirt tells of changes of a part."""

    def register(self, connection: Any) -> None:
        """Subscribe to the events that the driver has."""
        ...

    def deregister(self, connection: Any) -> None:
        """Drop the subscriptions."""
        ...


class Watcher:
    """Publishes one part of a host: at once when asked, every few seconds while somebody looks, seldom otherwise."""

    def __init__(
        self,
        part: str,
        open_link: Callable[[], Any],
        board: Board,
        *,
        owns_link: bool,
        watched: Callable[[], bool],
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a watcher of the field `part` of the snapshot; `told` is called after each reading that was
        published."""
        self._part = part
        self._open_link = open_link
        self._board = board
        self._owns_link = owns_link
        self._watched = watched
        self._told = told
        self._wake = threading.Event()
        self._stopped = False
        self._cost_s = 0.0
        self._connection: Any | None = None
        self._events: Events | None = None

    def make(self, connection: Any) -> tuple[Reader, Events]:
        """Return what reads the part on a connection, and what tells of its changes; imported when first needed."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread."""
        run_forever(f"{self._part} reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave; it does so after the call it is in."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Read at once."""
        self._wake.set()

    def nudge_if_watched(self) -> None:
        """Read at once if somebody looks: what happens every second is of no interest otherwise."""
        if self._watched():
            self.nudge()

    def _failed(self, problem: str) -> None:
        self._board.note_problem(self._part, problem)

    def _run(self) -> None:
        reader: Reader | None = None
        while not self._stopped:
            # Whoever asked before a reading begins is answered by it.
            self._wake.clear()
            try:
                reader = reader or self._open()
                self._read(reader)
                pause_s = self._pause_s()
            except (ConnectError, LibvirtError) as error:
                # That the connection is lost the poller says; here it only means to open another.
                if self._connection is not None and is_alive(self._connection):
                    said = words(error) if isinstance(error, LibvirtError) else error
                    self._failed(f"{self._part} cannot be read: {said}")
                reader, pause_s = None, _AGAIN_S
                self._drop()
            # To be stopped is never missed, whenever it came.
            if not self._stopped:
                self._wake.wait(pause_s)
        del reader
        self._drop()

    def _open(self) -> Reader:
        self._connection = self._open_link()
        reader, self._events = self.make(self._connection)
        self._events.register(self._connection)
        return reader

    def _drop(self) -> None:
        if self._connection is not None and self._events is not None:
            self._events.deregister(self._connection)
        if self._connection is not None and self._owns_link:
            close(self._connection)
        self._connection = None

    def _read(self, reader: Reader) -> None:
        before = time.thread_time()
        found = reader.read(lambda: self._stopped)
        self._cost_s = time.thread_time() - before
        self._board.update(done=self._part, **{self._part: found})
        self._told()
        self._failed("")

    def _pause_s(self) -> float:
        return _WATCHED_S if self._watched() else max(_UNWATCHED_S, self._cost_s / _SHARE)
