"""Buses side by side with what is plugged into them, and what connects them, as far as the width allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tui.model.topology import Edge, NodeKind
from tui.topology.box import Box, Strip
from tui.topology.drawing import ALL, Piece, Placed, Row, cells, elide, squeeze, stretch, width_of, wish
from tui.topology.leaves import Folding, Leaf, fold_row, leaf, left_of_bar, own_leaf, right_of_bar, split
from tui.topology.shape import Shape, Wire
from tui.topology.words import Pen

_LONGEST_TITLE = 24
_PARTS = 2


@dataclass(slots=True)
class _Area:
    """What stands left of the first bar, between two bars, or right of the last one."""

    rows: list[Strip | Box]
    floor: int = 1

    def wish(self, level: int) -> int:
        """Return the cells it wants where what may be left out at a greater number than `level` is."""
        return max(
            [self.floor, *(one.wish(level) if isinstance(one, Box) else wish(one.row, level) for one in self.rows)]
        )

    def lines(self, width: int) -> list[Strip]:
        """Return the lines in exactly `width` cells."""
        out: list[Strip] = []
        for one in self.rows:
            out += one.lines(width) if isinstance(one, Box) else [one._replace(row=stretch(one.row, width))]
        return out


def _best_bus(shape: Shape, box: str, left: set[str]) -> str | None:
    """The bus beside which a box is drawn, of those that are left: the one with the most guests."""
    ends = [bus for link in shape.links_of(box) for _port, bus in shape.ends_of(link) if bus in left]
    return max(ends, key=lambda bus: sum(bool(shape.guests(edge.a)) for edge in shape.plugs(bus)), default=None)


class Band:
    """Some buses side by side. It draws with a pen of its own, so that it can be tried and thrown away."""

    def __init__(self, pen: Pen, buses: Sequence[str], folding: Folding) -> None:
        self.pen = pen.fork()
        self.folding = Folding(folding.open, folding.keep, folding.most)
        self.buses = tuple(buses)
        shape = pen.shape
        self.pen.seen |= set(buses)
        self._drawn: set[str] = set()
        self._words = [self.pen.bus_words(bus) for bus in buses]
        self._pairs = list(pairwise(buses))
        self._wires = [shape.wires(one).get(other, []) for one, other in self._pairs]
        for group in self._wires:
            self._drawn |= {edge.a for wire in group for edge in (wire.edge, wire.other)}
        self._boxes = self._choose_boxes()
        # The plugs of these are drawn with them.
        for chosen in self._boxes:
            for box, *sides in chosen:
                self._drawn |= {
                    port for link in shape.links_of(box) for port, bus in shape.ends_of(link) if port and bus in sides
                }
        self._areas = self._make_areas()
        self._give_titles_room()

    def _choose_boxes(self) -> list[list[tuple[str, str | None, str | None]]]:
        """The boxes of each area: between two buses, or beside the one bus of them that they lead to."""
        shape, taken = self.pen.shape, set(self.pen.seen)
        later = set(shape.buses) - self.pen.seen
        areas: list[list[tuple[str, str | None, str | None]]] = [[] for _ in range(len(self.buses) + 1)]
        for index, (one, other) in enumerate(self._pairs, 1):
            for box in shape.boxes_between(one, other):
                if box not in taken:
                    taken.add(box)
                    areas[index].append((box, one, other))
        for index, bus in enumerate(self.buses, 1):
            for box in shape.boxes_at(bus):
                if box not in taken and _best_bus(shape, box, later | set(self.buses)) == bus:
                    taken.add(box)
                    areas[index].append((box, bus, None))
        return areas

    def _make_areas(self) -> list[_Area]:
        count = len(self.buses)
        areas = [_Area([]) for _ in range(count + 1)]
        left, right = self._sides(self.buses[0])
        areas[0].rows += self._plugs(self.buses[0], left, at_left=True)
        for index in range(1, count + 1):
            area = areas[index]
            if index < count:
                area.rows += [self._wire(wire) for wire in self._wires[index - 1]]
            area.rows += [Box(self.pen, *chosen) for chosen in self._boxes[index]]
            own = right if index == 1 else self._shown(self.buses[index - 1])
            area.rows += self._plugs(self.buses[index - 1], own, at_left=False, own=index > 1 or count == 1)
        return areas

    def _shown(self, bus: str) -> list[Edge]:
        return [edge for edge in self.pen.shape.plugs(bus) if edge.a not in self._drawn]

    def _sides(self, bus: str) -> tuple[list[Edge], list[Edge]]:
        """What stands left of the first bus and what right of it: of a bus alone all but the guests."""
        edges = self._shown(bus)
        if len(self.buses) > 1:
            return edges, []
        left = [edge for edge in edges if self.pen.shape.guests(edge.a)]
        return left, [edge for edge in edges if edge not in left]

    def _plugs(self, bus: str, edges: list[Edge], *, at_left: bool, own: bool | None = None) -> list[Strip | Box]:
        """The plugs of a bus on one of its sides, with what hangs on the bus itself on that of its way out."""
        pen = self.pen
        shown, rests = split(pen, bus, edges, self.folding)
        leaves = [leaf(pen, edge) for edge in shown]
        itself = own_leaf(pen, bus) if (not at_left if own is None else own) else None
        leaves += [itself] if itself is not None else []
        lead = max((width_of(one.head) for one in leaves if one.ties), default=0)
        strips: list[Strip | Box] = [_plug(one, lead, at_left=at_left) for one in leaves]
        for rest in rests:
            row = fold_row(pen, rest, self.folding)
            line = Piece(" ", fill=" ")
            strips.append(
                Strip((line, *row, Piece(" ╌")), right=True) if at_left else Strip((Piece("╌ "), *row), left=True)
            )
        return strips

    def _wire(self, wire: Wire) -> Strip:
        """A line from bar to bar."""
        pen, edge, other = self.pen, wire.edge, wire.other
        first = (Piece("─"), pen.sign(edge.a), Piece(" "), pen.name(edge.a), *pen.label(edge.label), Piece(" "))
        if edge.a == other.a:
            row: Row = (*first, Piece("─", fill="─"), *pen.label(other.label), Piece("─"))
            return Strip(row, left=True, right=True)
        line = "═" if pen.shape.peer(edge.a) == other.a else "⇢"
        last = (Piece(" "), pen.name(other.a), *pen.label(other.label), Piece(" "), pen.sign(other.a), Piece("─"))
        return Strip((*first, Piece(line, fill=line), *last), left=True, right=True)

    def _give_titles_room(self) -> None:
        for index, bus in enumerate(self.buses):
            half = min(cells(self.pen.shape.node(bus).name), _LONGEST_TITLE) // 2 + 2
            self._areas[index].floor += half
            self._areas[index + 1].floor += half

    def wish(self, level: int) -> int:
        """Return the cells it wants where what may be left out at a greater number than `level` is."""
        return sum(area.wish(level) for area in self._areas) + len(self.buses)

    def _widths(self, width: int) -> list[int]:
        """The widths of the areas: each what it can do with, then what matters most everywhere, then the rest."""
        widths = [area.wish(0) for area in self._areas]
        spare = max(0, width - sum(widths) - len(self.buses))
        for level in range(1, ALL + 1):
            for index, area in enumerate(self._areas):
                more = max(0, area.wish(level) - widths[index])
                if more > spare:
                    # Of names and addresses a part is worth having; what comes after is whole or not at all.
                    more = spare if level <= _PARTS else 0
                widths[index] += more
                spare -= more
        return widths

    def draw(self, width: int) -> list[list[Placed]]:
        """Return its lines, titles first."""
        widths = self._widths(width)
        columns = [area.lines(size) for area, size in zip(self._areas, widths, strict=True)]
        height = max(len(column) for column in columns)
        bars = _bars(widths)
        lines = self._titles(bars, width)
        for y in range(max(height, 1)):
            line: list[Placed] = []
            strips = [column[y] if y < len(column) else None for column in columns]
            x = 0
            for index, strip in enumerate(strips):
                if strip is not None:
                    line.append(Placed(x, strip.row))
                x += widths[index]
                if index < len(self.buses):
                    line.append(Placed(x, (self._bar(index, strip, strips[index + 1]),)))
                    x += 1
            lines.append(line)
        return lines

    def _bar(self, index: int, left: Strip | None, right: Strip | None) -> Piece:
        tied = (left is not None and left.right, right is not None and right.left)
        return Piece({(False, False): "┃", (True, False): "┨", (False, True): "┠", (True, True): "╂"}[tied], "title")

    def _titles(self, bars: list[int], width: int) -> list[list[Placed]]:
        """The names of the buses above their bars, and below those what is worth saying of them."""
        ends = [0, *((one + other) // 2 for one, other in pairwise(bars)), width]
        names: list[Placed] = []
        words: list[Placed] = []
        for index, bus in enumerate(self.buses):
            room = ends[index + 1] - ends[index] - 1
            node = self.pen.shape.node(bus)
            text = elide(node.name, min(_LONGEST_TITLE, max(room - 2, 2)))
            odd = self.pen.odd_sign(bus) if node.kind is not NodeKind.NETWORK else ()
            names.append(_centred((*odd, Piece(text, "title", bus)), bars[index], ends[index], room))
            if self._words[index]:
                words.append(_centred(squeeze(self._words[index], room), bars[index], ends[index], room))
        return [names, words] if words else [names]


def _bars(widths: list[int]) -> list[int]:
    bars, x = [], 0
    for size in widths[:-1]:
        x += size
        bars.append(x)
        x += 1
    return bars


def _centred(row: Row, middle: int, start: int, room: int) -> Placed:
    size = width_of(row)
    return Placed(max(start, min(middle - size // 2, start + room - size)), row)


def _line(char: str, length: int, *, at_left: bool) -> Piece:
    """The line to what hangs on a plug; that of a tunnel has a head."""
    if char != "⇢":
        return Piece(char * length, "dim", fill=char if at_left else "")
    return Piece("⇠" + "─" * (length - 1), "dim", fill="─") if at_left else Piece("─" * (length - 1) + "⇢", "dim")


def _plug(one: Leaf, lead: int, *, at_left: bool) -> Strip:
    """A plug with its sign at the bar, its name beside that, and what hangs on it outside; names alike in width."""
    first = one.ties[0] if one.ties else None
    rest = Pen.flat(one.ties[1:])
    tail = (*first.row, *rest) if first is not None else ()
    if at_left:
        line = _line(first.line, 1, at_left=True) if first is not None else Piece(" ", fill=" ")
        return Strip(left_of_bar(one.sign, one.head, line, tail), right=True)
    if first is None:
        return Strip((Piece("─"), one.sign, Piece(" "), *one.head, Piece(" ")), left=True)
    line = _line(first.line, 1 + lead - width_of(one.head), at_left=False)
    # The blank keeps it from the next bar.
    return Strip((*right_of_bar(one.sign, one.head, line, tail), Piece(" ")), left=True)
