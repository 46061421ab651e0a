"""A namespace as a box between two buses, or beside one: its links at the walls, what it does within."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tui.topology.drawing import ALL, Piece, Row, squeeze, stretch, width_of, wish
from tui.topology.leaves import left_of_bar, right_of_bar
from tui.topology.tree import box_line
from tui.topology.words import Pen

_PADDING = 4
_ONE_LINE = 4
"""Up to that level the addresses of two links may stand below each other."""


class Strip(NamedTuple):
    """A line between two bars: whether it is tied to the one on its left, on its right."""

    row: Row
    left: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class _Door:
    """A link of the box that leads to a bus by a port, or is the bus."""

    outside: Row
    """The port, and the line from the bar to the wall."""
    veth: bool
    inside: Row
    address: Row


class Box:
    """Draws one namespace; what it draws is known when it is made, how wide it gets when `lines` is called."""

    def __init__(self, pen: Pen, box: str, left: str | None, right: str | None) -> None:
        self._pen = pen
        self._title = pen.box_title(box)
        self._left: list[_Door] = []
        self._right: list[_Door] = []
        links = pen.shape.links_of(box)
        through = [link for link in links if self._open_door(link, left, right)]
        self._inner: list[Row] = [box_line(pen, box, link) for link in links if link not in through]
        self._inner += [row for link in through if (row := _default(pen, link))]
        self._inner += pen.box_notes(box)

    def _open_door(self, link: str, left: str | None, right: str | None) -> bool:
        """Put a link at the wall of the bus that it leads to; False when it leads to neither."""
        for port, bus in self._pen.shape.ends_of(link):
            if bus in (left, right):
                side = self._left if bus == left else self._right
                side.append(self._door(port, link, bus, at_left=bus == left))
                return True
        return False

    def _door(self, port: str | None, link: str, bus: str, *, at_left: bool) -> _Door:
        pen = self._pen
        first, _, more = pen.shape.fact(link, "addresses").partition(", ")
        address = (Piece(first + (" …" if more else "")),) if first else ()
        if link == bus:
            return _Door((Piece("─", fill="─"),), False, (pen.ref(link),), address)
        assert port is not None, "a link that is no bus leads to one by a port"
        label = next((edge.label for edge in pen.shape.plugs(bus) if edge.a == port), "")
        way = right_of_bar if at_left else left_of_bar
        char = "─" if port == link else "═"
        outside = way(pen.sign(port), (pen.name(port), *pen.label(label)), Piece(char, fill=char))
        if port == link:
            return _Door(outside, False, address, ())
        sign, name = pen.sign(link), pen.name(link)
        inside = (sign, Piece(" "), name) if at_left else (name, Piece(" "), sign)
        return _Door(outside, True, inside, address)

    def wish(self, level: int) -> int:
        """Return the cells it wants where what may be left out at a greater number than `level` is."""
        return self._out(self._left, level) + self._inside(level) + self._out(self._right, level)

    @staticmethod
    def _out(doors: list[_Door], level: int) -> int:
        return max((wish(door.outside, level) for door in doors), default=0)

    def _inside(self, level: int) -> int:
        """The cells of the box with its walls, as far as its contents ask for them."""
        wanted = [wish(self._title, level) + 2, *(wish(row, level) for row in self._inner)]
        for pair in self._pairs():
            doors = [door for door in pair if door is not None]
            wanted.append(sum(wish(door.inside, level) for door in doors) + len(doors) - 1)
            addresses = [width_of(door.address) for door in doors]
            wanted.append(sum(addresses) + 1 if level > _ONE_LINE else max(addresses))
        return max(wanted) + _PADDING

    def _pairs(self) -> list[tuple[_Door | None, _Door | None]]:
        count = max(len(self._left), len(self._right))
        lefts = [*self._left, *[None] * (count - len(self._left))]
        rights = [*self._right, *[None] * (count - len(self._right))]
        return list(zip(lefts, rights, strict=True))

    def lines(self, width: int) -> list[Strip]:
        """Return the box in exactly `width` cells."""
        before, after = self._outer(width)
        inner = width - before - after - 2

        def wall(row: Row, left: str = "│", right: str = "│") -> Strip:
            inside = (Piece(" " * before), Piece(left, "accent"), *stretch(row, inner), Piece(right, "accent"))
            return Strip((*inside, Piece(" " * after)))

        title = squeeze(self._title, inner - 4)
        strips = [wall((Piece("─ ", "accent"), *title, Piece(" "), Piece("─", "accent", fill="─")), "┌", "┐")]
        for left, right in self._pairs():
            strips.append(_doors(left, right, before, after, inner))
            strips += [wall(row) for row in _addresses(left, right, inner)]
        strips += [wall((Piece(" "), *squeeze(row, inner - 2))) for row in self._inner]
        return [*strips, wall((Piece("─", "accent", fill="─"),), "└", "┘")]

    def _outer(self, width: int) -> tuple[int, int]:
        """How many cells are left and right of the box: at least what the ports there can do with, at most what its
        inside can spare."""
        sides = [self._left, self._right]
        parts = [self._out(doors, 0) for doors in sides]
        spare = width - self._inside(0) - sum(parts)
        for index, doors in enumerate(sides):
            more = max(0, min(self._out(doors, ALL) - parts[index], spare))
            parts[index] += more
            spare -= more
        # What is over after that lengthens the lines on both sides alike.
        over = max(0, width - self._inside(ALL) - sum(parts))
        tied = [index for index, doors in enumerate(sides) if doors]
        for index in tied:
            parts[index] += over // 2 if len(tied) == 2 else min(over, 2)
        if len(tied) < 2 or over % 2 == 0:
            return parts[0], parts[1]
        return parts[0], parts[1] + 1


def _default(pen: Pen, link: str) -> Row:
    gateway = pen.shape.fact(link, "gateway")
    by = Piece(f" by {pen.shape.node(link).name}", "dim", drop=3)
    words = (Piece("default ", "accent", drop=4), Piece(f"⇒ {gateway}", "accent"), by)
    return words if gateway else ()


def _doors(left: _Door | None, right: _Door | None, before: int, after: int, inner: int) -> Strip:
    inside = _two(left.inside if left else (), right.inside if right else (), inner)
    first = stretch(left.outside, before) if left else (Piece(" " * before),)
    last = stretch(right.outside, after) if right else (Piece(" " * after),)
    walls = (_wall(left, "╡", "┤"), _wall(right, "╞", "├"))
    return Strip((*first, walls[0], *inside, walls[1], *last), left is not None, right is not None)


def _wall(door: _Door | None, veth: str, other: str) -> Piece:
    return Piece("│" if door is None else veth if door.veth else other, "accent")


def _two(left: Row, right: Row, inner: int) -> Row:
    """Two rows at the two walls, a blank beside each."""
    if not left or not right:
        one = squeeze(left or right, inner - 2)
        blank = Piece(" ", fill=" ")
        return stretch((Piece(" "), *one, blank) if left else (blank, *one, Piece(" ")), inner)
    room = max(inner - 3, 2)
    if width_of(left) + width_of(right) > room:
        left = squeeze(left, room - min(width_of(right), room // 2))
        right = squeeze(right, room - width_of(left))
    return stretch((Piece(" "), *left, Piece(" ", fill=" "), *right, Piece(" ")), inner)


def _addresses(left: _Door | None, right: _Door | None, inner: int) -> list[Row]:
    """The addresses below the links: in one line if they fit, else in two."""
    one, other = left.address if left else (), right.address if right else ()
    if one and other and width_of(one) + width_of(other) + 3 > inner:
        return [_two(one, (), inner), _two((), other, inner)]
    return [_two(one, other, inner)] if one or other else []
