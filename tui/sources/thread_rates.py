"""How much threads ran and waited for a host CPU, between two readings of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui.sources.qemu_proc import TICK_NS, Stat, read_file

# Readings that follow one another faster keep the rates of the one before: ticks are 10 ms.
_LEAST_S = 0.3


@dataclass(frozen=True, slots=True)
class Rates:
    """Percent of the time between two readings; None: not known, or not counted by this kernel."""

    cpu_percent: float | None = None
    wait_percent: float | None = None


@dataclass(frozen=True, slots=True)
class _Reading:
    at_s: float
    cpu_ns: int
    wait_ns: int | None
    rates: Rates


class ThreadRates:
    """The rates of one process's threads, from one reading to the next."""

    def __init__(self) -> None:
        self._last: dict[int, _Reading] = {}

    def keep(self, tids: Iterable[int]) -> None:
        """Forget all other threads."""
        there = set(tids)
        for tid in [tid for tid in self._last if tid not in there]:
            del self._last[tid]

    def of(self, tid: int, place: str, stat: Stat, now_s: float) -> Rates:
        """Return the rates of a thread, none at the first reading; `place` is its folder of /proc, which has a
        schedstat where the kernel counts what threads wait (CONFIG_SCHED_INFO), `now_s` the monotonic clock."""
        last = self._last.get(tid)
        if last is not None and now_s - last.at_s < _LEAST_S:
            return last.rates
        cpu_ns, wait_ns = _times(place, stat)
        rates = Rates() if last is None else _between(last, now_s, cpu_ns, wait_ns)
        self._last[tid] = _Reading(now_s, cpu_ns, wait_ns, rates)
        return rates


def _times(place: str, stat: Stat) -> tuple[int, int | None]:
    """(run, waited) in ns since the thread began; source: PLACE/schedstat, else the ticks of its stat."""
    fields = (read_file(f"{place}/schedstat") or b"").split()
    if len(fields) < 2 or not int(fields[0]):
        return stat.cpu_ticks * TICK_NS, None
    return int(fields[0]), int(fields[1])


def _between(last: _Reading, now_s: float, cpu_ns: int, wait_ns: int | None) -> Rates:
    span_ns = (now_s - last.at_s) * 1e9
    waited = None if wait_ns is None or last.wait_ns is None else max(0.0, wait_ns - last.wait_ns) / span_ns * 100
    return Rates(max(0.0, cpu_ns - last.cpu_ns) / span_ns * 100, waited)
