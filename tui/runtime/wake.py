"""A flag that a thread can wait for together with its sockets."""

from __future__ import annotations

import os
import select
from contextlib import suppress


class Wake:
    """As threading.Event, with a descriptor that can be read while it is set. It stays open as long as it is used."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def __del__(self) -> None:
        os.close(self._reading)
        os.close(self._writing)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._reading

    def set(self) -> None:
        """Wake who waits, or who will."""
        # A full pipe is set already.
        with suppress(BlockingIOError):
            os.write(self._writing, b"!")

    def clear(self) -> None:
        """Forget that it was set."""
        with suppress(BlockingIOError):
            while os.read(self._reading, 4096):
                pass

    def wait(self, seconds: float) -> None:
        """Sleep until it is set, or `seconds` have passed, and clear it."""
        select.select([self], [], [], seconds)
        self.clear()
