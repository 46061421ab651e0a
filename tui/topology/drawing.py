"""A drawing as lines of pieces, each of which may stand for a thing of the graph; how pieces fit into a width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from tui.model import text as model_text

if TYPE_CHECKING:
    from tui.topology.lit import Lit

ELLIPSIS = "…"
_SHORTEST = 3


# The same few signs, lines and names are measured over and over.
cells = lru_cache(maxsize=65536)(model_text.cells)


class Piece(NamedTuple):
    """A text and its style token; what it stands for, and what becomes of it where room is short."""

    text: str
    style: str = ""
    spot: str = ""
    """The id of the node, or of the folded things, that it stands for."""
    ref: bool = False
    """Whether it only refers to what is drawn elsewhere."""
    drop: int = 0
    """0: stays; else it may be left out, those of the greatest number first."""
    fill: str = ""
    """A character that is repeated to fill the line; `text` is the least."""
    rate: str = ""
    """The key of the link whose rates stand here, in as many cells as `text` has."""


Row = tuple[Piece, ...]


class Spot(NamedTuple):
    """Where something is drawn: cells [x, end) of line y."""

    y: int
    x: int
    end: int
    id: str
    ref: bool
    item: tuple[str, ...]
    """All that is drawn as one item with it, in their order: a tap and its guest, the two ends of a veth."""


class Placed(NamedTuple):
    """A row and the cell where it begins."""

    x: int
    row: Row


@dataclass(frozen=True, slots=True)
class Drawing:
    """Lines of exactly `width` cells or less, and what stands where on them, in reading order."""

    lines: tuple[Row, ...]
    width: int
    bus: bool
    """Whether it is the bus view, else the tree."""
    spots: tuple[Spot, ...]
    folds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The nodes behind a folded line, by its spot."""
    notes: tuple[str, ...] = ()
    """Why it is drawn so, and not as it was asked for."""
    lit: Lit | None = None
    """The path that is lit in it."""

    def text(self) -> str:
        """Return it as plain text, without rates."""
        return "\n".join(plain(line) for line in self.lines)


def plain(row: Iterable[Piece]) -> str:
    """Return the characters of a row, rates as blanks, without blanks at the end."""
    return "".join(" " * cells(piece.text) if piece.rate else piece.text for piece in row).rstrip()


def width_of(row: Iterable[Piece]) -> int:
    """Return the cells of a row, what fills taken at its least."""
    return sum(cells(piece.text) for piece in row)


def elide(text: str, width: int) -> str:
    """Return text in at most `width` cells, its end replaced by "…" where it is longer."""
    if cells(text) <= width:
        return text
    out, room = "", width - 1
    for char in text:
        room -= cells(char)
        if room < 0:
            break
        out += char
    return out + ELLIPSIS if width > 0 else ""


ALL = 10
"""The level at which nothing is left out."""

_NAMES = ((1, 12), (7, 24))
"""How many cells of a name are wanted below a level; above the last all of them."""


def wish(row: Iterable[Piece], level: int) -> int:
    """Return the cells of a row with all that may be left out at a greater number than `level` gone; at low levels
    long names are cut."""
    kept = [piece for piece in row if piece.drop <= level]
    most = next((size for below, size in _NAMES if level < below), None)
    if most is None:
        return width_of(kept)
    return sum(min(cells(piece.text), most) if piece.spot else cells(piece.text) for piece in kept)


def squeeze(row: Sequence[Piece], width: int) -> Row:
    """Return a row of at most `width` cells: first very long names are cut, then what may be left out goes, then
    more of the names, and only where all this is not enough the end."""
    out, over = list(row), width_of(row) - width
    if over > 0:
        over = _cut_names(out, over, _NAMES[1][1])
    while over > 0 and (most := max((piece.drop for piece in out), default=0)):
        index = max(i for i, piece in enumerate(out) if piece.drop == most)
        over -= cells(out.pop(index).text)
    if over > 0:
        _cut_names(out, over, _SHORTEST)
    return tuple(out) if width_of(out) <= width else _cut(out, width)


def _cut_names(row: list[Piece], over: int, shortest: int) -> int:
    """Shorten the longest names in turn, none below `shortest` cells; returns by how much it is still too wide."""
    wide = {index: cells(piece.text) for index, piece in enumerate(row) if piece.spot}
    target = dict(wide)
    while over > 0 and target and max(target.values()) > shortest:
        index = max(target, key=lambda index: target[index])
        second = max((size for other, size in target.items() if other != index), default=shortest)
        step = max(1, min(over, target[index] - max(second, shortest)))
        target[index] -= step
        over -= step
    for index, size in target.items():
        if size < wide[index]:
            row[index] = row[index]._replace(text=elide(row[index].text, size))
    return over


def _cut(row: Sequence[Piece], width: int) -> Row:
    out: list[Piece] = []
    for piece in row:
        size = cells(piece.text)
        if size > width:
            text = elide(piece.text, width)
            return (*out, piece._replace(text=text, fill="")) if text else tuple(out)
        out.append(piece)
        width -= size
    return tuple(out)


def stretch(row: Sequence[Piece], width: int) -> Row:
    """Return a row of exactly `width` cells: squeezed, or its first fill made longer, or blanks behind it."""
    out = list(squeeze(row, width))
    spare = width - width_of(out)
    if spare <= 0:
        return tuple(out)
    index = next((index for index, piece in enumerate(out) if piece.fill), None)
    if index is None:
        return (*out, Piece(" " * spare))
    # A fill of blanks may be a word of itself: what repeats comes in the middle of it.
    out[index] = out[index]._replace(text=out[index].text + out[index].fill * spare)
    return tuple(out)


def find_spots(y: int, placed: Iterable[Placed]) -> list[Spot]:
    """Return the spots of the rows placed on line y, from left to right. A row is one item, or several with a blank
    that fills between them."""
    found: list[Spot] = []
    for x, row in placed:
        for part in _items(row):
            item = tuple(dict.fromkeys(piece.spot for piece in part if piece.spot and not piece.ref))
            for piece in part:
                end = x + cells(piece.text)
                if piece.spot and end > x:
                    found.append(Spot(y, x, end, piece.spot, piece.ref, item))
                x = end
    return found


def _items(row: Row) -> Iterable[Row]:
    cuts = [0, *(index for index, piece in enumerate(row) if piece.fill == " "), len(row)]
    return (row[start:end] for start, end in pairwise(cuts))


def join(placed: Sequence[Placed]) -> Row:
    """Return rows placed from left to right as one, with blanks between them."""
    out: list[Piece] = []
    at = 0
    for x, row in placed:
        if x > at:
            out.append(Piece(" " * (x - at)))
            at = x
        out += row
        at += width_of(row)
    return tuple(out)
