"""The steps that change vCPUs on one side of a domain, each with the way back to what that side had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.cpuset import format_cpus
from tui.model.plan import Step
from tui.model.vcpu_slots import Slots, Turn, slots_of, turns_of, way_back, with_count, with_set
from tui.model.virsh import domain_word, virsh
from tui.ops.vcpus import SetGuestVcpus, SetVcpu, SetVcpus

if TYPE_CHECKING:
    from tui.actions.base import Context
    from tui.actions.sides import Side
    from tui.model.domain import Domain


def change_count(context: Context, domain: Domain, side: Side, count: int) -> list[Step]:
    """Return the steps that give a side so many vCPUs: one, but one for each vCPU that a running guest is to give up.
    libvirt stops at the first that it does not, and what was asked for is then known of each."""
    had, slots = side.config.vcpus, slots_of(side.config)
    steps = []
    for target in range(had - 1, count - 1, -1) if side.live and count < had else (count,):
        after = with_count(slots, target, live=side.live)
        steps += _steps(context, domain, side, had, [Turn(target)], (slots, after))
        had, slots = target, after
    return steps


def change_set(context: Context, domain: Domain, side: Side, numbers: tuple[int, ...], on: bool) -> list[Step]:
    """Return the steps that turn these vCPUs of a side on or off: one for each where it runs."""
    before = slots_of(side.config)
    turns = turns_of(before, numbers, on=on, live=side.live)
    return _steps(context, domain, side, side.config.vcpus, turns, (before, with_set(before, numbers, on=on)))


def _steps(
    context: Context, domain: Domain, side: Side, count: int, turns: Sequence[Turn], change: tuple[Slots, Slots]
) -> list[Step]:
    """Each step is undone by its own opposite where there are as many of those, so that half of a change that failed
    can be taken back; else the first one by all of them."""
    before, after = change
    back = way_back(before, after, live=side.live)
    undos = _plain(context, domain, side, turns[-1].count, back)
    pairs: list[tuple[Step, ...]] = (
        [(undo,) for undo in reversed(undos)] if len(undos) == len(turns) else [tuple(undos)]
    )
    pairs += [()] * (len(turns) - len(pairs))
    return [
        _step(context, domain, side, turn, less=turn.count < had, undo=undo)
        for turn, had, undo in zip(turns, [count, *(turn.count for turn in turns)], pairs, strict=False)
    ]


def _plain(context: Context, domain: Domain, side: Side, count: int, turns: Sequence[Turn]) -> list[Step]:
    steps = []
    for turn in turns:
        steps.append(_step(context, domain, side, turn, less=turn.count < count))
        count = turn.count
    return steps


def _step(context: Context, domain: Domain, side: Side, turn: Turn, *, less: bool, undo: tuple[Step, ...] = ()) -> Step:
    run = domain.id if side.live and domain.id is not None else -1
    word, numbers = domain_word(domain), format_cpus(turn.numbers)
    if turn.numbers:
        words = ["setvcpu", word, numbers, "--enable" if turn.on else "--disable", side.option]
        title = f"{'plug' if turn.on else 'unplug'} vCPU {numbers} of {domain.name} {side.words}"
        by_number = SetVcpu(domain.key, numbers, turn.on, side.live, turn.count, run)
        return Step(title, virsh(context.uri, *words), by_number, domain.key, undo)
    words = ["setvcpus", word, str(turn.count), side.option]
    title = f"{units.counted(turn.count, 'vCPU')} for {domain.name} {side.words}"
    request = SetVcpus(domain.key, turn.count, side.live, side.live and less, run)
    return Step(title, virsh(context.uri, *words), request, domain.key, undo)


def guest_step(context: Context, domain: Domain, count: int, online: int | None) -> Step:
    """Return the step by which the guest's agent has so many vCPUs online; `online` are now. Where that is not known
    there is no way back."""

    def step(count: int, undo: tuple[Step, ...] = ()) -> Step:
        title = f"{count} vCPUs online in the guest of {domain.name}"
        command = virsh(context.uri, "setvcpus", domain_word(domain), str(count), "--guest")
        return Step(title, command, SetGuestVcpus(domain.key, count), domain.key, undo)

    return step(count, () if online is None else (step(online),))
