"""The process of ovs-vswitchd: whether it runs, which no table says, and in which network namespace."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from contextlib import suppress

from tui.sources.qemu_proc import list_pids, read_file, read_name, read_stat

_NAME = "ovs-vswitchd"
_GONE = "ovs-vswitchd does not run: what is configured is not in force"


class SwitchDaemon:
    """The daemon that serves a database: the one that wrote its pid beside the socket, else the only one there is."""

    def __init__(self, folder: str) -> None:
        """Look for the daemon; `folder` is that of the database's socket."""
        self._folder = folder
        self._pidfd: int | None = None
        self.netns = ""
        """The key of its network namespace; "" where that cannot be told."""
        self.problem = ""
        """Says so when it does not run."""
        self.look()

    def descriptors(self) -> list[int]:
        """Return the descriptor that can be read when it has ended, if it runs and may be watched."""
        return [] if self._pidfd is None else [self._pidfd]

    def look(self) -> bool:
        """See whether it has ended, or runs again; return whether that is news."""
        if self._pidfd is not None and not select.select([self._pidfd], [], [], 0)[0]:
            return False
        before = (self.netns, self.problem)
        self.close()
        pids = list(self._pids())
        self.netns = next((key for pid in pids if (key := _netns(pid))), "")
        # Several, of which none says whose database this is: one of them may be ours.
        self.problem = "" if pids or self._others() else _GONE
        with suppress(OSError):
            self._pidfd = os.pidfd_open(pids[0]) if pids else None
        return (self.netns, self.problem) != before

    def close(self) -> None:
        """Cease to watch it."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _pids(self) -> Iterable[int]:
        text = (read_file(os.path.join(self._folder, f"{_NAME}.pid")) or b"").strip()
        if text.isdigit() and _runs(int(text)):
            return [int(text)]
        found = self._others()
        return found if len(found) == 1 else []

    def _others(self) -> list[int]:
        return [pid for pid in list_pids() if _runs(pid)]


def _runs(pid: int) -> bool:
    """Whether it is such a daemon, and no zombie, which would seem to end again and again."""
    if read_name(pid) != _NAME:
        return False
    figures = read_stat(f"/proc/{pid}")
    return figures is not None and figures.state not in ("zombie", "dead")


def _netns(pid: int) -> str:
    try:
        return str(os.stat(f"/proc/{pid}/ns/net").st_ino)
    except OSError:
        return ""
