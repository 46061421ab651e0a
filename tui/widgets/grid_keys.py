"""What the keys of a grid are called, and how its movements move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.widgets.grid_view import View

KEYS: Mapping[str, str] = MappingProxyType(
    {
        "up": "up",
        "k": "up",
        "down": "down",
        "j": "down",
        "pageup": "page_up",
        "ctrl+b": "page_up",
        "pagedown": "page_down",
        "ctrl+f": "page_down",
        "ctrl+u": "half_up",
        "ctrl+d": "half_down",
        "home": "first",
        "g": "first",
        "end": "last",
        "G": "last",
        "upper_g": "last",
        "left": "left",
        "h": "left",
        "right": "right",
        "l": "right",
        "space": "mark",
        "asterisk": "mark_all",
        "escape": "clear",
        "enter": "open",
        "less_than_sign": "sort_left",
        "greater_than_sign": "sort_right",
        "equals_sign": "sort_reverse",
    }
)
"""Command by Textual's name of the key."""

SORTS = frozenset({"sort_left", "sort_right", "sort_reverse"})


def _first(place: View, count: int | None) -> None:
    if count is None:
        place.first()
    else:
        place.go(count - 1)


def _last(place: View, count: int | None) -> None:
    place.go(len(place.frame.shown) - 1 if count is None else count - 1)


MOVES: Mapping[str, Callable[[View, int | None], None]] = MappingProxyType(
    {
        "up": lambda place, count: place.go(place.cursor - (count or 1)),
        "down": lambda place, count: place.go(place.cursor + (count or 1)),
        "page_up": lambda place, count: place.page(-max(place.height, 1) * (count or 1)),
        "page_down": lambda place, count: place.page(max(place.height, 1) * (count or 1)),
        "half_up": lambda place, count: place.page(-max(place.height // 2, 1) * (count or 1)),
        "half_down": lambda place, count: place.page(max(place.height // 2, 1) * (count or 1)),
        "first": _first,
        "last": _last,
    }
)
"""What each movement does; a count repeats it, or is the row that `first` and `last` go to."""
