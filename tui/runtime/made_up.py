"""The thread that makes up the network of a host that has none of its own to read: the demo host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.runtime.board import Board

NetworkMaker = Callable[["Mapping[str, Domain]", int], Mapping[str, Any]]
"""The domains and the instant → parts of a HostSnapshot: links, link_usage, firewalls, ovs, dnsmasqs."""

_SOON_S, _UNWATCHED_S = 0.2, 10.0


class MadeUpNetwork:
    """Publishes what `make` says, every interval while somebody looks, and seldom otherwise."""

    def __init__(self, board: Board, make: NetworkMaker, *, interval_s: float, watched: Callable[[], bool]) -> None:
        self._board = board
        self._make = make
        self._interval_s = interval_s
        self._watched = watched
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Start the thread."""
        run_forever("network maker", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Make it up anew at once."""
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("network", problem)

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            # Guests are plugged in as their configurations say.
            complete = "configs" not in self._board.snapshot.unread
            parts = dict(self._make(self._board.snapshot.domains, time.time_ns()))
            usage = parts.pop("link_usage")
            self._board.update(**parts, **({"link_usage": usage} if self._watched() else {}))
            if complete:
                self._done()
            self._wake.wait(self._pause_s())

    def _done(self) -> None:
        for source in ("links", "firewalls", "ovs", "dnsmasqs"):
            self._board.update(done=source)

    def _pause_s(self) -> float:
        if "configs" in self._board.snapshot.unread:
            return _SOON_S
        return self._interval_s if self._watched() else _UNWATCHED_S
