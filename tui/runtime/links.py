"""The thread that follows the links of all network namespaces of this machine."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.runtime.board import Board
    from tui.sources.netlink.events import Dirty, EventSocket
    from tui.sources.netlink.picture import Picture

_GATHER_S = 0.02
# Of namespaces without a file and of br_netfilter's switches no event tells, and of neighbours too many do to hear them
# while nobody looks. Looking after these may cost this share of one CPU.
_SHARE = 0.0005
_SEARCH_S = 10.0
_UNWATCHED_S = 60.0
_FIRST_RATE_S = 0.5
# Under constant change so many times the CPU time of a reading passes before the next, up to a limit.
_REST = 4
_LONGEST_REST_S = 2.0
_MOUNTINFO = "/proc/thread-self/mountinfo"


class LinkWatcher:
    """Publishes Links whenever something changed, and LinkUsage every interval while somebody looks."""

    def __init__(self, board: Board, *, local: bool, interval_s: float, watched: Callable[[], bool]) -> None:
        self._board = board
        self._local = local
        self._interval_s = interval_s
        self._watched = watched
        self._bell: socket.socket | None = None
        self._stopped = False
        self._nudged = False

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
        self._nudged = True
        self.wake()

    def wake(self) -> None:
        """Have the thread see whether somebody looks."""
        if self._bell is not None:
            with suppress(OSError):
                self._bell.send(b"!")

    def _failed(self, problem: str) -> None:
        self._board.note_problem("links", problem)

    def _run(self) -> None:
        # After the first picture: these are 20 modules.
        from tui.sources.netlink.events import EventSocket
        from tui.sources.netlink.picture import Picture

        with ExitStack() as stack:
            ears, self._bell = socket.socketpair()
            ears.setblocking(False)
            self._bell.setblocking(False)
            events, picture = EventSocket(), Picture()
            mounts = os.open(_MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, mounts)
            for closed in (ears, self._bell, events, picture):
                stack.callback(closed.close)
            poller = stack.enter_context(select.epoll())
            poller.register(events, select.EPOLLIN)
            poller.register(ears, select.EPOLLIN)
            poller.register(mounts, select.EPOLLPRI)
            self._follow(_Follower(self._board, events, picture, self._interval_s), poller, ears, mounts)

    def _follow(self, follower: _Follower, poller: select.epoll, ears: socket.socket, mounts: int) -> None:
        """Wait for news, or for something to be due, and read; the first turn reads everything."""
        follower.begin(self._watched())
        while not self._stopped:
            ready = {number for number, _event in poller.poll(follower.wait_s())}
            if ears.fileno() in ready:
                with suppress(BlockingIOError):
                    ears.recv(4096)
            nudged, self._nudged = self._nudged, False
            if not self._stopped:
                follower.turn(watched=self._watched(), files=mounts in ready, nudged=nudged)


class _Follower:
    """What is read when; used on the watcher's thread alone."""

    def __init__(self, board: Board, events: EventSocket, picture: Picture, interval_s: float) -> None:
        self._board = board
        self._events = events
        self._picture = picture
        self._interval_s = interval_s
        self._looked_at = False
        self._search_due_s = self._neighbours_due_s = self._counters_due_s = 0.0
        self._rest_until_s = 0.0
        self._held: set[int | None] = set()
        """Namespaces whose neighbours changed; these are read no more than once an interval."""

    def begin(self, watched: bool) -> None:
        """Read everything for the first time and publish it."""
        from tui.sources.netlink.events import Dirty

        self._look(watched)
        before_s = time.thread_time()
        self._picture.refresh(Dirty(everything=True))
        self._events.home_nsid = self._picture.home_nsid
        cost_s = time.thread_time() - before_s
        now_s = time.monotonic()
        self._search_due_s = now_s + max(_SEARCH_S, cost_s / _SHARE)
        self._neighbours_due_s = now_s + self._neighbour_pause_s(cost_s)
        if watched:
            self._count()
        self._publish()

    def wait_s(self) -> float:
        """Return the seconds until something is due."""
        due = [self._search_due_s]
        if self._looked_at:
            due.append(self._counters_due_s)
        if self._held or not self._looked_at:
            due.append(self._neighbours_due_s)
        return max(0.0, min(due) - time.monotonic())

    def turn(self, *, watched: bool, files: bool, nudged: bool) -> None:
        """Read what changed and what is due, and publish it."""
        from tui.sources.netlink.events import Dirty

        begun_looking = watched and not self._looked_at
        self._look(watched)
        dirty = Dirty(files=files)
        self._events.drain(dirty)
        if dirty:
            # Events come in bursts; one reading serves them all.
            time.sleep(max(_GATHER_S, self._rest_until_s - time.monotonic()))
            self._events.drain(dirty)
        self._hold_neighbours(dirty)
        self._add_what_is_due(dirty, nudged=nudged, begun_looking=begun_looking)
        if dirty:
            self._refresh(dirty)
        if self._looked_at and (begun_looking or time.monotonic() >= self._counters_due_s):
            self._count()

    def _look(self, watched: bool) -> None:
        self._events.hear_neighbours(watched)
        if self._looked_at and not watched:
            self._picture.forget_counters()
            self._board.update(link_usage={})
        self._looked_at = watched

    def _hold_neighbours(self, dirty: Dirty) -> None:
        from tui.sources.netlink.events import NO_PART, Part

        for nsid, marks in list(dirty.spaces.items()):
            if Part.NEIGHBOURS in marks.parts:
                self._held.add(nsid)
                marks.parts &= ~Part.NEIGHBOURS
                if not (marks.all_links or marks.links or marks.parts != NO_PART):
                    del dirty.spaces[nsid]

    def _add_what_is_due(self, dirty: Dirty, *, nudged: bool, begun_looking: bool) -> None:
        from tui.sources.netlink.events import Part

        now_s = time.monotonic()
        if nudged or now_s >= self._search_due_s:
            dirty.namespaces = True
            self._picture.mark(dirty, Part.SETTINGS)
        if begun_looking or nudged or (now_s >= self._neighbours_due_s and not self._looked_at):
            self._picture.mark(dirty, Part.NEIGHBOURS)
            self._held.clear()
        elif self._held and now_s >= self._neighbours_due_s:
            for nsid in self._held:
                dirty.of(nsid).parts |= Part.NEIGHBOURS
            self._held.clear()

    def _refresh(self, dirty: Dirty) -> None:
        from tui.sources.netlink.events import Part

        searched = dirty.namespaces
        met = any(Part.NEIGHBOURS in marks.parts for marks in dirty.spaces.values())
        before_s = time.thread_time()
        self._picture.refresh(dirty)
        cost_s = time.thread_time() - before_s
        now_s = time.monotonic()
        self._rest_until_s = now_s + min(_LONGEST_REST_S, _REST * cost_s)
        if searched:
            self._search_due_s = now_s + max(_SEARCH_S, cost_s / _SHARE)
        if met:
            self._neighbours_due_s = now_s + self._neighbour_pause_s(cost_s)
        self._publish()

    def _neighbour_pause_s(self, cost_s: float) -> float:
        return self._interval_s if self._looked_at else max(_UNWATCHED_S, cost_s / _SHARE)

    def _publish(self) -> None:
        links = self._picture.links()
        for limit in links.limits:
            self._board.note_limit(limit, limit)
        self._board.update(done="links", links=links)
        self._board.note_problem("links", "")

    def _count(self) -> None:
        usage = self._picture.usage()
        first = all(one.rx_bytes_per_s is None for one in usage.values())
        self._counters_due_s = time.monotonic() + (min(_FIRST_RATE_S, self._interval_s) if first else self._interval_s)
        self._board.update(link_usage=usage)
