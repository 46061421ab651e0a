"""Screens that ask in place of the form, by the name that an action gives. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.screen import ModalScreen

if TYPE_CHECKING:
    from tui.actions.base import Action, Context, Target
    from tui.model.journal import Entry
    from tui.model.plan import Plan
    from tui.model.snapshot import HostSnapshot


@dataclass(frozen=True, slots=True)
class Opening:
    """What an editor is opened with."""

    action: Action
    targets: tuple[Target, ...]
    """Those that the action can be applied to."""
    values: dict[str, str]
    """The value of every field before the user changed anything."""
    context: Callable[[], Context]
    """What actions may look at, as of now."""
    planner: Callable[[dict[str, str]], Plan]
    """The plan of the values given; raises FieldError."""
    run: Callable[[Plan], str]
    """Carry out a plan while the editor stays open; returns the id of its journal entry."""


class EditorScreen(ModalScreen[dict[str, str] | None]):
    """Base of the editors: leaves with the values to plan with, or with None. It is told of what it may have to draw
    anew; `watched` and `wants_host` are what it needs read while it is open."""

    watched: str | None = None
    """The UUID of the domain whose detail has to be read."""
    wants_host = False
    """Whether the host's CPUs and memory have to be read."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self.opening = opening

    def show_snapshot(self, snapshot: HostSnapshot) -> None:
        """Take news of the host."""

    def show_entry(self, entry: Entry) -> None:
        """Take news of a change that `opening.run` began."""


Maker = Callable[[Opening], EditorScreen]

EDITORS: dict[str, Maker] = {}
"""The makers, each importing its screen when it is opened."""
