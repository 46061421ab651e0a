"""Rates from counters that may be missing, may reset, and are read at uneven times."""

from __future__ import annotations

from collections.abc import Iterable

_NS_PER_S = 1_000_000_000


def rate_per_s(before: int | None, after: int | None, elapsed_ns: int) -> float | None:
    """Return (after - before) per second; None when either is unknown, no time passed, or the counter went back
    (the device was replaced or the guest restarted)."""
    if before is None or after is None or elapsed_ns <= 0 or after < before:
        return None
    return (after - before) * _NS_PER_S / elapsed_ns


def cpu_percent(before_ns: int | None, after_ns: int | None, elapsed_ns: int) -> float | None:
    """Return CPU use in percent of one host CPU between two readings of a CPU time counter in ns."""
    per_s = rate_per_s(before_ns, after_ns, elapsed_ns)
    return None if per_s is None else per_s * 100 / _NS_PER_S


def ratio(
    part_before: int | None, part_after: int | None, whole_before: int | None, whole_after: int | None
) -> float | None:
    """Return the growth of one counter per growth of another, e.g. ns per request; None when unknown or idle."""
    if part_before is None or part_after is None or whole_before is None or whole_after is None:
        return None
    whole, part = whole_after - whole_before, part_after - part_before
    return part / whole if whole > 0 and part >= 0 else None


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
