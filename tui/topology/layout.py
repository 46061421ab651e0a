"""The graph as a drawing of a given width: buses side by side, or a tree, bridge by bridge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tui.model.finding import Trace
from tui.model.topology import Graph
from tui.topology.band import Band
from tui.topology.box import Box
from tui.topology.drawing import ALL, Drawing, Piece, Placed, Row, find_spots, join, squeeze, width_of, wish
from tui.topology.leaves import Folding, split
from tui.topology.lit import Lit, light, lit_of
from tui.topology.shape import Shape, around
from tui.topology.tree import Tree
from tui.topology.words import TIES, Pen

MOST_OBJECTS = 60
"""Above so many objects the tree is drawn unless the bus view is asked for."""

_ADDRESSES = 3
"""The level at which addresses are not left out."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a graph is to be drawn."""

    width: int
    bus: bool | None = None
    """The bus view, or the tree; None: whichever suits."""
    open: frozenset[str] = frozenset()
    """Folded lines that are to be open; "*" for all."""
    shut: frozenset[str] = frozenset()
    """Buses and boxes of the tree that show no more than their name."""
    focus: str = ""
    """The node around which to draw; "" for everything."""
    hops: int = 1
    rates: bool = False
    """Whether room is left for the rates of links."""
    trace: Trace | None = None
    """The path to light up."""


def draw(graph: Graph, look: Look) -> Drawing:
    """Return the drawing of a graph, no wider than the look says. Each thing is drawn once; where it is met again a
    reference `▸name` stands. The bus view gives way to the tree where there is too much for it or the width is too
    small, and the drawing says so."""
    if look.trace is None:
        return _drawn(graph, look, Lit())
    lit = lit_of(look.trace, graph.nodes)
    return light(_drawn(graph, look, lit), lit)


def _drawn(graph: Graph, look: Look, lit: Lit) -> Drawing:
    if look.focus in graph.nodes:
        graph = around(graph, look.focus, look.hops)
    shape = Shape(graph, lit=frozenset(lit.verdicts), broken=lit.cause)
    width = look.width
    head = [_limit(text, width) for text in graph.limits]
    notes: list[str] = []
    objects = 0 if look.bus is not None else _objects(shape, look)
    if look.bus is not False and objects <= MOST_OBJECTS:
        lines = _bus_lines(shape, look, width, folding := Folding(look.open))
        if lines is not None:
            return _drawing([*head, *lines], look.width, folding, bus=True)
        notes.append(f"too narrow for the bus view at {width} columns: the tree")
    elif look.bus is None:
        notes.append(f"{objects} objects: the tree")
    folding = Folding(look.open, keep=8, most=12)
    pen = Pen(shape, rates=look.rates)
    rows = Tree(pen, folding, look.shut, whole=not look.focus).draw()
    lines = [[Placed(0, part)] for row in rows for part in _fitted(row, width)]
    return _drawing([*head, *lines], look.width, folding, bus=False, notes=tuple(notes))


def _limit(text: str, width: int) -> list[Placed]:
    return [Placed(0, squeeze((Piece(f"limited: {text}", "warn"),), width))]


def _fitted(row: Row, width: int) -> list[Row]:
    """A row as lines of at most `width` cells: one, if need be without what matters least, or where even that is too
    much several, each broken before a tie."""
    if wish(row, 0) <= width:
        return [squeeze(_with_rate(row, width), width)]
    lines: list[Row] = []
    line: Row = ()
    for part in _parts(row):
        if line and wish((*line, *part), 0) > width:
            lines.append(line)
            line = (Piece("  ↳"),)
        line = (*line, *part)
    return [squeeze(one, width) for one in (*lines, line)]


def _parts(row: Row) -> list[Row]:
    """A row cut before each tie."""
    cuts = [0, *(index for index, piece in enumerate(row) if index and piece.text in TIES.values()), len(row)]
    return [row[start:end] for start, end in pairwise(cuts)]


def _with_rate(row: Row, width: int) -> Row:
    """Rates stand in a column of their own at the right edge."""
    rates = [piece for piece in row if piece.rate]
    if not rates:
        return row
    rest = tuple(piece for piece in row if not piece.rate)
    room = width - width_of(rates[:1])
    if width_of(rest) >= room:
        return (*rest, rates[0])
    return (*rest, Piece(" " * (room - width_of(rest)), drop=10), rates[0])


