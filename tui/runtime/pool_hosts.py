"""The thread that reads what the host has under its pools: a filesystem that hangs holds up nothing but this."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tui.runtime.threads import run_forever

if TYPE_CHECKING:
    from tui.model.pool_host import PoolHost
    from tui.model.storage import Pool
    from tui.runtime.board import Board


class PoolHostReader:
    """Publishes the filesystems and disks under the active pools of this machine, each time that it is nudged: after
    each reading of the pools, and never by itself."""

    def __init__(self, board: Board, *, local: bool) -> None:
        self._board = board
        self._local = local
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Start the thread; where the host is another machine there is nothing to read."""
        if not self._local:
            self._board.update(pool_hosts={})
            return
        run_forever("pool reader", self._run, self._failed, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """Read now."""
        self._wake.set()

    def _failed(self, problem: str) -> None:
        self._board.note_problem("pool hosts", problem)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._stopped:
                return
            self._wake.clear()
            self._read()

    def _read(self) -> None:
        """The pools of other machines come last: what hangs then keeps back only what comes after it."""
        from tui.sources.filesystems import REMOTE_KINDS, read_pool_host

        storage = self._board.snapshot.storage
        pools = [pool for pool in (storage.pools.values() if storage is not None else ()) if pool.state.active]
        found: dict[str, PoolHost] = {}
        near = [pool for pool in pools if pool.kind not in REMOTE_KINDS]
        for pool in near:
            found[pool.key] = read_pool_host(pool)
        far = [pool for pool in pools if pool.kind in REMOTE_KINDS]
        self._publish(found | self._known(far))
        for pool in far:
            found[pool.key] = read_pool_host(pool)
            self._publish(found | self._known(far, found))
        self._failed("")

    def _known(self, pools: list[Pool], fresh: dict[str, PoolHost] | None = None) -> dict[str, PoolHost]:
        """What was read before of the pools that are still to be read."""
        before = self._board.snapshot.pool_hosts or {}
        return {pool.key: before[pool.key] for pool in pools if pool.key in before and pool.key not in (fresh or {})}

    def _publish(self, found: dict[str, PoolHost]) -> None:
        if found != self._board.snapshot.pool_hosts:
            self._board.update(pool_hosts=found)
