"""One pane on the screen: its grid, its filter line, its detail; the same frame for every kind of thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer

from tui.model.text import cells
from tui.widgets.grid import Grid
from tui.widgets.lines import LinesView, Span, SpanLine

if TYPE_CHECKING:
    from textual.widgets import Input

    from tui.actions.base import Target
    from tui.model.kind import Kind
    from tui.panes.spec import AnyPane, Tab, View

# The detail follows the cursor when it rests, so that holding a key costs two lines a row and no more.
_REST_S = 0.1


class PaneFrame(Horizontal):
    """Shows one PaneSpec. The detail stands beside the list where the screen is wide; enter opens it in full."""

    class Looked(Message):
        """Other rows are in view, or another one is open in the detail."""

    class Positioned(Message):
        """The position text of the list changed."""

    def __init__(self, spec: AnyPane, columns: Sequence[str]) -> None:
        super().__init__(id=f"pane-{spec.id}", classes="pane")
        self.spec = spec
        self._make = spec.rows()
        self._view: View | None = None
        self._tab = ""
        self._folded: frozenset[str] = frozenset()
        self._rest: Timer | None = None
        self.grid: Grid[Any] = Grid(
            spec.columns,
            spec.key,
            field=spec.fact,
            fields=spec.facts,
            text=spec.words,
            counts=True,
            classes="list-grid",
        )
        if columns:
            shown = set(columns)
            self.grid.set_columns(columns, {column.key for column in spec.columns} - shown)
        self.tab_line = LinesView(classes="tab-line")
        self.detail = LinesView(can_focus=True, classes="detail-lines")

    def compose(self) -> ComposeResult:
        with Vertical(classes="list"):
            yield self.grid
        with Vertical(classes="detail"):
            yield self.tab_line
            yield self.detail

    # Data

    def show(self, view: View) -> None:
        """Draw `view`; what did not change costs nothing."""
        self._view = view = replace(view, folded=self._folded)
        rows = self._make(view)
        if not rows:
            self.grid.empty = self.spec.empty(view)
        self.grid.set_items(rows)
        self.draw_detail()

    @property
    def item(self) -> Any | None:
        """The row under the cursor."""
        return self.grid.cursor_item

    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of action that apply to the marked rows, or to the one under the cursor."""
        marked = self.grid.marked_items
        rows = marked or ([self.item] if self.item is not None else [])
        if not rows:
            return self.spec.kinds(None)
        return tuple(dict.fromkeys(kind for row in rows for kind in self.spec.kinds(row)))

    def targets(self, kind: Kind) -> list[Target]:
        """Return what an action of `kind` applies to: the marked rows that are such, else the one under the cursor."""
        rows = self.grid.marked_items or ([self.item] if self.item is not None else [])
        return [self.spec.target(row) for row in rows if kind in self.spec.kinds(row)]

    def hidden_marks(self) -> list[str]:
        """Return the words of the marked rows that the filter hides; actions apply to them all the same."""
        marked = self.grid.marked_items
        shown = {self.spec.key(item) for item in self.grid.shown_items} if marked else set()
        return [self.spec.words(item) for item in marked if self.spec.key(item) not in shown]

    def journal_id(self) -> str | None:
        """Return the journal entry under the cursor, None in panes that show none."""
        return None if self.item is None else self.spec.journal_id(self.item)

    def looked_at(self) -> tuple[tuple[str, ...], str | None]:
        """Return the keys of the rows in view, and the domain that is open in the detail."""
        watched = (self.spec.watch(item) for item in self.grid.visible_items)
        open_one = self.spec.watch(self.item) if self.item is not None and self.detail_shown else None
        return tuple(key for key in watched if key), open_one

    def keys_in_view(self) -> tuple[str, ...]:
        """Return the keys of the rows in view."""
        return tuple(map(self.spec.key, self.grid.visible_items))

    def image_looked_at(self) -> str | None:
        """Return the key of the volume whose image the open page shows."""
        tabs = self._tabs() if self.detail_shown else []
        return self._current(tabs).reads_image(self.item) if tabs else None

    def open_link(self) -> str | None:
        """Return the key of the link that is open in the detail, if it is one's."""
        return self.spec.watch_link(self.item) if self.item is not None and self.detail_shown else None

    # Folding

    def fold(self, *, on: bool) -> bool:
        """Fold the parts of the row under the cursor away, or show them; False where nothing folds."""
        key = self._fold_key()
        if key is not None:
            self._set_folded(self._folded | {key} if on else self._folded - {key})
        return self.spec.fold is not None

    def fold_all(self) -> bool:
        """Fold all there is, or show all again where all is folded; False where nothing folds."""
        fold = self.spec.fold
        if fold is None or self._view is None:
            return fold is not None
        every = frozenset(key for row in self._make(self._view) if (key := fold(row)) is not None)
        self._set_folded(frozenset() if every <= self._folded else every)
        return True

    def _fold_key(self) -> str | None:
        return None if self.spec.fold is None or self.item is None else self.spec.fold(self.item)

    def _set_folded(self, folded: frozenset[str]) -> None:
        """The cursor goes to what its row is folded into."""
        fold, place = self.spec.fold, self._fold_key()
        if fold is None or self._view is None or folded == self._folded:
            return
        if place in folded:
            self.grid.go_to(place)
        self._folded = folded
        self.grid.set_unfolded(
            (lambda row: self.spec.key(row) == fold(row) or fold(row) not in folded) if folded else None
        )
        self.show(self._view)

    # Detail

    @property
    def zoomed(self) -> bool:
        """Whether the detail takes the place of the list."""
        return self.has_class("-zoom")

    @property
    def detail_shown(self) -> bool:
        """Whether the detail can be seen."""
        return self.zoomed or (self.has_class("-wide") and not self.has_class("-alone"))

    def zoom(self, on: bool) -> None:
        """Show the detail in full, or the list again."""
        self.set_class(on and self.item is not None, "-zoom")
        # At once, not by focus(), which leaves the keys that come next to what had the focus before.
        self.screen.set_focus(self.detail if self.zoomed else self.grid)
        self.draw_detail()
        self.post_message(self.Looked())

    def toggle_side(self) -> None:
        """Show or hide the detail beside the list."""
        self.toggle_class("-alone")
        self.draw_detail()
        self.post_message(self.Looked())

    def turn_tab(self, by: int) -> None:
        """Open the next or previous tab of the detail."""
        tabs = self._tabs()
        if not tabs:
            return
        index = [tab.id for tab in tabs].index(self._current(tabs).id)
        self.open_tab(tabs[(index + by) % len(tabs)].id)

    def open_tab(self, ident: str) -> None:
        """Open a tab by its id; opens the detail when it is hidden."""
        self._tab = ident
        if not self.detail_shown:
            self.zoom(True)
        self.draw_detail()
        self.detail.scroll_to_line(0, 0)
        self.post_message(self.Looked())

    def _tabs(self) -> list[Tab[Any]]:
        return [] if self.item is None else [tab for tab in self.spec.tabs if tab.applies(self.item)]

    def _current(self, tabs: list[Tab[Any]]) -> Tab[Any]:
        return next((tab for tab in tabs if tab.id == self._tab), tabs[0])

    def draw_detail(self) -> None:
        """Draw the open tab of the row under the cursor."""
        if self._view is None or not self.detail_shown:
            return
        item, tabs = self.item, self._tabs()
        if item is None or not tabs:
            self.tab_line.set_lines([[]])
            self.detail.set_lines([])
            return
        current = self._current(tabs)
        name: list[Span] = (
            [Span((self.spec.label or self.spec.words)(item)[:40], "title"), Span("  ")] if self.zoomed else []
        )
        room = self.tab_line.size.width - sum(cells(span.text) for span in name)
        line: SpanLine = [*name, *_tab_spans(tabs, current, room)]
        self.tab_line.set_lines([line])
        width = self.detail.size.width or self._view.detail_width
        self.detail.set_lines(current.lines(replace(self._view, detail_width=width), item))

    # Filter

    def open_filter(self) -> None:
        """Open the filter line below the list."""
        self.zoom(False)
        existing = self.query(".filter")
        if existing:
            self.screen.set_focus(existing.first())
            return
        from tui.widgets.entry import Entry

        field = Entry(placeholder=f"words, or {', '.join(self.spec.facts[:6])} … as in state:running cpu>50",
                      compact=True, select_on_focus=False, classes="filter")  # fmt: skip
        self.query_one(".list").mount(field)
        self.screen.set_focus(field)

    def close_filter(self, *, clear: bool) -> bool:
        """Leave the filter line; with `clear` drop the filter. False when there was none."""
        if not self.query(".filter"):
            return False
        from textual.widgets import Input

        field = self.query_one(".filter", Input)
        if clear or not field.value.strip():
            self.grid.set_filter(None)
            field.remove()
        self.screen.set_focus(self.grid)
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        from tui.model.query import QueryError, parse

        try:
            self.grid.set_filter(parse(event.value, self.spec.facts))
            event.input.remove_class("-bad")
        except QueryError as error:
            # Said when it turns bad, not again with every further letter.
            if not event.input.has_class("-bad"):
                self.post_message(self.FilterError(str(error)))
            event.input.add_class("-bad")

    class FilterError(Message):
        """The filter cannot be understood; the list shows what the last good one let through."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close_filter(clear=False)

    # Messages of the grid

    def on_grid_moved(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_REST_S, self._rested)

    def _rested(self) -> None:
        self.draw_detail()
        self.post_message(self.Looked())

    def on_grid_positioned(self) -> None:
        self.post_message(self.Positioned())
        self.post_message(self.Looked())

    def on_grid_marks_changed(self) -> None:
        self.post_message(self.Looked())

    def on_grid_opened(self) -> None:
        self.zoom(True)

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        kind, _, what = event.action.partition(":")
        if kind == "tab":
            event.stop()
            self.open_tab(what)


def _tab_spans(tabs: list[Tab[Any]], current: Tab[Any], room: int) -> list[Span]:
    """The tabs; where they do not all fit, the first ones give way so that the open one is seen."""
    first, last = 0, tabs.index(current)
    while first < last and sum(cells(tab.title) + 1 for tab in tabs[first : last + 2]) > room - 2:
        first += 1
    spans = [Span("‹ ", "dim", f"tab:{tabs[first - 1].id}")] if first else []
    for tab in tabs[first:]:
        spans += [Span(tab.title, "active" if tab is current else "dim", f"tab:{tab.id}"), Span(" ")]
    return spans
