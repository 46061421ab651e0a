"""The thread that reads libvirt's networks: leases and ports are a call for each of them."""

from __future__ import annotations

from typing import Any

from tui.runtime.watcher import Events, Reader, Watcher


class NetworkWatcher(Watcher):
    """Publishes the networks of one host. Events tell of networks that come and go and of guests that plug in; of
    leases and of changes to a network there are none."""

    def make(self, connection: Any) -> tuple[Reader, Events]:
        """Return the reader of a connection's networks, and its events."""
        from tui.sources.network_events import NetworkEvents
        from tui.sources.networks import NetworkReader

        return NetworkReader(connection), NetworkEvents(self.nudge)
