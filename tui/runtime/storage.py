"""The thread that reads storage: a pool that hangs (a dead NFS server) holds up nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from tui.runtime.threads import run_forever
from tui.sources.connection import ConnectError, close, is_alive
from tui.sources.errors import LibvirtError, words

if TYPE_CHECKING:
    from tui.model.storage import Storage
    from tui.runtime.board import Board
    from tui.sources.storage import StorageReader
    from tui.sources.storage_events import PoolEvents

_WATCHED_S, _UNWATCHED_S = 5.0, 120.0
# What reading may cost of one CPU while nobody looks; a host of thousands of volumes is read less often.
_SHARE = 0.0005
_AGAIN_S = 5.0
# A pool that takes so long to answer is told: its server may be down.
_SILENT_AFTER_S = 10.0


class StorageWatcher:
    """Publishes the pools and volumes of one host: at once when asked, every few seconds while somebody looks, seldom
    otherwise. Events tell of pools; of volumes that come and go there are none.

    The first reading is published as it comes; until it has ended, the snapshot says that storage is unread."""

    def __init__(
        self,
        open_link: Callable[[], Any],
        board: Board,
        *,
        owns_link: bool,
        local: bool,
        watched: Callable[[], Collection[str] | None],
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a watcher; of a `local` host it opens a second connection while there is much to read. `watched` says
        which pools and volumes are in view, by key, None while nobody looks, and `told` is called after each reading
        that was published."""
        self._open_link = open_link
        self._board = board
        self._owns_link = owns_link
        self._second = open_link if owns_link and local else None
        self._watched = watched
        self._told = told
        self._wake = threading.Event()
        self._stopped = False
        self._anew = True
        self._cost_s = 0.0
        self._connection: Any | None = None
        self._reader: StorageReader | None = None
        self._events: PoolEvents | None = None

    def start(self) -> None:
        """Start the thread."""
        run_forever("storage reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave; it does so after the call it is in."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Read all of it at once."""
        self._anew = True
        self._wake.set()

    def watch(self) -> None:
        """Say which pools do not answer, as a dead NFS server does not; called every second by another thread."""
        reader = self._reader
        names = reader.silent(_SILENT_AFTER_S) if reader is not None else []
        words = f"no answer from pool {', '.join(names)}: what is shown of storage may be old" if names else ""
        self._board.note_problem("pools", words)

    def _failed(self, problem: str) -> None:
        self._board.note_problem("storage", problem)

    def _run(self) -> None:
        while not self._stopped:
            # Whoever asked before a reading begins is answered by it.
            self._wake.clear()
            try:
                self._reader = self._reader or self._open()
                self._read(self._reader)
                pause_s = self._pause_s()
            except (ConnectError, LibvirtError) as error:
                # That the connection is lost the poller says; here it only means to open another.
                if self._connection is not None and is_alive(self._connection):
                    self._failed(
                        f"storage cannot be read: {words(error) if isinstance(error, LibvirtError) else error}"
                    )
                    if self._board.snapshot.storage is None:
                        # There is none to wait for. A part of it is not all.
                        self._board.update(done="storage")
                pause_s = _AGAIN_S
                self._drop()
            # To be stopped is never missed, whenever it came.
            if not self._stopped:
                self._wake.wait(pause_s)
        self._drop()

    def _open(self) -> StorageReader:
        from tui.sources.storage import StorageReader
        from tui.sources.storage_events import PoolEvents

        self._connection = self._open_link()
        self._events = PoolEvents(self._wake.set, self._refreshed)
        self._events.register(self._connection)
        return StorageReader(self._connection, self._second)

    def _refreshed(self) -> None:
        """Somebody may have it refreshed every second; that is of interest to those who look at it."""
        if self._watched() is not None:
            self._wake.set()

    def _drop(self) -> None:
        self._reader = None
        if self._connection is not None and self._events is not None:
            self._events.deregister(self._connection)
        if self._connection is not None and self._owns_link:
            close(self._connection)
        self._connection = None

    def _read(self, reader: StorageReader) -> None:
        before = time.thread_time()
        anew, self._anew = self._anew, False
        found = reader.read(
            lambda: self._stopped,
            anew=anew,
            first=self._watched() or (),
            partly=self._partly if "storage" in self._board.snapshot.unread else lambda _storage: None,
        )
        self._cost_s = time.thread_time() - before
        if self._stopped:
            return
        self._board.update(done="storage", storage=found)
        self._told()
        self._failed("")

    def _partly(self, found: Storage) -> None:
        self._board.update(storage=found)

    def _pause_s(self) -> float:
        return _WATCHED_S if self._watched() is not None else max(_UNWATCHED_S, self._cost_s / _SHARE)
