"""Which of all that is broken on a way explains the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.finding import ON_THE_WIRE, Layer, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.model.finding import Fact, Hop

_RANK = {layer: rank for rank, layer in enumerate(Layer)}
_FROM_AFAR = frozenset({"no-route", "no-carrier", "rp-filter", "no-return-route"})
"""What a fault further on brings about: a link that is down takes its routes and the carrier of its peer with it."""


def cause_of(hops: Sequence[Hop]) -> tuple[int, int] | None:
    """Return hop and fact of the cause: the nearest that is no symptom and that no earlier layer explains; on one hop
    the earliest layer. None where nothing is broken."""
    found = [
        (at, number, fact)
        for at, hop in enumerate(hops)
        for number, fact in enumerate(hop.facts)
        if fact.verdict is Verdict.BROKEN
    ]
    if not found:
        return None
    own = [item for item in found if not _is_explained(item[2], [other[2] for other in found])]
    at, number, _ = min(own or found, key=lambda item: (item[0], _rank(item[2]), item[1]))
    return at, number


def _rank(fact: Fact) -> int:
    return _RANK[fact.layer or Layer.SYMPTOM]


def _is_explained(fact: Fact, all_broken: Sequence[Fact]) -> bool:
    if fact.layer is Layer.SYMPTOM:
        # Silence on the wire is explained by what is broken up to there, which is nearer, and by nothing behind it.
        return fact.source not in ON_THE_WIRE
    return fact.cause in _FROM_AFAR and any(_rank(other) < _rank(fact) for other in all_broken)
