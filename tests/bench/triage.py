"""Triage: what all checks take on a large host, at first, when nothing has changed, and when a little has."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.bench.figures import Figure, median
from tests.bench.program import Bench
from tests.unit.network_scene import HOME, Net
from tests.unit.triage_scene import HEALTH, cpus, disk, domain, pool, storage, usage, volume
from tui.checks.triage import Triage
from tui.model.link import TapFacts
from tui.model.pool_host import PoolHost
from tui.model.snapshot import HostSnapshot

DOMAINS, BRIDGES, LINKS = 1000, 50, 3000
_BOUND_MS = 50.0


def triage(bench: Bench) -> list[Figure]:
    """Return medians in ms of CPU time: a snapshot that was never seen, the same again, one domain's figures and
    state, one link's state (all links are another object then)."""
    first, again, figures, link = [], [], [], []
    for _ in range(2 if bench.quick else 7):
        seen = large_host()
        runner = Triage()
        first.append(_ms(runner, seen))
        again.append(_ms(runner, seen))
        moved = replace(seen, usage={**seen.usage, "vm0500": usage(4.0, cpu_percent=99.0)})
        figures.append(_ms(runner, moved))
        assert moved.links is not None
        key = next(key for key, found in moved.links.links.items() if found.name == "vnet0500")
        changed = {**moved.links.links, key: replace(moved.links.links[key], carrier=False)}
        link.append(_ms(runner, replace(moved, links=replace(moved.links, links=changed))))
    count = f"{DOMAINS:,} domains, {LINKS:,} links"
    return [
        Figure(f"all checks, first look, {count}", median(first), "ms", _BOUND_MS),
        Figure("nothing changed", median(again), "ms", 1.0),
        Figure("one domain's figures changed", median(figures), "ms", _BOUND_MS / 5),
        Figure("one link changed", median(link), "ms", _BOUND_MS),
    ]


def _ms(runner: Triage, seen: HostSnapshot) -> float:
    before = time.thread_time()
    runner.look(seen)
    return (time.thread_time() - before) * 1000


def large_host() -> HostSnapshot:
    """A host whose guests run on 50 bridges, each with an uplink; the rest of its links are pairs."""
    net = Net()
    for number in range(BRIDGES):
        net.link(f"eth{number}", "ethernet", physical=True)
        net.link(f"br{number}", "bridge")
        net.plug(f"eth{number}", f"br{number}")
    bridges = [net.key(f"br{number}") for number in range(BRIDGES)]
    plug = net.links[net.key("eth0")].port
    domains = {}
    for number in range(DOMAINS):
        name, tap = f"vm{number:04}", f"vnet{number:04}"
        net.link(tap, "tun", tap=TapFacts("tap", persistent=False), master=bridges[number % BRIDGES], port=plug,
                 master_kind="bridge")  # fmt: skip
        mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
        nic = (
            f"<interface type='bridge'><mac address='{mac}'/><source bridge='br{number % BRIDGES}'/>"
            f"<target dev='{tap}'/></interface>"
        )
        domains[name] = domain(name, disk(f"/images/{name}.qcow2") + nic)
    for number in range((LINKS - len(net.links)) // 2):
        one, other = net.link(f"a{number}", "veth"), net.link(f"b{number}@{HOME}", "veth")
        net.links[one] = replace(net.links[one], peer=other)
        net.links[other] = replace(net.links[other], peer=one)
    volumes = [volume(f"{name}.qcow2") for name in domains]
    place = PoolHost("xfs", False, 100 << 40, 60 << 40, 10**9, 10**9 - 5000)
    return replace(
        net.snapshot(), domains=domains, usage={name: usage(0.0) for name in domains}, health=HEALTH, cpus=cpus(64),
        storage=storage([pool(size=100 << 40, free=60 << 40)], volumes), pool_hosts={"images": place},
    )  # fmt: skip
