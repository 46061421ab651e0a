"""Topology of 1,000 veth pairs, 100 namespaces and 20 bridges: making the graph and the drawing, and key to paint."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

from tests.bench.figures import Figure, median, percentile
from tests.bench.key_to_paint import one_key
from tests.bench.program import COLUMNS, ROWS, Bench
from tests.net_host import crowd
from tests.terminal import Terminal
from tui.topology.graph import build
from tui.topology.layout import Look, draw

_RUN = 20
_SEED = 7
_START_S = 60.0


def topology(bench: Bench) -> list[Figure]:
    """Return medians in ms of graph and drawing, and p50 and p99 of key to paint while rates move."""
    snapshot = crowd().snapshot()
    graph = build(snapshot)
    rounds = 3 if bench.quick else 11
    figures = [
        Figure("the graph, 2,020 links", _took(lambda: build(snapshot), rounds), "ms"),
        Figure("the tree", _took(lambda: draw(graph, Look(COLUMNS, bus=False)), rounds), "ms"),
        Figure("the bus view", _took(lambda: draw(graph, Look(COLUMNS, bus=True)), rounds), "ms"),
    ]
    with Terminal([sys.executable, "-m", "tests.bench.crowded"], COLUMNS, ROWS) as terminal:
        terminal.wait_for("Domains", _START_S)
        terminal.press("6")
        terminal.wait_for("objects: the tree", _START_S)
        time.sleep(2 if bench.quick else 5)
        return [*figures, *_keys(bench, terminal)]


def _took(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return median(times)


def _keys(bench: Bench, terminal: Terminal) -> list[Figure]:
    chosen = random.Random(_SEED)
    keys = (["j"] * _RUN + ["k"] * _RUN) * (2 if bench.quick else 8)
    pages = (["pagedown"] * 5 + ["pageup"] * 5) * (2 if bench.quick else 6)
    moved = [one_key(terminal, key, chosen) for key in keys]
    leapt = [one_key(terminal, key, chosen) for key in pages]
    return [
        Figure("key to paint, p50", median([1000 * took for took, _ in moved]), "ms", 10, f"{len(keys)} keys j and k"),
        Figure("key to paint, p99", percentile([1000 * took for took, _ in moved], 99), "ms", 50),
        Figure("bytes a key, median", median([size for _, size in moved]), "bytes", 1000),
        Figure("page to paint, p50", median([1000 * took for took, _ in leapt]), "ms"),
        Figure("bytes a page, median", median([size for _, size in leapt]), "bytes"),
    ]
