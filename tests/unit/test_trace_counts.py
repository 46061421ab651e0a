"""What passes the links of a way while one asks on the wire: a proof more, and never a reason to cry wolf."""

from __future__ import annotations

import pytest

from tests.unit.network_scene import routed
from tui.model.finding import ON_THE_WIRE, Fact, Hop, Layer, Verdict
from tui.model.route import Answers, CountAnswer, CountQuestion
from tui.topology.trace_proof import with_counts
from tui.topology.trace_scene import Scene

NET = routed()
HOPS = [
    Hop(kind, name, "host", NET.key(name), (Fact("is up", Verdict.GOOD, "IFLA_IFINFO flags"),))
    for kind, name in (("veth", "p-ex"), ("bridge", "br-ex"), ("veth", "up0"))
]
ANSWERS: Answers = {
    CountQuestion(NET.key("p-ex")): CountAnswer(3, 0),
    CountQuestion(NET.key("br-ex")): CountAnswer(0, 0),
    CountQuestion(NET.key("up0")): CountAnswer(0, 0),
}


def counted(asked: Fact) -> list[tuple[str, str, Verdict]]:
    """Names, words and verdicts of the counts on a way that ends with what was asked."""
    hops = [*HOPS, Hop("router", "r1", "r1", "r1", (asked,))]
    found = with_counts(Scene(NET.snapshot(), ANSWERS, probe=True), hops)
    return [(hop.name, fact.words, fact.verdict) for hop in found for fact in hop.facts if "STATS" in fact.source]


@pytest.mark.parametrize("asked", [
    Fact("nobody answers", Verdict.BROKEN, ON_THE_WIRE[0], "next-hop-dead", Layer.SYMPTOM),
    Fact("it does not answer a ping", Verdict.UNKNOWN, ON_THE_WIRE[1]),
])  # fmt: skip
def test_where_nothing_passes_and_nobody_answers_it_stops(asked: Fact) -> None:
    assert counted(asked) == [
        ("p-ex", "packets while it was probed: 3 in, 0 out", Verdict.GOOD),
        ("up0", "packets while it was probed: 0 in, 0 out", Verdict.UNKNOWN),
    ]


def test_where_all_answered_a_link_that_nothing_passes_is_fine() -> None:
    assert {verdict for _, _, verdict in counted(Fact("answers", Verdict.GOOD, ON_THE_WIRE[0]))} == {Verdict.GOOD}


def test_what_was_not_counted_is_not_told() -> None:
    scene = Scene(NET.snapshot(), {}, probe=False)
    assert with_counts(scene, HOPS) == HOPS
    assert not scene.questions
    asking = Scene(NET.snapshot(), {}, probe=True)
    assert with_counts(asking, HOPS) == HOPS
    assert list(asking.questions) == [CountQuestion(NET.key("p-ex")), CountQuestion(NET.key("up0"))]
