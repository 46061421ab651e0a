"""What is typed, read without looking for it: Textual's own driver looks ten times a second whether a key came, which
takes 0.08 to 0.15 % of a CPU, as much as a host of a thousand domains takes to read."""

from __future__ import annotations

import os
import selectors
import time
from codecs import getincrementaldecoder
from typing import Any

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.constants import ESCAPE_DELAY
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

_READ = 4096
# Behind an escape the parser waits ESCAPE_DELAY seconds for the rest of a sequence; it is asked while that may matter.
_TICK_S = 0.05


class SleepingDriver(LinuxDriver):
    """Textual's driver for Linux whose thread sleeps until something is typed or the program leaves."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC)

    def disable_input(self) -> None:
        """Have the thread end, and wait for it."""
        reading = self._key_thread is not None and self._key_thread.is_alive()
        if reading:
            os.write(self._wake, b".")
        super().disable_input()
        if reading:
            os.read(self._woken, 1)

    def run_input_thread(self) -> None:
        """Hand on what is typed until input is disabled."""
        parser, decode = XTermParser(self._debug), getincrementaldecoder("utf-8")().decode
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            ticks_until_s, ticking = 0.0, False
            while not self.exit_event.is_set():
                ready = selector.select(_TICK_S if ticking else None)
                if any(key.fd == self.fileno for key, _ in ready):
                    data = os.read(self.fileno, _READ)
                    if not data:
                        # The end of a file: there is nothing to come.
                        selector.unregister(self.fileno)
                    # A character that has come in part is no text yet, and no text would be the end to the parser.
                    for message in parser.feed(text) if (text := decode(data)) else ():
                        self.process_message(message)
                    ticks_until_s = time.monotonic() + 2 * ESCAPE_DELAY
                # Slept without end is only behind a tick that came late enough, however long anything took.
                ticking = time.monotonic() < ticks_until_s
                for message in parser.tick():
                    self.process_message(message)


class SleepingApp(App[int]):
    """An app that reads its terminal so, where Textual would take its driver for Linux."""

    def get_driver_class(self) -> type[Driver]:
        """Return the driver of this terminal."""
        chosen = super().get_driver_class()
        return SleepingDriver if chosen is LinuxDriver else chosen
