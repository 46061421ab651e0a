"""First paint: until a domain's name is on the screen, against a bare Textual app and `virsh list --all`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from tests.bench.figures import Figure, median
from tests.bench.program import COLUMNS, FRAME, ROWS, Bench, shows
from tests.terminal import Terminal

COUNTS = (10, 1000, 3000)
_BARE = Path(__file__).with_name("bare.py")
_SMALL_RATIO = 1.7
_LARGE_RATIO = 1.5


def first_paint(bench: Bench) -> list[Figure]:
    """Return medians in ms over interleaved runs; the first run of each warms caches and does not count."""
    times: dict[str, list[float]] = defaultdict(list)
    for run in range((3 if bench.quick else 9) + 1):
        for name, seconds in _one_round(bench).items():
            if run > 0:
                times[name].append(seconds * 1000)
    return _figures({name: median(values) for name, values in times.items()})


def _one_round(bench: Bench) -> dict[str, float]:
    seconds = {"virsh": _virsh(bench.hosts.shared(3000).uri), **_bare()}
    for count in COUNTS:
        host = bench.hosts.shared(count)
        seconds |= _program(bench, host.uri, host.names, str(count))
    own = bench.hosts.from_file(3000)
    seconds["virsh file"] = _virsh(own)
    return seconds | _program(bench, own, bench.hosts.shared(3000).names, "file")


def _bare() -> dict[str, float]:
    with Terminal([sys.executable, _BARE], COLUMNS, ROWS) as terminal:
        painted = terminal.wait_for("hello", 30) - terminal.started
        return {"bare": painted, "bare cpu": terminal.cpu_time()}


def _virsh(uri: str) -> float:
    begun = time.monotonic()
    subprocess.run(["virsh", "-c", uri, "list", "--all"], stdout=subprocess.PIPE, check=True)
    return time.monotonic() - begun


def _program(bench: Bench, uri: str, names: frozenset[str], label: str) -> dict[str, float]:
    """Return the seconds until the frame and until the first name, and the CPU seconds used by then."""
    with bench.start(uri) as terminal:
        frame = terminal.wait_for(FRAME, 30) - terminal.started
        name = terminal.wait_for(shows(names), 60) - terminal.started
        return {f"frame {label}": frame, f"names {label}": name, f"cpu {label}": terminal.cpu_time()}


def _figures(ms: dict[str, float]) -> list[Figure]:
    bare = ms["bare"]
    figures = [
        Figure("bare Textual app", bare, "ms"),
        Figure("virsh list --all, 3,000", ms["virsh"], "ms"),
        Figure("first name, 10 domains", ms["names 10"], "ms", _SMALL_RATIO * bare, f"{_SMALL_RATIO} x bare"),
        Figure("first name, 1,000 domains", ms["names 1000"], "ms"),
        Figure(
            "first name, 3,000 domains",
            ms["names 3000"],
            "ms",
            ms["virsh"] + _LARGE_RATIO * bare,
            f"virsh + {_LARGE_RATIO} x bare",
        ),
        Figure("virsh list --all, 3,000 from a node file", ms["virsh file"], "ms"),
        Figure(
            "first name, 3,000 from a node file",
            ms["names file"],
            "ms",
            ms["virsh file"] + _LARGE_RATIO * bare,
            f"virsh + {_LARGE_RATIO} x bare",
        ),
    ]
    at_once, note = _SMALL_RATIO * bare, f"{_SMALL_RATIO} x bare"
    figures += [Figure(f"frame, {it}", ms[f"frame {it}"], "ms", at_once, note) for it in (*COUNTS, "file")]
    figures += [Figure("CPU of the bare app until then", ms["bare cpu"], "ms CPU")]
    return figures + [Figure(f"CPU until the first name, {it}", ms[f"cpu {it}"], "ms CPU") for it in COUNTS]
