"""The header and the rows of a grid as lines: cells rendered for rows in view only, and kept while items stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from rich.cells import cell_len, set_cell_size

from tui.widgets.grid_columns import Column, Layout, lay_out
from tui.widgets.painting import Line, Run, clip, fit, merge

T = TypeVar("T")

MARK = "•"
ASCENDING, DESCENDING = "▲", "▼"
MORE_LEFT, MORE_RIGHT = "<", ">"
GUTTER = 1
"""Cells left of the first column: the mark; in the header, whether more columns are to the right or left."""


class GridLines(Generic[T]):
    """Renders items by the columns that are turned on, laid out for one width at a time."""

    def __init__(self, columns: Sequence[Column[T]]) -> None:
        self.columns = tuple(columns)
        self._shift = 0
        self._width = 0
        self._layout: Layout[T] | None = None
        self._rendered: dict[str, tuple[T, tuple[Run, ...]]] = {}
        self._fresh: dict[str, tuple[T, tuple[Run, ...]]] = {}

    def set_columns(self, columns: Sequence[Column[T]]) -> None:
        """Draw these columns from now on."""
        self.columns = tuple(columns)
        self._shift = 0
        self.forget()

    def forget(self) -> None:
        """Lay out and render everything again at the next draw."""
        self._layout = None
        self._rendered.clear()

    def layout(self, width: int) -> Layout[T]:
        """Return where the columns stand on a line of `width` cells."""
        if self._layout is None or width != self._width:
            self._layout = lay_out(self.columns, width, self._shift, GUTTER)
            self._width = width
            self._rendered.clear()
        return self._layout

    def shift(self, width: int, columns: int) -> bool:
        """Shift the columns sideways by as many as there are; False when all of them fit."""
        layout = self.layout(width)
        self._shift = max(0, min(layout.shift + columns, layout.max_shift))
        if self._shift != layout.shift:
            self.forget()
        return layout.max_shift > 0

    def header(self, width: int, sort_key: str | None, reverse: bool) -> Line:
        """Return the titles, the one sorted by with its direction."""
        layout = self.layout(width)
        more = MORE_LEFT if layout.shift else MORE_RIGHT if layout.max_shift else " "
        runs: list[Run] = [(more, "accent")]
        x = GUTTER
        for column, start, cells in layout.placed:
            title, style = column.title, ""
            if column.key == sort_key:
                arrow = DESCENDING if reverse else ASCENDING
                # An ellipsis would take the place of one more of its few letters.
                title, style = set_cell_size(title, min(cell_len(title), cells - 1)) + arrow, "accent"
            runs += [(" " * (start - x), ""), (fit(title, cells, column.align), style)]
            x = start + cells
        return Line("header", clip(runs, width))

    def begin(self) -> None:
        """Start to draw the rows in view; those not drawn until `end` are forgotten."""
        self._fresh = {}

    def end(self) -> None:
        """Forget the rows that are no longer in view."""
        self._rendered = self._fresh

    def row(self, width: int, key: str, item: T, base: str, marked: bool) -> Line:
        """Return the line of an item: its mark, and its cells side by side."""
        layout = self.layout(width)
        known = self._rendered.get(key)
        if known is None or known[0] is not item:
            known = (item, _render(layout, item, width))
        self._fresh[key] = known
        return Line(base, ((MARK, "accent") if marked else (" ", ""), *known[1]))


def _render(layout: Layout[T], item: T, width: int) -> tuple[Run, ...]:
    runs: list[Run] = []
    x = GUTTER
    for column, start, cells in layout.placed:
        text, style = column.render(item)
        runs += [(" " * (start - x), ""), (fit(text, cells, column.align), style)]
        x = start + cells
    runs.append((" " * (width - x), ""))
    return merge(runs)
