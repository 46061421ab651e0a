"""What every op shares: its context, its outcome, its typed error."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Progress(StrEnum):
    """How far a change has come, by what the host reports, not by what was asked."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class OpError(Exception):
    """A change that failed: what, on what, the code and text of the layer below, and what to do next."""

    def __init__(self, what: str, subject: str, text: str, code: int | None = None, advice: str = "") -> None:
        super().__init__(what, subject, text, code, advice)
        self.what = what
        self.subject = subject
        self.text = text
        self.code = code
        self.advice = advice

    def __str__(self) -> str:
        code = f" (libvirt code {self.code})" if self.code is not None else ""
        advice = f" {self.advice}" if self.advice else ""
        return f"{self.what} {self.subject}: {self.text}{code}.{advice}"


class CancelledError(OpError):
    """Work that ended because the user asked for it; the text says what is left of it."""


class ReadOnlyError(OpError):
    """A change refused because the program was started with --read-only."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request brought: a sentence, and when the host has yet to comply, how to ask whether it has."""

    message: str
    watch: Callable[[], Progress] | None = None
    """Polled by the job's threads until it no longer says PENDING; None: confirmed already."""
    patience_s: float = 30.0
    """Seconds of PENDING after which the job tells the user that the host or guest has not complied."""
    hint: str = ""
    """What to do when patience runs out, e.g. to force off a guest that ignores ACPI."""
    output: str = ""
    """What it printed, as it came: not cleaned."""
    close: Callable[[], None] | None = None
    """Called once when nobody polls `watch` any more."""
    told: Callable[[], str] | None = None
    """Says in place of the hint how far it has come, from what `watch` saw last: it asks nobody, and raises nothing."""

    def hint_now(self) -> str:
        """Return the hint as it stands."""
        return self.hint if self.told is None else self.told()


class OpContext(Protocol):
    """What an op may use. Connections are libvirt.virConnect objects that no polling shares."""

    @property
    def read_only(self) -> bool:
        """Whether every change must be refused."""
        ...

    def control(self) -> Any:
        """Return the connection of the calling thread for short calls, which a call that does not return blocks for
        this thread alone; raises OpError when the host cannot be reached."""
        ...

    def leave(self) -> None:
        """Give back what `control` opened for the calling thread; domains taken from it must have been dropped."""
        ...

    def long(self, limit_s: float = math.inf, /) -> Any:
        """Return a connection for a call that takes long by its nature (save, restore), to be given to `release` after;
        the user is told that there is no answer when it takes more than `limit_s`. What merely may hang, as any call to
        a QEMU may, is for `control`. Raises OpError."""
        ...

    def release(self, connection: Any) -> None:
        """Give back what `long` returned; domains taken from it must have been dropped."""
        ...

    def leave_images(self, key: str) -> AbstractContextManager[None]:
        """While inside, this program asks for no figures of the images of that domain: QEMU 7.2 dies of them when a
        pull ends."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether the user wants this work to end early: an op that can stop cleans up and raises CancelledError."""
        ...

    def progress(self, done: int, total: int | None) -> None:
        """Say how far long work has come, in bytes; cheap enough to be called for every piece. `total` None: not
        known."""
        ...
