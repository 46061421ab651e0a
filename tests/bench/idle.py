"""Idle: what the program costs while nothing changes (all domains paused), and beside it with running ones, whose
CPU % the test driver makes tremble around 100.
"""

from __future__ import annotations

from contextlib import nullcontext

from tests.bench.figures import Figure
from tests.bench.program import Bench

_CPU_PERCENT = 0.5


def idle(bench: Bench) -> list[Figure]:
    """Return CPU % and bytes/s at 10, 1,000 and 3,000 domains."""
    figures = []
    for count, running in ((10, False), (1000, False), (3000, False), (1000, True)):
        host = bench.hosts.shared(count)
        with nullcontext() if running else host.paused(), bench.settled(host) as terminal:
            usage = bench.usage(terminal)
        name = f"idle, {count:,} domains{' running' if running else ''}"
        figures += [
            Figure(name, usage.cpu_percent, "% CPU", None if running else _CPU_PERCENT),
            Figure(name, usage.bytes_per_s, "bytes/s", None if running else 0),
        ]
    return figures
