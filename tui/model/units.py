"""Sizes, rates, times and shares as short text of a known width."""

from __future__ import annotations

import time

_UNITS = "KMGTPE"


def size(kib: float | None, unknown: str = "?") -> str:
    """Return a size in KiB as at most 5 cells with binary units: `512K`, `96.0M`, `1.5G`, `128G`."""
    return _scaled(kib, unknown) if kib is None or kib >= 1 else "0"


def _scaled(value: float | None, unknown: str) -> str:
    if value is None:
        return unknown
    unit = 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.0f}{_UNITS[unit]}" if value >= 100 or unit == 0 else f"{value:.1f}{_UNITS[unit]}"


def byte_size(count: float | None, unknown: str = "?") -> str:
    """Return a size in bytes as at most 5 cells with binary units; below 1000 bytes as `999B`."""
    if count is None:
        return unknown
    return f"{count:.0f}B" if count < 1000 else _scaled(count / 1024, unknown)


def rate(bytes_per_s: float | None, unknown: str = "?") -> str:
    """Return a rate in bytes/s as at most 5 cells; nothing happening is `0`."""
    if bytes_per_s is None:
        return unknown
    return "0" if bytes_per_s < 1 else byte_size(bytes_per_s)


def percent(value: float | None, unknown: str = "?") -> str:
    """Return a percentage as at most 5 cells: one decimal below 10, none above."""
    if value is None:
        return unknown
    return f"{value:.1f}" if 0.05 <= value < 9.95 else f"{value:.0f}"


def counted(number: int, word: str) -> str:
    """Return a number of things in words: `1 vCPU`, `2 vCPUs`."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def clock(at_ns: int) -> str:
    """Return a wall clock instant (ns since the epoch) as local HH:MM:SS; `?` where there is no such instant."""
    return _local("%H:%M:%S", at_ns / 1e9)


def moment(at_s: float) -> str:
    """Return an instant (seconds since the epoch) as local `YYYY-MM-DD HH:MM`; `?` where there is no such instant."""
    return _local("%Y-%m-%d %H:%M", at_s)


def _local(form: str, at_s: float) -> str:
    try:
        return time.strftime(form, time.localtime(at_s))
    except (OverflowError, ValueError, OSError):
        return "?"


def span(seconds: float) -> str:
    """Return a time span in its two largest units at most 6 cells wide: `42s`, `3m10s`, `5h02m`, `12d3h`."""
    whole = int(max(0, seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
