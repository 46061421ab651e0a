"""A client of ovsdb-server on its unix socket: the OVSDB management protocol (RFC 7047), as far as reading goes."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Mapping
from typing import Any

from tui.model.text import clean

Row = Mapping[str, Any]
"""Column → value as JSON has it: see `atoms` and `pairs`."""

_DEADLINE_S = 5.0
_ECHO, _MONITOR = "virtdeck-echo", "virtdeck-monitor"
_CHUNK = 1 << 18
_STRANGER = "what answers is no ovsdb-server"
_DECODER = json.JSONDecoder()


class OvsdbError(Exception):
    """The database cannot be read, or not any more; the text says why."""


class Ovsdb:
    """One connection, and the rows of the tables that it monitors; for one thread, and to be closed."""

    def __init__(self, path: str, database: str, columns: Mapping[str, tuple[str, ...]]) -> None:
        """Connect to the socket and read the columns of the tables; raises OvsdbError."""
        self.tables: dict[str, dict[str, Row]] = {table: {} for table in columns}
        """Table → UUID → row."""
        self._pending = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_DEADLINE_S)
        try:
            self._socket.connect(path)
            self._monitor(database, columns)
        except OSError as error:
            self.close()
            raise OvsdbError(_words(error)) from error
        except OvsdbError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that can be read when there is news."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave the server."""
        self._socket.close()

    def take(self) -> bool:
        """Take in what the server has sent, waiting up to 5 s for the rest of a message; return whether a row has
        changed. Raises OvsdbError when the connection is lost."""
        changed = False
        try:
            while select.select([self._socket], [], [], 0)[0] or self._pending:
                for message in self._receive():
                    changed = self._take_message(message) or changed
        except OSError as error:
            raise OvsdbError(_words(error)) from error
        return changed

    def ask_alive(self) -> None:
        """Ask for an answer, which `take` will find: a server that is gone sends none. Raises OvsdbError."""
        try:
            self._send({"method": "echo", "params": [], "id": _ECHO})
        except OSError as error:
            raise OvsdbError(_words(error)) from error

    def _monitor(self, database: str, columns: Mapping[str, tuple[str, ...]]) -> None:
        wanted = {table: [{"columns": list(names)}] for table, names in columns.items()}
        self._send({"method": "monitor", "params": [database, None, wanted], "id": _MONITOR})
        while True:
            for message in self._receive():
                if message.get("id") != _MONITOR or "method" in message:
                    self._take_message(message)
                    continue
                if (problem := message.get("error")) is not None:
                    raise OvsdbError(clean(f"ovsdb-server refuses: {_refusal(problem)}"))
                self._take_rows(message.get("result"))
                return

    def _send(self, message: Mapping[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode())

    def _receive(self) -> list[dict[str, Any]]:
        """Return the messages that are complete; none while one is under way. They follow each other without any mark,
        but each ends with a brace: only where one has come last is it worth while to parse."""
        data = self._socket.recv(_CHUNK)
        if not data:
            raise OvsdbError("ovsdb-server has gone")
        self._pending += data
        if not self._pending.rstrip().endswith(b"}"):
            return []
        text, found = self._pending.decode(errors="replace").strip(), []
        while text:
            try:
                message, end = _DECODER.raw_decode(text)
            except ValueError:
                break
            if not isinstance(message, dict):
                raise OvsdbError(_STRANGER)
            found.append(message)
            text = text[end:].lstrip()
        self._pending = text.encode()
        return found

    def _take_message(self, message: Mapping[str, Any]) -> bool:
        """Answer an echo, take in an update; return whether a row has changed."""
        method, params = message.get("method"), message.get("params")
        if method == "echo":
            self._send({"result": params, "error": None, "id": message.get("id")})
        elif method == "update" and isinstance(params, list) and len(params) == 2:
            return self._take_rows(params[1])
        return False

    def _take_rows(self, updates: Any) -> bool:
        """Take in <table-updates>: each row that is new, or changed, comes whole (RFC 7047, 4.1.6)."""
        try:
            for table, rows in updates.items():
                known = self.tables[table]
                for key, update in rows.items():
                    if "new" in update:
                        known[key] = {**known.get(key, {}), **update["new"]}
                    else:
                        known.pop(key, None)
        except (AttributeError, KeyError, TypeError) as error:
            raise OvsdbError(_STRANGER) from error
        return bool(updates)


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "ovsdb-server does not answer"
    return clean(f"ovsdb-server cannot be reached: {error.strerror or error}")


def _refusal(problem: Any) -> str:
    if isinstance(problem, dict):
        return " ".join(str(problem.get(part, "")) for part in ("error", "details"))
    return str(problem)


def atoms(value: Any) -> list[Any]:
    """Return the values of a column that holds a set, or one value, or none; of references the UUIDs."""
    if isinstance(value, list) and len(value) == 2:
        kind, content = value
        if kind == "set":
            return [atom for item in content for atom in atoms(item)]
        if kind in ("uuid", "named-uuid"):
            return [content]
        if kind == "map":
            return []
    return [] if value is None else [value]


def pairs(value: Any) -> list[tuple[str, str]]:
    """Return the keys and values of a column that holds a map of strings, in the order of the keys."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "map":
        return sorted((str(key), str(item)) for key, item in value[1])
    return []
