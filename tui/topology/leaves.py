"""What is plugged into a bus, as rows: one for each thing, many alike folded into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tui.model.topology import Edge, NodeKind
from tui.topology.drawing import Piece, Row
from tui.topology.words import Pen, Tie

# Blanks around a line go before anything that says something does.
_GAP = Piece(" ", drop=8)
_FOLDED_WORDS = {"tap": "taps", "netns": "namespaces", "port": "ports"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A plug of a bus with what hangs on it."""

    sign: Piece
    head: Row
    """Name and label of the plug."""
    ties: tuple[Tie, ...]


def right_of_bar(sign: Piece, head: Row, line: Piece, tail: Row = ()) -> Row:
    """Return a plug as it stands right of its bus: the line fills."""
    return (Piece("─"), sign, Piece(" "), *head, _GAP, line, *((_GAP, *tail) if tail else ()))


def left_of_bar(sign: Piece, head: Row, line: Piece, tail: Row = ()) -> Row:
    """Return a plug as it stands left of its bus: the line fills."""
    return (*((*tail, _GAP) if tail else ()), line, _GAP, *head, Piece(" "), sign, Piece("─"))


@dataclass(slots=True)
class Folding:
    """What is unfolded, and what was folded while drawing."""

    open: frozenset[str] = frozenset()
    """The spots of folds that are open, and "*" for all."""
    keep: int = 4
    """How many of a kind stay in view before the fold."""
    most: int = 6
    """How many of a kind are too few to fold."""
    folds: dict[str, tuple[str, ...]] = field(default_factory=dict)


def leaf(pen: Pen, edge: Edge, came: frozenset[str] = frozenset()) -> Leaf:
    """Return a plug with all that hangs on it."""
    shape, id = pen.shape, edge.a
    netns = shape.node(edge.b).netns
    known = id in pen.seen
    node = shape.node(id)
    whose = () if known else pen.owner(id, netns or node.netns)
    head = (pen.name(id), *whose, *pen.label(edge.label), *(() if known else pen.particulars(id)))
    ties = [] if known else pen.beyond(id, frozenset({edge.b, *came}), node.netns or netns)
    rate = pen.rate(id)
    if rate and ties:
        ties[0] = Tie(ties[0].line, (*ties[0].row, *rate))
    ties += [Tie("─", (pen.ref(other),)) for other in _elsewhere(pen, edge, known) if other not in came]
    return Leaf(pen.sign(id), head, tuple(ties))


def _elsewhere(pen: Pen, edge: Edge, known: bool) -> list[str]:
    """Where else a plug leads: to the bus that it is a port of as well; of one that was drawn before, to its box."""
    shape = pen.shape
    master, peer = shape.master(edge.a), shape.peer(edge.a)
    found = [master] if master is not None and master in shape.is_bus and master != edge.b else []
    if known and peer is not None:
        found.append(shape.netns_of(peer) or shape.bus_of(peer) or peer)
    return found


def own_leaf(pen: Pen, bus: str) -> Leaf | None:
    """Return what hangs on a bus that is a link itself: slaves, the other end, a guest, the way out."""
    shape = pen.shape
    if shape.node(bus).kind is not NodeKind.LINK:
        return None
    upper = frozenset(edge.a for edge in shape.upper(bus))
    slaves = [edge.a for edge in shape.plugs(bus) if edge.a not in upper]
    ties = pen.beyond(bus, frozenset({*upper, *slaves}), shape.node(bus).netns)
    out = pen.way_out(bus)
    if not ties and not out:
        return None
    return Leaf(pen.sign(bus), (Piece("itself", "dim"), *out), tuple(ties))


def kind_of(pen: Pen, edge: Edge) -> str:
    """Return of what kind a plug is, as far as many of them are alike: tap, netns, port; "" for others."""
    shape, id = pen.shape, edge.a
    if shape.node(id).facts.get("problem") or shape.fact(id, "uplink") or id in shape.lit:
        return ""
    if shape.guests(id):
        return "tap"
    peer = shape.peer(id)
    if peer is not None:
        owner = shape.netns_of(peer)
        return "netns" if owner is not None and owner not in shape.is_box else ""
    return "" if shape.far_ends(id) or shape.upper(id) or shape.parents(id) else "port"


class Rest(NamedTuple):
    """Plugs of one kind that are folded into one line; none where the fold is open, and can be closed."""

    spot: str
    kind: str
    edges: tuple[Edge, ...]


def split(pen: Pen, bus: str, edges: Sequence[Edge], folding: Folding) -> tuple[list[Edge], list[Rest]]:
    """Return the plugs to draw one by one, and those to fold. What has a problem, or is on a
    path that is lit, is never folded."""
    kinds: dict[str, list[Edge]] = {}
    for edge in edges:
        kinds.setdefault(kind_of(pen, edge), []).append(edge)
    hidden: set[str] = set()
    rests: list[Rest] = []
    for kind, alike in kinds.items():
        if not kind or len(alike) <= folding.most or "*" in folding.open:
            continue
        spot = f"fold:{bus}:{kind}"
        rest = () if spot in folding.open else tuple(alike[folding.keep :])
        hidden |= {edge.a for edge in rest}
        rests.append(Rest(spot, kind, rest))
    return [edge for edge in edges if edge.a not in hidden], rests


def fold_row(pen: Pen, rest: Rest, folding: Folding) -> Row:
    """Return the line of what is folded, which counts as drawn."""
    if not rest.edges:
        return (Piece(f"fold {_FOLDED_WORDS[rest.kind]} again", "dim", rest.spot),)
    signs = Counter(pen.sign_of(edge.a) for edge in rest.edges)
    before = set(pen.seen)
    for edge in rest.edges:
        leaf(pen, edge)
    folding.folds[rest.spot] = tuple(pen.seen - before)
    row = [Piece(f"+{len(rest.edges)} {_FOLDED_WORDS[rest.kind]}:", "dim", rest.spot)]
    for index, ((sign, style), count) in enumerate(signs.most_common()):
        row += [Piece(f"{',' if index else ''} {count}"), Piece(sign, style)]
    return tuple(row)
