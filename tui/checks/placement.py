"""Where domains are pinned: onto CPUs that are offline, that others are pinned to, or far from their memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, INFO, WARNING, AnyCheck, Check, Rule, Scene, act, domain_subject, run
from tui.model.cpuset import format_cpus, parse_cpus

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.domain_config import DomainConfig
    from tui.model.finding import Finding, Remedy
    from tui.model.host_cpus import HostCpus
    from tui.model.usage import DomainUsage

_OFFLINE = Rule("pins.offline", ERROR, "The kernel lets such a thread run anywhere, and the next start fails.")
_OVERLAP = Rule(
    "pins.overlap", WARNING, "A pin to one CPU is made to have it alone; both get half of it while both are busy."
)
_EMULATOR = Rule(
    "pins.emulator",
    INFO,
    "The emulator's work (disk, network, monitor) takes time from the vCPUs, which shows as jitter.",
)
_FAR = Rule(
    "pins.far-memory", WARNING, "Each access to memory crosses to another NUMA node, at 1.5 to 3 times the time."
)
_OVERLOADED = Rule(
    "pins.overloaded", WARNING, "Pinned threads cannot go where there is room; the rest of the host may be idle."
)
_MOST = 3
_FULL_PERCENT, _WAIT_PERCENT = 95.0, 20.0
"""Of what its CPUs can give, and of the time that a vCPU waits for them."""


def _cpus_of(text: str) -> frozenset[int]:
    try:
        return frozenset(parse_cpus(text))
    except ValueError:
        return frozenset()


def _pins(config: DomainConfig) -> dict[str, frozenset[int]]:
    """The CPUs of each vCPU that has some of its own, and of the emulator, by the thread's name."""
    pins = {name: cpus for name, text in config.vcpu_pins if (cpus := _cpus_of(text))}
    return {
        name: cpus for name, cpus in pins.items() if not name.startswith("vcpu ") or _number(name) < config.vcpus_max
    }


def _number(name: str) -> int:
    """The vCPU of a thread's name; one past all where it is none."""
    return int(name[5:]) if name[5:].isdecimal() else 1 << 16


def _running(scene: Scene) -> Iterable[tuple[Domain, DomainConfig, dict[str, frozenset[int]]]]:
    for domain in scene.snapshot.domains.values():
        if domain.active and domain.config is not None and domain.config.vcpu_pins:
            yield domain, domain.config, _pins(domain.config)


def _offline(scene: Scene) -> Iterable[Finding]:
    cpus = scene.snapshot.cpus
    if cpus is None or not cpus.online:
        return
    for domain, _config, pins in _running(scene):
        lost = {name: on for name, on in pins.items() if not on & cpus.online}
        if lost:
            name, on = next(iter(lost.items()))
            more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
            words = f"{name} is pinned to {format_cpus(on)}, which is offline{more}"
            pin = "; ".join(f"{name}={format_cpus(cpus.online)}" for name in lost)
            yield _OFFLINE.of(
                domain_subject(domain), words, act("pin it to CPUs that are there", "domain.pin", domain.key, pins=pin)
            )


def _overlap(scene: Scene) -> Iterable[Finding]:
    """Pins to a single CPU alone: those to a set of CPUs are shared on purpose."""
    alone: dict[int, list[tuple[Domain, str]]] = {}
    for domain, config, pins in _running(scene):
        for name, on in pins.items():
            if len(on) == 1 and name.startswith("vcpu ") and _is_plugged(config, name):
                alone.setdefault(next(iter(on)), []).append((domain, name))
    clashes: dict[str, list[tuple[int, str, str]]] = {}
    domains: dict[str, Domain] = {}
    for cpu, claims in alone.items():
        for domain, name in claims if len(claims) > 1 else ():
            other = next(f"{d.name} ({n})" for d, n in claims if (d.key, n) != (domain.key, name))
            clashes.setdefault(domain.key, []).append((cpu, name, other))
            domains[domain.key] = domain
    for key, found in clashes.items():
        words = ", ".join(f"{name} and {other} are both pinned to CPU {cpu}" for cpu, name, other in found[:_MOST])
        more = f", and {len(found) - _MOST} more" if len(found) > _MOST else ""
        yield _OVERLAP.of(domain_subject(domains[key]), words + more, *_apart(scene, domains[key], found, alone))


def _apart(
    scene: Scene, domain: Domain, found: list[tuple[int, str, str]], alone: Mapping[int, object]
) -> Iterable[Remedy]:
    free = sorted(scene.snapshot.cpus.online - alone.keys()) if scene.snapshot.cpus is not None else []
    if len(free) < len(found):
        return (run("pin one of them elsewhere; no CPU is left that nobody is pinned to"),)
    pin = "; ".join(f"{name}={cpu}" for (_, name, _), cpu in zip(found, free, strict=False))
    return (act("pin it to CPUs that nobody is pinned to", "domain.pin", domain.key, pins=pin),)


