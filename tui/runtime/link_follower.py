"""What of the links is read when: events at once, what no event tells now and then, counters while somebody looks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tui.sources.netlink.events import ALL_PARTS, NO_PART, Dirty, EventSocket, Part
from tui.sources.netlink.picture import Picture

if TYPE_CHECKING:
    from tui.model.link import Link
    from tui.runtime.board import Board
    from tui.runtime.desk import Focus

_GATHER_S = 0.02
# No event tells of namespaces without a file, of br_netfilter's switches, and of aliases and bridge settings of links
# that are down; of neighbours too many do to hear them while nobody looks. Looking after these may cost this share of
# one CPU.
_SHARE = 0.0005
_SEARCH_S = 10.0
_UNWATCHED_S = 60.0
_FIRST_RATE_S = 0.5
# Under constant change so many times the CPU time of a reading passes before the next, up to a limit.
_REST = 4
_LONGEST_REST_S = 2.0
# A tap is made, then handed to the program that will hold it; nothing tells when that has happened.
_OWNERS_AFTER_S = (0.0, 1.0, 4.0)


class LinkFollower:
    """Reads and publishes; used on the watcher's thread alone."""

    def __init__(self, board: Board, events: EventSocket, picture: Picture, interval_s: float) -> None:
        self._board = board
        self._events = events
        self._picture = picture
        self._interval_s = interval_s
        self._looked_at = False
        self._search_due_s = self._neighbours_due_s = self._counters_due_s = 0.0
        self._owners_due_s: list[float] = []
        self._rest_until_s = 0.0
        self._held: set[int | None] = set()
        """Namespaces whose neighbours changed; these are read no more than once an interval."""
        self._detailed: Link | None = None

    def begin(self, focus: Focus) -> None:
        """Read everything for the first time and publish it."""
        self._look(focus.links)
        self._refresh(Dirty(everything=True, namespaces=True))
        self._events.home_nsid = self._picture.home_nsid
        self._read_owners(searched=True)
        if focus.links:
            self._count()
        self._read_detail(focus.link)
        self._publish()

    def wait_s(self) -> float:
        """Return the seconds until something is due."""
        due = [self._search_due_s, *self._owners_due_s]
        if self._looked_at:
            due.append(self._counters_due_s)
        if self._held or not self._looked_at:
            due.append(self._neighbours_due_s)
        return max(0.0, min(due) - time.monotonic())

    def turn(self, focus: Focus, *, files: bool, nudged: bool) -> None:
        """Read what changed and what is due, and publish it; `files`: those of namespaces came or went."""
        begun_looking = focus.links and not self._looked_at
        self._look(focus.links)
        dirty = Dirty(files=files)
        self._events.drain(dirty)
        if dirty:
            # Events come in bursts; one reading serves them all.
            time.sleep(max(_GATHER_S, self._rest_until_s - time.monotonic()))
            self._events.drain(dirty)
        self._hold_neighbours(dirty)
        self._add_what_is_due(dirty, everything=nudged, neighbours=begun_looking)
        searched = dirty.namespaces
        if dirty:
            self._refresh(dirty)
        self._read_owners(searched)
        if self._looked_at and (begun_looking or time.monotonic() >= self._counters_due_s):
            self._count()
        self._read_detail(focus.link)
        self._publish()

    def _look(self, looked_at: bool) -> None:
        self._events.hear_neighbours(looked_at)
        if self._looked_at and not looked_at:
            self._picture.forget_counters()
            self._board.update(link_usage={})
        self._looked_at = looked_at

    def _hold_neighbours(self, dirty: Dirty) -> None:
        for nsid, marks in list(dirty.spaces.items()):
            if Part.NEIGHBOURS in marks.parts:
                self._held.add(nsid)
                marks.parts &= ~Part.NEIGHBOURS
                if not (marks.all_links or marks.links or marks.parts != NO_PART):
                    del dirty.spaces[nsid]

    def _add_what_is_due(self, dirty: Dirty, *, everything: bool, neighbours: bool) -> None:
        now_s = time.monotonic()
        if everything:
            self._picture.mark(dirty, ALL_PARTS)
        if everything or now_s >= self._search_due_s:
            dirty.namespaces = True
            self._picture.mark(dirty, Part.SETTINGS, links=True)
        due = now_s >= self._neighbours_due_s
        if neighbours or (due and not self._looked_at):
            self._picture.mark(dirty, Part.NEIGHBOURS)
            self._held.clear()
        elif due:
            for nsid in self._held:
                dirty.of(nsid).parts |= Part.NEIGHBOURS
            self._held.clear()

    def _refresh(self, dirty: Dirty) -> None:
        """Read what is marked; what was long in reading is left alone for longer."""
        by_itself, searched = dirty.namespaces, dirty.namespaces or dirty.everything
        met = dirty.everything or any(Part.NEIGHBOURS in marks.parts for marks in dirty.spaces.values())
        before_s = time.thread_time()
        self._picture.refresh(dirty)
        cost_s = time.thread_time() - before_s
        now_s = time.monotonic()
        if searched:
            self._search_due_s = now_s + max(_SEARCH_S, cost_s / _SHARE)
        if not by_itself:
            # After what comes seldom by itself nothing needs rest, and the next event is not to wait.
            self._rest_until_s = now_s + min(_LONGEST_REST_S, _REST * cost_s)
        if met:
            pause_s = self._interval_s if self._looked_at else max(_UNWATCHED_S, cost_s / _SHARE)
            self._neighbours_due_s = now_s + pause_s

    def _read_owners(self, searched: bool) -> None:
        now_s = time.monotonic()
        if self._picture.taps_changed():
            self._owners_due_s = [now_s + after_s for after_s in _OWNERS_AFTER_S]
        if searched or any(due_s <= now_s for due_s in self._owners_due_s):
            self._owners_due_s = [due_s for due_s in self._owners_due_s if due_s > now_s]
            self._picture.read_owners()

    def _count(self) -> None:
        usage = self._picture.usage()
        first = all(one.rx_bytes_per_s is None for one in usage.values())
        self._counters_due_s = time.monotonic() + (min(_FIRST_RATE_S, self._interval_s) if first else self._interval_s)
        self._board.update(link_usage=usage)

    def _read_detail(self, key: str | None) -> None:
        """Read what only the open link needs, when another is opened and when it changed."""
        link = self._picture.find(key) if key is not None else None
        if link is not None and link is not self._detailed:
            self._board.update(link_detail=self._picture.detail(link))
            self._detailed = link

    def _publish(self) -> None:
        links = self._picture.links()
        for limit in links.limits:
            self._board.note_limit(limit, limit)
        self._board.update(done="links", links=links)
        self._board.note_problem("links", "")
