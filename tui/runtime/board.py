"""Where the reading threads bring their parts together into one immutable snapshot after another."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tui.model.host import Connection, ConnectionState
from tui.model.snapshot import HostSnapshot
from tui.model.text import clean

_SMALL = 16

_log = logging.getLogger("virtdeck.connection")
_SLICE_S = 0.5


class Board:
    """The current HostSnapshot of one host; every change of a part publishes the next one."""

    def __init__(self, uri: str, *, read_only: bool, publish: Callable[[HostSnapshot], None]) -> None:
        # Entered again by an update from within: what is noted is published in the order in which it was noted.
        self._lock = threading.RLock()
        self._publish = publish
        self._problems: dict[str, str] = {}
        self._limits: dict[str, str] = {}
        now = time.time_ns()
        connection = Connection(uri, ConnectionState.CONNECTING, now, read_only)
        self._snapshot = HostSnapshot(sequence=0, taken_ns=now, connection=connection)
        self._changed = threading.Condition(self._lock)

    @property
    def snapshot(self) -> HostSnapshot:
        """The newest snapshot."""
        return self._snapshot

    def update(self, *, done: str | None = None, **parts: Any) -> None:
        """Replace parts of the snapshot and publish it if any is new; `done` names a source whose first pass this
        ends. A part that is equal keeps its old object, so that readers can compare by identity."""
        with self._changed:
            old = self._snapshot
            parts = {name: value for name, value in parts.items() if value is not getattr(old, name)}
            parts = {name: value for name, value in parts.items() if not _same(value, getattr(old, name))}
            if done in old.unread:
                parts["unread"] = old.unread - {done}
            if not parts:
                return
            self._snapshot = replace(old, sequence=old.sequence + 1, taken_ns=time.time_ns(), **parts)
            self._changed.notify_all()
            # Inside the lock, so that snapshots reach the mailbox in the order of their sequence.
            self._publish(self._snapshot)

    def set_link(
        self, state: ConnectionState, problem: str = "", advice: str = "", *, read_ns: int | None = None
    ) -> None:
        """Set the connection's state; `since_ns` moves only when the state does. `read_ns` is when the domains were
        last known to be right, for a connection that is not live any more."""
        old = self._snapshot.connection
        changed = old.state is not state
        if changed:
            _log.info("%s: %s %s", clean(old.uri), state.value, problem)
        attempts = (
            0
            if state is ConnectionState.LIVE
            else old.attempts + (state in (ConnectionState.LOST, ConnectionState.REFUSED))
        )
        self.update(
            domains_read_ns=read_ns or self._snapshot.domains_read_ns,
            connection=replace(
                old,
                state=state,
                since_ns=time.time_ns() if changed else old.since_ns,
                problem=problem,
                advice=advice,
                attempts=attempts,
            ),
        )

    def note_problem(self, source: str, problem: str) -> None:
        """Say that a source cannot be read and why; "" when it can again."""
        with self._lock:
            before = self._problems.get(source, "")
            self._problems[source] = problem
            if before != problem:
                _log.warning("%s: %s", source, problem or "can be read again")
                self.update(problems=tuple(text for text in self._problems.values() if text))

    def note_limit(self, source: str, limit: str) -> None:
        """Say what a source cannot see on this host and why."""
        with self._lock:
            self._limits[source] = limit
            self.update(limits=tuple(self._limits.values()))

    def wait(self, ready: Callable[[HostSnapshot], bool], timeout_s: float) -> bool:
        """Block the caller until `ready` holds for the newest snapshot; False when `timeout_s` passed before."""
        end = time.monotonic() + timeout_s
        with self._changed:
            # In slices: a signal that comes just before the main thread falls asleep does not wake it (Ctrl+C).
            while not ready(self._snapshot):
                left_s = end - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(min(left_s, _SLICE_S))
            return True


def _same(new: Any, old: Any) -> bool:
    """Equal parts are not news; large mappings are compared by identity alone, their owners keep them stable."""
    return (not isinstance(new, dict) or len(new) <= _SMALL) and bool(new == old)
