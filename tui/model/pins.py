"""Pins as people type them, and the placements that are offered by one key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from tui.model.cpuset import format_cpus, parse_cpus

if TYPE_CHECKING:
    from tui.model.host_cpus import HostCpu
    from tui.model.pin_table import PinTable

Pins = Mapping[str, tuple[int, ...] | None]
"""CPUs by thread (`vcpu 0`, `emulator`, `iothread 1`); None takes the pin away."""

EVERY = "*"
"""In the place of a number: all threads of that role."""

UNPINNED = "all"
"""In the place of CPUs: no pin."""

ROLES = ("vcpu", "emulator", "iothread", "vhost", "worker")
"""Roles in the order in which threads are listed."""

_MOST = 16384
_THREADS = re.compile(r"(?P<role>[a-z]+)(?:\s+(?P<number>\*|(?:tid\s*)?[0-9]{1,9}(?:\s*-\s*[0-9]{1,9})?))?", re.ASCII)
_NUMBERED = re.compile(r"(?P<role>[a-z]+) (?P<number>[0-9]+)", re.ASCII)


def parse_pins(text: str) -> dict[str, tuple[int, ...] | None]:
    """Return what `vcpu 0=0-3,8; vcpu 1-2=4; iothread *=5; emulator=all` means: CPUs by thread, None for `all`, the
    key `vcpu *` for all of a role. What is said later of a thread holds. Raises ValueError with a sentence for the
    user."""
    pins: dict[str, tuple[int, ...] | None] = {}
    for item in filter(None, (part.strip() for part in text.split(";"))):
        words, equals, cpus = item.partition("=")
        if not equals:
            raise ValueError(f"{item!r} is not THREAD=CPUS, as in vcpu 0=0-3")
        wanted = _parse_cpus(cpus.strip(), item)
        for thread in _parse_threads(words.strip()):
            pins.pop(thread, None)
            pins[thread] = wanted
    if not pins:
        raise ValueError("name threads and their CPUs, as in vcpu 0=0-3; emulator=all")
    return pins


def _parse_cpus(text: str, item: str) -> tuple[int, ...] | None:
    if text == UNPINNED:
        return None
    try:
        return parse_cpus(text)
    except ValueError as error:
        raise ValueError(f"{item!r}: {error}") from error


def _parse_threads(words: str) -> Iterable[str]:
    match = _THREADS.fullmatch(words)
    if match is None or match["role"] not in ROLES:
        raise ValueError(f"{words!r} is not a thread, such as vcpu 0, vcpu 0-3, vcpu *, emulator, iothread 1")
    role, number = match["role"], (match["number"] or "").replace(" ", "")
    if (role == "emulator") is not (number == ""):
        raise ValueError(f"{words!r}: {'there is one emulator' if number else f'which {role}? * for all of them'}")
    if not number or number == EVERY:
        return [f"{role} {number}".strip()]
    if number.startswith("tid"):
        return [f"{role} {number}"]
    first, _, last = number.partition("-")
    numbers = range(int(first), int(last or first) + 1)
    if not numbers or len(numbers) > _MOST:
        raise ValueError(f"{words!r}: not a range")
    return [f"{role} {each}" for each in numbers]


def format_pins(pins: Pins) -> str:
    """Return `pins` as parse_pins takes them; neighbours with the same CPUs become a range."""
    runs: list[tuple[str, str, str]] = []
    for thread, cpus in pins.items():
        words = UNPINNED if cpus is None else format_cpus(cpus)
        role, _, number = thread.partition(" ")
        if runs and number.isdecimal():
            before, span, same = runs[-1]
            first, _, last = span.partition("-")
            if before == role and same == words and span[:1].isdecimal() and int(last or first) + 1 == int(number):
                runs[-1] = (role, f"{first}-{number}", words)
                continue
        runs.append((role, number, words))
    return "; ".join(f"{role} {number}".strip() + f"={words}" for role, number, words in runs)


def expand(pins: Pins, threads: Sequence[str]) -> dict[str, tuple[int, ...] | None]:
    """Return `pins` with each `vcpu *` replaced by those of `threads` that it means, which may be none."""
    found: dict[str, tuple[int, ...] | None] = {}
    for thread, cpus in pins.items():
        role, _, number = thread.partition(" ")
        named = [name for name in threads if name.partition(" ")[0] == role] if number == EVERY else [thread]
        for name in named:
            found.pop(name, None)
            found[name] = cpus
    return found


def thread_order(thread: str) -> tuple[int, int, str]:
    """Return the sort key that lists vCPUs first, then emulator, I/O threads, vhost, workers, each by number."""
    role, _, number = thread.partition(" ")
    numbered = _NUMBERED.fullmatch(thread)
    return ROLES.index(role) if role in ROLES else len(ROLES), int(numbered["number"]) if numbered else -1, number


def spread(table: PinTable) -> dict[str, tuple[int, ...] | None]:
    """Return pins that give each vCPU a host CPU of its own: all on one node where its cores suffice, cores before
    hardware threads, one node before the next, unclaimed before claimed, the memory's nodes first; more vCPUs than
    CPUs take turns. The other threads share what is left, of that what is unclaimed and on the same nodes first; where
    nothing is left, all CPUs.
    Raises ValueError when no CPU can be used."""
    rows = sorted(table.rows, key=lambda row: not row.there)
    vcpus = [row.thread for row in rows if row.thread.startswith("vcpu")]
    plugged = sum(row.there for row in rows if row.thread.startswith("vcpu")) or len(vcpus)
    ranked = _ranked(table, plugged)
    if not ranked:
        raise ValueError("no CPU that it may use is online")
    chosen = dict(zip(vcpus, cycle(ranked), strict=False))
    used = set(chosen.values())
    nodes = {cpu.node for cpu in ranked if cpu in used}
    left = [cpu for cpu in ranked if cpu not in used]
    near = [cpu for cpu in left if cpu.node in nodes]
    free = ([cpu for cpu in some if cpu.number not in table.claims] for some in (near, left))
    rest = next((cpus for cpus in (*free, near, left) if cpus), ranked)
    shared = tuple(sorted(cpu.number for cpu in rest))
    return {row.thread: (chosen[row.thread].number,) if row.thread in chosen else shared for row in table.rows}


def _ranked(table: PinTable, count: int) -> list[HostCpu]:
    """The CPUs that can be used, best first, for so many vCPUs."""
    usable = _usable(table)
    cores = {cpu.number: _core(cpu, usable) for cpu in usable}
    rank = {cpu.number: cores[cpu.number].index(cpu) for cpu in usable}
    taken = {cpu.number: any(mate.number in table.claims for mate in cores[cpu.number]) for cpu in usable}
    nodes = list(dict.fromkeys(cpu.node for cpu in usable))
    nodes.sort(key=lambda node: node not in table.memory_nodes)

    def free(node: int | None, whole: bool) -> int:
        mine = [cpu for cpu in usable if cpu.node == node and cpu.number not in table.claims]
        return sum(not (whole and (taken[cpu.number] or rank[cpu.number])) for cpu in mine)

    enough = [node for whole in (True, False) for node in nodes if free(node, whole) >= count]
    place = {node: index for index, node in enumerate(nodes)}
    home = enough[0] if enough else None

    def order(cpu: HostCpu) -> tuple[bool, bool, bool, int, int]:
        away = bool(enough) and cpu.node != home
        claimed = cpu.number in table.claims
        return away, claimed, taken[cpu.number], rank[cpu.number], place[cpu.node]

    return sorted(usable, key=order)


def _core(cpu: HostCpu, usable: Sequence[HostCpu]) -> list[HostCpu]:
    """The hardware threads of its core that can be used, itself among them, by number."""
    return [mate for mate in usable if mate.number == cpu.number or mate.number in cpu.siblings]


def _usable(table: PinTable) -> list[HostCpu]:
    """The CPUs that are online and that the cpuset leaves, in the order of the table."""
    return [cpu for cpu in table.cpus if cpu.online and (table.allowed is None or cpu.number in table.allowed)]


def compact(table: PinTable, node: int) -> dict[str, tuple[int, ...] | None]:
    """Return pins that bind every thread to all online CPUs of a NUMA node; raises ValueError when it has none."""
    return _on_nodes(table, (node,))


def follow_memory(table: PinTable) -> dict[str, tuple[int, ...] | None]:
    """Return pins that bind every thread to the nodes its memory is bound to; raises ValueError when it is bound to
    none."""
    if not table.memory_nodes:
        raise ValueError("its memory is not bound to a NUMA node")
    return _on_nodes(table, table.memory_nodes)


def _on_nodes(table: PinTable, nodes: Sequence[int]) -> dict[str, tuple[int, ...] | None]:
    cpus = tuple(sorted(cpu.number for cpu in _usable(table) if cpu.node in nodes))
    if not cpus:
        words = f"node {nodes[0]} has" if len(nodes) == 1 else f"nodes {format_cpus(nodes)} have"
        raise ValueError(f"{words} no CPU online that it may use")
    return dict.fromkeys((row.thread for row in table.rows), cpus)
