"""Idle: what the program costs while nothing changes. The test driver's running domains use 100 % CPU, always."""

from __future__ import annotations

from tests.bench.figures import Figure
from tests.bench.program import Bench


def idle(bench: Bench) -> list[Figure]:
    """Return CPU % and bytes/s at 10, 1,000 and 3,000 domains."""
    figures = []
    for count in (10, 1000, 3000):
        with bench.settled(bench.hosts.shared(count)) as terminal:
            usage = bench.usage(terminal)
        figures += [
            Figure(f"idle, {count:,} domains", usage.cpu_percent, "% CPU", 0.5),
            Figure(f"idle, {count:,} domains", usage.bytes_per_s, "bytes/s", 0),
        ]
    return figures
