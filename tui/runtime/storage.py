"""The thread that reads storage: a pool that hangs (a dead NFS server) holds up nothing else."""

from __future__ import annotations

from typing import Any

from tui.runtime.watcher import Events, Reader, Watcher


class StorageWatcher(Watcher):
    """Publishes the pools and volumes of one host. Events tell of pools; of volumes that come and go there are none."""

    def make(self, connection: Any) -> tuple[Reader, Events]:
        """Return the reader of a connection's storage, and its events."""
        from tui.sources.storage import StorageReader
        from tui.sources.storage_events import PoolEvents

        return StorageReader(connection), PoolEvents(self.nudge, self.nudge_if_watched)
