"""The triage pane: what is wrong, from the first screen to the thing and its remedy in a few keys."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.ui.conftest import OpenDeck
from tests.ui.words import Deck, open_deck
from tui.demo import scaled_host
from tui.demo.links import DemoNetwork
from tui.dialogs.trace import TraceScreen
from tui.model.domain import DomainState
from tui.model.finding import Finding, Severity
from tui.paths import muted_file

CRASHED = "crashed; its QEMU is kept for a look"


def of(deck: Deck, check: str, subject: str) -> Finding | None:
    found = deck.snapshot.findings or ()
    return next((f for f in found if f.check == check and f.subject == subject), None)


def told(deck: Deck) -> int:
    return sum(f.severity >= Severity.WARNING for f in deck.snapshot.findings or ())


async def opened(deck: Deck) -> None:
    await deck.press("1")
    await deck.until(lambda: any(CRASHED in row for row in deck.rows()), "the findings")


async def test_the_tab_tells_how_many_and_the_list_begins_with_the_worst(demo: OpenDeck) -> None:
    async with demo(size=(120, 30), network=DemoNetwork().read) as deck:
        await deck.until(lambda: told(deck) > 3, "the findings")
        await deck.settle()
        assert f"1 Triage({told(deck)})" in deck.text()
        assert deck.app.pane.id == "domains", "what is read first is what is shown first"
        await opened(deck)
        grid = [line for line in deck.lines() if "✖ error" in line or "⚠ warning" in line or "· info" in line]
        marks = [next(mark for mark in "✖⚠·" if mark in line) for line in grid]
        assert marks == sorted(marks, key="✖⚠·".index)
        assert {"✖", "⚠", "·"} <= set(marks)


async def test_from_the_first_screen_to_the_thing_in_three_keys(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        await opened(deck)
        subject = (deck.snapshot.findings or ())[0].subject
        await deck.press("enter")
        text = deck.text()
        assert all(words in text for words in ("Why it matters", "What mends it", "f Force it off"))
        await deck.press("enter")
        assert (deck.app.pane.id, deck.current) == ("domains", subject)


async def test_beside_the_list_enter_goes_there_at_once(demo: OpenDeck) -> None:
    async with demo(size=(140, 30)) as deck:
        await opened(deck)
        await deck.settle()
        assert "Why it matters" in deck.text()
        await deck.press("enter")
        assert deck.app.pane.id == "domains"


async def test_one_key_shows_the_plan_that_mends_it_and_the_finding_goes(demo: OpenDeck) -> None:
    async with demo() as deck:
        await opened(deck)
        finding = (deck.snapshot.findings or ())[0]
        await deck.act("f", f"Force off {finding.subject}")
        await deck.until(lambda: of(deck, finding.check, finding.subject) is None, "gone")
        assert deck.domain(finding.subject).state is DomainState.SHUTOFF


async def test_what_no_action_mends_says_its_command(demo: OpenDeck) -> None:
    async with demo() as deck:
        await opened(deck)
        row = next(i for i, f in enumerate(deck.snapshot.findings or ()) if f.check == "domain.transient")
        for _ in range(row):
            await deck.press("j")
        await deck.press("f")
        await deck.expect_toast("by hand: virsh -c")


async def test_a_finding_is_muted_with_a_reason_and_back(demo: OpenDeck) -> None:
    async with demo(size=(140, 30)) as deck:
        await opened(deck)
        finding = (deck.snapshot.findings or ())[0]
        await deck.press("m")
        await deck.type("ticket 4711")
        await deck.press("enter")
        await deck.until(
            lambda: (now := of(deck, finding.check, finding.subject)) is not None and now.muted is not None
        )
        await deck.settle()
        assert "◌ muted" in deck.text()
        assert "[ticket 4711]" in deck.text()
        assert stat.S_IMODE(muted_file().stat().st_mode) == 0o600
        assert "1 muted" in deck.text()
        await deck.act("M", f"Unmute {finding.check} of {finding.subject}")
        await deck.until(lambda: (now := of(deck, finding.check, finding.subject)) is not None and now.muted is None)
        assert "◌ muted" not in deck.text()


async def test_a_host_without_trouble_says_so(tmp_path: Path) -> None:
    async with open_deck(scaled_host(tmp_path, 3)) as deck:
        await deck.press("1")
        await deck.until(lambda: deck.snapshot.findings == ())
        assert "nothing is wrong here, as far as can be seen" in deck.text()
        assert "1 Triage " in deck.text()


def grown(deck: Deck, *found: Finding) -> None:
    deck.app.collector.board.update(findings=(*found, *(deck.snapshot.findings or ())))


def worst(number: int) -> Finding:
    return Finding(f"test.worst{number}", Severity.CRITICAL, "host", "host", "", f"number {number} is worst", "why")


async def test_the_cursor_stays_on_the_worst_until_it_is_moved(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        await opened(deck)
        deck.app.collector._triage.stop()
        grown(deck, worst(1))
        await deck.until(lambda: deck.grid.cursor_key == worst(1).id, "on the worst")
        await deck.press("j", "k")
        grown(deck, worst(2))
        await deck.until(lambda: any("number 2" in row for row in deck.rows()), "the newest")
        assert deck.grid.cursor_key == worst(1).id, "whoever moved it means this one"
        await deck.press("2", "1")
        assert deck.grid.cursor_key == worst(2).id, "opened again it is on the worst"
        await deck.press("enter")
        assert deck.app.frame.zoomed
        grown(deck, worst(3))
        await deck.settle()
        assert deck.grid.cursor_key == worst(2).id, "what is read in full stays"


async def test_a_finding_leads_to_the_trace_and_the_place_of_what_it_tells_of(demo: OpenDeck) -> None:
    async with demo(network=DemoNetwork().read) as deck:
        await opened(deck)
        deck.app.collector._triage.stop()
        assert deck.snapshot.links is not None
        running = next(d for d in deck.snapshot.domains.values() if d.name == "web-01")
        link = next(link for link in deck.snapshot.links.links.values() if link.kind == "bridge")

        async def follow(kind: str, name: str, key: str) -> None:
            grown(deck, Finding(f"test.of-{kind}", Severity.CRITICAL, kind, name, key, "is bad", "why"))
            await deck.press("2", "1")
            await deck.until(
                lambda: deck.grid.cursor_key == f"test.of-{kind}:{name if kind == 'link' else key}", f"on {name}"
            )
            await deck.press("ctrl+t")
            await deck.until(lambda: isinstance(deck.app.screen, TraceScreen), "the trace is open")
            await deck.press("escape", ".")
            await deck.until(lambda: deck.app.pane.id == "topology" and deck.under == name, f"the cursor on {name}")
            await deck.press("1")

        await follow("domain", running.name, running.key)
        await follow("link", link.name, link.key)
        grown(deck, worst(1))
        await deck.press("2", "1", "ctrl+t")
        await deck.expect_toast("no link, and no domain or process with a NIC,")
