"""Runs the benchmarks, prints a table and writes JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench.changing import changing
from tests.bench.collector_cost import collector_cost
from tests.bench.figures import Figure, table
from tests.bench.first_paint import first_paint
from tests.bench.hosts import Hosts
from tests.bench.idle import idle
from tests.bench.key_to_paint import key_to_paint
from tests.bench.links import links
from tests.bench.memory import memory
from tests.bench.program import Bench, installed_program
from tests.bench.storage_pane import storage_pane
from tests.bench.streams import streams
from tests.bench.topology import topology
from tests.bench.triage import triage

BENCHMARKS: tuple[Callable[[Bench], list[Figure]], ...] = (
    first_paint,
    idle,
    changing,
    key_to_paint,
    memory,
    collector_cost,
    streams,
    storage_pane,
    triage,
    links,
    topology,
)
_SWITCH_INTERVAL_S = 0.0002
"""How soon the thread that stamps the bytes gets its turn while the screen is being drawn."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return 1 with --check when a bound does not hold, else 0."""
    options = _options(arguments)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    chosen = [run for run in BENCHMARKS if not options.names or run.__name__ in options.names]
    hosts = Hosts()
    bench = Bench(hosts, tuple(shlex.split(options.program)) if options.program else installed_program(), options.quick)
    results: dict[str, list[Figure]] = {}
    try:
        for run in chosen:
            results[run.__name__] = run(bench)
            print(f"\n{sys.modules[run.__module__].__doc__}\n{table(results[run.__name__])}", flush=True)
    finally:
        hosts.close()
    if options.json:
        options.json.write_text(json.dumps(_report(results), indent=1) + "\n")
    over = [figure for figures in results.values() for figure in figures if figure.ok is False]
    print(f"\n{len(over)} over their bound" if over else "\nall within their bounds")
    return 1 if options.check and over else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = [run.__name__ for run in BENCHMARKS]
    parser.add_argument("names", nargs="*", help=f"which to run: {', '.join(names)} (all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter waits: a look, not a verdict")
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure is over its bound")
    parser.add_argument("--program", metavar="COMMAND", help="measure another program that takes -c URI")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    return options


def _report(results: dict[str, list[Figure]]) -> dict[str, object]:
    """Return what --json writes: the machine, then the figures of each benchmark."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "figures": {name: [{**asdict(figure), "ok": figure.ok} for figure in rows] for name, rows in results.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
