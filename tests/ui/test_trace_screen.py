"""The trace on the screen: hops and facts, what is broken first, mended while one watches."""

from __future__ import annotations

from tests.ui.conftest import OpenDeck
from tests.ui.words import Deck
from tests.unit.network_scene import Net, routed
from tests.unit.test_filtering import chain, rule
from tui.dialogs.trace import Drawn, Subject, TraceScreen
from tui.model.finding import Hop
from tui.model.snapshot import HostSnapshot

FAR = "203.0.113.9"


class Scripted:
    """A trace screen on a network that the test makes and breaks."""

    def __init__(self, deck: Deck) -> None:
        self.deck = deck
        self.net: Net = routed()
        self.net.filter("r1", chain("postrouting", rule("masquerade", oif="r1-ex"), kind="nat"))
        self.asked: list[Subject] = []
        self.left: list[Hop | Drawn | None] = []
        self.probed = 0
        self.screen = TraceScreen(self.net.snapshot(), Subject("vm1", 2, to=FAR), self._ask, self._listen)

    def _ask(self, _snapshot: HostSnapshot, subject: Subject, probing: bool) -> None:
        self.asked.append(subject)
        self.probed += probing
        self.screen.show_trace(self.net.trace(subject.guest, subject.to) if subject.nic == 0 else "no such NIC")

    def _listen(self, _snapshot: HostSnapshot, key: str) -> None:
        self.screen.show_capture(key, ("← ARP who has 10.0.0.1 tell 10.0.0.51",))

    async def open(self) -> None:
        """Put it on the screen."""
        self.deck.app.push_screen(self.screen, self.left.append)
        await self.deck.until(lambda: self.screen.grid.total > 0, "the hops are shown")

    async def news(self) -> None:
        """Tell it of a new snapshot, as the collector does."""
        self.screen.show_snapshot(self.net.snapshot())
        await self.deck.settle()

    def cursor(self) -> str:
        """The name of the hop under the cursor."""
        row = self.screen.grid.cursor_item
        return row.hop.name if row is not None else ""


async def test_the_cause_is_said_first_and_the_cursor_is_on_it(demo: OpenDeck) -> None:
    async with demo() as deck:
        scripted = Scripted(deck)
        scripted.net.change("p-in", up=False, carrier=False)
        await scripted.open()
        assert scripted.cursor() == "p-in"
        text = deck.text()
        assert "vm1/net0 to 203.0.113.9" in text
        assert "✖ veth p-in: p-in is set down" in text
        assert "ip link set p-in up" in text, "what mends it"
        assert "IFLA_IFINFO flags" in text, "and where it was read"


async def test_mended_while_one_watches_it_turns_good(demo: OpenDeck) -> None:
    async with demo() as deck:
        scripted = Scripted(deck)
        scripted.net.change("p-in", up=False, carrier=False)
        await scripted.open()
        scripted.net.change("p-in", up=True, carrier=True)
        await scripted.news()
        assert "● the way is good, there and back" in deck.text()
        assert scripted.cursor() == "p-in", "the cursor stays where it was"
        assert "✖" not in deck.text()


async def test_j_and_k_walk_the_hops_and_enter_gives_the_one_to_go_to(demo: OpenDeck) -> None:
    async with demo() as deck:
        scripted = Scripted(deck)
        await scripted.open()
        assert scripted.cursor() == "vm1/net0"
        await deck.press("j", "j")
        assert scripted.cursor() == "br-in"
        await deck.press("k")
        assert "port of br-in, forwarding" in deck.text()
        await deck.press("enter")
        assert [hop.name for hop in scripted.left if isinstance(hop, Hop)] == ["vnet1"]


