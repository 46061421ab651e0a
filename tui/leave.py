"""Leaving at once, whatever hangs: the terminal put back, the process ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import termios
import threading
from pathlib import Path
from typing import Any

# Within a second, as a user expects of q, with time for the ordinary way out first.
_LEAVE_S = 0.8
# An open frame ended; mouse, focus reports, paste mode, resize reports and keyboard protocol off; line wrap and cursor
# on; alternate screen left (ctlseqs of xterm).
_PUT_BACK = (
    b"\x1b[?2026l\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[<u"
    b"\x1b[?7h\x1b[?25h\x1b[?1049l\x1b[0m"
)


scratch: list[Path] = []
"""Folders of this run alone, which go with it."""


class Exit:
    """Knows how the terminal was, and ends the process should the ordinary way out take too long."""

    def __init__(self) -> None:
        self._modes: list[Any] | None = None
        with contextlib.suppress(termios.error, ValueError, OSError):
            self._modes = termios.tcgetattr(sys.__stdin__.fileno() if sys.__stdin__ else 0)

    def soon(self, code: int) -> None:
        """End the process with `code` unless it has ended by itself by then."""
        timer = threading.Timer(_LEAVE_S, self._now, (code,))
        timer.daemon = True
        timer.start()

    def _now(self, code: int) -> None:
        with contextlib.suppress(OSError, termios.error):
            os.write(2, _PUT_BACK)
            if self._modes is not None:
                termios.tcsetattr(0, termios.TCSANOW, self._modes)
        for folder in scratch:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(code)
