"""The screen on the demo host, by keys: panes, filter, sort, marks, palette, help, hints, read-only, configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.ui.conftest import OpenDeck
from tests.ui.words import Deck, open_deck
from tui.actions import ACTIONS, BY_ID
from tui.actions.keys import PALETTE
from tui.app import VirtdeckApp
from tui.config import Config, ConfigError
from tui.demo import scaled_host
from tui.dialogs.palette import Palette
from tui.dialogs.plan import PlanDialog
from tui.model.domain import DomainState, MonitorState
from tui.model.host import ConnectionState
from tui.model.kind import Kind
from tui.model.process import QemuDrive, QemuNic, QemuProcess, QemuThread, ThreadRole
from tui.model.snapshot import HostSnapshot
from tui.panes import domains
from tui.screen import check_names
from tui.sources.detail import read_detail

# Panes


async def test_panes_open_by_their_digits_and_by_a_click(demo: OpenDeck) -> None:
    async with demo() as deck:
        assert "29 running" in deck.lines()[1]
        await deck.press("7")
        assert deck.app.pane.id == "journal"
        assert "nothing was changed here yet" in deck.text()
        await deck.press("2")
        assert deck.app.pane.id == "domains"
        journal = deck.lines()[1].index("7 Journal")
        await deck.pilot.click("#tabs", offset=(journal, 0))
        await deck.settle()
        assert deck.app.pane.id == "journal"


async def test_enter_opens_the_detail_and_escape_leads_back(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        await deck.focus("db-primary")
        await deck.press("enter")
        assert "PostgreSQL 16, primary" in deck.text()
        for title in ("vCPUs", "Memory", "Tuning", "Disks", "NICs", "Snapshots", "Events", "XML"):
            await deck.press("]")
            assert deck.app.frame._current(deck.app.frame._tabs()).title == title
        await deck.until(lambda: "<name>db-primary</name>" in deck.detail())
        await deck.press("pagedown", "pagedown")
        assert deck.app.frame.detail.top > 20
        await deck.press("[", "escape")
        assert not deck.app.frame.zoomed
        assert deck.current == "db-primary"


async def test_v_shows_and_hides_the_detail_beside_the_list(demo: OpenDeck) -> None:
    async with demo() as deck:
        assert "Overview" in deck.text()
        await deck.press("v")
        assert "Overview" not in deck.text()
        await deck.press("v")
        assert "Overview" in deck.text()


async def test_every_tab_of_every_row_draws_in_every_state(demo: OpenDeck) -> None:
    async with demo() as deck:
        app = deck.app
        host = app.collector.control()
        states = set()
        for row in deck.grid.shown_items:
            handle = host.lookupByUUIDString(row.key)
            persistent = row.domain.persistent is not False
            detail = read_detail(handle, active=row.domain.active, persistent=persistent)
            states.add(row.domain.state)
            for view in (app._view(deck.snapshot), app._view(replace(deck.snapshot, detail=detail))):
                for tab in domains.PANE.tabs:
                    if tab.applies(row):
                        assert all(text.isprintable() for line in tab.lines(view, row) for text, _, _ in line)
        assert states == set(DomainState) - {DomainState.NOSTATE}


BY_HAND = QemuProcess(
    key="424242:7",
    pid=424242,
    name="by [hand]",
    uuid=None,
    executable="/usr/bin/qemu-system-x86_64",
    architecture="x86_64",
    machine="q35",
    accelerator="tcg",
    user="root",
    libvirt_name=None,
    started_ns=1_700_000_000_000_000_000,
    vcpus=2,
    vcpus_max=4,
    memory_kib=131072,
    rss_kib=65536,
    cpu_time_ns=0,
    state="stopped",
    threads=(
        QemuThread(424242, "qemu", ThreadRole.EMULATOR, None, 0, (0, 1), 0),
        QemuThread(424243, "CPU 0/TCG", ThreadRole.VCPU, 0, 0, None, None),
    ),
    drives=(QemuDrive("/img/a.qcow2", "/img/a.qcow2", "qcow2", "virtio", "disk", True),),
    nics=(QemuNic("n0", "tap", "tap0", "br0", "52:54:00:00:00:09", "virtio-net-pci"),),
    qmp_sockets=("/run/qmp.sock",),
    args=("qemu-system-x86_64", "-m", "128", "-nodefaults"),
    read_ns=1,
)


async def test_qemu_processes_of_nobody_are_rows_with_tabs_and_actions_of_their_own(demo: OpenDeck) -> None:
    async with demo(size=(140, 40)) as deck:
        bare = replace(BY_HAND, key="1:2", pid=1, name="bare", threads=(), drives=(), nics=(), args=(), rss_kib=None)
        await show(deck, replace(deck.snapshot, processes={BY_HAND.key: BY_HAND, bare.key: bare}))
        assert "2 unmanaged" in deck.lines()[1]
        deck.grid.go_to(BY_HAND.key)
        await deck.screen.settled()
        assert "◇ stopped (unma" in deck.text()
        for tab, said in (
            ("process", "424242 of root"),
            ("threads", "424243  vcpu 0"),
            ("drives", "/img/a.qcow2"),
            ("backends", "tap0  virtio-net-pci 52:54:00:00:00:09"),
            ("arguments", "-nodefaults"),
        ):
            deck.app.frame.open_tab(tab)
            assert said in deck.detail(), tab
        deck.grid.go_to(bare.key)
        for tab in ("process", "threads", "drives", "backends", "arguments"):
            deck.app.frame.open_tab(tab)
            deck.app.frame.draw_detail()
        deck.grid.go_to(BY_HAND.key)
        for key, title in (("d", "Terminate by [hand]"), ("x", "Kill by [hand]"), ("c", "Set CPUs by [hand]")):
            await deck.pilot.press(key)
            await deck.screen.settled()
            assert deck.popup().startswith(title)
            assert "424242" in deck.popup()
            await deck.pilot.press("escape")
        await deck.pilot.press("s")
        assert len(deck.app.screen_stack) == 1, "only libvirt's domains are started"
        await deck.pilot.press(*"/managed:no")
        await deck.screen.settled()
        assert deck.rows() == ["bare", "by [hand]"]


async def test_a_monitor_that_does_not_answer_is_said(demo: OpenDeck) -> None:
    async with demo(size=(140, 40)) as deck:
        web = deck.domain("web-01")
        await show(deck, replace(deck.snapshot, monitors={web.key: MonitorState(1)}, usage={}))
        deck.grid.go_to(web.key)
        deck.app.frame.draw_detail()
        await deck.screen.settled()
        row = next(line for line in deck.lines() if line.startswith(" web-01"))
        assert "⚠ monitor stuck" in row
        assert "silent since" in deck.detail()


async def show(deck: Deck, snapshot: HostSnapshot) -> None:
    """Paint a snapshot of the test's own, and none of the collector's from now on."""
    deck.app._mailbox.on_mail(None)
    deck.app._apply(snapshot)
    await deck.screen.settled()


# Filter, sort, marks


async def test_the_filter_line_speaks_the_filter_language(demo: OpenDeck) -> None:
    async with demo() as deck:
        for written, found in (
            ("web", {"web-01", "web-02", "web-03", "web-04"}),
            ("state:paused", {"pentest-kali", "shop-api-02"}),
            ("web -state:running", {"web-04"}),
            ("autostart:yes name:lb", {"lb-01", "lb-02"}),
            ("mem>40G", {"db-primary"}),
            ("reason=destroyed", {"old-ftp"}),
            ('"and tab"', {"line␊break␉and tab"}),
            ("title:postgresql persistent:yes pending=0", {"db-primary", "db-replica"}),
        ):
            await deck.press("/")
            await deck.type(written)
            assert set(deck.rows()) == found, written
            hidden = deck.grid.total - len(found)
            assert f"({hidden} hidden by the filter)" in deck.lines()[1]
            await deck.press("escape")
            assert len(deck.rows()) == deck.grid.total


async def test_enter_keeps_the_filter_and_escape_drops_it(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("/")
        await deck.type("web")
        await deck.press("enter", "G")
        assert deck.current == "web-04"
        await deck.press("escape")
        assert len(deck.rows()) == deck.grid.total
        assert deck.current == "web-04"


async def test_a_filter_that_makes_no_sense_says_why_once(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("/")
        await deck.type("web nope:1234")
        assert [toast for toast in deck.toasts() if "no field 'nope'" in toast] == deck.toasts()
        assert len(deck.toasts()) == 1
        await deck.press(*["backspace"] * 9)
        assert not deck.app.frame.query(".filter").first().has_class("-bad")
        await deck.type("cpu>many")
        await deck.expect_toast("is not a number")


async def test_keys_that_come_at_once_reach_what_they_were_meant_for(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press(*"/dwx-sx")
        assert deck.rows() == []
        assert len(deck.app.screen_stack) == 1, "no letter of the filter ran an action"
        await deck.press("escape")
        await deck.focus("web-04")
        await deck.press("s", "enter")
        await deck.until(lambda: deck.domain("web-04").active)
        assert not deck.app.frame.zoomed


async def test_sorting_by_keys(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press(">")
        assert deck.grid.sort_key == "name"
        first = deck.rows()[0]
        await deck.press("=")
        assert deck.rows()[-1] == first
        await deck.press(">", ">")
        assert deck.grid.sort_key == "cpu"
        known = [row.cpu_percent for row in deck.grid.shown_items if row.cpu_percent is not None]
        assert known == sorted(known, reverse=True)
        await deck.press("<", "<", "<")
        assert deck.grid.sort_key is None
        assert deck.rows()[0] == first


async def test_counts_before_keys(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("0", "5", "j")
        assert deck.current == deck.rows()[5]
        await deck.press("0", "1", "2", "G")
        assert deck.current == deck.rows()[11]
        assert deck.app.pane.id == "domains"


async def test_marks_say_how_many_and_escape_clears_them(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("space", "space", "space")
        assert len(deck.grid.marks) == 3
        assert deck.hints().startswith("3 marked: ")
        assert deck.lines()[3].startswith("•")
        await deck.press("escape")
        assert not deck.grid.marks
        await deck.press("*")
        assert len(deck.grid.marks) == deck.grid.total


# Bulk


async def test_a_bulk_plan_names_what_it_skips_and_what_the_filter_hides(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.mark("web-01", "web-02", "web-04", "wiki")
        await deck.press("/")
        await deck.type("web-0")
        await deck.press("enter")
        said = await deck.act("p", "Suspend 2 domains")
        assert "web-04: skipped, it is shut off" in said
        assert "wiki: skipped, it is in shutdown" in said
        assert "1 marked row is hidden by the filter: wiki" in said
        assert "suspend web-01" in said
        assert {deck.domain(name).state for name in ("web-01", "web-02")} == {DomainState.PAUSED}
        assert deck.domain("web-03").state is DomainState.RUNNING


async def test_twenty_targets_that_lose_something_want_the_number_typed(demo: OpenDeck) -> None:
    async with demo() as deck:
        running = [domain.raw_name for domain in deck.snapshot.domains.values() if domain.active]
        await deck.mark(*running[:19])
        await deck.press("x")
        assert "yes, do it" in await deck.expect_popup("Force off 19 domains")
        await deck.cancel()
        await deck.mark(*running[:20])
        await deck.press("x")
        said = await deck.expect_popup("Force off 20 domains")
        assert "type 20 and press enter" in said
        assert "loses what the guest has not written to disk" in said
        assert "and 8 more of the same" in said
        await deck.press("y", "2", "1", "enter")
        assert isinstance(deck.app.screen, PlanDialog), "21 is not 20"
        await deck.press("backspace", "0", "enter")
        await deck.until(lambda: not any(deck.domain(name).active for name in running[1:20] if name in deck.names()))
        assert deck.domain(running[20]).active


# Rows that come, go and move


async def test_the_cursor_stays_with_its_row_while_others_come_and_go(demo: OpenDeck) -> None:
    async with demo() as deck:
        host = deck.app.collector.control()
        await deck.focus("mq-01")
        for name in ("backup", "lb-01"):
            host.lookupByName(name).destroy()
            host.lookupByName(name).undefine()
        await deck.until(lambda: "backup" not in deck.names() and "lb-01" not in deck.names())
        assert deck.current == "mq-01"
        below = deck.rows()[deck.rows().index("mq-01") + 1]
        host.lookupByName("mq-01").destroy()
        host.lookupByName("mq-01").undefine()
        await deck.until(lambda: "mq-01" not in deck.names())
        assert deck.current == below
        await deck.press("enter")
        host.lookupByName(below).destroy()
        host.lookupByName(below).undefine()
        await deck.until(lambda: below not in deck.names())
        await deck.press("]", "escape", "j")


async def test_a_renamed_domain_moves_with_cursor_and_mark(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-04")
        await deck.press("space", "k")
        deck.app.collector.control().lookupByName("web-04").rename("a-first", 0)
        await deck.until(lambda: "a-first" in deck.names())
        assert deck.current == "a-first"
        assert [item.name for item in deck.grid.marked_items] == ["a-first"]


async def test_the_last_row_vanishes(tmp_path: Path) -> None:
    async with open_deck(scaled_host(tmp_path, 1)) as deck:
        await deck.press("enter")
        handle = deck.app.collector.control().listAllDomains()[0]
        handle.destroy()
        handle.undefine()
        await deck.until(lambda: not deck.names())
        await deck.press("]", "escape", "space", "x", "enter")
        assert "no domains here; n defines one from an XML file" in deck.text()


# Palette, help, hints


async def test_the_palette_says_why_an_action_cannot_run(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-04")
        await deck.press(":")
        palette = deck.app.screen
        assert isinstance(palette, Palette)
        assert len(palette.grid.shown_items) == len(ACTIONS)
        await deck.type("monitor")
        await deck.until(lambda: "QEMU monitor: libvirt's TEST driver has no QEMU monitor" in deck.text())
        await deck.press("ctrl+u")
        assert "it is shut off" in {offer.reason for offer in palette.grid.shown_items}
        await deck.type("remove saved")
        assert "it has no saved state" in deck.text()
        await deck.press("enter")
        await deck.expect_toast("Remove saved state: it has no saved state")
        await deck.press("ctrl+p")
        await deck.type("start:with [")
        await deck.press("escape")
        assert len(deck.app.screen_stack) == 1


async def test_the_palette_runs_what_is_chosen(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press(":")
        await deck.type("susp")
        await deck.press("enter")
        await deck.confirm("Suspend web-01")
        assert deck.domain("web-01").state is DomainState.PAUSED


async def test_the_help_names_every_action_with_its_key(demo: OpenDeck) -> None:
    config = Config(interval_s=30.0, keymap={"domain.start": "V"})
    async with demo(config=config) as deck:
        await deck.press("?")
        await deck.expect_popup("virtdeck: keys and signs")
        said = deck.popup_lines()
        for action in ACTIONS:
            key = "V" if action.id == "domain.start" else action.key or PALETTE
            assert any(line.split()[:1] == [key] and action.title in line for line in said), action.id
        await deck.press("G")
        assert "rates are bytes a second" in deck.text()
        await deck.press("escape")
        assert len(deck.app.screen_stack) == 1


def offered(deck: Deck) -> set[str]:
    """The actions that the hint bar offers."""
    spans = [span.action or "" for line in deck.app._hints.lines for span in line]
    return {action.removeprefix("action:") for action in spans if action.startswith("action:")}


def working(deck: Deck, name: str) -> set[str]:
    """The actions with a key that can be done to a domain as it is now."""
    context = deck.app.changes.context(deck.snapshot)
    works = {a.id for a in ACTIONS if a.kind is Kind.DOMAIN and a.reason(context, deck.domain(name)) is None}
    works |= {a.id for a in ACTIONS if a.kind is Kind.HOST and a.id.startswith("domain.")}
    return {ident for ident in works if BY_ID[ident].key}


async def test_the_hint_bar_offers_what_works_and_nothing_else(demo: OpenDeck) -> None:
    async with demo() as deck:
        for name in ("web-01", "web-04", "shop-api-02", "ci-runner-1", "k8s-worker-3", "erp-test", "desktop-anna"):
            await deck.focus(name)
            await deck.until(lambda name=name: offered(deck) == working(deck, name), name)  # type: ignore[misc]
        await deck.press("7")
        assert offered(deck) == set()
        assert "u undo" not in deck.hints(), "there is nothing to undo"
        await deck.press("u")
        await deck.expect_toast("Undo: no change is selected here")


async def test_a_click_on_a_hint_runs_it(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.until(lambda: "p pause" in deck.hints())
        await deck.pilot.click("#hints", offset=(deck.hints().index("p pause"), 0))
        await deck.expect_popup("Suspend web-01")


async def test_a_key_that_cannot_do_anything_says_why(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-04")
        await deck.press("d")
        await deck.expect_toast("Shut down: it is shut off")
        await deck.press("V")
        assert len(deck.app.screen_stack) == 1


# Read-only, lost connection


async def test_read_only_offers_and_does_nothing(demo: OpenDeck) -> None:
    async with demo(read_only=True) as deck:
        assert "READ-ONLY" in deck.lines()[0]
        assert offered(deck) == set()
        for action in ACTIONS:
            if action.kind in (Kind.DOMAIN, Kind.HOST) and action.key:
                await deck.pilot.press(action.key)
                assert len(deck.app.screen_stack) == 1, action.id
        await deck.expect_toast("virtdeck runs with --read-only")
        assert deck.app.journal.entries() == ()


async def test_a_lost_connection_is_said_and_stops_changes(demo: OpenDeck) -> None:
    async with demo() as deck:
        lost = replace(deck.snapshot.connection, state=ConnectionState.LOST, problem="the daemon closed the connection")
        await show(deck, replace(deck.snapshot, connection=lost))
        assert "⚠ not connected" in deck.lines()[0]
        banner = deck.lines()[2]
        assert "lost since" in banner
        assert "the daemon closed the connection" in banner
        assert "what you see is as of" in banner
        assert offered(deck) == set()
        await deck.pilot.press("s")
        assert len(deck.app.screen_stack) == 1
        assert any("the connection to libvirt is lost" in toast for toast in deck.toasts())
        await show(deck, deck.app.collector.board.snapshot)
        assert "Name" in deck.lines()[2]
        assert offered(deck)


async def test_the_frame_is_there_before_the_host_is() -> None:
    from tests.ui.capture import captured
    from tui.ops import request_types
    from tui.runtime.collector import Collector
    from tui.runtime.journal import Journal
    from tui.runtime.mailbox import Mailbox

    collector = Collector("test:///default", read_only=False, interval_s=2.0, publish=lambda _snapshot: None)
    app = VirtdeckApp(collector, Mailbox(), Journal(None, request_types), Config())
    async with captured(app) as screen:
        deck = Deck(app, screen)
        assert "◌ connecting" in deck.lines()[0]
        assert "2 Domains" in deck.lines()[1]
        await deck.press("j", "enter", "x", "]", "7", "2", "space", "?", "escape", ":", "escape", "/", "escape")
        refused = replace(collector.board.snapshot.connection, state=ConnectionState.REFUSED)
        app._apply(replace(collector.board.snapshot, connection=refused))
        assert app.return_code == 0
        assert app.return_value == 3


# Configuration


async def test_configured_keys_and_columns(demo: OpenDeck) -> None:
    config = Config(
        interval_s=30.0, keymap={"domain.suspend": "V"}, columns={"domains": ("state", "name", "uuid", "title")}
    )
    async with demo(config=config, size=(200, 40)) as deck:
        assert deck.lines()[2].split()[:4] == ["State", "Name", "UUID", "Title"]
        assert "CPU%" not in deck.lines()[2]
        await deck.focus("web-01")
        await deck.until(lambda: "V pause" in deck.hints())
        await deck.press("p")
        assert len(deck.app.screen_stack) == 1
        await deck.act("V", "Suspend web-01")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Config(columns={"domains": ("name", "nope")}), "columns.domains: no column 'nope'; there are: name, state"),
        (Config(columns={"volumes": ("name",)}), "columns: no pane 'volumes'; there are: "),
        (Config(keymap={"domain.nope": "s"}), "no action 'domain.nope'"),
        (Config(keymap={"domain.start": "x"}), "domain.destroy has that key"),
        (Config(keymap={"domain.start": "q"}), "belongs to the frame"),
        (Config(keymap={"domain.start": "j"}), "belongs to the frame"),
    ],
)
def test_a_configuration_that_names_what_is_not_there_is_refused(config: Config, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_names(config)
    assert said in str(caught.value)


@pytest.mark.parametrize("theme", ["virtdeck", "virtdeck-light", "nord", "no such theme"])
async def test_themes(demo: OpenDeck, theme: str) -> None:
    async with demo(config=Config(interval_s=30.0, theme=theme)) as deck:
        if theme == "no such theme":
            await deck.expect_toast("no theme no such theme")
        else:
            assert deck.app.theme == theme
            assert deck.toasts() == []


async def test_with_preview_on_loss_what_can_lose_nothing_runs_at_once(demo: OpenDeck) -> None:
    async with demo(config=Config(interval_s=30.0, preview="loss")) as deck:
        await deck.focus("web-01")
        await deck.press("p")
        await deck.until(lambda: deck.domain("web-01").state is DomainState.PAUSED)
        await deck.expect_toast("Suspend web-01: done")
        await deck.press("x")
        await deck.expect_popup("Force off web-01")
        await deck.cancel()
        await deck.press("t")
        await deck.expect_popup("Describe")
        await deck.cancel()
        await deck.press("7", "u")
        await deck.until(lambda: deck.domain("web-01").state is DomainState.RUNNING)


# Journal


async def test_the_journal_shows_what_was_done_and_undoes_it_once(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.act("p", "Suspend web-01")
        await deck.press("7")
        assert "Suspend web-01" in deck.text()
        assert "● done" in deck.text()
        assert "u undo" in deck.hints()
        assert "c cancel" not in deck.hints(), "it has ended"
        assert "suspend web-01" in deck.detail()
        assert "resume web-01" in deck.detail()
        await deck.press("u")
        said = await deck.confirm("Undo: Suspend web-01")
        assert "resume web-01" in said
        assert deck.domain("web-01").state is DomainState.RUNNING
        assert "undone" in deck.text()
        await deck.press("G", "u")
        await deck.expect_toast("it was undone already")
        await deck.press("/")
        await deck.type("status:done action:undo")
        assert len(deck.rows()) == 1
        await deck.press("enter", "enter")
        assert deck.app.frame.zoomed


async def test_the_journal_that_is_opened_again_stands_on_the_newest(demo: OpenDeck) -> None:
    async with demo() as deck:
        for name in ("web-01", "web-02"):
            await deck.focus(name)
            await deck.act("p", f"Suspend {name}")
            await deck.press("7")
            assert deck.grid.cursor_key == deck.last_entry().id
            await deck.press("2")
        await deck.press("7", "j", "2", "7", "u")
        await deck.confirm("Undo: Suspend web-02")


async def test_what_failed_is_said_and_cannot_be_undone(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-04")
        await deck.press("s")
        await deck.expect_popup("Start web-04")
        deck.app.collector.control().lookupByName("web-04").create()
        await deck.press("enter")
        await deck.until(lambda: deck.app.journal.entries() != () and not deck.busy())
        entry = deck.last_entry()
        assert entry.status.value == "failed"
        await deck.expect_toast("start web-04: ")
        await deck.expect_toast("'web-04' is already running")
        await deck.press("7", "u")
        await deck.expect_toast("this change cannot be undone")


def test_every_action_can_be_found_by_its_id() -> None:
    assert len(BY_ID) == len(ACTIONS)
