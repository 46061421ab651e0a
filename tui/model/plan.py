"""What an action will do, before it does it: plans of steps, each with the command that does the same."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum

from tui.model.text import clean


class Confirm(StrEnum):
    """How much a plan asks before it runs."""

    NONE = "none"
    ASK = "ask"
    TYPE = "type"


@dataclass(frozen=True, slots=True)
class Request:
    """Base of the typed requests that ops execute; subclasses hold JSON-able fields only, so that the journal can
    keep them and undo them in a later session."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of one target: what it is called, the argument list that does the same by hand, and the request."""

    title: str
    command: tuple[str, ...]
    request: Request
    target: str
    undo: tuple[Step, ...] = ()
    loses: str | None = None
    only_if_failed: bool = False
    """Run only when the step before it, for the same target, failed (`a || b` in a shell)."""
    typed: bool = False
    """Whether what it loses wants more than a yes: the target's name, typed."""
    finishes: bool = False
    """Begun also when the user cancelled once the step before it, for the same target, is done: what that did must not
    stay so."""

    def command_line(self) -> str:
        """Return the equivalent command quoted for a POSIX shell, safe to show."""
        return clean(shlex.join(self.command))


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one action on its targets, in order; steps of different targets are independent."""

    action: str
    title: str
    steps: tuple[Step, ...]
    confirm: Confirm = Confirm.NONE
    phrase: str = ""
    """What has to be typed when `confirm` is TYPE."""
    notes: tuple[str, ...] = ()
    """What the reader should know first: what stays, what is skipped and why."""

    def losses(self) -> list[str]:
        """Return what the plan can lose, each once, in step order."""
        return list(dict.fromkeys(step.loses for step in self.steps if step.loses))

    def command_lines(self) -> list[str]:
        """Return the equivalent commands in order; a fallback step is joined to the one before with `||`."""
        lines: list[str] = []
        for step in self.steps:
            if step.only_if_failed and lines:
                lines[-1] += " || " + step.command_line()
            else:
                lines.append(step.command_line())
        return lines

    def undo_steps(self) -> tuple[Step, ...]:
        """Return the steps that put the targets back, last change first; empty when nothing can be undone."""
        return tuple(undo for step in reversed(self.steps) for undo in step.undo)
