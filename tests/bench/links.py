"""Links: 1,000 veth pairs in 100 namespaces at 20 bridges; the first picture, an event, and what following costs."""

from __future__ import annotations

import json

from tests.bench.figures import Figure
from tests.bench.program import Bench
from tests.lab.alone import run_alone
from tests.lab.daemon import missing_requirements

_IP, _PYROUTE2, _EVENT_MS, _MEMORY_MB, _IDLE_PERCENT = 2.0, 1 / 5, 200.0, 60.0, 0.1


def links(bench: Bench) -> list[Figure]:
    """Measure alone in namespaces; nothing where there can be no lab (it needs root)."""
    if missing_requirements():
        return []
    found = json.loads(run_alone("tests.bench.links_measured", ["5" if bench.quick else "15"], timeout=600))
    what = f"{found['links']:,} links, {found['namespaces']} namespaces"
    return [
        Figure(f"first picture, {what}", found["first_ms"], "ms", _IP * found["ip_each_ms"], "2 x ip -j -d link"),
        Figure("first picture, its CPU", found["first_cpu_ms"], "ms CPU", _IP * found["ip_each_cpu_ms"], "the same"),
        Figure("ip -j -d link of the same links, namespace by namespace", found["ip_each_ms"], "ms"),
        Figure("the same, its CPU", found["ip_each_cpu_ms"], "ms CPU"),
        Figure("first picture, as many links in one namespace", found["one_ms"], "ms"),
        Figure("the same, its CPU", found["one_cpu_ms"], "ms CPU"),
        Figure("ip -j -d link there", found["ip_ms"], "ms"),
        Figure("the same, its CPU", found["ip_cpu_ms"], "ms CPU"),
        Figure("the same with pyroute2: links, addresses, routes, rules, neighbours", found["pyroute2_ms"], "ms"),
        Figure("first picture, to pyroute2", found["first_ms"] / found["pyroute2_ms"], "x", _PYROUTE2),
        Figure("event to snapshot, median", found["event_ms"], "ms", _EVENT_MS),
        Figure("event to snapshot, worst", found["event_worst_ms"], "ms", _EVENT_MS),
        Figure("CPU while nothing happens", found["idle_percent"], "%", _IDLE_PERCENT),
        Figure("CPU while somebody looks, every 2 s", found["looked_percent"], "%"),
        Figure("resident, more than with no links", found["memory_mb"], "MB", _MEMORY_MB),
    ]