async def test_another_destination_and_another_nic(demo: OpenDeck) -> None:
    async with demo() as deck:
        scripted = Scripted(deck)
        await scripted.open()
        await deck.press("t")
        for _ in FAR:
            await deck.press("backspace")
        await deck.type("10.0.0.52")
        await deck.press("enter")
        assert "vm1/net0 to 10.0.0.52" in deck.text()
        assert "vm2/net0" in deck.text()
        await deck.press("n")
        assert scripted.asked[-1] == Subject("vm1", 2, 1, to="10.0.0.52")
        assert "no such NIC" in deck.text()
        await deck.press("escape")
        assert scripted.left == [None]


async def test_what_passes_a_link_is_shown_at_its_hop_alone(demo: OpenDeck) -> None:
    async with demo() as deck:
        scripted = Scripted(deck)
        await scripted.open()
        await deck.press("c")
        assert "ARP who has" not in deck.text(), "a guest is no link"
        await deck.press("j", "c")
        assert "← ARP who has 10.0.0.1 tell 10.0.0.51" in deck.text()
        await deck.press("j")
        assert "ARP who has" not in deck.text()


async def test_leaving_the_destination_keeps_the_trace(demo: OpenDeck) -> None:
    async with demo() as deck:
        scripted = Scripted(deck)
        await scripted.open()
        await deck.press("p", "t", "escape")
        assert scripted.probed == 1
        assert scripted.left == []
        assert "vm1/net0 to 203.0.113.9" in deck.text()


async def test_it_fits_80x24(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        scripted = Scripted(deck)
        scripted.net.change("p-in", up=False, carrier=False)
        await scripted.open()
        assert "✖ veth p-in: p-in is set down" in deck.text()
        assert "wan0" in deck.text() or scripted.screen.grid.total > len(scripted.screen.grid.visible_items)


async def test_the_key_opens_it_on_a_domain_and_says_where_there_is_none(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press("ctrl+t")
        await deck.until(lambda: isinstance(deck.app.screen, TraceScreen), "the trace is open")
        await deck.press("escape")
        await deck.press("7", "ctrl+t")
        await deck.expect_toast("no link, and no domain or process with a NIC,")


async def test_it_opens_in_the_topology_too(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("6", "ctrl+t")
        told = "no link, and no domain or process with a NIC,"
        await deck.until(lambda: isinstance(deck.app.screen, TraceScreen) or any(told in t for t in deck.toasts()))


async def test_the_hint_bar_names_its_key_where_there_is_a_way_to_trace_and_room(demo: OpenDeck) -> None:
    async with demo(size=(240, 40)) as deck:
        await deck.focus("web-01")
        assert "ctrl+t trace" in deck.hints()
        await deck.press("3")
        assert "ctrl+t" not in deck.hints(), "pools have no NIC"
    async with demo(size=(80, 24)) as deck:
        await deck.focus("web-01")
        assert "ctrl+t" not in deck.hints()
        assert "? help" in deck.hints()


async def test_question_mark_explains_the_keys_of_the_trace_and_closes_again(demo: OpenDeck) -> None:
    async with demo() as deck:
        scripted = Scripted(deck)
        await scripted.open()
        assert "? help" in deck.text()
        await deck.press("?")
        text = deck.text()
        for words in ("The trace: keys and signs", "capture: listen for 5 s", "probe: ask on the wire", "next NIC"):
            assert words in text, words
        await deck.press("?")
        assert "vm1/net0 to 203.0.113.9" in deck.text()
        assert "The trace: keys and signs" not in deck.text()
        assert not scripted.left


async def test_what_drops_other_traffic_than_a_ping_is_said_on_top(demo: OpenDeck) -> None:
    async with demo() as deck:
        scripted = Scripted(deck)
        drop = rule("drop", text="meta l4proto tcp drop", understood=False, protocol="tcp")
        scripted.net.filter("r1", *scripted.net.firewalls["r1"].chains, chain("forward", drop))
        await scripted.open()
        text = deck.text()
        assert "? nothing is broken as far as it can be told (for a ping)" in text
        assert "~ filter forward: forward (ip t forward) lets a ping pass" in text
        assert "meta l4proto tcp drop" in text
