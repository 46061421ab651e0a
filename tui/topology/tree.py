"""The tree view: bridge by bridge, one line for each thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tui.model.topology import Edge, NodeKind
from tui.topology.drawing import Piece, Row
from tui.topology.leaves import Folding, Leaf, fold_row, leaf, own_leaf, split
from tui.topology.words import Pen

_LOOSE_ORDER = (NodeKind.DOMAIN, NodeKind.PROCESS, NodeKind.LINK, NodeKind.OVS_PORT, NodeKind.NETWORK)


@dataclass(slots=True)
class Tree:
    """Draws the lines of the tree; `shut` holds buses and boxes whose lines are hidden."""

    pen: Pen
    folding: Folding
    shut: frozenset[str] = frozenset()
    whole: bool = True
    """Whether all of the graph is drawn: how many ports a bridge has is not known of a part."""
    rows: list[Row] = field(default_factory=list)

    def draw(self) -> list[Row]:
        """Return all lines."""
        shape = self.pen.shape
        for bus in shape.buses:
            self._bus(bus)
        for box in shape.boxes:
            if box not in self.pen.seen:
                self._box(box)
        self.loose()
        return self.rows

    def _bus(self, bus: str) -> None:
        pen = self.pen
        pen.seen.add(bus)
        node = pen.shape.node(bus)
        edges = pen.shape.plugs(bus)
        words = pen.bus_words(bus, tree=True)
        shut = bus in self.shut
        name = Piece(node.name, "title", bus)
        count = self._count(len(edges), "port", shut=shut)
        self.rows.append((pen.sign(bus), Piece(" "), name, *((Piece("  "), *words) if words else ()), count))
        if shut:
            self._hide(bus, edges)
            return
        own = own_leaf(pen, bus)
        shown, rests = split(pen, bus, edges, self.folding)
        lines = [_line(own)] if own is not None else []
        lines += [_line(leaf(pen, edge)) for edge in shown]
        lines += [fold_row(pen, rest, self.folding) for rest in rests]
        self._branches(lines)

    def _count(self, number: int, word: str, *, shut: bool) -> Piece:
        words = f"  {number} {word}{'' if number == 1 else 's'}" if self.whole else ""
        return Piece(words + (" …" if shut else ""), "dim", drop=7)

    def _hide(self, bus: str, edges: Iterable[Edge]) -> None:
        before = set(self.pen.seen)
        own_leaf(self.pen, bus)
        for edge in edges:
            leaf(self.pen, edge)
        self.folding.folds[f"shut:{bus}"] = tuple(self.pen.seen - before)

    def _branches(self, lines: list[Row]) -> None:
        for index, row in enumerate(lines):
            self.rows.append((Piece("└─" if index == len(lines) - 1 else "├─", "dim"), *row))

    def _box(self, box: str) -> None:
        pen, shape = self.pen, self.pen.shape
        title = pen.box_title(box)
        links = shape.links_of(box)
        shut = box in self.shut
        count = self._count(len(links), "link", shut=shut)
        self.rows.append((Piece("▣ ", "accent"), Piece("netns ", "dim", drop=6), *title, count))
        before = set(pen.seen)
        lines = [box_line(pen, box, link) for link in links]
        lines += [(Piece(" "), *note) for note in pen.box_notes(box)]
        if shut:
            self.folding.folds[f"shut:{box}"] = tuple(pen.seen - before)
        else:
            self._branches(lines)

    def loose(self) -> None:
        """Add what hangs on no bus and in no box."""
        pen, shape = self.pen, self.pen.shape
        left = [id for id in shape.nodes if id not in pen.seen]
        ranked = sorted(left, key=lambda id: _rank(shape.node(id).kind))
        first = True
        for id in ranked:
            if id in pen.seen:
                continue
            if first:
                self.rows.append((Piece("not on a bridge", "dim"),))
                first = False
            self.rows.append((Piece("  "), *loose_line(pen, id)))


def _rank(kind: NodeKind) -> int:
    return _LOOSE_ORDER.index(kind) if kind in _LOOSE_ORDER else len(_LOOSE_ORDER)


def _line(one: Leaf) -> Row:
    return (one.sign, Piece(" "), *one.head, *Pen.flat(one.ties))


def box_line(pen: Pen, box: str, link: str) -> Row:
    """Return a link of a namespace with all that hangs on it."""
    shape = pen.shape
    sign = pen.sign(link)
    if link in pen.seen or link in shape.is_bus:
        return (sign, Piece(" "), pen.ref(link), *_facts(pen, link))
    bus = shape.bus_of(link)
    to = (Piece(" "), pen.ref(bus)) if bus is not None else ()
    name, more = pen.name(link), pen.particulars(link)
    ties = pen.beyond(link, frozenset({box}), shape.node(box).netns)
    return (sign, Piece(" "), name, *more, *to, *pen.flat(ties), *pen.rate(link))


def _facts(pen: Pen, link: str) -> Row:
    """What a namespace adds to a link that is drawn elsewhere: its addresses, and the way out."""
    addresses = pen.shape.fact(link, "addresses")
    return (*((Piece(f" {addresses}", drop=2),) if addresses else ()), *pen.way_out(link))


def loose_line(pen: Pen, id: str) -> Row:
    """Return a thing that hangs on nothing, with what hangs on it."""
    shape, node = pen.shape, pen.shape.node(id)
    if node.kind in (NodeKind.DOMAIN, NodeKind.PROCESS):
        nics = [nic for nic in shape.nics(id) if nic not in pen.seen]
        row = [pen.sign(id), Piece(" "), pen.name(id, "title")]
        for nic in nics:
            row += [Piece(" ─ ", "dim"), *_nic(pen, nic), *pen.flat(pen.beyond(nic, frozenset({id}), ""))]
        return tuple(row)
    if node.kind is NodeKind.NETWORK:
        return (pen.sign(id), Piece(" network ", "dim"), pen.name(id, "accent"),
                Piece(f" {shape.fact(id, 'mode')} {node.state}", "dim", drop=3))  # fmt: skip
    if node.kind is NodeKind.DNSMASQ:
        return (
            *pen.server_row(id),
            Piece(f" {node.name}@{node.netns}" if node.netns else f" {node.name}", "dim", drop=3),
        )
    name, owner = pen.name(id), pen.owner(id, "host")
    kind = Piece(f" {shape.fact(id, 'link_kind')}", "dim", drop=5)
    return (pen.sign(id), Piece(" "), name, *owner, *pen.particulars(id), kind,
            *pen.flat(pen.beyond(id, frozenset(), node.netns)), *pen.rate(id))  # fmt: skip


def _nic(pen: Pen, nic: str) -> Row:
    kind = pen.shape.fact(nic, "nic_kind")
    words = Piece(f" {kind} NIC", "dim", drop=3) if kind else Piece("")
    return (*pen.odd_sign(nic), pen.name(nic), *pen.particulars(nic), words)
