"""The topology pane: the drawing of a scripted host, keys in it, ways to other panes and back, actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.net_host import NetHost, crowd, homework
from tests.ui.conftest import OpenDeck
from tests.ui.words import Deck
from tests.unit.topology_hosts import HOSTILE
from tui.model.domain import Domain, DomainState
from tui.model.kind import Kind
from tui.model.link import Link, Links, LinkUsage
from tui.model.text import clean


class Wires:
    """What the network maker of a test tells: a scripted host, with the demo's guests on one of its bridges."""

    def __init__(self, host: NetHost, *guests: str) -> None:
        self.host = host
        self.guests = guests
        self.usage: dict[str, LinkUsage] = {}

    def __call__(self, domains: Mapping[str, Domain], _now: int) -> Mapping[str, Any]:
        bridge = next((key for key, link in self.host.links.items() if link.raw_name == "br-in"), "")
        known = {link.mac for link in self.host.links.values()}
        for domain in domains.values():
            for nic in domain.config.nics[:1] if domain.config is not None and domain.name in self.guests else ():
                if (mac := "fe" + nic.mac[2:]) not in known and nic.target:
                    self.host.tap(nic.target, master=bridge, mac=mac)
        seen = self.host.snapshot()
        return {
            "links": seen.links, "link_usage": self.usage, "firewalls": seen.firewalls, "ovs": seen.ovs,
            "dnsmasqs": seen.dnsmasqs,
        }  # fmt: skip


def tap_of(deck: Deck, name: str) -> Link:
    """The tap of a guest, as the snapshot has it."""
    config, links = deck.domain(name).config, deck.snapshot.links
    assert config is not None
    assert links is not None
    return next(link for link in links.links.values() if link.mac == "fe" + config.nics[0].mac[2:])


async def opened(deck: Deck) -> None:
    await deck.press("6")
    await deck.until(lambda: deck.topology.drawn is not None, "a drawing")


async def focused(deck: Deck, name: str) -> None:
    """Draw only what is around a thing: the demo's guests that have no part in it are out of the way."""
    await deck.find(name)
    await deck.press("f", "f")


async def test_the_drawing_with_its_detail(demo: OpenDeck) -> None:
    async with demo(size=(160, 40), network=Wires(homework(), "web-01")) as deck:
        await opened(deck)
        text = deck.text()
        assert "┌─ r1 fwd NAT ─" in text
        assert "wan0@outside" in text
        assert "web-01" in text
        await deck.find("r1-ex")
        await deck.until(deck.rested)
        assert deck.under == "r1-ex"
        assert "Default via  203.0.113.1" in deck.detail()
        assert "b-ex" in deck.detail(), "the other end is one item with it"
        await deck.press("]")
        assert "NAT from     r1-in [masquerade]" in deck.detail()
        assert "enter go there  f focus  t bus/tree  space fold" in deck.hints()


async def test_from_a_guest_to_its_row_and_back(demo: OpenDeck) -> None:
    async with demo(network=Wires(homework(), "web-01")) as deck:
        await opened(deck)
        await deck.find("web-01")
        await deck.press("enter")
        assert deck.app.pane.id == "domains"
        assert deck.current == "web-01"
        await deck.press("6", "g")
        assert deck.under != "web-01"
        await deck.press("2", ".")
        assert deck.app.pane.id == "topology"
        assert deck.under == "web-01"
        await deck.press(".")
        assert deck.app.pane.id == "domains"


async def test_from_a_link_to_its_row_and_back(demo: OpenDeck) -> None:
    async with demo(size=(160, 40), network=Wires(homework())) as deck:
        await opened(deck)
        await deck.find("r1-in")
        await deck.press("enter")
        assert deck.app.pane.id == "interfaces"
        assert deck.current == "r1-in"
        await deck.focus("wan0")
        await deck.press(".")
        assert deck.app.pane.id == "topology", deck.toasts()
        assert deck.under == "wan0"
        await deck.press("k", "5", "-", "6")
        await deck.find("b-in")
        await deck.press("enter")
        assert deck.current == "b-in", "what was folded is shown"


