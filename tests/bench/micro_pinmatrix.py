"""What the pin matrix costs: python -m tests.bench.micro_pinmatrix prints CPU milliseconds and bytes as JSON.

The whole screen at 120x40 in 24-bit colour, on tables made by hand of 10 threads by 64 CPUs and of 40 by 256, told of
a new one at each refresh. `call_ms`, `paint_ms` and `bytes` are those of micro_grid; the table is made before."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

from tests.ui.capture import Screen, captured
from tests.ui.pin_tables import PinsApp, cpus, row, table
from tui.model.pin_table import PinTable

ROUNDS = 30


class News:
    """Tables of `threads` threads on `count` CPUs, of which each differs from the one before."""

    def __init__(self, threads: int, count: int) -> None:
        self._random = random.Random(1)
        self._count = count
        step = max(1, count // threads)
        rows = [row(f"vcpu {n}", tuple(range(n * step, n * step + step))) for n in range(threads)]
        self.table = table(
            rows, cpus=cpus(count, nodes=4), loads=dict.fromkeys(range(count), 30.0), claims={3: ("db1",)}
        )

    def loads(self, share: float) -> PinTable:
        """Change the load of that share of the CPUs."""
        chosen = self._random.sample(range(self._count), max(1, int(self._count * share)))
        self.table = replace(self.table, loads={**self.table.loads, **{n: self._random.random() * 100 for n in chosen}})
        return self.table

    def figures(self) -> PinTable:
        """Change the use of every thread and the load of every CPU; every fourth thread runs on another CPU."""
        rows = [
            replace(
                one,
                use_percent=self._random.random() * 100,
                on_cpu=self._random.choice(one.live or (0,)) if self._random.random() < 0.25 else one.on_cpu,
            )
            for one in self.table.rows
        ]
        self.table = replace(self.table, rows=tuple(rows))
        return self.loads(1)


async def _measure(screen: Screen, prepare: Callable[[], Callable[[], object]]) -> dict[str, float]:
    """Return medians over ROUNDS calls, the idle cost of the harness taken off the repaint."""
    calls: list[float] = []
    paints: list[float] = []
    written: list[int] = []
    for _ in range(ROUNDS):
        call = prepare()
        idle = await _painted(screen, [])
        start = time.process_time()
        call()
        calls.append((time.process_time() - start) * 1e3)
        paints.append(await _painted(screen, written) - idle)
    return {
        "call_ms": round(statistics.median(calls), 3),
        "call_p95_ms": round(sorted(calls)[int(len(calls) * 0.95)], 3),
        "paint_ms": round(statistics.median(paints), 3),
        "bytes": round(statistics.median(written)),
        "bytes_max": max(written),
    }


async def _painted(screen: Screen, sizes: list[int]) -> float:
    start = time.process_time()
    data = await screen.written()
    spent = (time.process_time() - start) * 1e3
    sizes.append(len(data.encode()))
    return spent


async def measure(threads: int, count: int) -> dict[str, dict[str, float]]:
    """Return what each kind of news and key costs."""
    news = News(threads, count)
    app = PinsApp(news.table)
    out: dict[str, dict[str, float]] = {}
    async with captured(app, size=(120, 40)) as screen:

        def tell(make: Callable[[], PinTable]) -> Callable[[], Callable[[], object]]:
            def prepare() -> Callable[[], object]:
                made = make()
                return lambda: app.tell(made)

            return prepare

        def press(key: str) -> Callable[[], Callable[[], object]]:
            return lambda: lambda: app.editor._matrix.press(key)

        out["nothing changed"] = await _measure(screen, tell(lambda: replace(news.table, loads=dict(news.table.loads))))
        out["1 % of the loads changed"] = await _measure(screen, tell(lambda: news.loads(0.01)))
        out["all loads and figures changed"] = await _measure(screen, tell(news.figures))
        out["cursor to the right"] = await _measure(screen, press("right"))
        out["toggle"] = await _measure(screen, press("space"))
    return out


def main() -> None:
    """Measure and print the JSON."""
    figures = {f"{rows}x{count}": asyncio.run(measure(rows, count)) for rows, count in ((10, 64), (40, 256))}
    json.dump({"size": "120x40", "rounds": ROUNDS, "threads x CPUs": figures}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
