"""What is known of one change: what, on what, by which command, with what result, and how to undo it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.plan import Step


class Status(StrEnum):
    """How a change stands."""

    RUNNING = "running"
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    """The program ended before the change did."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self not in (Status.RUNNING, Status.PENDING)


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
