"""The thread that reads the image of the volume that is looked at: one that hangs holds up nothing but this."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.model.storage import Volume
    from tui.runtime.board import Board


class ImageReader:
    """Publishes what qemu-img tells of an image: when somebody begins to look at it, again when libvirt tells something
    else of the volume, as of one that grows, and after each change made here."""

    def __init__(self, board: Board, *, local: bool, looked_at: Callable[[], str | None]) -> None:
        """Make a reader; `looked_at` gives the key of the volume whose page is open."""
        self._board = board
        self._local = local
        self._looked_at = looked_at
        self._wake = threading.Event()
        self._stopped = False
        self._read: Volume | None = None

    def start(self) -> None:
        """Start the thread; the files of another machine cannot be read."""
        if self._local:
            run_forever("image reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Look whether there is something to read."""
        self._wake.set()

    def reread(self) -> None:
        """Read again what is looked at."""
        self._read = None
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("images", problem)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._stopped:
                return
            self._wake.clear()
            self._look()

    def _look(self) -> None:
        storage, key = self._board.snapshot.storage, self._looked_at()
        volume = storage.volumes.get(key) if storage is not None and key is not None else None
        if volume is None:
            self._read = None
        elif volume != self._read:
            self._read = volume
            self._publish(volume)
        self._failed("")

    def _publish(self, volume: Volume) -> None:
        from tui.model.image_info import VolumeImage, form_of
        from tui.sources.images import ImageError, read_chain

        form = form_of(volume.format)
        if volume.kind != "file" or not form:
            problem = "qemu-img is run on files of a known format alone"
            self._board.update(image=VolumeImage(volume.key, time.time_ns(), problem=problem))
            return
        try:
            found = VolumeImage(volume.key, time.time_ns(), read_chain(volume.raw_path, form))
        except ImageError as error:
            found = VolumeImage(volume.key, time.time_ns(), problem=str(error))
        self._board.update(image=found)
