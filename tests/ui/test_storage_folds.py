"""Folding in the storage pane, and what a reading that found nothing new writes."""

from __future__ import annotations

import threading

from tests.ui.conftest import OpenDeck
from tests.ui.words import Deck


def line_of(deck: Deck, name: str) -> str:
    return next(line for line in deck.lines() if f" {name} " in line)


async def test_a_pool_folds_under_the_cursor_and_unfolds(demo: OpenDeck) -> None:
    async with demo(size=(100, 80)) as deck:
        await deck.press("3")
        every = deck.rows()
        await deck.focus("debian-12.7.0-amd64-netinst.iso")
        await deck.press("-")
        assert deck.current == "isos", "the cursor goes to what its row is folded into"
        folded = deck.rows()
        gone = every.index("nvme") - every.index("isos") - 1
        assert folded == [*every[: every.index("isos") + 1], *every[every.index("nvme") :]]
        assert "▸ isos" in line_of(deck, "isos")
        assert "▾ images" in line_of(deck, "images")
        assert f"({gone} folded)" in deck.lines()[1]
        await deck.press("+")
        assert deck.rows() == every
        assert deck.current == "isos"
        assert "▾ isos" in line_of(deck, "isos")


async def test_all_fold_and_unfold_and_the_cursor_stays_with_its_pool(demo: OpenDeck) -> None:
    async with demo(size=(100, 80)) as deck:
        await deck.press("3")
        every = deck.rows()
        await deck.focus("debian-12.7.0-amd64-netinst.iso")
        await deck.press("_")
        storage = deck.snapshot.storage
        assert storage is not None
        pools = {pool.name for pool in storage.pools.values()}
        inside = {volume.name for volume in storage.volumes.values()}
        assert pools <= set(deck.rows())
        assert not inside & set(deck.rows())
        assert deck.current == "isos"
        await deck.press("j", "+")
        assert {row for row in deck.rows() if row in inside}, "one of them alone"
        await deck.press("_", "_")
        assert deck.rows() == every


async def test_a_filter_shows_what_is_folded(demo: OpenDeck) -> None:
    async with demo(size=(100, 40)) as deck:
        await deck.press("3")
        await deck.press("_")
        assert "debian-12.7.0-amd64-netinst.iso" not in deck.rows()
        await deck.press("/", *"netinst", "enter")
        assert "debian-12.7.0-amd64-netinst.iso" in deck.rows()
        assert "hidden by the filter" in deck.lines()[1]
        await deck.press("/", "escape")
        assert "debian-12.7.0-amd64-netinst.iso" not in deck.rows()
        assert "folded" in deck.lines()[1]


async def test_plus_and_minus_are_the_vcpus_of_domains_elsewhere(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("gitlab")
        await deck.press("+")
        await deck.expect_popup("One vCPU more")
        await deck.cancel()


async def test_a_reading_that_finds_nothing_new_writes_nothing(demo: OpenDeck) -> None:
    async with demo(size=(120, 40)) as deck:
        await deck.press("3")
        await deck.focus("isos")
        await deck.until(deck.rested)
        await deck.screen.written()
        collector, before = deck.app.collector, deck.snapshot.storage
        again = threading.Event()
        collector._storage._told = again.set
        collector._storage.nudge()
        await deck.until(again.is_set)
        assert deck.snapshot.storage is before
        assert await deck.screen.written() == ""
