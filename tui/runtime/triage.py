"""The thread that triages: the checks over the newest snapshot, when something in it has changed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tui.model.host import ConnectionState
from tui.runtime.health import HealthReader, ImageFileReader
from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tui.model.snapshot import HostSnapshot
    from tui.runtime.board import Board

_TOLD = (ConnectionState.LIVE, ConnectionState.ABSENT)
"""Where what is known is of now; without libvirt that is the machine and its network."""
REST_S, _MOST_REST_S, SHARE = 0.25, 3.0, 0.005
"""How long nothing is looked at after a look, at least and at most, and what looking may cost of one CPU otherwise."""


class Triaging:
    """All of it for one host: what only triage reads, the checks, the mutes."""

    def __init__(self, board: Board, muted_file: Path | None, *, local: bool, uri: str) -> None:
        self._readers = HealthReader(board, local=local), ImageFileReader(board, local=local, uri=uri)
        self._thread = TriageThread(board, muted_file, uri)
        self.notice = self._thread.notice

    def start(self) -> None:
        """Start the threads."""
        for part in (*self._readers, self._thread):
            part.start()

    def stop(self) -> None:
        """Ask them to leave."""
        for part in (*self._readers, self._thread):
            part.stop()

    def nudge(self) -> None:
        """Read and look again at once."""
        for part in (*self._readers, self._thread):
            part.nudge()


class TriageThread:
    """Publishes the findings of one host. It looks at what others have read and reads nothing itself but the file of
    the mutes."""

    def __init__(self, board: Board, muted_file: Path | None, uri: str) -> None:
        self._board = board
        self._mutes = MuteFile(muted_file, uri)
        self._news = threading.Event()
        self._hurry = threading.Event()
        self._started = self._stopped = False

    def start(self) -> None:
        """Start the thread."""
        self._started = True
        self._news.set()
        run_forever("triage", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._hurry.set()
        self._news.set()

    def notice(self, snapshot: HostSnapshot) -> None:
        """Take note of a snapshot; called for each, on the thread that published it."""
        if self._started and snapshot.connection.state in _TOLD:
            self._news.set()

    def nudge(self) -> None:
        """Look again at once, at the mutes as well: something was changed from here."""
        self._hurry.set()
        self._news.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("triage", problem)

    def _run(self) -> None:
        from tui.checks.triage import Triage

        triage = Triage()
        seen: HostSnapshot | None = None
        while not self._stopped:
            self._news.wait()
            self._news.clear()
            if self._stopped:
                return
            self._hurry.clear()
            snapshot, before = self._board.snapshot, time.thread_time()
            mutes_changed = self._mutes.read()
            if snapshot.connection.state not in _TOLD or (snapshot is seen and not mutes_changed):
                continue
            found = triage.look(snapshot, self._mutes.reasons)
            if found is not snapshot.findings:
                self._board.update(findings=found)
            seen = snapshot
            self._board.note_problem("mutes", self._mutes.problem)
            self._failed("")
            self._hurry.wait(min(max(REST_S, (time.thread_time() - before) / SHARE), _MOST_REST_S))


class MuteFile:
    """The reasons of one host, as its file says them."""

    def __init__(self, path: Path | None, uri: str) -> None:
        self._path = path
        self._uri = uri
        self._stamp: tuple[int, int, int] | None = None
        self.reasons: Mapping[str, str] = {}
        """By the id of a finding."""
        self.problem = ""
        """Why the file cannot be used; nothing is muted then."""

    def read(self) -> bool:
        """Read it if it is another one than before; returns whether it was."""
        if self._path is None:
            return False
        try:
            found = os.stat(self._path)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        except FileNotFoundError:
            stamp = None
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror}"
            return False
        if stamp == self._stamp:
            return False
        self._stamp, self.reasons, self.problem = stamp, {}, ""
        if stamp is not None:
            self._parse(self._path)
        return True

    def _parse(self, path: Path) -> None:
        from tui.model.mutes import parse_mutes

        try:
            self.reasons = parse_mutes(path.read_text(encoding="utf-8")).get(self._uri, {})
        except (OSError, UnicodeError, ValueError) as error:
            self.problem = f"{path} {error}; nothing is muted"
