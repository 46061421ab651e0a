"""A traced path in the drawing: what is on it, what breaks it, and what steps back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.network_scene import Net, routed
from tests.unit.test_filtering import chain, rule
from tui.model.finding import Trace, Verdict
from tui.topology.drawing import Drawing
from tui.topology.graph import build
from tui.topology.layout import Look, draw
from tui.topology.lit import lit_of

FAR = "203.0.113.9"


def scene() -> Net:
    """The routed network with its NAT."""
    net = routed()
    net.filter("r1", chain("postrouting", rule("masquerade", oif="r1-ex"), kind="nat"))
    return net


def drawn(net: Net, *, width: int = 120, bus: bool | None = None, to: str = FAR) -> Drawing:
    """The drawing with the way of vm1 lit."""
    return draw(build(net.snapshot()), Look(width, bus, trace=net.trace("vm1", to)))


def styles(drawing: Drawing) -> dict[str, str]:
    """The style of each name that is drawn, references left out."""
    return {piece.text: piece.style for line in drawing.lines for piece in line if piece.spot and not piece.ref}


ON_THE_WAY = {"vm1", "vnet1", "br-in", "p-in", "r1-in", "r1", "r1-ex", "p-ex", "br-ex", "up0", "wan0", "outside"}


@pytest.mark.parametrize("bus", [True, False])
def test_what_is_on_the_way_stands_out_and_the_rest_steps_back(bus: bool) -> None:
    found = styles(drawn(scene(), bus=bus))
    assert {name for name, style in found.items() if style == "good"} == ON_THE_WAY
    assert {style for name, style in found.items() if name not in ON_THE_WAY} == {"dim"}


def test_the_line_between_two_things_on_the_way_is_on_it() -> None:
    lines = {"".join(p.text for p in line): line for line in drawn(scene(), width=120, bus=True).lines}
    first, second = (next(line for words, line in lines.items() if name in words) for name in ("vnet1", "vnet2"))
    between = first[: next(at for at, piece in enumerate(first) if piece.text == "r1")]
    assert "dim" not in {piece.style for piece in between}
    tie = next(piece for piece in second if piece.text.strip() == "─")
    assert tie.style == "dim", "vm2 is not on the way"


@pytest.mark.parametrize("bus", [True, False])
def test_what_breaks_it_is_marked(bus: bool) -> None:
    net = scene()
    assert "✖" not in drawn(net, bus=bus).text()
    net.change("p-in", up=False, carrier=False)
    broken = drawn(net, bus=bus)
    assert "✖ p-in" in broken.text()
    assert broken.text().count("✖") == 1
    assert styles(broken)["p-in"] == "bad"
    assert styles(broken)["vnet1"] == "good"


@pytest.mark.parametrize(("name", "bus", "words"), [
    ("r1", True, "┌─ ✖ r1 no fwd"), ("r1", False, "✖ r1 no fwd"),
    ("br-in", True, "✖ br-in"), ("br-in", False, "✖ br-in"),
])  # fmt: skip
def test_namespaces_and_bridges_are_marked_too(name: str, bus: bool, words: str) -> None:
    net = scene()
    if name == "r1":
        settings = replace(net.namespaces["r1"].settings, ipv4_forwarding=False)
        net.namespaces["r1"] = replace(net.namespaces["r1"], settings=settings)
    else:
        net.change(name, up=False)
    assert words in drawn(net, bus=bus).text()


def test_a_cause_that_is_not_drawn_is_marked_where_the_way_last_was() -> None:
    net = scene()
    net.change("p-in", up=False, carrier=False)
    found, nodes = net.trace("vm1", FAR), build(net.snapshot()).nodes
    assert lit_of(found, nodes).cause == f"link:{net.key('p-in')}"
    without = {id for id in nodes if id != f"link:{net.key('p-in')}"}
    assert lit_of(found, without).cause == f"link:{net.key('br-in')}"
    assert lit_of(found, ()).verdicts == {}
    assert lit_of(Trace("a", "b", (), None), nodes).cause == ""


def test_a_thing_has_the_worst_that_its_hops_say() -> None:
    net = scene()
    net.filter("r1", chain("forward", rule("drop"), policy="drop"))
    found = net.trace("vm1", FAR)
    assert {hop.verdict for hop in found.hops if hop.name in ("r1", "forward")} == {Verdict.GOOD, Verdict.BROKEN}
    lit = lit_of(found, build(net.snapshot()).nodes)
    assert (lit.verdicts["netns:r1"], lit.cause) == (Verdict.BROKEN, "netns:r1")


def test_what_is_on_the_way_is_not_folded_away() -> None:
    net = scene()
    for number in range(20):
        net.link(f"spare{number}", "dummy")
        net.plug(f"spare{number}", "br-in")
    made = build(net.snapshot())
    assert "spare19" not in draw(made, Look(120, True)).text()
    found = net.trace("vm1", FAR)
    by_spare = replace(found, hops=(*found.hops, replace(found.hops[1], key=net.key("spare19"))))
    assert "spare19" in draw(made, Look(120, True, trace=by_spare)).text()
