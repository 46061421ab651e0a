"""What the UI thread keeps: the newest snapshot and a short history of what moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.snapshot import HostSnapshot
    from tui.model.usage import DomainUsage

HISTORY = 60


class Store:
    """The newest HostSnapshot with the CPU history of running domains; used on one thread only."""

    def __init__(self) -> None:
        self.snapshot: HostSnapshot | None = None
        self._cpu: dict[str, deque[float | None]] = {}
        self._seen: Mapping[str, DomainUsage] = {}

    def apply(self, snapshot: HostSnapshot) -> None:
        """Take a newer snapshot; its readings extend the history."""
        self.snapshot = snapshot
        if snapshot.usage is not self._seen:
            self._extend(snapshot.usage)
            self._seen = snapshot.usage

    def _extend(self, usage: Mapping[str, DomainUsage]) -> None:
        for key in [key for key in self._cpu if key not in usage]:
            del self._cpu[key]
        for key, reading in usage.items():
            if reading is not self._seen.get(key):
                self._cpu.setdefault(key, deque(maxlen=HISTORY)).append(reading.cpu_percent)

    def cpu_history(self, key: str, length: int) -> tuple[float | None, ...]:
        """Return the last `length` readings of a domain's CPU in percent of one host CPU, oldest first."""
        readings = self._cpu.get(key)
        return tuple(readings)[-length:] if readings else ()
