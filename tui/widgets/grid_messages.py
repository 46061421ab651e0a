"""What a grid tells those around it; each is handled as `on_grid_<name>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from tui.widgets.grid import Grid


class GridMessage(Message, namespace="grid"):
    """Base of a grid's messages; a newer one of the same type and grid stands for those still waiting."""

    def __init__(self, grid: Grid[Any]) -> None:
        super().__init__()
        self.grid = grid

    @property
    def control(self) -> Grid[Any]:
        """The grid that sent the message."""
        return self.grid

    def can_replace(self, message: Message) -> bool:
        return type(message) is type(self) and isinstance(message, GridMessage) and message.grid is self.grid


class Moved(GridMessage, namespace="grid"):
    """The cursor is on another row, or on none (key None)."""

    def __init__(self, grid: Grid[Any], key: str | None) -> None:
        super().__init__(grid)
        self.key = key


class Opened(GridMessage, namespace="grid"):
    """Enter or a double click on a row."""

    def __init__(self, grid: Grid[Any], key: str) -> None:
        super().__init__(grid)
        self.key = key

    def can_replace(self, message: Message) -> bool:
        return False


class MarksChanged(GridMessage, namespace="grid"):
    """Other rows are marked than before, by the user or because marked rows vanished."""

    def __init__(self, grid: Grid[Any], keys: frozenset[str]) -> None:
        super().__init__(grid)
        self.keys = keys


class Sorted(GridMessage, namespace="grid"):
    """The rows are sorted by another column (None: the pane's order) or the other way round."""

    def __init__(self, grid: Grid[Any], column: str | None, reverse: bool) -> None:
        super().__init__(grid)
        self.column = column
        self.reverse = reverse


class Positioned(GridMessage, namespace="grid"):
    """The position text changed: scrolled, moved, filtered, or rows came and went."""

    def __init__(self, grid: Grid[Any], text: str) -> None:
        super().__init__(grid)
        self.text = text
