"""What the grid alone costs: python -m tests.bench.micro_grid prints CPU milliseconds and bytes as JSON.

A grid of 12 columns at 120x40 in 24-bit colour, 1,000 and 10,000 rows, of which 1 % are other objects at each refresh.
`call_ms` is the CPU time of the call, `paint_ms` that of the compositor's repaint after it, `bytes` what is written."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

from textual.app import App, ComposeResult

from tests.ui.capture import Screen, captured
from tui.model.query import parse
from tui.widgets.grid import Cell, Column, Fact, Grid
from tui.widgets.sparkline import sparkline

ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Row:
    key: str
    name: str
    state: str
    vcpus: int
    cpu: float | None
    history: tuple[float, ...]
    memory: int
    used: float | None
    disk: float
    net: float
    ip: str


STYLES = {"running": "good", "paused": "warn", "crashed": "bad", "shut off": "dim"}


def _cpu(row: Row) -> Cell:
    if row.cpu is None:
        return Cell("?", "unknown")
    return Cell(f"{row.cpu:.1f}", "bad" if row.cpu > 95 else "warn" if row.cpu > 80 else "")


COLUMNS = (
    Column[Row]("name", "Name", 14, lambda r: Cell(r.name), sort=lambda r: r.name, grow=1),
    Column[Row]("state", "State", 9, lambda r: Cell(r.state, STYLES[r.state]), sort=lambda r: r.state),
    Column[Row]("vcpus", "vCPU", 5, lambda r: Cell(f"{r.vcpus}/8"), align="right"),
    Column[Row]("cpu", "CPU%", 6, _cpu, sort=lambda r: r.cpu, align="right", largest_first=True),
    Column[Row]("history", "CPU", 8, lambda r: Cell(sparkline(r.history, 8, 100), "accent")),
    Column[Row]("memory", "Mem", 8, lambda r: Cell(f"{r.memory} M"), sort=lambda r: r.memory, align="right"),
    Column[Row]("used", "Used%", 6, lambda r: Cell("?" if r.used is None else f"{r.used:.0f}"), align="right"),
    Column[Row]("disk", "Disk/s", 8, lambda r: Cell(f"{r.disk:.1f} k"), sort=lambda r: r.disk, align="right"),
    Column[Row]("net", "Net/s", 8, lambda r: Cell(f"{r.net:.1f} k"), sort=lambda r: r.net, align="right"),
    Column[Row]("ip", "IP", 15, lambda r: Cell(r.ip)),
    Column[Row]("auto", "Auto", 4, lambda r: Cell("yes" if r.vcpus % 2 else "no", "dim"), priority=1),
    Column[Row]("uuid", "UUID", 36, lambda r: Cell(r.key, "dim"), priority=2),
)


def fact(row: Row, name: str) -> Fact:
    return row.cpu if name == "cpu" else row.state


def population(count: int) -> list[Row]:
    rng = random.Random(1)
    return [
        Row(
            key=f"{i:08x}-0000-4000-8000-000000000000",
            name=f"guest-{i:05d}",
            state=rng.choice(list(STYLES)),
            vcpus=rng.randrange(1, 9),
            cpu=rng.choice([None, rng.random() * 100]),
            history=tuple(rng.random() * 100 for _ in range(8)),
            memory=rng.randrange(1, 64) * 256,
            used=rng.random() * 100,
            disk=rng.random() * 999,
            net=rng.random() * 999,
            ip=f"192.168.{i % 250}.{i // 250 % 250}",
        )
        for i in range(count)
    ]


class GridApp(App[None]):
    CSS = "Grid { width: 100%; height: 100%; }"

    def __init__(self, rows: list[Row]) -> None:
        super().__init__()
        self.grid: Grid[Row] = Grid(
            COLUMNS, key=lambda r: r.key, field=fact, fields=("cpu", "state"), text=lambda r: r.name
        )
        self.grid.set_items(rows)

    def compose(self) -> ComposeResult:
        yield self.grid


class Bench:
    """A grid of `count` rows in a running app, and the means to measure what a call on it costs."""

    def __init__(self, screen: Screen, grid: Grid[Row], rows: list[Row]) -> None:
        self.screen = screen
        self.grid = grid
        self.rows = rows
        self.random = random.Random(2)

    def change(self, share: float) -> tuple[Row, ...]:
        """Return the rows with that share of them as other objects, their rates changed."""
        for i in self.random.sample(range(len(self.rows)), int(len(self.rows) * share)):
            rates = {"cpu": self.random.random() * 100, "net": self.random.random() * 999}
            self.rows[i] = replace(self.rows[i], **rates)  # type: ignore[arg-type]
        return tuple(self.rows)

    async def measure(self, prepare: Callable[[], Callable[[], object]]) -> dict[str, float]:
        """Return medians over ROUNDS calls, the idle cost of the harness taken off the repaint."""
        calls: list[float] = []
        paints: list[float] = []
        written: list[int] = []
        for _ in range(ROUNDS):
            call = prepare()
            idle = await _cpu_ms(self.screen.written)
            start = time.process_time()
            call()
            calls.append((time.process_time() - start) * 1e3)
            paints.append(await _cpu_ms(self.screen.written, written) - idle)
        return {
            "call_ms": round(statistics.median(calls), 3),
            "call_p95_ms": round(sorted(calls)[int(len(calls) * 0.95)], 3),
            "paint_ms": round(statistics.median(paints), 3),
            "bytes": round(statistics.median(written)),
            "bytes_max": max(written),
        }


async def _cpu_ms(paint: Callable[[], Awaitable[str]], sizes: list[int] | None = None) -> float:
    start = time.process_time()
    data = await paint()
    spent = (time.process_time() - start) * 1e3
    if sizes is not None:
        sizes.append(len(data.encode()))
    return spent


async def measure(count: int) -> dict[str, dict[str, float]]:
    """Return what each kind of change costs with `count` rows."""
    rows = population(count)
    app = GridApp(rows)
    out: dict[str, dict[str, float]] = {}
    async with captured(app, size=(120, 40)) as screen:
        bench = Bench(screen, app.grid, rows)
        grid = app.grid

        def refresh(share: float) -> Callable[[], Callable[[], object]]:
            def prepare() -> Callable[[], object]:
                items = bench.change(share)
                return lambda: grid.set_items(items)

            return prepare

        def press(key: str) -> Callable[[], Callable[[], object]]:
            return lambda: lambda: grid.press(key)

        out["nothing changed"] = await bench.measure(refresh(0))
        out["1 % changed, pane's order"] = await bench.measure(refresh(0.01))
        grid.sort_by("name")
        out["1 % changed, sorted by name"] = await bench.measure(refresh(0.01))
        grid.sort_by("cpu", reverse=True)
        out["1 % changed, sorted by CPU"] = await bench.measure(refresh(0.01))
        out["all changed, sorted by CPU"] = await bench.measure(refresh(1))
        out["1 % come and go, sorted by CPU"] = await bench.measure(_churn(bench))
        grid.set_filter(parse("state:running cpu>10", grid.fields))
        out["1 % changed, sorted and filtered"] = await bench.measure(refresh(0.01))
        grid.set_filter(None)
        grid.sort_by("name")
        grid.press("g")
        out["cursor down by one"] = await bench.measure(press("j"))
        out["page down"] = await bench.measure(press("pagedown"))
        out["sort by another column"] = await bench.measure(press("greater_than_sign"))
    return out


def _churn(bench: Bench) -> Callable[[], Callable[[], object]]:
    """Return a preparation that replaces 1 % of the rows by new ones."""

    def prepare() -> Callable[[], object]:
        for i in bench.random.sample(range(len(bench.rows)), len(bench.rows) // 100):
            bench.rows[i] = replace(bench.rows[i], key=f"new-{bench.random.random()}")
        items = tuple(bench.rows)
        return lambda: bench.grid.set_items(items)

    return prepare


def main() -> None:
    """Measure and print the JSON."""
    figures = {str(count): asyncio.run(measure(count)) for count in (1_000, 10_000)}
    json.dump({"size": "120x40", "rounds": ROUNDS, "rows": figures}, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
