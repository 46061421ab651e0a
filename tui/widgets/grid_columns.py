"""What a grid's columns are, and how they share the width of a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

GAP = 1
"""Cells between two columns."""


class Cell(NamedTuple):
    """The text of a cell, cleaned already, and its style token (see inks.TOKEN_INKS)."""

    text: str
    style: str = ""


# Not slotted: Column[Item](...) sets __orig_class__, which a frozen and slotted dataclass refuses with a TypeError.
@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a grid: how wide, how important, how it renders and how it sorts."""

    key: str
    title: str
    width: int
    """Least width in cells."""
    render: Callable[[T], Cell]
    sort: Callable[[T], Any] | None = None
    """The value to sort by, None for unknown (last in both directions); no function: cannot be sorted by."""
    align: Literal["left", "right"] = "left"
    grow: int = 0
    """Share of the spare width."""
    priority: int = 0
    """0: never dropped; else the highest number is dropped first when the width does not suffice."""
    hidden: bool = False
    """Not shown unless the user turns it on."""
    largest_first: bool = False
    """The direction in which a sort by this column starts."""


class Placed(NamedTuple, Generic[T]):
    """A column with the cells [x, x + width) it is drawn in."""

    column: Column[T]
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Layout(Generic[T]):
    """Which columns are drawn and where, and how far they can be shifted sideways."""

    placed: tuple[Placed[T], ...] = ()
    dropped: tuple[Column[T], ...] = ()
    """Left out for lack of width, most important first."""
    shift: int = 0
    max_shift: int = 0

    def at(self, x: int) -> Placed[T] | None:
        """Return the column drawn at cell `x`; the gap behind a column is its own."""
        return next((place for place in self.placed if place.x <= x < place.x + place.width + GAP), None)


def lay_out(columns: Sequence[Column[T]], width: int, shift: int = 0, indent: int = 0) -> Layout[T]:
    """Return how `columns` share `width` cells from cell `indent` on.

    Columns are dropped by priority until they fit; when those that cannot be dropped still do not, the first stays
    and `shift` columns behind it are skipped. What is left over goes to the columns that grow."""
    room = max(width - indent, 0)
    kept, dropped = _drop(list(columns), room)
    max_shift = _max_shift(kept, room)
    shift = max(0, min(shift, max_shift))
    widths = _share([*kept[:1], *kept[1 + shift :]], room)
    placed: list[Placed[T]] = []
    x = indent
    for column, cells in widths:
        cells = min(cells, width - x)
        if cells <= 0:
            break
        placed.append(Placed(column, x, cells))
        x += cells + GAP
    return Layout(tuple(placed), tuple(dropped), shift, max_shift)


def _need(columns: Sequence[Column[T]]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _drop(columns: list[Column[T]], room: int) -> tuple[list[Column[T]], list[Column[T]]]:
    """Return the columns that fit, and those left out; of equal priority the rightmost goes first."""
    dropped: list[Column[T]] = []
    while columns and _need(columns) > room:
        index = max(range(len(columns)), key=lambda i: (columns[i].priority, i))
        if columns[index].priority == 0:
            break
        dropped.insert(0, columns.pop(index))
    return columns, dropped


def _max_shift(columns: Sequence[Column[T]], room: int) -> int:
    """Return how many columns behind the first have to be skipped for the last one to fit."""
    for shift in range(max(len(columns) - 1, 1)):
        if _need([*columns[:1], *columns[1 + shift :]]) <= room:
            return shift
    return max(len(columns) - 2, 0)


def _share(columns: Sequence[Column[T]], room: int) -> list[tuple[Column[T], int]]:
    """Return each column's cells, the spare ones shared out by `grow`."""
    spare = max(room - _need(columns), 0)
    shares = sum(column.grow for column in columns)
    out: list[tuple[Column[T], int]] = []
    for column in columns:
        extra = spare * column.grow // shares if column.grow else 0
        spare -= extra
        shares -= column.grow
        out.append((column, column.width + extra))
    return out
