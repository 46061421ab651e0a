"""Every change made here: what, on what, by which command, with what result, and how to undo it."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tui.model.journal import Entry, Status
from tui.model.plan import Plan, Request, Step
from tui.model.text import clean

_KEPT_ENTRIES = 1000
_READ_BYTES = 4 * 1024 * 1024
# Each line holds all results of its change: a line for every step of a bulk of 1,000 would be 60 MB.
_APPEND_EVERY_S = 1.0


class Journal:
    """The changes of this and earlier sessions; appended to a file that only its owner can read."""

    def __init__(self, path: Path | None, request_types: Callable[[], Mapping[str, type[Request]]]) -> None:
        self._path = path
        self._types = request_types
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._appended: dict[str, tuple[Status, float]] = {}
        self._counter = itertools.count()
        self._snapshot: tuple[Entry, ...] = ()
        self.problem = ""
        """Why the file cannot be read or written; the journal of this session is kept in memory all the same."""
        self.on_change: Callable[[], None] | None = None

    def load(self) -> None:
        """Read the newest entries of earlier sessions; lines that cannot be understood are counted in `problem`."""
        if self._path is None:
            return
        try:
            lines = _last_lines(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            self.problem = clean(str(error))
            return
        bad, types = 0, self._types()
        for line in lines:
            try:
                entry = entry_from_json(json.loads(line), types)
            except (ValueError, KeyError, TypeError):
                bad += 1
                continue
            self._entries.pop(entry.id, None)
            self._entries[entry.id] = entry
        for entry in list(self._entries.values()):
            if not entry.status.ended:
                self._entries[entry.id] = replace(entry, status=Status.UNKNOWN)
        if bad:
            self.problem = f"{bad} lines of {clean(str(self._path))} cannot be read"
        self._publish()

    def entries(self) -> tuple[Entry, ...]:
        """Return the entries, oldest first; the same object while nothing changed."""
        return self._snapshot

    def get(self, ident: str) -> Entry | None:
        """Return an entry by id."""
        return self._entries.get(ident)

    def undone(self, ident: str) -> bool:
        """Whether a later entry has undone this one."""
        return any(entry.undoes == ident and entry.status is Status.DONE for entry in self._snapshot)

    def begin(self, plan: Plan, uri: str, undoes: str = "") -> Entry:
        """Note a change that starts now and return its entry."""
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
        )
        self._write(entry)
        return entry

    def update(self, entry: Entry) -> None:
        """Note how a change stands now; the file has it at once when the status is another one, else within 1 s of
        the next news."""
        self._write(entry)

    def _write(self, entry: Entry) -> None:
        with self._lock:
            self._entries[entry.id] = entry
            if len(self._entries) > _KEPT_ENTRIES:
                del self._entries[next(iter(self._entries))]
            if self._is_due(entry):
                self._append(entry)
        self._publish()

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

    def _append(self, entry: Entry) -> None:
        if self._path is None:
            return
        try:
            os.makedirs(self._path.parent, mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(json.dumps(entry_as_json(entry)).encode() + b"\n")
        except OSError as error:
            self.problem = clean(str(error))

    def _publish(self) -> None:
        self._snapshot = tuple(self._entries.values())
        if self.on_change is not None:
            self.on_change()


def _last_lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _READ_BYTES))
        lines = file.read().splitlines()
    return lines[1:] if size > _READ_BYTES else lines


def entry_as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON-able data."""
    data = {f.name: getattr(entry, f.name) for f in fields(entry)}
    return data | {"status": entry.status.value, "undo": [_step_as_json(step) for step in entry.undo]}


def entry_from_json(data: Mapping[str, Any], types: Mapping[str, type[Request]]) -> Entry:
    """Return the entry of `entry_as_json`; raises ValueError, KeyError or TypeError on anything else."""
    undo = tuple(_step_from_json(step, types) for step in data["undo"])
    texts = {name: clean(str(data[name])) for name in ("id", "uri", "action", "title", "undoes")}
    return Entry(
        **texts,
        at_ns=int(data["at_ns"]),
        commands=tuple(clean(str(line)) for line in data["commands"]),
        status=Status(data["status"]),
        results=tuple(clean(str(line)) for line in data["results"]),
        ended_ns=None if data["ended_ns"] is None else int(data["ended_ns"]),
        undo=undo,
    )


def _step_as_json(step: Step) -> dict[str, Any]:
    request = {f.name: getattr(step.request, f.name) for f in fields(step.request)}
    return {
        "title": step.title,
        "command": list(step.command),
        "target": step.target,
        "loses": step.loses,
        "request": {"type": type(step.request).__name__, **request},
    }


def _step_from_json(data: Mapping[str, Any], types: Mapping[str, type[Request]]) -> Step:
    request = {name: _as_tuple(value) for name, value in data["request"].items()}
    kind = types[request.pop("type")]
    return Step(
        title=clean(str(data["title"])),
        command=tuple(str(word) for word in data["command"]),
        request=kind(**request),
        target=str(data["target"]),
        loses=data["loses"],
    )


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
