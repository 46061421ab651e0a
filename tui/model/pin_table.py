"""Which threads of a guest may run on which host CPUs: the wish of both sides, and what the kernel does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.host_cpus import HostCpu
    from tui.model.process import QemuProcess
    from tui.model.snapshot import HostSnapshot


@dataclass(frozen=True, slots=True)
class PinRow:
    """One thread: a vCPU, the emulator, an I/O thread; of processes also vhost and worker threads."""

    thread: str
    """As in `<cputune>` and the field `pins`: `vcpu 0`, `emulator`, `iothread 1`."""
    live: tuple[int, ...] | None
    """The pin of the running domain; None: no pin of its own."""
    persistent: tuple[int, ...] | None
    """The pin from the next boot on; None: no pin of its own."""
    there: bool
    """Whether the thread runs now: a vCPU that is not plugged has none."""
    tid: int | None
    real: tuple[int, ...] | None
    """Where the kernel lets it run (sched_getaffinity); None: cannot be seen."""
    on_cpu: int | None
    use_percent: float | None
    wait_percent: float | None
    """Of the time, how much it waited for a host CPU (steal, as the guest sees it)."""
    drift: bool
    """Whether the kernel's CPUs are not those of the live wish."""


@dataclass(frozen=True, slots=True)
class PinTable:
    """All that the pin matrix shows of one target."""

    name: str
    rows: tuple[PinRow, ...]
    cpus: tuple[HostCpu, ...]
    """By NUMA node, socket, core, then number."""
    loads: Mapping[int, float]
    """Percent busy by host CPU; empty: not read yet."""
    claims: Mapping[int, tuple[str, ...]]
    """Other guests pinned to a host CPU, by its number; those whose pins leave out no online CPU claim none."""
    memory_nodes: tuple[int, ...]
    """Host NUMA nodes to which the guest's memory is bound; () when it is not."""
    live: bool
    persistent: bool
    """Whether there is such a side; of a process `live` alone."""
    allowed: tuple[int, ...] | None
    """What the cpuset of the process leaves it, None when that cannot be seen."""


def pin_table(snapshot: HostSnapshot, target: Domain | QemuProcess) -> PinTable:
    """Return the table of a domain or process as of `snapshot`."""
    raise NotImplementedError
