"""Collector cost: CPU of one reading of the domains against the bare libvirt calls that it makes, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable

import libvirt

from tests.bench.figures import Figure, median
from tests.bench.program import Bench
from tui.sources.domains import DomainReader

_COUNT = 3000
_RATIO = 2.0
_STATE = libvirt.VIR_DOMAIN_STATS_STATE
_TICK_GROUPS = _STATE | libvirt.VIR_DOMAIN_STATS_INTERFACE
_ACTIVE = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE


def collector_cost(bench: Bench) -> list[Figure]:
    """Return medians in ms of CPU over interleaved readings: the whole list with states, and the tick between."""
    connection = libvirt.openReadOnly(bench.hosts.shared(_COUNT).uri)
    reader = DomainReader(connection)

    def resync() -> None:
        reader.resync()
        reader.domains()

    def tick() -> None:
        reader.tick()
        reader.domains()

    work: dict[str, Callable[[], object]] = {
        "raw list": lambda: (connection.listAllDomains(0), connection.getAllDomainStats(_STATE, 0)),
        "list": resync,
        "raw tick": lambda: connection.getAllDomainStats(_TICK_GROUPS, _ACTIVE),
        "tick": tick,
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(5 if bench.quick else 25):
        for name, call in work.items():
            times[name].append(_cpu_ms(call))
    ms = {name: median(values) for name, values in times.items()}
    return [
        Figure(f"list and states, {_COUNT:,} domains, raw calls", ms["raw list"], "ms CPU"),
        Figure(f"list and states, {_COUNT:,} domains", ms["list"], "ms CPU", _RATIO * ms["raw list"], "2 x raw"),
        Figure(f"tick, {_COUNT:,} domains, raw calls", ms["raw tick"], "ms CPU"),
        Figure(f"tick, {_COUNT:,} domains", ms["tick"], "ms CPU", _RATIO * ms["raw tick"], "2 x raw"),
    ]


def _cpu_ms(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return 1000 * (time.process_time() - begun)
