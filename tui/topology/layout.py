"""The graph as a drawing of a given width: buses side by side, or a tree, bridge by bridge."""

from __future__ import annotations

from dataclasses import dataclass

from tui.model.topology import Graph
from tui.topology.band import Band, boxes_between, wires
from tui.topology.box import Box
from tui.topology.drawing import ALL, Drawing, Piece, Placed, Row, find_spots, join, squeeze, width_of
from tui.topology.leaves import Folding
from tui.topology.shape import Shape, around
from tui.topology.tree import Tree
from tui.topology.words import Pen

MOST_OBJECTS = 60
"""Above so many objects the tree is drawn unless the bus view is asked for."""

NARROWEST = 40
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


def draw(graph: Graph, look: Look) -> Drawing:
    """Return the drawing of a graph, no wider than the look says. Each thing is drawn once; where it is met again a
    reference `▸name` stands. The bus view gives way to the tree where there is too much for it or the width is too
    small, and the drawing says so."""
    if look.focus in graph.nodes:
        graph = around(graph, look.focus, look.hops)
    shape = Shape(graph)
    width = max(look.width, NARROWEST)
    head = [_limit(text, width) for text in graph.limits]
    notes: list[str] = []
    if look.bus is not False:
        lines, objects = _bus_lines(shape, look, width, folding := Folding(look.open))
        if lines is None:
            notes.append(f"too narrow for the bus view at {width} columns: the tree")
        elif look.bus is None and objects > MOST_OBJECTS:
            notes.append(f"{objects} objects: the tree")
        else:
            return _drawing([*head, *lines], look.width, folding, bus=True)
    folding = Folding(look.open, keep=8, most=12)
    pen = Pen(shape, rates=look.rates)
    rows = Tree(pen, folding, look.shut).draw()
    lines = [[Placed(0, squeeze(_with_rate(row, width), width))] for row in rows]
    return _drawing([*head, *lines], look.width, folding, bus=False, notes=tuple(notes))


def _limit(text: str, width: int) -> list[Placed]:
    return [Placed(0, squeeze((Piece("limited: ", "warn"), Piece(text, "warn", drop=1)), width))]


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


def _bus_lines(shape: Shape, look: Look, width: int, folding: Folding) -> tuple[list[list[Placed]] | None, int]:
    """The lines of the bus view, None where it does not fit, and how many objects it has."""
    pen = Pen(shape, rates=look.rates)
    lines: list[list[Placed]] = []
    objects = 0
    left = _ordered(shape)
    while left:
        band = _next_band(pen, left, width, folding)
        if band.wish(0) > width:
            return None, 0
        pen.seen = band.pen.seen
        folding.folds.update(band.folding.folds)
        left = [bus for bus in left if bus not in band.buses]
        lines += [*([[]] if lines else []), *band.draw(width)]
        objects += band.objects
    for box in shape.boxes:
        if box not in pen.seen:
            one = Box(pen, box, None, None)
            if one.wish(0) > width:
                return None, 0
            lines += [
                *([[]] if lines else []),
                *([Placed(0, strip.row)] for strip in one.lines(min(width, one.wish(ALL)))),
            ]
            objects += 1
    loose = _loose(pen, width)
    lines += [*([[]] if lines and loose else []), *loose]
    return lines, objects + len(loose)


def _loose(pen: Pen, width: int) -> list[list[Placed]]:
    tree = Tree(pen, Folding())
    tree.loose()
    return [[Placed(0, squeeze(row, width))] for row in tree.rows]


def _next_band(pen: Pen, left: list[str], width: int, folding: Folding) -> Band:
    """The next buses side by side: the first one left, and from there as many as are tied and fit."""
    chosen = [left[0]]
    band = Band(pen, chosen, folding)
    while band.wish(0) <= width:
        nexts = [bus for bus in _tied(pen, chosen[-1]) if bus in left and bus not in chosen]
        for bus in nexts:
            wider = Band(pen, [*chosen, bus], folding)
            # What two buses share is worth squeezing for; a neighbour alone is not.
            if wider.wish(0 if boxes_between(pen.shape, chosen[-1], bus) else _ADDRESSES) <= width:
                chosen.append(bus)
                band = wider
                break
        else:
            return band
    return band


def _tied(pen: Pen, bus: str) -> list[str]:
    """The buses tied to one, by a box that is not drawn yet or directly: by a box first, then those with a way out."""
    shape = pen.shape
    found = [
        other
        for other in shape.buses
        if other != bus
        and (wires(shape, bus, other) or any(box not in pen.seen for box in boxes_between(shape, bus, other)))
    ]
    return sorted(found, key=lambda other: (not boxes_between(shape, bus, other), -_outward(shape, other)))


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