async def test_what_is_off_has_no_place_and_says_so(demo: OpenDeck) -> None:
    async with demo(network=Wires(homework(), "web-01")) as deck:
        await opened(deck)
        await deck.press("2")
        off = next(d.name for d in deck.snapshot.domains.values() if d.state is DomainState.SHUTOFF)
        await deck.focus(off)
        await deck.press(".")
        await deck.expect_toast(f"{off} is not plugged into anything")


async def test_the_first_jump_waits_for_the_first_drawing(demo: OpenDeck) -> None:
    async with demo(network=Wires(homework(), "web-01")) as deck:
        await deck.focus("web-01")
        await deck.press(".")
        await deck.until(lambda: deck.app.pane.id == "topology" and deck.under == "web-01", "the cursor on web-01")


async def test_a_reference_leads_to_what_it_refers_to(demo: OpenDeck) -> None:
    async with demo(size=(160, 40), network=Wires(homework(), "web-01")) as deck:
        await opened(deck)
        await deck.press("t")
        await deck.find("b-ex")
        await deck.press("l", "l")
        made = deck.topology.drawn
        assert made is not None
        assert made.drawing.spots[deck.topology.canvas.index].ref
        assert deck.under == "r1"
        await deck.press("enter")
        assert deck.under == "r1"
        assert not made.drawing.spots[deck.topology.canvas.index].ref
        await deck.press("enter")
        assert deck.topology.zoomed, "no pane lists namespaces: the detail opens"
        await deck.press("escape")


async def test_focus_grows_and_shrinks(demo: OpenDeck) -> None:
    async with demo(size=(160, 40), network=Wires(homework(), "web-01")) as deck:
        await opened(deck)
        await deck.find("wan0")
        await deck.press("f")
        text = deck.text()
        assert "1 hop around wan0" in text
        assert "br-ex" in text
        assert "web-01" not in text
        await deck.press("f", "f", "f")
        assert "4 hops around wan0" in deck.text()
        assert "web-01" in deck.text()
        await deck.press("F")
        assert "3 hops around wan0" in deck.text()
        assert deck.under == "wan0"
        await deck.press("escape")
        assert "hops around" not in deck.text()
        assert deck.under == "wan0"
        await deck.press("F")
        await deck.expect_toast("everything is drawn")


async def test_views_and_folds(demo: OpenDeck) -> None:
    host = homework()
    bridge = next(iter(host.links))
    for number in range(20):
        host.tap(f"spare{number}", master=bridge)
    async with demo(size=(120, 60), network=Wires(host)) as deck:
        await opened(deck)
        await deck.find("br-in")
        await deck.press("f")
        assert "+18 ports: 18●" in deck.text()
        assert "spare9" not in deck.text()
        await deck.find("spare9")
        assert deck.under == "spare9", "the search unfolds what hides it"
        await deck.press("t")
        assert "▣ netns r1" in deck.text()
        await deck.find("br-in")
        await deck.press("space")
        assert "● br-in …" in deck.text()
        assert "spare1" not in deck.text()
        await deck.press("space", "t")
        assert "spare1" in deck.text()


async def test_search_goes_on_and_says_when_there_is_nothing(demo: OpenDeck) -> None:
    async with demo(size=(160, 40), network=Wires(homework(), "web-01")) as deck:
        await opened(deck)
        await deck.find("203.0.113.")
        found = [deck.under]
        for _ in range(2):
            await deck.press("n")
            found.append(deck.under)
        assert set(found) == {"r1-ex", "wan0"}
        before = deck.under
        await deck.press("N")
        assert deck.under != before
        await deck.press("/")
        await deck.type("zzz")
        await deck.expect_toast("nothing here has")
        await deck.press("escape")
        assert not deck.app.frame.query(".filter")


