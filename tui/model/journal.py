"""What is known of one change: what, on what, by which command, with what result, and how to undo it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.plan import Step
    from tui.model.work import Work


class Status(StrEnum):
    """How a change stands."""

    RUNNING = "running"
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    """The program ended before the change did."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self not in (Status.RUNNING, Status.PENDING)


@dataclass(frozen=True, slots=True)
class Asked:
    """How many vCPUs a running domain was asked to go down to, or the memory that it was asked to come to: the guest
    may do it late, or never."""

    target: str
    """The domain's UUID."""
    run: int
    """libvirt's id of the domain while it ran so; another one is another run. -1: not known."""
    vcpus: int
    settled: bool
    """Whether its host confirmed this, or another number after it."""
    kib: int = 0
    """The memory; 0: this is of vCPUs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change in the journal; `results` is one line a step, cleaned."""

    id: str
    at_ns: int
    uri: str
    action: str
    title: str
    commands: tuple[str, ...]
    status: Status
    results: tuple[str, ...] = ()
    ended_ns: int | None = None
    undo: tuple[Step, ...] = ()
    undoes: str = ""
    """The id of the entry that this one undid."""
    asked: tuple[Asked, ...] = ()
    """What of it is open or was settled; all of it from the begin on, so that it outlives the program."""
    work: Work | None = None
    """How far its long work has come, while it is at it; never written to the file."""
