"""How verdicts of a path trace are told on the screen: signs, style tokens, and texts in lines."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tui.model.finding import Fact, Hop, Remedy, Trace, Verdict
from tui.model.text import clean, wrapped

SIGNS: Mapping[Verdict, tuple[str, str]] = MappingProxyType(
    {
        Verdict.GOOD: ("●", "good"),
        Verdict.BROKEN: ("✖", "bad"),
        Verdict.WARNING: ("⚠", "warn"),
        Verdict.UNKNOWN: ("?", "unknown"),
        Verdict.NOT_SIMULATED: ("~", "unknown"),
    }
)
"""Sign and style token of a verdict."""

_VERDICTS = {
    Verdict.GOOD: "the way is good, there and back",
    Verdict.WARNING: "the way is good, with a warning",
    Verdict.UNKNOWN: "nothing is broken as far as it can be told",
    Verdict.NOT_SIMULATED: "nothing is broken as far as it can be told",
    Verdict.BROKEN: "the way is broken",
}

Line = list[tuple[str, str]]
"""Texts with their style tokens."""


def summary(trace: Trace) -> str:
    """Return what is broken, or that nothing is, with its sign; the style is that of the trace's verdict."""
    sign = SIGNS[trace.verdict][0]
    if trace.cause is None:
        return f"{sign} {_VERDICTS[trace.verdict]}"
    at, number = trace.cause
    return f"{sign} {told(trace.hops[at], trace.hops[at].facts[number])}"


def told(hop: Hop, fact: Fact) -> str:
    """Return a fact with the hop that it is about."""
    return f"{hop.kind} {hop.name}: {fact.words}"


def fact_lines(facts: Sequence[Fact], width: int) -> list[Line]:
    """Return the facts of a hop in lines of at most `width` cells: each with its source, and what mends it."""
    lines: list[Line] = []
    for fact in facts:
        sign, style = SIGNS[fact.verdict]
        first, *rest = wrapped(fact.words, max(width - 2, 8))
        lines.append([(f"{sign} ", style), (first, "")])
        lines += [[(f"  {part}", "")] for part in rest]
        if fact.source:
            lines.append([(f"    {fact.source}", "dim")])
        for remedy in fact.remedies:
            lines += _remedy_lines(remedy, width)
    return lines


def _remedy_lines(remedy: Remedy, width: int) -> list[Line]:
    lines: list[Line] = [[(f"    {part}", "accent")] for part in wrapped(remedy.words, max(width - 4, 8))]
    command = clean(shlex.join(remedy.command)) if remedy.command else remedy.action
    return lines + [[(f"      {part}", "key")] for part in wrapped(command, max(width - 6, 8)) if command]
