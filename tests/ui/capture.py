"""Runs an app in the test harness with a driver that keeps what would be written to the terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pyte
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

Look = tuple[str, str, str, bool, bool, bool]
"""A cell of a terminal: character, ink, ground, bold, underlined, reversed."""


class CaptureDriver(HeadlessDriver):
    """A driver without a terminal to which Textual writes as to a real one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written: list[str] = []

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.written.append(data)


class Terminal:
    """What a terminal of that size shows after what was written to it."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._screen = pyte.Screen(*size)
        self._stream = pyte.Stream(self._screen)

    def feed(self, data: str) -> None:
        """Take what was written."""
        self._stream.feed(data)

    def text(self) -> list[str]:
        """Return the lines as text."""
        return list(self._screen.display)

    def looks(self, y: int) -> list[Look]:
        """Return the cells of line `y`, blanks without their ink."""
        row = self._screen.buffer[y]
        cells = [row[x] for x in range(self._screen.columns)]
        return [
            (
                c.data,
                "" if c.data == " " and not c.reverse else c.fg,
                c.bg,
                c.bold and c.data != " ",
                c.underscore,
                c.reverse,
            )
            for c in cells
        ]

    def all_looks(self) -> list[list[Look]]:
        """Return the cells of all lines."""
        return [self.looks(y) for y in range(self._screen.lines)]


class Screen:
    """The app under test, its pilot, and what it wrote."""

    def __init__(self, pilot: Pilot[Any], driver: CaptureDriver, size: tuple[int, int]) -> None:
        self.pilot = pilot
        self.driver = driver
        self.size = size
        self._terminal = Terminal(size)
        self._unread: list[str] = []
        self._unfed: list[str] = []

    @property
    def terminal(self) -> Terminal:
        """What a terminal shows of all that was written until it last settled, or was collected."""
        for data in self._unfed:
            self._terminal.feed(data)
        self._unfed.clear()
        return self._terminal

    async def settled(self) -> None:
        """Wait until all messages are handled and what they changed is painted."""
        await self.pilot.pause()
        await self.pilot.pause()
        self.collect()

    async def handled(self) -> None:
        """Wait until the messages that are there, and those that they bring about, are handled and painted; unlike
        `settled` it does not wait until the process is at rest."""
        for _ in range(3):
            await self.pilot.pause(0)
        self.collect()

    def collect(self) -> None:
        """Have `terminal` show what was written up to now."""
        self._unread += self.driver.written
        self._unfed += self.driver.written
        self.driver.written.clear()

    async def written(self) -> str:
        """Return what was written since the last call, once all is painted."""
        await self.settled()
        data = "".join(self._unread)
        self._unread.clear()
        return data

    async def repainted(self) -> Terminal:
        """Return a fresh terminal to which the whole screen was painted anew."""
        await self.written()
        self.pilot.app.screen.refresh()
        fresh = Terminal(self.size)
        fresh.feed(await self.written())
        return fresh


@asynccontextmanager
async def captured(app: App[Any], size: tuple[int, int] = (120, 40), *, toasts: bool = False) -> AsyncIterator[Screen]:
    """Run `app` at `size`, painting as on a real terminal, toasts only if they are wanted; nothing is left unpainted
    when the block starts."""
    app.driver_class = CaptureDriver
    async with app.run_test(headless=False, size=size, notifications=toasts) as pilot:
        driver = app._driver
        assert isinstance(driver, CaptureDriver)
        screen = Screen(pilot, driver, size)
        await screen.written()
        yield screen
