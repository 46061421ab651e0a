"""What comes in one burst happens in its order: keys, a click behind them, a paste behind them."""

from __future__ import annotations

from textual import events

from tests.ui.conftest import OpenDeck
from tests.ui.words import key_event


def mouse(kind: type[events.MouseEvent], x: int, y: int) -> events.MouseEvent:
    """A left button that goes down or up, as a driver tells it."""
    return kind(None, x, y, 0, 0, 1, False, False, False, screen_x=x, screen_y=y)


async def test_a_click_does_not_overtake_what_is_typed_into_the_filter(demo: OpenDeck) -> None:
    async with demo() as deck:
        for key in "/web-0":
            deck.send(key_event(key))
        deck.send(mouse(events.MouseDown, 4, 4))
        deck.send(mouse(events.MouseUp, 4, 4))
        await deck.until(lambda: len(deck.app.screen_stack) == 1 and deck.rows()[:1] == ["web-01"], "the filter")
        await deck.settle()
        assert all("web-0" in name for name in deck.rows())
        assert deck.app.focused is deck.grid, "and then the click took the focus"
        assert not deck.toasts()


async def test_a_paste_goes_where_the_keys_before_it_lead(demo: OpenDeck) -> None:
    async with demo() as deck:
        deck.send(key_event("/"))
        deck.send(events.Paste("gitlab"))
        await deck.until(lambda: deck.rows() == ["gitlab"], "the filter")
