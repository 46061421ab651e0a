"""Addresses that only a guest's agent knows, asked seldom and only for guests on the screen that have one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.domain import Address, Domain

_AGAIN_S = 30.0
# An agent that hangs costs its 2 s; the figures of all the others wait as long.
_AT_ONCE = 2

Ask = Callable[[str], "tuple[Address, ...]"]


class AgentAddresses:
    """What agents said, by domain UUID; asked on the monitor reader's thread, read from any."""

    def __init__(self) -> None:
        self._asked_s: dict[str, float] = {}
        self._found: Mapping[str, tuple[Address, ...]] = {}

    def addresses(self) -> Mapping[str, tuple[Address, ...]]:
        """Return the addresses; the same object while nothing changed."""
        return self._found

    def due(self, first: Iterable[str], domains: Mapping[str, Domain]) -> list[str]:
        """Return the domains to ask now: on the screen, running, with an agent that is connected, longest not asked
        first."""
        now = time.monotonic()
        waiting = [
            (self._asked_s.get(key, 0.0), key)
            for key in first
            if (domain := domains.get(key)) is not None
            and domain.config is not None
            and domain.config.agent is not None
            and domain.config.agent.connected
            and now - self._asked_s.get(key, -_AGAIN_S) >= _AGAIN_S
        ]
        return [key for _, key in sorted(waiting)[:_AT_ONCE]]

    def ask(self, key: str, ask: Ask) -> None:
        """Ask one agent and keep what it says; the last answer stays when it says nothing."""
        self._asked_s[key] = time.monotonic()
        found = ask(key)
        if found and self._found.get(key) != found:
            self._found = {**self._found, key: found}

    def keep_only(self, domains: Mapping[str, Domain]) -> None:
        """Drop domains that do not run any more."""
        if any(key not in domains for key in self._found):
            self._found = {key: found for key, found in self._found.items() if key in domains}
        self._asked_s = {key: asked for key, asked in self._asked_s.items() if key in domains}
