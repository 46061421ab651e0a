"""The thread that follows the links of all network namespaces of this machine."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.runtime.board import Board
    from tui.runtime.desk import Focus
    from tui.runtime.link_follower import LinkFollower

# Becomes ready (POLLPRI) whenever something is mounted or unmounted, as the files of named namespaces are.
_MOUNTINFO = "/proc/thread-self/mountinfo"


class LinkWatcher:
    """Publishes Links whenever something changed, and LinkUsage every interval while somebody looks."""

    def __init__(
        self,
        board: Board,
        *,
        local: bool,
        interval_s: float,
        focus: Callable[[], Focus],
        event_buffer: int | None = None,
    ) -> None:
        """Make a watcher; `event_buffer`: bytes of events that may wait until they are lost, None for plenty."""
        self._board = board
        self._local = local
        self._interval_s = interval_s
        self._focus = focus
        self._event_buffer = event_buffer
        self._bell: socket.socket | None = None
        self._stopped = False
        self._nudged = threading.Event()

    def start(self) -> None:
        """Start the thread, or note why there is nothing to follow."""
        if not self._local:
            self._board.note_limit("links", "links: the host is not this machine")
            self._board.update(done="links")
            return
        run_forever("link watcher", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self.wake()

    def nudge(self) -> None:
        """Look for namespaces at once, and read again what no event tells of."""
        self._nudged.set()
        self.wake()

    def wake(self) -> None:
        """Have the thread see what is looked at."""
        if self._bell is not None:
            # Full means that it wakes up anyway.
            with suppress(OSError):
                self._bell.send(b"!")

    def _failed(self, problem: str) -> None:
        self._board.note_problem("links", problem)

    def _run(self) -> None:
        # Not before the first picture: these are 20 modules.
        from tui.runtime.link_follower import LinkFollower
        from tui.sources.netlink.events import BUFFER, EventSocket
        from tui.sources.netlink.picture import Picture

        with ExitStack() as stack:
            ears, self._bell = socket.socketpair()
            ears.setblocking(False)
            self._bell.setblocking(False)
            stack.callback(ears.close)
            stack.callback(self._bell.close)
            # Before the first reading, so that nothing happens unheard.
            events = EventSocket(self._event_buffer or BUFFER)
            stack.callback(events.close)
            picture = Picture()
            stack.callback(picture.close)
            mounts = os.open(_MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, mounts)
            poller = stack.enter_context(select.epoll())
            poller.register(events, select.EPOLLIN)
            poller.register(ears, select.EPOLLIN)
            poller.register(mounts, select.EPOLLPRI)
            self._follow(LinkFollower(self._board, events, picture, self._interval_s), poller, ears, mounts)

    def _follow(self, follower: LinkFollower, poller: select.epoll, ears: socket.socket, mounts: int) -> None:
        """Wait for news, or for something to be due, and read."""
        if not self._stopped:
            follower.begin(self._focus())
        while not self._stopped:
            ready = {number for number, _event in poller.poll(follower.wait_s())}
            if ears.fileno() in ready:
                with suppress(BlockingIOError):
                    ears.recv(4096)
            # Whoever asked before the reading begins is answered by it.
            if nudged := self._nudged.is_set():
                self._nudged.clear()
            if not self._stopped:
                follower.turn(self._focus(), files=mounts in ready, nudged=nudged)
