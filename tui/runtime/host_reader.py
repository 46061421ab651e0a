"""Reading the host's CPUs and memory, only while somebody looks: a daemon that asks its QEMUs first takes seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.sources.host_cpus import loads_between

if TYPE_CHECKING:
    from tui.model.host_cpus import HostCpu, HostCpus
    from tui.runtime.board import Board
    from tui.sources.host_cpus import Counters

LOADS_S = 1.0
"""How often the loads are read while somebody looks, and of how long they are the mean."""
TOPOLOGY_S = 30.0
"""How often CPUs, cells and pages are."""
# Whoever begins to look has the first loads after so long.
_FIRST_S = 0.3


class HostReader:
    """What is read when, by two functions that do it; used on one thread."""

    def __init__(
        self,
        board: Board,
        read_cpus: Callable[[], HostCpus],
        read_counters: Callable[[tuple[HostCpu, ...]], Counters],
    ) -> None:
        self._board = board
        self._read_cpus = read_cpus
        self._read_counters = read_counters
        self._topology_due_s = self._loads_due_s = 0.0
        self._counters: Counters = {}

    def wait_s(self, looked_at: bool) -> float | None:
        """Return the seconds until the next reading of loads, None when none is wanted."""
        return max(0.0, self._loads_due_s - time.monotonic()) if looked_at else None

    def reread(self) -> None:
        """Read all of it in the next round that somebody looks in."""
        self._topology_due_s = 0.0

    def round(self, looked_at: bool) -> None:
        """Read and publish what is due; raises libvirtError when the connection is lost."""
        if not looked_at:
            self._rest()
            return
        now_s = time.monotonic()
        if now_s >= self._topology_due_s:
            self._board.update(cpus=self._read_cpus())
            self._topology_due_s = now_s + TOPOLOGY_S
        if now_s >= self._loads_due_s:
            self._loads_due_s = now_s + (LOADS_S if self._counters else _FIRST_S)
            self._read_loads()

    def _read_loads(self) -> None:
        cpus = self._board.snapshot.cpus
        counters = self._read_counters(cpus.cpus if cpus is not None else ())
        loads = loads_between(self._counters, counters)
        self._counters = counters
        self._board.update(cpu_loads=loads)

    def _rest(self) -> None:
        """Loads that nobody looked at are of another time."""
        if self._counters or self._board.snapshot.cpu_loads:
            self._counters = {}
            self._loads_due_s = 0.0
            self._board.update(cpu_loads={})
