"""Every change made here: what, on what, by which command, with what result, and how to undo it."""

from __future__ import annotations

import itertools
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui.model.journal import Asked, Entry, Status
from tui.model.text import clean
from tui.runtime.journal_lines import entry_as_json, entry_from_json, parse_line

if TYPE_CHECKING:
    from tui.model.plan import Plan, Request

__all__ = ["Journal", "entry_as_json", "entry_from_json"]

_KEPT_ENTRIES = 1000
_READ_BYTES = 4 * 1024 * 1024
# Each line holds all results of its change: a line for every step of a bulk of 1,000 would be 60 MB.
_APPEND_EVERY_S = 1.0

_log = logging.getLogger("virtdeck.journal")
# Without --log nothing may be written over the screen.
_log.addHandler(logging.NullHandler())


class Journal:
    """The changes of this and earlier sessions; appended to a file that only its owner can read.

    Callers never wait for the file: a thread that lives while there are lines to write owns it.
    """

    def __init__(self, path: Path | None, request_types: Callable[[], Mapping[str, type[Request]]]) -> None:
        """Make a journal that is kept in `path`, in memory alone when that is None; nothing is read yet."""
        self._path = path
        self._types = request_types
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._entries: dict[str, Entry] = {}
        self._begun: set[str] = set()
        self._appended: dict[str, tuple[Status, float]] = {}
        self._unwritten: deque[Entry] = deque()
        self._writing = False
        self._counter = itertools.count()
        self._snapshot: tuple[Entry, ...] = ()
        self.problem = ""
        """Why the file cannot be read or written; the journal of this session is kept in memory all the same."""
        self.on_change: Callable[[], None] | None = None

    def load(self) -> None:
        """Read the newest entries of earlier sessions, in the order in which they were begun and before those of this
        one; lines that cannot be understood are logged and counted in `problem`. Waits for the file."""
        if self._path is None:
            return
        try:
            lines = _last_lines(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            self.problem = clean(str(error))
            return
        earlier, bad = self._understood(lines)
        with self._lock:
            found = {ident: _interrupted(entry) for ident, entry in earlier.items() if ident not in self._begun}
            own = {ident: entry for ident, entry in self._entries.items() if ident in self._begun}
            kept = list((found | own).items())[-_KEPT_ENTRIES:]
            self._entries = dict(kept)
            self._snapshot = tuple(self._entries.values())
        if bad:
            self.problem = f"{bad} lines of {clean(str(self._path))} cannot be read"
        self._tell()

    def _understood(self, lines: list[bytes]) -> tuple[dict[str, Entry], int]:
        """The newest state of each entry, and how many lines are no entries."""
        found: dict[str, Entry] = {}
        bad, types = 0, self._types()
        for number, line in enumerate(lines, 1):
            try:
                entry = parse_line(line, types)
            except Exception:  # noqa: BLE001 - whatever a damaged line can bring about, the others are history
                _log.exception("line %d of the %d read is no entry", number, len(lines))
                bad += 1
                continue
            found[entry.id] = entry
        return found, bad

    def entries(self) -> tuple[Entry, ...]:
        """Return the entries, oldest first; the same object while nothing changed."""
        return self._snapshot

    def get(self, ident: str) -> Entry | None:
        """Return an entry by id."""
        return self._entries.get(ident)

    def undone(self, ident: str) -> bool:
        """Whether a later entry has undone this one or is at it."""
        return any(
            entry.undoes == ident and (entry.status is Status.DONE or not entry.status.ended)
            for entry in self._snapshot
        )

    def begin(self, plan: Plan, uri: str, undoes: str = "", asked: tuple[Asked, ...] = ()) -> Entry:
        """Note a change that starts now, with what may stay open of it, and return its entry; the file gets it soon
        after."""
        now = time.time_ns()
        entry = Entry(
            id=f"{now:x}-{os.getpid():x}-{next(self._counter)}",
            at_ns=now,
            uri=uri,
            action=plan.action,
            title=plan.title,
            commands=tuple(plan.command_lines()),
            status=Status.RUNNING,
            undoes=undoes,
            asked=asked,
        )
        self._note(entry)
        return entry

    def update(self, entry: Entry) -> None:
        """Note how a change stands now; the file gets it soon when the status is another one, else within 1 s of
        the next news."""
        self._note(entry)

    def show(self, entry: Entry) -> None:
        """Note how far a change has come, for who looks at it now; the file gets nothing."""
        self._note(entry, kept=False)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the file has all that it is to get, `timeout_s` at most; returns whether it has."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._writing, timeout_s)

    def _note(self, entry: Entry, *, kept: bool = True) -> None:
        with self._lock:
            self._begun.add(entry.id)
            self._entries[entry.id] = entry
            if len(self._entries) > _KEPT_ENTRIES:
                del self._entries[next(iter(self._entries))]
            self._snapshot = tuple(self._entries.values())
            if kept and self._path is not None and self._is_due(entry):
                self._unwritten.append(entry)
                self._write_soon(self._path)
        self._tell()

    def _is_due(self, entry: Entry) -> bool:
        """Whether the file gets a line now."""
        now = time.monotonic()
        status, at_s = self._appended.get(entry.id, (None, now))
        if entry.status is status and now - at_s < _APPEND_EVERY_S:
            return False
        self._appended[entry.id] = (entry.status, now)
        if entry.status.ended:
            del self._appended[entry.id]
        return True

    def _write_soon(self, path: Path) -> None:
        if not self._writing:
            self._writing = True
            threading.Thread(target=self._write_all, args=(path,), name="journal-writer", daemon=True).start()

    def _write_all(self, path: Path) -> None:
        """Write what there is to write, in the order in which it came; ends when nothing is left."""
        while True:
            with self._idle:
                if not self._unwritten:
                    self._writing = False
                    self._idle.notify_all()
                    return
                entry = self._unwritten.popleft()
            try:
                _append(path, entry)
            except Exception as error:  # noqa: BLE001 - the next line may go through
                _log.exception("cannot write %s", entry.id)
                self.problem = clean(str(error))
                self._tell()

    def _tell(self) -> None:
        if (on_change := self.on_change) is not None:
            on_change()


def _interrupted(entry: Entry) -> Entry:
    """What is known of an entry of an earlier session: how one that had not ended ended is not."""
    return entry if entry.status.ended else replace(entry, status=Status.UNKNOWN)


def _append(path: Path, entry: Entry) -> None:
    """Append a line to the file, for its owner's eyes alone whoever made it before; raises OSError."""
    os.makedirs(path.parent, mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
        file.write(json.dumps(entry_as_json(entry)).encode() + b"\n")


def _last_lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _READ_BYTES))
        lines = file.read().splitlines()
    return lines[1:] if size > _READ_BYTES else lines