def _is_plugged(config: DomainConfig, name: str) -> bool:
    slots = {slot.number: slot.enabled for slot in config.tuning.vcpu_slots}
    number = _number(name)
    return slots.get(number, number < config.vcpus)


def _overloaded(scene: Scene) -> Iterable[Finding]:
    """vCPUs that have waited for some time for the CPUs they are pinned to, which those pinned there keep busy."""
    online = scene.snapshot.cpus.online if scene.snapshot.cpus is not None else frozenset()
    demands: list[tuple[frozenset[int], float]] = []
    waiting: list[tuple[Domain, str, frozenset[int]]] = []
    for domain, config, pins in _running(scene):
        usage = scene.snapshot.usage.get(domain.key)
        for vcpu in usage.vcpus if usage is not None else ():
            name = f"vcpu {vcpu.number}"
            on = pins.get(name, frozenset()) & online
            if not on or on == online or not _is_plugged(config, name):
                continue
            demands.append((on, vcpu.cpu_percent or 0.0))
            if scene.history.lasting(domain.key, lambda read, n=vcpu.number: _waits(read, n)):  # type: ignore[misc]
                waiting.append((domain, name, on))
    every = [on for _, _, pins in _running(scene) for on in pins.values() if not on >= online]
    free = online - frozenset().union(*every)
    told: set[str] = set()
    for domain, name, on in waiting:
        there = [used for cpus, used in demands if cpus <= on]
        if domain.key not in told and len(there) > len(on) and sum(there) >= _FULL_PERCENT * len(on):
            told.add(domain.key)
            words = f"{name} waits for CPU {format_cpus(on)}, which the {len(there)} vCPUs pinned there keep busy"
            yield _OVERLOADED.of(domain_subject(domain), words, *_moved(domain, name, free))


def _waits(usage: DomainUsage, number: int) -> bool:
    return any(vcpu.number == number and (vcpu.delay_percent or 0.0) >= _WAIT_PERCENT for vcpu in usage.vcpus)


def _moved(domain: Domain, name: str, free: frozenset[int]) -> Iterable[Remedy]:
    if not free:
        return (run("pin some of them elsewhere; no CPU is left that nobody is pinned to"),)
    pin = f"{name}={format_cpus(free)}"
    return (act("pin it to CPUs that nobody is pinned to", "domain.pin", domain.key, pins=pin),)


def _emulator(scene: Scene) -> Iterable[Finding]:
    """Where every vCPU has a CPU of its own: there somebody wanted quiet."""
    cpus = scene.snapshot.cpus
    for domain, config, pins in _running(scene):
        vcpus = [on for name, on in pins.items() if name.startswith("vcpu ") and _is_plugged(config, name)]
        emulator = pins.get("emulator")
        if emulator is None or len(vcpus) < config.vcpus or any(len(on) != 1 for on in vcpus):
            continue
        taken = frozenset().union(*vcpus)
        if emulator <= taken:
            words = f"its emulator is pinned to {format_cpus(emulator)}, where its vCPUs run"
            free = cpus.online - taken if cpus is not None else frozenset()
            yield _EMULATOR.of(domain_subject(domain), words, *_elsewhere(domain, free))


def _elsewhere(domain: Domain, free: frozenset[int]) -> Iterable[Remedy]:
    words = "pin the emulator to the other CPUs"
    if not free:
        return (run(words),)
    return (act(words, "domain.pin", domain.key, pins=f"emulator={format_cpus(free)}"),)


def _far(scene: Scene) -> Iterable[Finding]:
    """Memory that must be on nodes where no vCPU may run."""
    cpus = scene.snapshot.cpus
    if cpus is None or len(cpus.cells) < 2:
        return
    node_of = _nodes(cpus)
    for domain, config, pins in _running(scene):
        tune = config.tuning.numatune
        memory = _cpus_of(tune.nodes) if tune is not None and tune.mode == "strict" else frozenset()
        vcpus = [on for name, on in pins.items() if name.startswith("vcpu ")]
        if not memory or len(vcpus) < config.vcpus:
            continue
        run_on = {node_of[cpu] for on in vcpus for cpu in on if cpu in node_of}
        if run_on and not run_on & memory:
            words = (
                f"its memory is on NUMA node {format_cpus(memory)}, its vCPUs are pinned to node {format_cpus(run_on)}"
            )
            there = format_cpus(cpu for cpu, node in node_of.items() if node in memory and cpu in cpus.online)
            pin = f"vcpu *={there}"
            yield _FAR.of(
                domain_subject(domain),
                words,
                act("pin its vCPUs to its memory's node", "domain.pin", domain.key, pins=pin),
            )


def _nodes(cpus: HostCpus) -> dict[int, int]:
    return {cpu: cell.number for cell in cpus.cells for cpu in cell.cpus}


_PARTS = ("domains", "cpus")
CHECKS: tuple[AnyCheck, ...] = (
    Check(_offline, _PARTS),
    Check(_overlap, _PARTS),
    Check(_overloaded, (*_PARTS, "usage"), calm=("usage",)),
    Check(_emulator, _PARTS),
    Check(_far, _PARTS),
)
