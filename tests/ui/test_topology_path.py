"""A traced path on the screen of the topology: lit up from the trace, followed while it changes, dropped by esc."""

from __future__ import annotations

from dataclasses import replace

from tests.net_host import homework
from tests.ui.conftest import OpenDeck
from tests.ui.test_topology_pane import Wires
from tests.ui.words import Deck
from tui.dialogs.trace import TraceScreen
from tui.model.link import LinkUsage
from tui.model.snapshot import HostSnapshot


async def lit(deck: Deck) -> None:
    """Trace web-01 and have its path drawn."""
    await deck.focus("web-01")
    await deck.press("ctrl+t")
    await deck.until(lambda: isinstance(deck.app.screen, TraceScreen) and deck.app.screen.grid.total > 0, "the trace")
    await deck.press("o")
    await deck.until(lambda: deck.app.pane.id == "topology" and deck.topology.path.display, "the topology")
    await deck.until(lambda: is_lit(deck), "the path is lit")
    await deck.settle()


def is_lit(deck: Deck) -> bool:
    made = deck.topology.drawn
    return made is not None and made.drawing.lit is not None


async def turn(deck: Deck, wires: Wires, name: str, *, up: bool) -> None:
    """Set a link of the scripted host down or up, and have it read."""
    key = next(key for key, link in wires.host.links.items() if link.name == name)
    wires.host.change(key, up=up, carrier=up)
    await deck.press("f5")


async def test_the_path_lights_up_and_turns_as_the_host_does(demo: OpenDeck) -> None:
    wires = Wires(homework(), "web-01")
    async with demo(size=(160, 40), network=wires) as deck:
        await lit(deck)
        assert "web-01/net0 to outside" in deck.text()
        assert "✖ b-in" not in deck.text()
        await turn(deck, wires, "b-in", up=False)
        await deck.until(lambda: "✖ veth b-in: b-in is set down" in deck.text(), "the cause in words")
        assert "✖ b-in" in deck.text(), "and where it is drawn"
        await turn(deck, wires, "b-in", up=True)
        await deck.until(lambda: "✖ veth" not in deck.text() and "✖ b-in" not in deck.text(), "mended")
        assert is_lit(deck)


async def test_the_cursor_is_on_what_breaks_it_and_the_detail_says_what_mends_it(demo: OpenDeck) -> None:
    wires = Wires(homework(), "web-01")
    key = next(key for key, link in wires.host.links.items() if link.name == "b-in")
    wires.host.change(key, up=False, carrier=False)
    async with demo(size=(160, 40), network=wires) as deck:
        await lit(deck)
        await deck.until(lambda: deck.under == "b-in", "the cursor on the cause")
        await deck.until(deck.rested)
        assert "On the path: veth b-in" in deck.detail()
        assert "ip link set b-in up" in deck.detail()


async def test_esc_drops_it_and_the_tracer_leaves(demo: OpenDeck) -> None:
    async with demo(size=(160, 40), network=Wires(homework(), "web-01")) as deck:
        await lit(deck)
        follower = deck.topology.path.follower
        await deck.press("f")
        assert "1 hop around" in deck.text()
        assert "drop the path" not in deck.text(), "esc leaves the focus first"
        await deck.press("escape")
        assert "esc drop the path" in deck.text()
        await deck.press("escape")
        assert "to outside" not in deck.text()
        assert not is_lit(deck)
        assert deck.topology.path.follower is None
        assert follower is not None
        deck.topology.show_trace(follower, "late news")
        await deck.settle()
        assert "late news" not in deck.text()


async def test_nothing_is_written_when_the_path_is_as_it_was(demo: OpenDeck) -> None:
    wires = Wires(homework(), "web-01")
    async with demo(size=(160, 40), network=wires) as deck:
        await lit(deck)
        follower, trace, made = deck.topology.path.follower, deck.topology.path.trace, deck.topology.drawn
        assert follower is not None
        assert trace is not None
        assert made is not None
        asked: list[HostSnapshot] = []
        deck.topology.path.follower = watched = replace(follower, ask=asked.append)
        await deck.screen.written()
        deck.app.collector.board.update(link_usage={"elsewhere": LinkUsage(1, 1, 1, 1, 0, 0, 0, 0, 1.0, 1.0, 1.0, 1.0)})
        await deck.settle()
        assert asked == [deck.snapshot], "traced anew with the snapshot"
        deck.topology.show_trace(watched, replace(trace, hops=tuple(replace(hop) for hop in trace.hops)))
        await deck.settle()
        assert deck.topology.drawn is not None
        assert deck.topology.drawn.drawing is made.drawing
        assert await deck.screen.written() == ""


async def test_why_there_is_no_path_is_said_until_there_is_one(demo: OpenDeck) -> None:
    async with demo(size=(80, 24), network=Wires(homework(), "web-01")) as deck:
        await lit(deck)
        follower, trace = deck.topology.path.follower, deck.topology.path.trace
        assert follower is not None
        assert trace is not None
        deck.topology.show_trace(follower, "the links are not read yet")
        await deck.settle()
        assert "the links are not read yet" in deck.text()
        assert not is_lit(deck)
        deck.topology.show_trace(follower, trace)
        await deck.settle()
        assert is_lit(deck)
