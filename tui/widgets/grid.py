"""A table of keyed rows on the line API: sorted, filtered, marked, and repainted only where a cell changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from textual import events
from textual.geometry import Size

from tui.widgets.grid_columns import GAP, Cell, Column, Layout, lay_out
from tui.widgets.grid_keys import KEYS, Keys
from tui.widgets.grid_messages import MarksChanged, Moved, Opened, Positioned, Sorted
from tui.widgets.grid_rows import Rows
from tui.widgets.grid_view import View
from tui.widgets.painting import Line, Painted, Run, clip, component_classes, fit, merge, token_css

__all__ = ["Cell", "Column", "Grid", "Matcher"]

T = TypeVar("T")

Fact = str | float | None

MARK = "•"
ASCENDING, DESCENDING = "▲", "▼"
WHEEL_ROWS = 3


class Matcher(Protocol):
    """What a grid needs of a filter: tui.model.query.Query is one."""

    def matches(self, field: Callable[[str], Fact], text: Callable[[], str]) -> bool:
        """Return whether a row is shown, told by its facts by name and by the text that bare words search."""
        ...
