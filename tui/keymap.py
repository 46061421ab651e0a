"""Which key does what: the frame's own commands, and the actions' keys as configured."""

from __future__ import annotations

from collections.abc import Mapping

from tui.actions import ACTIONS
from tui.config import ConfigError
from tui.model.journal import Status
from tui.model.text import clean
from tui.runtime.jobs import Job

COMMANDS: Mapping[str, str] = {
    "/": "filter",
    "escape": "back",
    "v": "side",
    "]": "next_tab",
    "[": "previous_tab",
    "f5": "redraw",
    "ctrl+l": "redraw",
    "?": "help",
    "q": "quit",
    ":": "palette",
    "ctrl+p": "palette",
    "u": "undo",
}
"""Command of the frame by the character typed or Textual's name of the key."""


def keys_of(configured: Mapping[str, str]) -> dict[str, str]:
    """Return the key of every action; raises ConfigError when the keymap names an action that is not there, or gives
    one kind of thing the same key twice that was not meant to share it."""
    known = {action.id: action.key for action in ACTIONS}
    for ident, key in configured.items():
        if ident not in known:
            raise ConfigError(f"keymap: no action {clean(ident)!r}; see: virtdeck do --list")
        if key in COMMANDS or key.isdecimal():
            raise ConfigError(f"keymap: {clean(ident)} = {clean(key)!r}: that key belongs to the frame")
        clash = next((other for other in ACTIONS if _clash(other.id, ident, known[other.id], key)), None)
        if clash is not None:
            raise ConfigError(f"keymap: {clean(ident)} = {clean(key)!r}: {clash.id} has that key")
        known[ident] = key
    return known


def _clash(other: str, ident: str, other_key: str, key: str) -> bool:
    return other != ident and other_key == key and other.partition(".")[0] == ident.partition(".")[0]


def job_words(job: Job) -> tuple[str, str]:
    """Return what to tell of a job that moved, and how grave it is; "" while there is nothing to say."""
    problems = job.problems()
    match job.status:
        case Status.DONE:
            return f"{job.plan.title}: done", "information"
        case Status.PENDING:
            first = problems[0] if problems else None
            return (f"{first.step.title}: {first.hint or 'still pending'}" if first else ""), "warning"
        case Status.FAILED | Status.EXPIRED:
            text = problems[0].message if problems else job.plan.title
            more = f" (and {len(problems) - 1} more; 7 shows the journal)" if len(problems) > 1 else ""
            return text + more, "error"
    return "", "information"
