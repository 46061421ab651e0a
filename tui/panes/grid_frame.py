"""A pane that is a list: its rows, its filter, its marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from tui.panes.frame import PaneFrame
from tui.panes.spec import AnyPane, PaneSpec
from tui.widgets.grid import Grid

if TYPE_CHECKING:
    from tui.actions.base import Target
    from tui.model.kind import Kind
    from tui.panes.spec import View


class GridFrame(PaneFrame):
    """Shows a PaneSpec; enter opens the detail in full."""

    spec: PaneSpec[Any]

    def __init__(self, spec: AnyPane, columns: Sequence[str]) -> None:
        super().__init__(spec)
        self.spec = spec = cast("PaneSpec[Any]", spec)
        self._make = spec.rows()
        self._folded: frozenset[str] = frozenset()
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

    @property
    def main(self) -> Grid[Any]:
        """The list."""
        return self.grid

    @property
    def item(self) -> Any | None:
        """The row under the cursor."""
        return self.grid.cursor_item

    def show(self, view: View) -> None:
        """Draw `view`; what did not change costs nothing."""
        self._view = view = replace(view, folded=self._folded)
        rows = self._make(view)
        if not rows:
            self.grid.empty = self.spec.empty(view)
        # What is being read in full is not taken away by what is worse.
        self.grid.stick(self.spec.first_counts and not self.zoomed)
        self.grid.set_items(rows)
        self.draw_detail()

    def begin(self) -> None:
        """Take note that the pane is opened again."""
        if self.spec.first_counts:
            self.grid.go_first()

    def hold(self) -> None:
        """Keep the cursor on the row it is on, which is acted upon now."""
        if self.spec.first_counts and self.grid.cursor_key is not None:
            self.grid.go_to(self.grid.cursor_key)

    def reveal(self, kind: Kind, key: str) -> bool:
        """Put the cursor on the row of a thing, which neither filter nor fold may hide any more; False when there is
        none."""
        if self.grid.go_to(key):
            return True
        self.close_filter(clear=True)
        self.grid.set_filter(None)
        self._set_folded(frozenset())
        return self.grid.go_to(key)

    # What is selected

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

    @property
    def marked(self) -> int:
        """How many rows are marked."""
        return len(self.grid.marks)

    def hidden_marks(self) -> list[str]:
        """Return the words of the marked rows that the filter hides; actions apply to them all the same."""
        marked = self.grid.marked_items
        shown = {self.spec.key(item) for item in self.grid.shown_items} if marked else set()
        return [self.spec.words(item) for item in marked if self.spec.key(item) not in shown]

    @property
    def hidden_by(self) -> str:
        """What hides marked rows, in a word or two."""
        return self.grid.hidden_by

    def looked_at(self) -> tuple[tuple[str, ...], str | None]:
        """Return the domains whose rows are in view, and the one that is open in the detail."""
        watched = (self.spec.watch(item) for item in self.grid.visible_items)
        return tuple(key for key in watched if key), super().looked_at()[1]

    def keys_in_view(self) -> tuple[str, ...]:
        """Return the keys of the rows in view."""
        return tuple(map(self.spec.key, self.grid.visible_items))

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

    # Filter

    @property
    def placeholder(self) -> str:
        """What can be asked for."""
        return f"words, or {', '.join(self.spec.facts[:6])} … as in state:running cpu>50"

    def look_for(self, text: str) -> str:
        """Filter the rows; returns why the text cannot be understood: the list stays as the last good one left it."""
        if not text.strip():
            self.grid.set_filter(None)
            return ""
        from tui.model.query import QueryError, parse

        try:
            self.grid.set_filter(parse(text, self.spec.facts))
        except QueryError as error:
            return str(error)
        return ""

    # Messages of the grid

    def on_grid_moved(self) -> None:
        self.rest()

    def on_grid_positioned(self) -> None:
        self.post_message(self.Positioned())
        self.post_message(self.Looked())

    def on_grid_marks_changed(self) -> None:
        self.post_message(self.Looked())

    def on_grid_opened(self) -> None:
        """Where the detail can be seen already, enter leads on to the thing that it tells of."""
        if not (self.detail_shown and self.go_there()):
            self.zoom(True)
