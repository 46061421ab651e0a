"""What triage remembers of earlier snapshots: the last figures, so that a peak is not taken for a state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tui.model.link import FdbEntry, Link, LinkUsage
    from tui.model.snapshot import HostSnapshot
    from tui.model.usage import DomainUsage

LASTS_S, LEAST = 20.0, 3
"""For how long figures have to say the same, by so many readings at least: starting takes all that it can get."""
LINK_READINGS = 6
"""How many counters in a row have to; they are read every one to two seconds."""
_KEPT = 32
_MOVES_S = 60.0

R = TypeVar("R")


class History:
    """The last readings of domains and links, where bridges learned MACs, and how long ports have been as they are."""

    def __init__(self) -> None:
        self.usage: dict[str, deque[DomainUsage]] = {}
        self.link_usage: dict[str, deque[LinkUsage]] = {}
        self._seen_usage: Mapping[str, DomainUsage] = {}
        self._seen_links: Mapping[str, LinkUsage] = {}
        self._seen_fdb: Mapping[str, tuple[FdbEntry, ...]] = {}
        self._behind: dict[tuple[str, str], str] = {}
        self._moves: dict[tuple[str, str], deque[int]] = {}
        self._states: dict[str, tuple[str, int]] = {}
        self._seen_states: Mapping[str, Link] = {}

    def extend(self, seen: HostSnapshot) -> None:
        """Take what is new in a snapshot."""
        if seen.usage is not self._seen_usage:
            _extend(self.usage, seen.usage, self._seen_usage, _KEPT)
            self._seen_usage = seen.usage
        if seen.link_usage is not self._seen_links:
            _extend(self.link_usage, seen.link_usage, self._seen_links, LINK_READINGS)
            self._seen_links = seen.link_usage
        links = seen.links
        if links is None:
            return
        if links.fdb is not self._seen_fdb:
            self._follow(links.fdb, links.links, seen.taken_ns)
            self._seen_fdb = links.fdb
        if links.links is not self._seen_states:
            self._note_states(links.links, seen.taken_ns)
            self._seen_states = links.links

    def lasting(self, key: str, holds: Callable[[DomainUsage], bool]) -> bool:
        """Return whether the figures of a domain have all been so for LASTS_S."""
        readings = self.usage.get(key)
        if readings is None or len(readings) < LEAST:
            return False
        for count, reading in enumerate(reversed(readings), 1):
            if not holds(reading):
                return False
            if count >= LEAST and readings[-1].read_ns - reading.read_ns >= LASTS_S * 1e9:
                return True
        return False

    def lasting_link(self, key: str, holds: Callable[[LinkUsage], bool]) -> bool:
        """Return whether the last LINK_READINGS counters of a link are all so."""
        readings = self.link_usage.get(key)
        return readings is not None and len(readings) == LINK_READINGS and all(map(holds, readings))

    def moves(self, now_ns: int) -> dict[tuple[str, str], int]:
        """Return how often each MAC changed its port of a bridge in the last minute, by (bridge, MAC); the seldom
        movers are left out."""
        since = now_ns - int(_MOVES_S * 1e9)
        found = {}
        for key, times in self._moves.items():
            while times and times[0] < since:
                times.popleft()
            if len(times) > 1:
                found[key] = len(times)
        return found

    def state_for_s(self, key: str, now_ns: int) -> float:
        """Return for how long the port that a link is has had its state, as far as it was watched."""
        return (now_ns - self._states[key][1]) / 1e9 if key in self._states else 0.0

    def _follow(self, fdb: Mapping[str, tuple[FdbEntry, ...]], links: Mapping[str, Link], now_ns: int) -> None:
        """Note who moved. A port whose entries are the same object has the same MACs behind it."""
        for port, entries in fdb.items():
            link = links.get(port)
            if link is None or link.master is None or entries is self._seen_fdb.get(port):
                continue
            for entry in entries:
                if entry.permanent or entry.remote:
                    continue
                place = (link.master, entry.mac)
                before = self._behind.get(place)
                if before is not None and before != port:
                    self._moves.setdefault(place, deque(maxlen=64)).append(now_ns)
                self._behind[place] = port

    def _note_states(self, links: Mapping[str, Link], now_ns: int) -> None:
        """Of ports that do not forward alone: those that do are no matter."""
        states: dict[str, tuple[str, int]] = {}
        for key, link in links.items():
            if link.port is None or link.port.state == "forwarding":
                continue
            old = self._states.get(key)
            states[key] = old if old is not None and old[0] == link.port.state else (link.port.state.value, now_ns)
        self._states = states


def _extend(kept: dict[str, deque[R]], new: Mapping[str, R], old: Mapping[str, R], most: int) -> None:
    for key in kept.keys() - new.keys():
        del kept[key]
    for key, reading in new.items():
        if reading is not old.get(key):
            kept.setdefault(key, deque(maxlen=most)).append(reading)
