"""Keys typed ahead: each is handed on only when all that the one before brought about has happened; so is a click or a
paste that comes behind keys.

A program that falls behind for a moment (a slow link, a paste, a dialog that opens) finds several keys at once. Handed
on as they come, they would reach what had the focus before: the letters of a filter would run actions.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual import events
from textual.app import App
from textual.dom import DOMNode

_LOOK_S = 0.01
# Whatever happens, the keyboard is not dead for longer than this; far more than a busy machine holds up one key.
_PATIENCE_S = 3.0
# A key climbs from the focused widget to the app, whose bindings answer it; what they make a widget post climbs after.
_TRIPS = 2

BEHIND_KEYS = events.MouseDown | events.MouseUp | events.Paste
"""What must not overtake keys: a click would take the focus from the field that they are typed into."""


class TypeAhead:
    """Passes keys on one at a time; used on the app's own message pump."""

    def __init__(
        self,
        app: App[Any],
        ready: Callable[[], bool],
        at_once: Callable[[events.Key], bool],
        hand_on: Callable[[events.Event], Awaitable[None]],
    ) -> None:
        """`ready`: whether what is on the screen can take a key; `at_once`: does what a key means there and then,
        False when it cannot; `hand_on`: sends what was typed or clicked the framework's way."""
        self._app = app
        self._ready = ready
        self._at_once = at_once
        self._hand_on = hand_on
        self._held: deque[events.Event] = deque()
        self._waiting_since_s: float | None = None
        self._travels = False

    @property
    def busy(self) -> bool:
        """Whether keys wait, or one is under way."""
        return bool(self._held) or self._travels

    async def take(self, event: events.Event) -> None:
        """Hand on a key, a click or a paste, now or when it is its turn."""
        self._held.append(event)
        await self._drain()

    def _waited_enough(self) -> bool:
        since = self._waiting_since_s
        return since is not None and time.monotonic() - since > _PATIENCE_S

    def _wait(self) -> None:
        if self._waiting_since_s is None:
            self._waiting_since_s = time.monotonic()

    async def _drain(self) -> None:
        while self._held and (not self._travels or self._waited_enough()):
            if not self._ready() and not self._waited_enough():
                self._wait()
                self._app.set_timer(_LOOK_S, self._drain)
                return
            self._waiting_since_s, self._travels = None, False
            event = self._held.popleft()
            if not isinstance(event, events.Key) or not self._at_once(event):
                where = self._app.focused or self._app.screen
                await self._hand_on(event)
                self._travels = True
                self._wait()
                self._climb([*where.ancestors_with_self] * _TRIPS)
                return

    def _climb(self, way: list[DOMNode]) -> None:
        """Go through the message queues on the way behind the key and what follows from it; those of widgets that
        are gone are passed over."""
        self._waiting_since_s = time.monotonic()
        for index, node in enumerate(way):
            if node.call_later(self._climb, way[index + 1 :]):
                return
        self._waiting_since_s, self._travels = None, False
        self._app.call_later(self._drain)
