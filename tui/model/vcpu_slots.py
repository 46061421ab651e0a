"""Which vCPUs of a domain are plugged, which can be, and what libvirt makes of a change of their number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.model.tuning import VcpuSlot

if TYPE_CHECKING:
    from tui.model.domain_config import DomainConfig

Slots = tuple[VcpuSlot, ...]


def slots_of(config: DomainConfig) -> Slots:
    """Return all vCPUs up to the maximum, by number. Where the XML lists none (`<vcpus>`), the first ones are plugged
    and stay, and the others can be plugged: so libvirt starts such a domain."""
    if config.tuning.vcpu_slots:
        return tuple(sorted(config.tuning.vcpu_slots, key=lambda slot: slot.number))
    return tuple(VcpuSlot(number, number < config.vcpus, number >= config.vcpus) for number in range(config.vcpus_max))


def plugged(slots: Slots) -> tuple[int, ...]:
    """Return the numbers of those that the domain has."""
    return tuple(slot.number for slot in slots if slot.enabled)


def removable(slots: Slots) -> tuple[int, ...]:
    """Return the numbers of those that can be taken from a running domain; never vCPU 0."""
    return tuple(slot.number for slot in slots if slot.enabled and slot.hotpluggable and slot.number)


def with_count(slots: Slots, count: int, *, live: bool) -> Slots:
    """Return what `virsh setvcpus` makes of them (qemuDomainSetVcpusConfig, qemuDomainSelectHotplugVcpuEntities): the
    lowest come, the highest go, of a running domain only those that can."""
    now, less = len(plugged(slots)), [*reversed(slots)]
    if count > now:
        coming = {slot.number for slot in [slot for slot in slots if not slot.enabled][: count - now]}
        return _set(slots, coming, on=True, hotpluggable=live)
    can_go = [slot for slot in less if slot.enabled and (slot.hotpluggable or not live)]
    return _set(slots, {slot.number for slot in can_go[: now - count]}, on=False, hotpluggable=True)


def with_set(slots: Slots, numbers: Iterable[int], *, on: bool) -> Slots:
    """Return what `virsh setvcpu` makes of them."""
    return _set(slots, set(numbers), on=on, hotpluggable=True)


def _set(slots: Slots, numbers: set[int], *, on: bool, hotpluggable: bool) -> Slots:
    return tuple(
        replace(slot, enabled=on, hotpluggable=hotpluggable) if slot.number in numbers else slot for slot in slots
    )


@dataclass(frozen=True, slots=True)
class Turn:
    """One change: their number (`virsh setvcpus`) when `numbers` is (), else those numbers on or off."""

    count: int
    """How many there are afterwards."""
    numbers: tuple[int, ...] = ()
    on: bool = False


def way_back(before: Slots, after: Slots, *, live: bool) -> list[Turn]:
    """Return the changes that lead from `after` to `before`: by the number where that brings the same ones back, else
    one by one, the highest first. A running domain takes one vCPU a call (code 84)."""
    wanted, there = plugged(before), plugged(after)
    if wanted == there:
        return []
    if _alike(with_count(after, len(wanted), live=live), before):
        return [Turn(len(wanted))]
    turns: list[Turn] = []
    going = tuple(number for number in there if number not in wanted)
    coming = [slot for slot in before if slot.enabled and slot.number not in there]
    slots = with_set(after, going, on=False)
    turns += _single(len(there), going[::-1], on=False, live=live)
    fixed = {slot.number for slot in coming if not slot.hotpluggable}
    by_count = with_count(slots, len(plugged(slots)) + len(fixed), live=live)
    if fixed and not live and set(plugged(by_count)) - set(plugged(slots)) == fixed:
        turns.append(Turn(len(plugged(by_count))))
        slots, coming = by_count, [slot for slot in coming if slot.hotpluggable]
    return turns + _single(len(plugged(slots)), tuple(slot.number for slot in coming)[::-1], on=True, live=live)


def turns_of(before: Slots, numbers: tuple[int, ...], *, on: bool, live: bool) -> list[Turn]:
    """Return the changes that turn those numbers on or off: one for each where the domain runs."""
    return _single(len(plugged(before)), numbers, on=on, live=live)


def _single(count: int, numbers: tuple[int, ...], *, on: bool, live: bool) -> list[Turn]:
    """Those numbers on or off, where `count` there are before."""
    groups = [(number,) for number in numbers] if live else [numbers] if numbers else []
    turns = []
    for group in groups:
        count += len(group) if on else -len(group)
        turns.append(Turn(count, group, on))
    return turns


def _alike(one: Slots, other: Slots) -> bool:
    """Whether the same ones are plugged and the same of them can go."""
    return plugged(one) == plugged(other) and removable(one) == removable(other)
