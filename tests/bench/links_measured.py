"""Prints the figures of tests/bench/links.py as JSON; run by it, alone in its namespaces."""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pyroute2

from tests.lab.link_words import Watching, read_once
from tests.lab.own_net import OwnNet, own_net
from tui.model.link import Link

_PAIRS, _NAMESPACES, _BRIDGES = 1000, 100, 20
_SETTLE_S, _IDLE_S = 3.0, 8.0


def build(net: OwnNet) -> None:
    """Half of each pair at home at one of the bridges, the other in one of the namespaces."""
    lines = [f"netns add n{number}" for number in range(_NAMESPACES)]
    lines += [f"link add br{number} type bridge" for number in range(_BRIDGES)]
    lines += [
        f"link add v{number} master br{number % _BRIDGES} type veth peer name eth{number} netns n{number % _NAMESPACES}"
        for number in range(_PAIRS)
    ]
    batch(lines)
    for number in range(_NAMESPACES):
        net.ip("addr", "add", f"10.0.{number}.1/24", "dev", f"eth{number}", netns=f"n{number}")
        net.ip("link", "set", f"eth{number}", "up", netns=f"n{number}")


def batch(lines: list[str]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".batch") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        subprocess.run(["ip", "-batch", file.name], check=True)


@contextmanager
def in_one_namespace() -> Iterator[None]:
    """As many links in a namespace of their own, so that one `ip -j -d link` shows them all."""
    subprocess.run(["ip", "netns", "add", "all"], check=True)
    pairs = _PAIRS + (_BRIDGES + _NAMESPACES) // 2
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("".join(f"link add p{number} type veth peer name q{number}\n" for number in range(pairs)))
        file.flush()
        subprocess.run(["ip", "-n", "all", "-batch", file.name], check=True)
    yield
    subprocess.run(["ip", "netns", "del", "all"], check=True)


def ms(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begun)


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU of this process and of those that it waited for."""
    before = os.times()
    work()
    after = os.times()
    return 1000 * (sum(after[:4]) - sum(before[:4]))


def show(netns: str = "") -> None:
    subprocess.run(["ip", *(["-n", netns] if netns else []), "-j", "-d", "link"], check=True, stdout=subprocess.DEVNULL)


def show_each() -> None:
    for name in ("", *os.listdir("/run/netns")):
        show(name)


def all_with_pyroute2() -> None:
    """What our first picture reads, by pyroute2: one namespace after the other."""
    for name in (None, *os.listdir("/run/netns")):
        with pyroute2.IPRoute(netns=name) if name else pyroute2.IPRoute() as route:
            for read in (route.get_links, route.get_addr, route.get_routes, route.get_rules, route.get_neighbours):
                list(read())


def events(watching: Watching, net: OwnNet, rounds: int) -> list[float]:
    """Milliseconds from the end of a command to the snapshot that shows what it did."""
    took, key = [], net.key("n5")
    for turn in range(rounds):
        mtu = 1300 + turn
        net.ip("link", "set", "eth5", "mtu", str(mtu), netns="n5")
        told = time.perf_counter()
        watching.link("eth5", key, partial(_has_mtu, mtu))
        took.append(1000 * (time.perf_counter() - told))
        time.sleep(0.5)
    return took


def _has_mtu(mtu: int, link: Link) -> bool:
    return link.mtu == mtu


def resident_mb() -> float:
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmRSS"))) / 1024


def cpu_percent(seconds: float) -> float:
    before, begun = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return 100 * (time.process_time() - before) / (time.monotonic() - begun)


def measured(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The medians of what each takes, in turns: wall clock, and CPU, which the load of the machine disturbs less."""
    wall: dict[str, list[float]] = {name: [] for name in works}
    cpu: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds):
        for name, work in works.items():
            # What takes seconds is not done as often.
            if turn < 3 or name in ("first", "one", "ip"):
                cpu[name].append(cpu_ms(lambda: wall[name].append(ms(work))))  # noqa: B023 - called at once
    medians = {f"{name}_ms": statistics.median(times) for name, times in wall.items()}
    return medians | {f"{name}_cpu_ms": statistics.median(times) for name, times in cpu.items()}


def main(rounds: int) -> None:
    found: dict[str, float] = {}
    with own_net() as net:
        read_once()
        with Watching():
            time.sleep(0.5)
        gc.collect()
        empty_mb = resident_mb()
        build(net)
        with Watching(interval_s=2.0) as watching:
            found["memory_mb"] = resident_mb() - empty_mb
            found["links"], found["namespaces"] = len(watching.links.links), len(watching.links.namespaces)
            took = events(watching, net, rounds)
            found["event_ms"], found["event_worst_ms"] = statistics.median(took), max(took)
            time.sleep(_SETTLE_S)
            found["idle_percent"] = cpu_percent(_IDLE_S)
            watching.look(True)
            time.sleep(_SETTLE_S)
            found["looked_percent"] = cpu_percent(_IDLE_S)
        found |= measured({"first": read_once, "ip_each": show_each, "pyroute2": all_with_pyroute2}, rounds)
    with own_net(), in_one_namespace():
        found |= measured({"one": read_once, "ip": partial(show, "all")}, rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
