"""Key to paint: from writing a key to the first changed cell, at 3,000 domains while 1 % change."""

from __future__ import annotations

import random
import time

from tests.bench.figures import Figure, median, percentile
from tests.bench.program import Bench
from tests.terminal import Terminal

_RUN = 20
_SEED = 7


def key_to_paint(bench: Bench) -> list[Figure]:
    """Return p50 and p99 in ms and the median bytes a key, for j and k, and the same for whole pages."""
    host = bench.hosts.shared(3000)
    chosen = random.Random(_SEED)
    rows = (["j"] * _RUN + ["k"] * _RUN) * (2 if bench.quick else 8)
    pages = (["pagedown"] * 5 + ["pageup"] * 5) * (1 if bench.quick else 3)
    with bench.settled(host) as terminal, host.changing():
        keys = [one_key(terminal, key, chosen) for key in rows]
        leaps = [one_key(terminal, key, chosen) for key in pages]
    latencies = [1000 * latency for latency, _ in keys]
    return [
        Figure("key to paint, p50", median(latencies), "ms", 10, f"{len(keys)} keys j and k"),
        Figure("key to paint, p99", percentile(latencies, 99), "ms", 50),
        Figure("bytes a key, median", median([size for _, size in keys]), "bytes", 1000),
        Figure("page to paint, p50", median([1000 * latency for latency, _ in leaps]), "ms"),
        Figure("bytes a page, median", median([size for _, size in leaps]), "bytes"),
    ]


def one_key(terminal: Terminal, key: str, chosen: random.Random) -> tuple[float, int]:
    """Press at a random moment; return the seconds to the first change and the bytes until it was quiet again.

    Raises ScreenError when the key changes nothing within 3 s."""
    terminal.wait_quiet(0.03)
    time.sleep(chosen.uniform(0, 0.1))
    mark = terminal.mark()
    pressed = terminal.press(key)
    painted = _next_change(terminal)
    while painted < pressed:  # a refresh that was on its way when the key was pressed
        painted = _next_change(terminal)
    terminal.wait_quiet(0.03)
    return painted - pressed, len(terminal.bytes_since(mark))


def _next_change(terminal: Terminal) -> float:
    """Return the stamp of the bytes that first made the screen differ from what is drawn now."""
    before = terminal.emulator.signature()

    def changed(now: Terminal) -> bool:
        return now.emulator.signature() != before

    return terminal.wait_for(changed, 3)
