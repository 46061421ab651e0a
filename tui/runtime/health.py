"""The threads that read how the host does, and look after the images of domains that are off."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tui.model.host import LinkState
from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.model.health import ImageState
    from tui.model.snapshot import HostSnapshot
    from tui.runtime.board import Board

HEALTH_S, IMAGES_S = 10.0, 30.0
_MOST = 64
"""Images that are looked at without a pause: a host has thousands."""
_PAUSE_S = 0.05
_UNKNOWN_S = 0.5
"""How soon it is seen that the configurations have been read."""


class HealthReader:
    """Publishes the health of this machine; where the host is another one, nothing."""

    def __init__(self, board: Board, *, local: bool) -> None:
        self._board = board
        self._local = local
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Start the thread."""
        if not self._local:
            self._board.update(done="health")
            return
        run_forever("health reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Read at once."""
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("health", problem)

    def _run(self) -> None:
        from tui.sources.health import HealthSource

        source = HealthSource()
        while not self._stopped:
            self._board.update(done="health", health=source.read())
            self._failed("")
            self._wake.wait(HEALTH_S)
            self._wake.clear()


class ImageFileReader:
    """Publishes whether the images of domains that are off are there; a server that hangs holds up nothing else."""

    def __init__(self, board: Board, *, local: bool, uri: str) -> None:
        self._board = board
        self._local = local
        self._uri = uri
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Start the thread, where the host is this machine."""
        if not self._local:
            self._board.update(done="images")
            return
        run_forever("image file reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Look at once."""
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("images", problem)

    def _run(self) -> None:
        while not self._stopped:
            seen = self._board.snapshot
            known = not {"domains", "configs"} & seen.unread and seen.connection.state in (
                LinkState.LIVE,
                LinkState.ABSENT,
            )
            if known:
                self._look(seen)
            self._failed("")
            self._wake.wait(IMAGES_S if known else _UNKNOWN_S)
            self._wake.clear()

    def _look(self, seen: HostSnapshot) -> None:
        from tui.model.used_by import chain
        from tui.sources.image_files import daemon_root, image_state

        root = daemon_root(self._uri)
        storage = seen.storage
        below = {} if storage is None else {v.raw_path: v.raw_backing_path for v in storage.volumes.values()}
        found: dict[str, ImageState] = {}
        looked = 0
        for domain in seen.domains.values() if root is not None else ():
            if domain.active or domain.config is None or self._stopped:
                continue
            for disk in domain.config.disks:
                state = image_state(root or "", chain(disk, storage, below))
                if state is not None and disk.source_kind in ("file", "block"):
                    found[disk.raw_source] = state
                looked += 1
                if looked % _MOST == 0:
                    self._wake.wait(_PAUSE_S)
        self._board.update(done="images", **({"images": found} if found != seen.images else {}))
