"""All actions by name, with the reason where one cannot run now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.model.query import QueryError, parse
from tui.model.text import wrapped
from tui.widgets.entry import Entry
from tui.widgets.grid import Grid
from tui.widgets.grid_columns import Cell, Column
from tui.widgets.lines import LinesView, Span

_WHY_LINES = 3
_TO_GRID = frozenset({"up", "down", "pageup", "pagedown"})


@dataclass(frozen=True, slots=True)
class Offer:
    """One line of the palette; `reason` says why it cannot run now."""

    id: str
    title: str
    key: str
    reason: str


class Palette(ModalScreen[str | None]):
    """Find an action by a few letters; returns its id."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        super().__init__()
        self._offers = offers
        self.grid: Grid[Offer] = Grid(
            (
                Column("title", "Action", 26, lambda offer: Cell(offer.title, "dim" if offer.reason else "")),
                Column("key", "Key", 6, lambda offer: Cell(offer.key, "key")),
                Column("reason", "Not now, because", 20, lambda offer: Cell(offer.reason, "warn"), grow=1, priority=1),
            ),
            lambda offer: offer.id,
            text=lambda offer: f"{offer.title} {offer.id}",
            empty="no such action",
            classes="grow",
        )
        self._why = LinesView(classes="why")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall"):
            yield Entry(placeholder="type a few letters, enter runs, esc closes", compact=True)
            yield self.grid
            yield self._why

    def on_mount(self) -> None:
        self.grid.can_focus = False
        self.grid.set_items(self._offers)
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        typed = event.value.strip().casefold()
        self.grid.set_items(sorted(self._offers, key=lambda offer: _distance(offer, typed)))
        try:
            self.grid.set_filter(parse(event.value.replace(":", " ")))
        except QueryError:
            self.grid.set_filter(None)
        self.grid.press("home")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(self.grid.cursor_key)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        event.stop()
        self._tell_why()

    def on_resize(self) -> None:
        self.call_after_refresh(self._tell_why)

    def _tell_why(self) -> None:
        """Say in full what the list may have to cut."""
        offer = self.grid.cursor_item
        reason = offer.reason if offer is not None else ""
        lines = wrapped(f"{offer.title}: {reason}", max(self._why.size.width, 1)) if offer and reason else []
        self._why.set_lines([[Span(line, "warn")] for line in lines[:_WHY_LINES]])

    def on_grid_opened(self, event: Grid.Opened) -> None:
        event.stop()
        self.dismiss(event.key)

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            self.dismiss(None)
        elif event.key in _TO_GRID:
            self.grid.press(event.key)
        else:
            return
        event.stop()
        event.prevent_default()


def _distance(offer: Offer, typed: str) -> int:
    """How far an offer is from what was typed: its very id, title or key, what begins so, anything else."""
    if typed in (offer.id, offer.title.casefold()) or (typed and typed == offer.key.casefold()):
        return 0
    return 1 if offer.title.casefold().startswith(typed) else 2
