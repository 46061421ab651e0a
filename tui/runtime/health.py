"""The threads that read how the host does, and look after the images of domains that are off."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from tui.model.host import ConnectionState
from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.model.health import ImageState
    from tui.model.snapshot import HostSnapshot
    from tui.runtime.board import Board

HEALTH_S, IMAGES_S, _CPUS_S = 10.0, 30.0, 120.0
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
        self._cpus_due_s = 0.0

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

    def _read_cpus(self) -> None:
        """What this machine consists of, by the kernel's own word: libvirt may ask its QEMUs first, for seconds."""
        from tui.sources.local_host import read_local_cpus

        if time.monotonic() >= self._cpus_due_s:
            self._cpus_due_s = time.monotonic() + _CPUS_S
            self._board.update(cpus=read_local_cpus())

    def _run(self) -> None:
        from tui.sources.health import HealthSource

        source = HealthSource()
        while not self._stopped:
            self._read_cpus()
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
        self._root: tuple[int, str | None] | None = None
        """Where the daemon's files are, and of which connection."""
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
                ConnectionState.LIVE,
                ConnectionState.ABSENT,
            )
            if known:
                self._look(seen)
            self._failed("")
            self._wake.wait(IMAGES_S if known else _UNKNOWN_S)
            self._wake.clear()

    def _look(self, seen: HostSnapshot) -> None:
        from tui.model.used_by import chain
        from tui.sources.image_files import image_state

        off = [d.config for d in seen.domains.values() if not d.active and d.config is not None and d.config.disks]
        root = self._root_of_daemon(seen) if off else None
        below = {} if seen.storage is None else {v.raw_path: v.raw_backing_path for v in seen.storage.volumes.values()}
        found: dict[str, ImageState] = {}
        for looked, disk in enumerate((disk for config in off for disk in config.disks) if root is not None else (), 1):
            state = image_state(root or "", chain(disk, seen.storage, below))
            if state is not None and disk.source_kind in ("file", "block"):
                found[disk.raw_source] = state
            if looked % _MOST == 0:
                self._wake.wait(_PAUSE_S)
            if self._stopped:
                return
        if root and self._root_of_daemon(seen) != root:
            # It ended meanwhile, and its files with it.
            return
        self._board.update(done="images", **({"images": found} if found != seen.images else {}))

    def _root_of_daemon(self, seen: HostSnapshot) -> str | None:
        """Asked of its socket once for each connection: libvirtd logs everyone who comes and says nothing."""
        from tui.sources.image_files import daemon_root

        since_ns = seen.connection.since_ns
        if self._root is None or self._root[0] != since_ns or (self._root[1] and not os.path.isdir(self._root[1])):
            self._root = since_ns, daemon_root(self._uri)
        return self._root[1]
