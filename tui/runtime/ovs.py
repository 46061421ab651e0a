"""The thread that follows Open vSwitch: what its database sends, and nothing where there is none."""

from __future__ import annotations

import os
import select
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.runtime.threads import run_forever
from tui.runtime.wake import Wake

if TYPE_CHECKING:
    from tui.runtime.board import Board
    from tui.sources.ovs import OvsSource

SOCKET = "/run/openvswitch/db.sock"
LOOK_S = 10.0
"""How often to look whether there is a socket."""
_SOONEST_S = 0.25
SILENT_S = 15.0
"""A server that has said nothing for so long is asked whether it is there; once more so long it has to answer."""


class OvsWatcher:
    """Publishes Open vSwitch; its socket is looked for every 10 s where there is none."""

    def __init__(self, board: Board, *, local: bool, path: str = SOCKET) -> None:
        self._board = board
        self._local = local
        self._path = path
        self._wake = Wake()
        self._stopped = False
        self._failures = 0

    def start(self) -> None:
        """Start the thread; where the host is another machine there is nothing to read."""
        if not self._local:
            self._board.update(done="ovs")
            return
        run_forever("Open vSwitch reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Look at once; what the server sends is taken in anyway."""
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("ovs", problem)

    def _run(self) -> None:
        while not self._stopped:
            if os.path.exists(self._path):
                self._follow()
            else:
                self._lose("ovsdb-server is gone: it has no socket any more")
            self._failed("")
            if not self._stopped:
                self._wake.wait(self._pause_s())

    def _pause_s(self) -> float:
        if not os.path.exists(self._path):
            return LOOK_S
        return float(min(_SOONEST_S * 2.0 ** min(self._failures, 10), LOOK_S))

    def _lose(self, problem: str) -> None:
        """Say that what was read is not kept up to date any more; where nothing ever was there is nothing to say."""
        from tui.model.ovs import Ovs

        last = self._board.snapshot.ovs
        if last is None and os.path.exists(self._path):
            last = Ovs((), time.time_ns())
        self._board.update(done="ovs", **({"ovs": replace(last, problem=problem)} if last is not None else {}))

    def _follow(self) -> None:
        """Publish what the server sends until it goes or the thread is to leave."""
        from tui.sources.ovs import OvsSource
        from tui.sources.ovsdb import OvsdbError

        source: OvsSource | None = None
        try:
            source = OvsSource(self._path)
            self._board.update(done="ovs", ovs=source.read())
            self._failures = 0
            while not self._stopped:
                self._await(source)
                if not self._stopped and source.take():
                    self._board.update(ovs=source.read())
        except OvsdbError as error:
            self._failures += 1
            self._lose(str(error))
        finally:
            if source is not None:
                source.close()

    def _await(self, source: OvsSource) -> None:
        """Sleep until the server sends something; raises OvsdbError when it does not answer."""
        asked = False
        until = time.monotonic() + SILENT_S
        while not self._stopped:
            heeded = [*source.descriptors(), self._wake.fileno()]
            ready, _, _ = select.select(heeded, [], [], max(0.0, until - time.monotonic()))
            if ready != [self._wake.fileno()] and ready:
                return
            self._wake.clear()
            if time.monotonic() >= until:
                self._ask(source, asked)
                asked, until = True, time.monotonic() + SILENT_S

    def _ask(self, source: OvsSource, asked: bool) -> None:
        from tui.sources.ovsdb import OvsdbError

        if asked:
            raise OvsdbError("ovsdb-server does not answer")
        source.ask_alive()