def _drawing(
    lines: list[list[Placed]], width: int, folding: Folding, *, bus: bool, notes: tuple[str, ...] = ()
) -> Drawing:
    spots = [spot for y, placed in enumerate(lines) for spot in find_spots(y, placed)]
    return Drawing(tuple(join(placed) for placed in lines), width, bus, tuple(spots), folding.folds, notes)


def _objects(shape: Shape, look: Look) -> int:
    """How many things the bus view would have to show, folded lines counted as one."""
    pen, count = Pen(shape), len(shape.buses) + len(shape.boxes)
    for bus in shape.buses:
        shown, rests = split(pen, bus, shape.plugs(bus), Folding(look.open))
        count += len(shown) + len(rests)
    return count


def _bus_lines(shape: Shape, look: Look, width: int, folding: Folding) -> list[list[Placed]] | None:
    """The lines of the bus view, None where it does not fit."""
    pen = Pen(shape, rates=look.rates)
    blocks: list[list[list[Placed]]] = []
    left = _ordered(shape)
    while left:
        band = _next_band(pen, left, width, folding)
        if band.wish(0) > width:
            return None
        pen.seen = band.pen.seen
        folding.folds.update(band.folding.folds)
        left = [bus for bus in left if bus not in band.buses]
        blocks.append(band.draw(width))
    for box in (box for box in shape.boxes if box not in pen.seen):
        one = Box(pen, box, None, None)
        if one.wish(0) > width:
            return None
        blocks.append([[Placed(0, strip.row)] for strip in one.lines(min(width, one.wish(ALL)))])
    blocks.append(_loose(pen, width))
    lines: list[list[Placed]] = []
    for block in filter(None, blocks):
        lines += [[], *block] if lines else block
    return lines


def _loose(pen: Pen, width: int) -> list[list[Placed]]:
    tree = Tree(pen, Folding())
    tree.loose()
    return [[Placed(0, part)] for row in tree.rows for part in _fitted(row, width)]


def _next_band(pen: Pen, left: list[str], width: int, folding: Folding) -> Band:
    """The next buses side by side: the first one left, and from there as many as are tied and fit."""
    chosen = [left[0]]
    band = Band(pen, chosen, folding)
    while band.wish(0) <= width:
        nexts = [bus for bus in _tied(pen, chosen[-1]) if bus in left and bus not in chosen]
        for bus in nexts:
            wider = Band(pen, [*chosen, bus], folding)
            # What two buses share is worth squeezing for; a neighbour alone is not.
            if wider.wish(0 if pen.shape.boxes_between(chosen[-1], bus) else _ADDRESSES) <= width:
                chosen.append(bus)
                band = wider
                break
        else:
            return band
    return band


def _tied(pen: Pen, bus: str) -> list[str]:
    """The buses tied to one, by a box that is not drawn yet or directly: by a box first, then those with a way out."""
    shape = pen.shape
    boxes = [box for box in shape.boxes_at(bus) if box not in pen.seen]
    by_box = [at for box in boxes for link in shape.links_of(box) for _port, at in shape.ends_of(link)]
    found = [other for other in dict.fromkeys([*by_box, *shape.wires(bus)]) if other != bus]
    return sorted(found, key=lambda other: (other not in by_box, -_outward(shape, other)))


def _outward(shape: Shape, bus: str) -> int:
    """How many ways out a bus has."""
    ids = (bus, *(edge.a for edge in shape.plugs(bus)))
    return sum(bool(shape.fact(id, "uplink") or shape.fact(shape.peer(id) or id, "uplink")) for id in ids)


def _ordered(shape: Shape) -> list[str]:
    """The buses with guests and no way out first: a chain is drawn from the guests outward."""

    def rank(bus: str) -> tuple[bool, bool]:
        guests = any(shape.guests(edge.a) for edge in shape.plugs(bus))
        return (_outward(shape, bus) > 0, not guests)

    return sorted(shape.buses, key=rank)
