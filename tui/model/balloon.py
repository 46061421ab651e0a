"""The balloon of a guest's memory: whether there is one, how far it may be blown up, what it was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.amount import format_amount

if TYPE_CHECKING:
    from tui.model.domain_config import DomainConfig
    from tui.model.journal import Entry
    from tui.model.usage import DomainUsage

_MIB = 1024
LEAST_KIB = 64 * _MIB
"""With less hardly any guest boots; libvirt lets it have 8 MiB all the same."""
_LEAST_MARGIN_KIB, _MOST_MARGIN_KIB = 16 * _MIB, 256 * _MIB
_LEAST_STEP_KIB, _STEP_KIB = 16 * _MIB, 64 * _MIB
_NEAR_KIB = 1 * _MIB
_PAGE_KIB = 4
_FRESH_S = 15
_FRESH_PERIODS = 3
_LONG_AGO_NS = 3600 * 10**9


def has_balloon(config: DomainConfig) -> bool:
    """Whether the domain has a balloon device; drivers other than QEMU's need none."""
    return config.balloon != "none" and (config.balloon != "" or config.virt_type not in ("qemu", "kvm"))


def step_kib(maximum_kib: int) -> int:
    """Return by how much one key press changes the memory: an eighth of the maximum, in multiples of 64 MiB, or of
    16 MiB where it is small."""
    eighth = maximum_kib // 8
    unit = _STEP_KIB if eighth >= _STEP_KIB else _LEAST_STEP_KIB
    return max(unit, eighth - eighth % unit)


def is_fresh(usage: DomainUsage, period_s: int) -> bool:
    """Whether the guest's balloon driver reports as often as it was asked to."""
    if usage.balloon_updated_s is None or period_s <= 0:
        return False
    age_s = usage.read_ns / 1e9 - usage.balloon_updated_s
    return age_s <= max(_FRESH_S, _FRESH_PERIODS * period_s)


def needed_kib(config: DomainConfig, usage: DomainUsage | None) -> int | None:
    """Return what the guest cannot give, its kernel's own part with it; None where it does not tell. Figures that are
    not fresh may be of a time when it had more, so they count from the maximum."""
    free = None if usage is None else usage.usable_kib if usage.usable_kib is not None else usage.unused_kib
    if usage is None or free is None:
        return None
    fresh = is_fresh(usage, config.tuning.balloon_period_s)
    had = usage.balloon_current_kib if fresh else None
    return max(0, (config.memory_max_kib if had is None else had) - free)


def floor_kib(config: DomainConfig, usage: DomainUsage | None) -> int:
    """Return how far down the running guest goes safely: to what it needs and a sixteenth of its maximum (16 to
    256 MiB), and never below 64 MiB."""
    needed = needed_kib(config, usage)
    if needed is None:
        return LEAST_KIB
    margin = min(max(config.memory_max_kib // 16, _LEAST_MARGIN_KIB), _MOST_MARGIN_KIB)
    return max(LEAST_KIB, needed + margin)


def loss(config: DomainConfig, usage: DomainUsage | None, name: str, kib: int) -> str:
    """Return what the running guest called `name` loses when it comes to less than its floor, in words."""
    needed = needed_kib(config, usage)
    uses = f"; it needs about {units.size(needed)}" if needed is not None else ""
    size = format_amount(kib)
    return f"what runs in {name}: with {size} its kernel kills processes for want of memory, or panics{uses}"


def tolerance_kib(target_kib: int, distance_kib: int) -> int:
    """Return how near to its target a balloon counts as arrived: 1 % or 1 MiB, and always nearer than it was when it
    set out, so that a small step of a large guest is not taken for done before it has begun."""
    return min(max(_NEAR_KIB, target_kib // 100), max(_PAGE_KIB, distance_kib // 8))


@dataclass(frozen=True, slots=True)
class Target:
    """A size that a running guest was asked to come to and has not confirmed."""

    kib: int
    at_ns: int
    """When it was asked, wall clock."""
    watched: bool
    """Whether the job that asked still waits for it."""


def open_target(
    entries: Iterable[Entry], uri: str, key: str, config: DomainConfig, started_ns: int | None, now_ns: int
) -> Target | None:
    """Return what the running domain with this UUID was last asked to come to, as the journal tells (no hypervisor
    keeps it where libvirt could read it). None when it got there; when it is not certain that it is the same run, whose
    QEMU was started at `started_ns` (None: not known); and when it was asked over an hour before `now_ns` and nobody
    waits for it any more: others may have asked for something else since."""
    asked = [(entry, one) for entry in entries if entry.uri == uri for one in entry.asked]
    asked = [(entry, one) for entry, one in asked if one.target == key and one.kib]
    if not asked:
        return None
    entry, last = max(asked, key=lambda pair: pair[0].at_ns)
    watched = not entry.status.ended
    same_run = watched if started_ns is None else entry.at_ns > started_ns
    if last.settled or not same_run or not (watched or now_ns - entry.at_ns < _LONG_AGO_NS):
        return None
    if abs(config.memory_kib - last.kib) <= max(_PAGE_KIB, min(_NEAR_KIB, last.kib // 100)):
        return None
    return Target(last.kib, entry.at_ns, watched)
