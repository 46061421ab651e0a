"""Screens that ask in place of the form, by the name that an action gives. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.dialogs.live import LiveScreen

if TYPE_CHECKING:
    from tui.actions.base import Action, Context, Target
    from tui.model.journal import Entry
    from tui.model.plan import Plan


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
    ask: Callable[[dict[str, str]], None]
    """Show the plan of the values given over the editor; when the user says go it is carried out and the editor closed,
    else the editor is there again as it was."""
    run: Callable[[Plan], str]
    """Carry out a plan while the editor stays open; returns the id of its journal entry."""


class EditorScreen(LiveScreen[None]):
    """Base of the editors. It is told of what it may have to draw anew."""

    tells_results = False
    """Whether it tells the user itself what became of changes that `opening.run` began; no toast does then."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self.opening = opening

    def show_entry(self, entry: Entry) -> None:
        """Take news of a change that `opening.run` began."""

    def show_output(self, ident: str, output: str) -> None:
        """Take what a step of that journal entry printed, as it came and not cleaned; it may come more than once."""


Maker = Callable[[Opening], EditorScreen]


def _monitor(opening: Opening) -> EditorScreen:
    from tui.dialogs.monitor import MonitorScreen

    return MonitorScreen(opening)


def _pins(opening: Opening) -> EditorScreen:
    from tui.dialogs.pins import PinsEditor

    return PinsEditor(opening)


EDITORS: dict[str, Maker] = {"monitor": _monitor, "pins": _pins}
"""The makers, each importing its screen when it is opened."""