async def test_rates_move_without_a_new_drawing_and_silence_costs_nothing(demo: OpenDeck) -> None:
    wires = Wires(homework(), "web-01")
    async with demo(size=(200, 40), network=wires) as deck:
        await opened(deck)
        await focused(deck, "web-01")
        tap = tap_of(deck, "web-01").key
        made = deck.topology.drawn
        board = deck.app.collector.board
        await deck.screen.written()
        usage = LinkUsage(1, 1, 1, 1, 0, 0, 0, 0, 1.5e6, 2e4, 10.0, 10.0)
        board.update(link_usage={tap: usage})
        await deck.settle()
        assert "↓1.4M ↑20K" in deck.text()
        assert deck.topology.drawn is made
        await deck.screen.written()
        board.update(link_usage={tap: replace(usage, rx_bytes=2)})
        await deck.settle()
        assert await deck.screen.written() == ""


async def test_a_link_that_goes_down_is_seen(demo: OpenDeck) -> None:
    wires = Wires(homework())
    async with demo(size=(160, 40), network=wires) as deck:
        await opened(deck)
        await focused(deck, "wan0")
        wan = next(key for key, link in wires.host.links.items() if link.name == "wan0")
        up = next(key for key, link in wires.host.links.items() if link.name == "up0")
        wires.host.change(wan, up=False)
        wires.host.change(up, carrier=False)
        links = wires.host.snapshot().links
        assert isinstance(links, Links)
        deck.app.collector.board.update(links=links)
        await deck.settle()
        assert "◌ up0 ═" in deck.text()
        assert "═ ○ wan0" in deck.text()
        assert deck.under == "wan0"


async def test_actions_apply_to_the_guest_and_to_its_tap(demo: OpenDeck) -> None:
    async with demo(size=(160, 40), network=Wires(homework(), "web-01")) as deck:
        await opened(deck)
        await focused(deck, "web-01")
        assert deck.topology.kinds()[:2] == (Kind.DOMAIN, Kind.LINK)
        (link,) = deck.topology.targets(Kind.LINK)
        assert link is not None
        assert link.key == tap_of(deck, "web-01").key
        await deck.act("p", "Suspend web-01")
        await deck.until(lambda: deck.domain("web-01").state is DomainState.PAUSED)
        await deck.settle()
        assert "◐ web-01" in deck.text()
        await deck.press("h" if deck.under == "web-01" else "l")
        await deck.press("p")
        await deck.expect_popup("Resume web-01")
        await deck.press("escape")


async def test_many_things_are_drawn_on_a_thread_and_moved_through(demo: OpenDeck) -> None:
    async with demo(size=(120, 40), network=Wires(crowd(pairs=300, namespaces=20, bridges=5))) as deck:
        await opened(deck)
        await deck.settle()
        assert "objects: the tree" in deck.text()
        await deck.press("G", "g", "pagedown", "pagedown")
        assert deck.topology.canvas.place is not None
        await deck.find("v299")
        assert deck.under == "v299"


async def test_on_a_narrow_screen_the_detail_takes_the_place_of_the_drawing(demo: OpenDeck) -> None:
    async with demo(size=(80, 24), network=Wires(homework())) as deck:
        await opened(deck)
        await deck.find("r1-in")
        await deck.press("v")
        assert "Addresses    10.0.0.1/24" in deck.text()
        await deck.press("v")
        assert "r1 fwd NAT" in deck.text()


async def test_hostile_names_stand_as_they_are(demo: OpenDeck) -> None:
    host = NetHost()
    bridge = host.bridge("br0")
    for number, name in enumerate(HOSTILE):
        space = host.netns(name)
        _port, end = host.veth(f"{name}{number}", f"e{number}", to=space, master=bridge)
        host.address(end, f"10.0.0.{number + 1}/24")
    async with demo(size=(200, 60), network=Wires(host)) as deck:
        await opened(deck)
        await deck.find("br0")
        await deck.press("f", "t")
        text = deck.text()
        for name in HOSTILE:
            assert clean(name)[:20] in text
        await deck.press("enter", "escape", "2")
        assert deck.app.is_running
