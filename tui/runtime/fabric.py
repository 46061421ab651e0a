"""The thread that reads firewalls and dnsmasq: when rules change, and seldom where nothing tells; only while somebody
looks at the network."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from tui.runtime.threads import run_forever
from tui.runtime.wake import Wake

if TYPE_CHECKING:
    from tui.model.link import Netns
    from tui.runtime.board import Board
    from tui.sources.firewall import FirewallReader
    from tui.sources.nftables import RuleEvents

WATCHED_S, _UNWATCHED_S = 10.0, 120.0
"""How often what nothing tells of is read: counters, rules of iptables-legacy, dnsmasq and its leases."""
_SHARE = 0.005
"""What that may cost of one CPU; on a host of hundreds of firewalls it is read less often."""
_LOOK_S = 1.0
"""How soon a new namespace is noticed."""
_LINKS_S, _LINKS_SLICE_S = 5.0, 0.05
_GATHER_S = 0.02
_CALM_S, _CALM_SHARE = 0.25, 0.05
"""How long, at least, and as what share of the time that a reading takes, nothing is read after it: there are programs
that change rules many times a second."""


class FabricReader:
    """Publishes the firewall of every namespace that the links name, of our own alone while there are none, and every
    dnsmasq."""

    def __init__(self, board: Board, *, local: bool, watched: Callable[[], bool]) -> None:
        self._board = board
        self._local = local
        self._watched = watched
        self._wake = Wake()
        self._stopped = False
        self._namespaces: Mapping[str, Netns] | None = None
        """What was read last: the mapping of the links."""

    def start(self) -> None:
        """Start the thread; where the host is another machine there is nothing to read."""
        if not self._local:
            self._done()
            return
        run_forever("firewall reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Read at once: triage judges by it whether anybody looks or not."""
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("firewall", problem)

    def _run(self) -> None:
        from tui.sources.firewall import FirewallReader

        reader, events = FirewallReader(), _listen()
        self._await_links()
        try:
            while not self._stopped:
                self._wake.clear()
                # Not the CPU time of the thread: the programs that it runs cost as well.
                before = time.monotonic()
                self._read(reader, anew=True)
                self._read_dnsmasqs()
                self._done()
                self._failed("")
                self._rest(reader, events, time.monotonic() - before)
        finally:
            if events is not None:
                events.close()

    def _done(self) -> None:
        for source in ("firewalls", "dnsmasqs"):
            self._board.update(done=source)

    def _await_links(self) -> None:
        """The first reading is of all namespaces, so that whoever reads once has all firewalls."""
        until = time.monotonic() + _LINKS_S
        while "links" in self._board.snapshot.unread and not self._stopped and time.monotonic() < until:
            self._wake.wait(_LINKS_SLICE_S)

    def _rest(self, reader: FirewallReader, events: RuleEvents | None, cost_s: float) -> None:
        """Wait for the next reading of everything; meanwhile rules are read as they change."""
        began = time.monotonic()
        while not self._stopped:
            # Who begins to look meanwhile nudges.
            watched = self._watched()
            left_s = began + max(WATCHED_S if watched else _UNWATCHED_S, cost_s / _SHARE) - time.monotonic()
            if left_s <= 0:
                return
            heeded: list[Wake | RuleEvents] = [self._wake, *([events] if watched and events is not None else [])]
            ready, _, _ = select.select(heeded, [], [], min(left_s, _LOOK_S) if watched else left_s)
            if self._wake in ready:
                return
            if ready or (watched and self._known_namespaces() is not self._namespaces):
                self._take_change(reader, events)

    def _take_change(self, reader: FirewallReader, events: RuleEvents | None) -> None:
        """Read what has changed, and nothing for a while."""
        # A ruleset is loaded in many steps.
        time.sleep(_GATHER_S)
        before = time.monotonic()
        if events is not None:
            events.take()
        self._read(reader, anew=False)
        # Only looked at, not cleared: who nudges is answered right after.
        select.select([self._wake], [], [], max(_CALM_S, (time.monotonic() - before) / _CALM_SHARE))

    def _known_namespaces(self) -> Mapping[str, Netns] | None:
        links = self._board.snapshot.links
        return links.namespaces if links is not None else None

    def _read(self, reader: FirewallReader, *, anew: bool) -> None:
        self._namespaces = self._known_namespaces()
        found = reader.read(_enterable(self._namespaces), anew=anew, stopped=lambda: self._stopped)
        before = self._board.snapshot.firewalls
        same = found.keys() == before.keys() and all(found[key] is before[key] for key in found)
        if not same and not self._stopped:
            self._board.update(firewalls=found)

    def _read_dnsmasqs(self) -> None:
        from tui.sources.dnsmasq import read_dnsmasqs

        self._board.update(dnsmasqs=read_dnsmasqs())


def _enterable(namespaces: Mapping[str, Netns] | None) -> Iterable[Netns]:
    """Return the namespaces to read, our own first; it is known without the links as well."""
    if namespaces is not None:
        return list(namespaces.values())
    from tui.model.link import Netns, NetnsKind
    from tui.sources.inside import own_netns

    return [Netns(own_netns(), "host", "host", NetnsKind.HOME)]


def _listen() -> RuleEvents | None:
    """Not root hears nothing, and can read nothing either."""
    from tui.sources.nftables import RuleEvents

    try:
        return RuleEvents()
    except OSError:
        return None
