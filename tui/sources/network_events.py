"""Events that change what is told of networks: networks that come, go, start and stop, guests that plug in and out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import libvirt

_NETWORK = ("LIFECYCLE", "METADATA_CHANGE")
_DOMAIN = ("LIFECYCLE", "DEVICE_ADDED", "DEVICE_REMOVED")
_STARTED = frozenset({libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STOPPED})


class NetworkEvents:
    """Calls back, on libvirt's event thread, when something of a network changed; one connection at a time."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._networks: list[int] = []
        self._domains: list[int] = []

    def register(self, connection: Any) -> None:
        """Subscribe to the events that the driver has; where it has none, all comes with the next reading."""
        self._networks, self._domains = [], []
        for name in _NETWORK:
            self._try(self._networks, connection.networkEventRegisterAny, f"VIR_NETWORK_EVENT_ID_{name}", self._any)
        for name in _DOMAIN:
            call = self._lifecycle if name == "LIFECYCLE" else self._any
            self._try(self._domains, connection.domainEventRegisterAny, f"VIR_DOMAIN_EVENT_ID_{name}", call)

    @staticmethod
    def _try(kept: list[int], register: Callable[..., int], name: str, call: Callable[..., None]) -> None:
        """Subscribe to an event that this libvirt may not have (metadata of networks: 9.8)."""
        number = getattr(libvirt, name, None)
        if number is not None:
            with contextlib.suppress(libvirt.libvirtError):
                kept.append(register(None, number, call, None))

    def _any(self, *_arguments: object) -> None:
        self._changed()

    def _lifecycle(self, _connection: Any, _domain: Any, event: int, *_more: object) -> None:
        """A domain that starts or stops plugs in or out; what else befalls it is no matter here."""
        if event in _STARTED:
            self._changed()

    def deregister(self, connection: Any) -> None:
        """Drop the subscriptions; on a dead connection they are gone already."""
        for numbers, call in (
            (self._networks, connection.networkEventDeregisterAny),
            (self._domains, connection.domainEventDeregisterAny),
        ):
            for number in numbers:
                with contextlib.suppress(libvirt.libvirtError):
                    call(number)
        self._networks, self._domains = [], []
