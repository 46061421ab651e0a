"""Changing: what the program costs while 1 % of the domains change state every 2 s, the others being paused; and
beside it with the others running, whose CPU % the test driver makes tremble around 100.
"""

from __future__ import annotations

from contextlib import nullcontext

from tests.bench.figures import Figure
from tests.bench.program import Bench

_BOUNDED = (1000, False)
_CPU_PERCENT, _BYTES_PER_S = 1.5, 600


def changing(bench: Bench) -> list[Figure]:
    """Return CPU % and bytes/s at 1,000 and 3,000 domains."""
    figures = []
    for case in (_BOUNDED, (3000, False), (1000, True)):
        count, running = case
        host = bench.hosts.shared(count)
        with nullcontext() if running else host.paused(), bench.settled(host) as terminal, host.changing():
            usage = bench.usage(terminal)
        name = f"1 % changing, {count:,} domains{', others running' if running else ''}"
        figures += [
            Figure(name, usage.cpu_percent, "% CPU", _CPU_PERCENT if case == _BOUNDED else None),
            Figure(name, usage.bytes_per_s, "bytes/s", _BYTES_PER_S if case == _BOUNDED else None),
        ]
    return figures
