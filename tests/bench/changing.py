"""Changing: what the program costs while 1 % of the domains change state every 2 s."""

from __future__ import annotations

from tests.bench.figures import Figure
from tests.bench.program import Bench


def changing(bench: Bench) -> list[Figure]:
    """Return CPU % and bytes/s at 1,000 and 3,000 domains."""
    figures = []
    for count, cpu, traffic in ((1000, 1.5, 600.0), (3000, None, None)):
        host = bench.hosts.shared(count)
        with bench.settled(host) as terminal, host.changing():
            usage = bench.usage(terminal)
        figures += [
            Figure(f"1 % changing, {count:,} domains", usage.cpu_percent, "% CPU", cpu),
            Figure(f"1 % changing, {count:,} domains", usage.bytes_per_s, "bytes/s", traffic),
        ]
    return figures
