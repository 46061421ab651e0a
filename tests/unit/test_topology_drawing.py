"""The drawings: as they are kept, and what holds for any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import same_as_kept
from tests.net_host import NetHost, crowd, homework
from tests.unit.topology_hosts import at_random, company, switches
from tui.model.text import cells
from tui.model.topology import Graph
from tui.topology.drawing import Drawing, Piece, elide, plain, squeeze, stretch, width_of
from tui.topology.graph import build
from tui.topology.layout import MOST_OBJECTS, Look, draw

KEPT = Path(__file__).parent / "drawings"
HOSTS = {"homework": homework, "company": company, "switches": switches}


def graph(host: NetHost) -> Graph:
    return build(host.snapshot())


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", HOSTS)
def test_the_bus_view_is_as_it_is_kept(name: str, width: int) -> None:
    drawing = draw(graph(HOSTS[name]()), Look(width, bus=True))
    assert drawing.bus
    same_as_kept(KEPT / f"{name}-bus-{width}.txt", drawing.text())


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", HOSTS)
def test_the_tree_is_as_it_is_kept(name: str, width: int) -> None:
    same_as_kept(KEPT / f"{name}-tree-{width}.txt", draw(graph(HOSTS[name]()), Look(width, bus=False)).text())


def drawn_nodes(drawing: Drawing) -> list[str]:
    """The nodes that are drawn, not only referred to, folded ones included."""
    seen = [spot.id for spot in drawing.spots if not spot.ref and not spot.id.startswith("fold:")]
    return seen + [id for inside in drawing.folds.values() for id in inside]


@pytest.mark.parametrize("seed", range(150))
def test_whatever_the_graph_nothing_is_lost_drawn_twice_or_too_wide(seed: int) -> None:
    made = graph(at_random(seed))
    for look in (Look(80), Look(200), Look(46, bus=True), Look(120, bus=False), Look(80, bus=True, rates=True)):
        drawing = draw(made, look)
        assert max((width_of(line) for line in drawing.lines), default=0) <= look.width
        assert all(cells(plain(line)) <= look.width for line in drawing.lines)
        drawn = drawn_nodes(drawing)
        assert set(drawn) == set(made.nodes), "nothing is lost"
        assert len(drawn) == len(set(drawn)), f"drawn twice: {sorted(id for id in drawn if drawn.count(id) > 1)}"
        for spot in drawing.spots:
            assert 0 <= spot.x < spot.end <= look.width
            assert spot.y < len(drawing.lines)
        assert [spot[:2] for spot in drawing.spots] == sorted(spot[:2] for spot in drawing.spots), "reading order"


@pytest.mark.parametrize("seed", range(20))
def test_spots_are_where_the_words_are(seed: int) -> None:
    drawing = draw(graph(at_random(seed, hostile=False)), Look(160))
    for spot in drawing.spots:
        x, text = 0, ""
        for piece in drawing.lines[spot.y]:
            if x == spot.x:
                text = piece.text
            x += cells(piece.text)
        assert text, f"nothing begins at {spot}"


def test_hostile_names_are_shown_and_nothing_of_them_is_obeyed() -> None:
    text = "\n".join(draw(graph(at_random(seed)), Look(200)).text() for seed in range(40))
    assert "[@click=app.quit]x" in text
    assert "日本語の橋" in text
    assert not {char for char in text if ord(char) < 32 and char != "\n"}
    assert "\u202e" not in text


def test_many_objects_are_a_tree_and_the_buses_one_choice_away() -> None:
    made = graph(crowd(pairs=100, namespaces=10, bridges=4))
    drawing = draw(made, Look(120))
    assert not drawing.bus
    assert drawing.notes[0].endswith("objects: the tree")
    assert int(drawing.notes[0].split()[0]) > MOST_OBJECTS
    assert draw(made, Look(120, bus=True)).bus


def test_too_narrow_for_buses_is_a_tree_and_says_so() -> None:
    drawing = draw(graph(homework()), Look(24))
    assert not drawing.bus
    assert drawing.notes == ("too narrow for the bus view at 24 columns: the tree",)
    assert max(width_of(line) for line in drawing.lines) <= 24


def folded_host(count: int = 47) -> NetHost:
    host = NetHost()
    bridge = host.bridge("br0")
    for number in range(count):
        host.guest(f"vm{number}", f"tap{number}", master=bridge, carrier=number % 10 != 9)
    return host


def test_many_alike_are_folded_and_open_one_by_one() -> None:
    made = graph(folded_host())
    drawing = draw(made, Look(100, bus=True))
    assert "+43 taps: 39●, 4◌" in drawing.text()
    assert "vm3 ─" in drawing.text()
    assert "vm4 ─" not in drawing.text()
    (spot,) = drawing.folds
    opened = draw(made, Look(100, bus=True, open=frozenset({spot})))
    assert "vm46 ─" in opened.text()
    assert "fold taps again" in opened.text()
    assert "+" not in draw(made, Look(100, bus=True, open=frozenset({"*"}))).text()


def test_what_has_a_problem_is_not_folded_away() -> None:
    host = folded_host()
    bridge = next(iter(host.links))
    for name in ("twin1", "twin2"):
        host.guest(name, f"tap-{name}", master=bridge, mac="52:54:00:bb:bb:bb")
    text = draw(graph(host), Look(100, bus=True)).text()
    assert "twin1 ─ tap-twin1 ⚠" in text
    assert "twin2 ─ tap-twin2 ⚠" in text


def test_bridges_of_the_tree_can_be_shut() -> None:
    made = graph(homework())
    bus = next(id for id, node in made.nodes.items() if node.name == "br-in")
    drawing = draw(made, Look(100, bus=False, shut=frozenset({bus})))
    assert "tap1" not in drawing.text()
    assert "br-in  3 ports …" in drawing.text()
    assert set(drawn_nodes(drawing)) == set(made.nodes)


def test_focus_draws_what_is_around() -> None:
    made = graph(company())
    guest = next(id for id, node in made.nodes.items() if node.name == "db1")
    one = draw(made, Look(120, focus=guest, hops=1)).text()
    assert "br10" in one
    assert "virbr0" not in one
    assert "vethweb" not in one
    two = draw(made, Look(120, focus=guest, hops=2)).text()
    assert "vethweb" in two
    assert "virbr0" not in two


def test_what_cannot_be_seen_is_said_first() -> None:
    host = homework()
    host.limits = ("other namespaces: not root",)
    assert draw(graph(host), Look(80)).text().startswith("limited: other namespaces: not root\n")


def test_rates_have_room_of_their_own_where_there_is_some() -> None:
    made = graph(homework())
    drawing = draw(made, Look(200, rates=True))
    keys = {piece.rate for line in drawing.lines for piece in line if piece.rate}
    assert keys >= {made.nodes[id].key for id in made.nodes if made.nodes[id].name in ("tap1", "tap2")}
    assert draw(made, Look(200, rates=True)).lines == drawing.lines, "the same graph is the same drawing"


@pytest.mark.parametrize("bus", [True, False])
@pytest.mark.parametrize("name", HOSTS)
def test_rates_give_way_before_they_touch_what_is_before_them(name: str, bus: bool) -> None:
    made, widest = graph(HOSTS[name]()), "↓24.7M ↑12.4M"
    for width in range(60, 140):
        for line in draw(made, Look(width, bus=bus, rates=True)).lines:
            assert all(len(piece.text) > len(widest) and not piece.text.strip() for piece in line if piece.rate), width


def test_rows_are_fitted_by_what_matters_least() -> None:
    row = (Piece("name-of-a-guest", "", "a"), Piece(" 10.0.0.1", drop=2), Piece(" dim", drop=5))
    assert plain(squeeze(row, 30)) == "name-of-a-guest 10.0.0.1 dim"
    assert plain(squeeze(row, 26)) == "name-of-a-guest 10.0.0.1"
    assert plain(squeeze(row, 20)) == "name-of-a-guest"
    assert plain(squeeze(row, 8)) == "name-of…"
    assert width_of(stretch(row, 50)) == 50
    assert elide("日本語", 4) == "日…"
    assert elide("日本語", 5) == "日本…"
