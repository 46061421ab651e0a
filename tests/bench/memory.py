"""Memory: what stays resident at 3,000 domains."""

from __future__ import annotations

from tests.bench.figures import Figure
from tests.bench.program import Bench

_MB = 1_000_000


def memory(bench: Bench) -> list[Figure]:
    """Return the resident set in MB (10^6 bytes) 15 s after the names were shown."""
    figures = []
    for count, bound in ((10, None), (3000, 110)):
        with bench.settled(bench.hosts.shared(count), seconds=4 if bench.quick else 15) as terminal:
            figures.append(Figure(f"resident, {count:,} domains", terminal.rss() / _MB, "MB", bound))
    return figures
