"""The storage pane: pools with their volumes, who uses them, and pools changed by keys."""

from __future__ import annotations

from pathlib import Path

from tests.ui.conftest import OpenDeck
from tests.ui.words import Deck
from tui.model.plan import Confirm
from tui.model.storage import Pool, PoolState


def pool(deck: Deck, name: str) -> Pool:
    storage = deck.snapshot.storage
    assert storage is not None
    return next(pool for pool in storage.pools.values() if pool.raw_name == name)


def names(deck: Deck) -> set[str]:
    storage = deck.snapshot.storage
    assert storage is not None
    return {pool.raw_name for pool in storage.pools.values()}


async def test_pools_stand_above_their_volumes_with_who_uses_them(demo: OpenDeck) -> None:
    async with demo(size=(160, 80)) as deck:
        await deck.press("3")
        await deck.until(lambda: "usb-backup" in deck.rows())
        rows = deck.rows()
        assert rows.index("isos") < rows.index("debian-12.7.0-amd64-netinst.iso") < rows.index("nvme")
        line = next(line for line in deck.lines() if "templates " in line)
        assert "● running" in line
        inactive = next(line for line in deck.lines() if "usb-backup " in line)
        assert "○ inactive" in inactive
        await deck.focus("usb-backup")
        await deck.press("enter")
        assert "it is not active: its volumes are not known" in deck.detail()


async def test_a_pool_is_started_and_stopped_and_comes_back(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("3")
        await deck.focus("usb-backup")
        await deck.until(deck.rested)
        await deck.act("s", "Start usb-backup")
        await deck.until(lambda: pool(deck, "usb-backup").state is PoolState.RUNNING)
        await deck.focus("weekly.raw")
        await deck.focus("usb-backup")
        await deck.act("x", "Stop usb-backup")
        await deck.until(lambda: pool(deck, "usb-backup").state is PoolState.INACTIVE)
        await deck.press("s", "escape")
        await deck.press("x")
        await deck.expect_toast("Stop: it is inactive")


async def test_a_pool_under_running_domains_wants_its_name_typed(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("3")
        await deck.focus("images")
        await deck.press("x")
        said = await deck.expect_popup("Stop images")
        assert "the pool under running domains: " in said
        plan = deck.dialog._plan
        assert plan is not None
        assert (plan.confirm, plan.phrase) == (Confirm.TYPE, "images")
        await deck.press("y", "enter")
        assert pool(deck, "images").state is PoolState.RUNNING, "a yes is not enough"
        await deck.press("escape")


async def test_the_hints_are_those_of_a_pool(demo: OpenDeck) -> None:
    async with demo(size=(200, 50)) as deck:
        await deck.press("3")
        await deck.focus("images")
        await deck.until(deck.rested)
        assert "r refresh" in deck.hints()
        assert "x stop" in deck.hints()
        assert "force off" not in deck.hints()


async def test_a_new_pool_of_the_form_is_there_at_once_and_goes_by_undo(demo: OpenDeck, home: Path) -> None:
    async with demo(size=(120, 60)) as deck:
        await deck.press("3")
        await deck.focus("images")
        await deck.press("P")
        await deck.expect_popup("Define pool")
        await deck.enter("name", "fresh")
        await deck.enter("target", "/srv/fresh")
        assert "pool-define-as fresh dir --target /srv/fresh" in deck.popup()
        await deck.confirm("Define pool")
        # Defined and started one after the other: a reading may come in between.
        await deck.until(lambda: "fresh" in names(deck) and pool(deck, "fresh").state is PoolState.RUNNING)
        await deck.undo_last()
        await deck.until(lambda: "fresh" not in names(deck))
        assert list((home / "state").rglob("*-fresh.xml")), "its XML is kept"


async def test_an_undefined_pool_comes_back_as_it_was(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("3")
        await deck.focus("usb-backup")
        before = pool(deck, "usb-backup")
        await deck.act("D", "Undefine usb-backup")
        await deck.until(lambda: "usb-backup" not in names(deck))
        await deck.undo_last()
        await deck.until(lambda: "usb-backup" in names(deck))
        assert pool(deck, "usb-backup") == before
