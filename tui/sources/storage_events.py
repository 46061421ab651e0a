"""Pool events of libvirt: pools that come, go, start, stop and are refreshed; volumes have none of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import libvirt


class PoolEvents:
    """Calls back, on libvirt's event thread, when something of a pool changed; one connection at a time."""

    def __init__(self, changed: Callable[[], None], refreshed: Callable[[], None]) -> None:
        """`changed` is for pools that were defined, started, stopped, removed (VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE),
        `refreshed` for those that somebody had looked at anew (VIR_STORAGE_POOL_EVENT_ID_REFRESH)."""
        self._wanted = (
            (libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE, changed),
            (libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH, refreshed),
        )
        self._registered: list[int] = []

    def register(self, connection: Any) -> None:
        """Subscribe to the events that the driver has; where it has none, all comes with the next reading."""
        self._registered = []
        for number, call in self._wanted:
            with contextlib.suppress(libvirt.libvirtError):
                self._registered.append(connection.storagePoolEventRegisterAny(None, number, _handler(call), None))

    def deregister(self, connection: Any) -> None:
        """Drop the subscriptions; on a dead connection they are gone already."""
        for number in self._registered:
            with contextlib.suppress(libvirt.libvirtError):
                connection.storagePoolEventDeregisterAny(number)
        self._registered = []


def _handler(call: Callable[[], None]) -> Callable[..., None]:
    def on_event(*_arguments: object) -> None:
        call()

    return on_event
