"""A traced path in a drawing: what is on it stands out, each thing by its verdict, and what is not steps back."""

from __future__ import annotations

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
    """The line between two things that are both on the path is on it as well; signs of states stay as they are."""
    named = [index for index, piece in enumerate(row) if piece.spot]
    out: list[Piece] = []
    for index, piece in enumerate(row):
        if piece.spot:
            out.append(piece._replace(style=_style(piece.spot, lit)))
        elif piece.text in STATE_SIGNS or piece.style == "bad":
            out.append(piece)
        else:
            before = next((row[at].spot for at in reversed(named) if at < index), "")
            after = next((row[at].spot for at in named if at > index), "")
            out.append(piece._replace(style="" if before in lit.verdicts and after in lit.verdicts else "dim"))
    return tuple(out)


def _style(id: str, lit: Lit) -> str:
    if id == lit.cause:
        return SIGNS[Verdict.BROKEN][1]
    return SIGNS[lit.verdicts[id]][1] if id in lit.verdicts else "dim"
