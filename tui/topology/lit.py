"""A traced path in a drawing: what is on it stands out, each thing by its verdict, and what is not steps back."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace

from tui.model.finding import Trace, Verdict, worst
from tui.model.verdict_words import SIGNS
from tui.topology.drawing import Drawing, Piece, Row
from tui.topology.trace_nodes import nodes_of
from tui.topology.words import STATE_SIGNS


@dataclass(frozen=True, slots=True)
class Lit:
    """What of a graph a trace lights up."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """The worst that is said of a node, by its id, in the order of the way."""
    cause: str = ""
    """The node of the hop that explains what is broken, or of the nearest before it that has one; "" for none."""


def lit_of(trace: Trace, nodes: Container[str]) -> Lit:
    """Return what a trace lights up of a graph with those nodes."""
    verdicts: dict[str, Verdict] = {}
    broken_at, cause = trace.cause[0] if trace.cause is not None else -1, ""
    for at, hop in enumerate(trace.hops):
        id = next((id for id in nodes_of(hop) if id in nodes), "")
        if id:
            verdicts[id] = worst((verdicts[id], hop.verdict)) if id in verdicts else hop.verdict
            cause = id if at <= broken_at else cause
    return Lit(verdicts, cause)


def light(drawing: Drawing, lit: Lit) -> Drawing:
    """Return a drawing with a path lit in it."""
    return replace(drawing, lines=tuple(_lit_row(row, lit) for row in drawing.lines), lit=lit)


def _lit_row(row: Row, lit: Lit) -> Row:
    """What stands between two things that are both on the path is on it as well, and so is the sign of one."""
    named = [index for index, piece in enumerate(row) if piece.spot]
    lit_at = {index for index in named if row[index].spot in lit.verdicts}
    out: list[Piece] = []
    for index, piece in enumerate(row):
        if piece.spot:
            style = _style(piece.spot, lit)
        elif piece.text in STATE_SIGNS:
            nearest = min(named, key=lambda at: abs(at - index), default=-1)
            style = piece.style if nearest in lit_at else "dim"
        else:
            at = bisect(named, index)
            style = "" if lit_at.issuperset(named[at - 1 : at + 1]) and 0 < at < len(named) else "dim"
        out.append(piece._replace(style=style))
    return tuple(out)


def _style(id: str, lit: Lit) -> str:
    if id == lit.cause:
        return SIGNS[Verdict.BROKEN][1]
    return SIGNS[lit.verdicts[id]][1] if id in lit.verdicts else "dim"
