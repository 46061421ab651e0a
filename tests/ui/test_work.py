"""Long work on the screen: a bar in the frame and in the journal, and the key that cancels it there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.ui.words import Deck, key_event
from tui import ops
from tui.ops.base import CancelledError, OpContext, Outcome
from tui.ops.lifecycle import Suspend

OpenDeck = Callable[..., AbstractAsyncContextManager[Deck]]
_MIB = 1024**2


class Copy:
    """An op that is at half for as long as nobody stops it."""

    def __init__(self) -> None:
        self._pause = threading.Event()

    def __call__(self, _request: Any, context: OpContext) -> Outcome:
        for _ in range(3000):
            context.progress(50 * _MIB, 100 * _MIB)
            if context.cancelled:
                raise CancelledError("copy", "web-01", "cancelled at 50.0M of 100M")
            self._pause.wait(0.01)
        return Outcome("copied")


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An action of the demo host takes long."""
    monkeypatch.setitem(ops._OPS, Suspend, Copy())


async def seen(deck: Deck, holds: Callable[[], bool]) -> None:
    """Wait for what is painted while a job is busy."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, deck.text()
        await deck.screen.handled()
        await asyncio.sleep(0.01)


async def test_work_is_shown_and_cancelled_in_the_journal(demo: OpenDeck, copy: None) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press("p")
        await deck.expect_popup("Suspend web-01")
        deck.send(key_event("enter"))
        await seen(deck, lambda: "50.0M of 100M" in deck.text())
        assert "██████████" in deck.text()
        deck.send(key_event("7"))
        await seen(deck, lambda: "c cancels it" in deck.detail())
        assert "50%" in deck.detail()
        deck.send(key_event("c"))
        await seen(deck, lambda: "■ cancelled" in deck.text())
        await deck.settle()
        assert "cancelled at 50.0M of 100M" in deck.detail().replace("\n", " ")
        assert "▸" not in deck.text()
        await deck.press("c")
        await deck.expect_toast("this change is not under way here")
