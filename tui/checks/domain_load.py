"""What a domain's figures say: vCPUs that wait for a host CPU, a guest short of memory, a slow disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, WARNING, AnyCheck, DomainCheck, Rule, Scene, act, domain_subject, run
from tui.model import units

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.finding import Finding
    from tui.model.usage import DiskUsage, DomainUsage

DELAY_PERCENT = 20.0
"""Of its time, how much a vCPU may wait for a host CPU: steal of that size is felt by every service."""
SLOW_NS = 200e6
"""A request that takes so long is slow even for a disk that turns."""
_BUSY_PER_S = 5.0
_SCARCE = 0.05
_FAULTS_PER_S = 100.0
_SWAP_KIB_PER_S = 256.0

_DELAY = Rule("domain.vcpu-delay", WARNING, "The guest sees it as stolen time: everything in it is slower by as much.")
_MEMORY = Rule(
    "domain.memory-squeezed",
    WARNING,
    "It reads back what it had to throw away, which is a thousand times slower than memory.",
)
_SLOW = Rule("domain.disk-slow", WARNING, "What waits for this disk in the guest stands still meanwhile.")


def _delay(scene: Scene, domain: Domain) -> Iterable[Finding]:
    usage = scene.snapshot.usage.get(domain.key)
    if usage is None or not domain.active:
        return
    waiting = [
        vcpu.number
        for vcpu in usage.vcpus
        if scene.history.lasting(domain.key, lambda read, n=vcpu.number: _delay_of(read, n) >= DELAY_PERCENT)  # type: ignore[misc]
    ]
    if not waiting:
        return
    worst = max(_delay_of(usage, number) for number in waiting)
    pins = dict(domain.config.vcpu_pins) if domain.config is not None else {}
    first = waiting[0]
    where = f"; vCPU {first} is pinned to {pins[f'vcpu {first}']}" if f"vcpu {first}" in pins else ""
    # By tens: a figure that moves is no other finding.
    words = f"{units.counted(len(waiting), 'vCPU')} waited {int(worst) // 10 * 10} % or more for a host CPU{where}"
    yield _DELAY.of(domain_subject(domain), words, run("pin it to CPUs that are idle, or take load off this host"))


def _delay_of(usage: DomainUsage, number: int) -> float:
    found = (vcpu.delay_percent for vcpu in usage.vcpus if vcpu.number == number)
    return next(found, None) or 0.0


def _memory(scene: Scene, domain: Domain) -> Iterable[Finding]:
    readings = scene.history.usage.get(domain.key)
    if not domain.active or readings is None or not scene.history.lasting(domain.key, _is_scarce):
        return
    first, last = readings[0], readings[-1]
    faults, swap = _rate(first, last, "major_faults"), _rate(first, last, "swap_in_kib")
    if faults < _FAULTS_PER_S and swap < _SWAP_KIB_PER_S:
        return
    how = "reads back from swap" if swap >= _SWAP_KIB_PER_S else f"has {_coarse(faults)} major faults a second or more"
    config = domain.config
    squeezed = config is not None and config.memory_kib < config.memory_max_kib
    most = units.size(config.memory_max_kib) if config is not None else "?"
    if squeezed and config is not None:
        words = f"its balloon leaves it {units.size(config.memory_kib)} of {most}, and it {how}"
        remedy = act("give it all of its memory", "domain.memory", domain.key, amount="100%")
    else:
        words = f"has used up its {most} and {how}"
        remedy = run("give it more memory at its next boot, or have it use less")
    yield _MEMORY.of(domain_subject(domain), words, remedy)


def _is_scarce(usage: DomainUsage) -> bool:
    free = usage.usable_kib if usage.usable_kib is not None else usage.unused_kib
    return free is not None and usage.available_kib is not None and free < usage.available_kib * _SCARCE


def _rate(first: DomainUsage, last: DomainUsage, name: str) -> float:
    before, after = getattr(first, name), getattr(last, name)
    span_s = (last.read_ns - first.read_ns) / 1e9
    return 0.0 if before is None or after is None or span_s <= 0 else max(0.0, (after - before) / span_s)


def _coarse(figure: float) -> int:
    """To one digit, so that noise is no news."""
    step = int(10 ** max(0, len(str(int(figure))) - 1))
    return int(figure) // step * step


def _disks(scene: Scene, domain: Domain) -> Iterable[Finding]:
    usage = scene.snapshot.usage.get(domain.key)
    for disk in usage.disks if usage is not None and domain.active else ():
        if scene.history.lasting(domain.key, lambda read, t=disk.target: _is_slow(read, t)):  # type: ignore[misc]
            latency_ms = _coarse((disk.latency_ns or 0) / 1e6)
            severity = ERROR if latency_ms >= 2000 else WARNING
            yield _SLOW.of(
                domain_subject(domain),
                f"a request to {disk.target} takes {latency_ms} ms or more",
                run("see who else loads that disk, or limit them"),
                severity=severity,
                part=disk.target,
            )


def _is_slow(usage: DomainUsage, target: str) -> bool:
    found: Iterable[DiskUsage] = (disk for disk in usage.disks if disk.target == target)
    disk = next(iter(found), None)
    return disk is not None and (disk.latency_ns or 0) >= SLOW_NS and (disk.requests_per_s or 0) >= _BUSY_PER_S


CHECKS: tuple[AnyCheck, ...] = (
    DomainCheck(_delay, ("domains", "usage"), by_key=("usage",)),
    DomainCheck(_memory, ("domains", "usage"), by_key=("usage",)),
    DomainCheck(_disks, ("domains", "usage"), by_key=("usage",)),
)
