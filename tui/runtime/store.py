"""What the UI thread keeps: the newest snapshot and a short history of what moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tui.model.rates import total

if TYPE_CHECKING:
    from tui.model.link import LinkUsage
    from tui.model.snapshot import HostSnapshot
    from tui.model.usage import DiskReading, DomainUsage

HISTORY = 60


class Store:
    """The newest HostSnapshot with the CPU history of running domains, the disk history of those that are looked at
    and the traffic of links while these are; used on one thread only."""

    def __init__(self) -> None:
        self.snapshot: HostSnapshot | None = None
        self._cpu: dict[str, deque[float | None]] = {}
        self._disks: dict[str, dict[str, deque[DiskReading]]] = {}
        self._looked_at: frozenset[str] = frozenset()
        self._seen: Mapping[str, DomainUsage] = {}
        self._links: dict[str, deque[float | None]] = {}
        self._first_of_links: dict[str, LinkUsage] = {}
        self._seen_links: Mapping[str, LinkUsage] = {}

    def look_at(self, keys: Iterable[str]) -> None:
        """Keep the disk history of these domains from now on, and of no others."""
        self._looked_at = frozenset(keys)
        for key in self._disks.keys() - self._looked_at:
            del self._disks[key]

    def apply(self, snapshot: HostSnapshot) -> None:
        """Take a newer snapshot; its readings extend the history."""
        self.snapshot = snapshot
        if snapshot.usage is not self._seen:
            self._extend(snapshot.usage)
            self._seen = snapshot.usage
        if snapshot.link_usage is not self._seen_links:
            self._extend_links(snapshot.link_usage)
            self._seen_links = snapshot.link_usage

    def _extend(self, usage: Mapping[str, DomainUsage]) -> None:
        for key in [key for key in self._cpu if key not in usage]:
            del self._cpu[key]
            self._disks.pop(key, None)
        for key, reading in usage.items():
            if reading is not self._seen.get(key):
                self._cpu.setdefault(key, deque(maxlen=HISTORY)).append(reading.cpu_percent)
                if key in self._looked_at:
                    self._extend_disks(key, reading)

    def _extend_disks(self, key: str, usage: DomainUsage) -> None:
        """A disk that is gone takes its history with it."""
        # Imported with the first reading, which is after the first picture.
        from tui.model.usage import DiskReading

        before, after = self._disks.get(key, {}), {}
        for disk in usage.disks:
            history = after[disk.target] = before.get(disk.target) or deque(maxlen=HISTORY)
            history.append(DiskReading(disk.requests_per_s, disk.latency_ns))
        self._disks[key] = after

    def _extend_links(self, usage: Mapping[str, LinkUsage]) -> None:
        """A link that is gone, or that nobody looks at any more, takes its history with it."""
        for key in [key for key in self._links if key not in usage]:
            del self._links[key], self._first_of_links[key]
        for key, reading in usage.items():
            if reading is not self._seen_links.get(key):
                self._first_of_links.setdefault(key, reading)
                history = self._links.setdefault(key, deque(maxlen=HISTORY))
                history.append(total((reading.rx_bytes_per_s, reading.tx_bytes_per_s)))

    def link_history(self, key: str, length: int) -> tuple[float | None, ...]:
        """Return the last `length` readings of a link's traffic, both ways, in bytes/s, oldest first."""
        readings = self._links.get(key)
        return tuple(readings)[-length:] if readings else ()

    def first_of_link(self, key: str) -> LinkUsage | None:
        """Return the counters of a link as they were when one began to look; None: nobody looks."""
        return self._first_of_links.get(key)

    def cpu_history(self, key: str, length: int) -> tuple[float | None, ...]:
        """Return the last `length` readings of a domain's CPU in percent of one host CPU, oldest first."""
        readings = self._cpu.get(key)
        return tuple(readings)[-length:] if readings else ()

    def disk_history(self, key: str, target: str, length: int) -> tuple[DiskReading, ...]:
        """Return the last `length` readings of a disk of a domain, oldest first; () of one that is not looked at."""
        readings = self._disks.get(key, {}).get(target)
        return tuple(readings)[-length:] if readings else ()
