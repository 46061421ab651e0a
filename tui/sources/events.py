"""Domain events of libvirt as dirty marks and as a readable history; callbacks only enqueue."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import libvirt

from tui.model.block_job import KINDS
from tui.model.domain import DomainEvent
from tui.model.text import clean

_LIFECYCLE = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: ("defined", ("added", "updated", "renamed", "from snapshot")),
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: ("undefined", ("removed", "renamed")),
    libvirt.VIR_DOMAIN_EVENT_STARTED: ("started", ("booted", "migrated", "restored", "from snapshot", "wakeup")),
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: (
        "suspended",
        ("paused", "migrated", "I/O error", "watchdog", "restored", "from snapshot", "API error", "post-copy",
         "post-copy failed"),
    ),
    libvirt.VIR_DOMAIN_EVENT_RESUMED: ("resumed", ("unpaused", "migrated", "from snapshot", "post-copy")),
    libvirt.VIR_DOMAIN_EVENT_STOPPED: (
        "stopped",
        ("shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot"),
    ),
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: ("shutdown", ("finished", "by the guest", "by the host")),
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: ("pmsuspended", ("memory", "disk")),
    libvirt.VIR_DOMAIN_EVENT_CRASHED: ("crashed", ("panicked", "crash loaded")),
}  # fmt: skip

# virConnectDomainEventBlockJobStatus.
_JOB_ENDS = ("completed", "failed", "cancelled", "ready")


def _named(names: Sequence[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)


# Events whose arguments are said in words; the rest only mark the domain dirty under their own name.
_DESCRIBE: dict[str, Callable[[tuple[Any, ...]], str]] = {
    "DEVICE_ADDED": lambda args: clean(str(args[0])),
    "DEVICE_REMOVED": lambda args: clean(str(args[0])),
    "DEVICE_REMOVAL_FAILED": lambda args: clean(str(args[0])),
    "BALLOON_CHANGE": lambda args: f"{int(args[0]) // 1024} MiB",
    "IO_ERROR_REASON": lambda args: clean(f"{args[0]} {args[3]}".strip()),
    "BLOCK_JOB_2": lambda args: clean(f"{args[0]} {_named(KINDS, args[1])} {_named(_JOB_ENDS, args[2])}"),
    "BLOCK_THRESHOLD": lambda args: clean(str(args[0])),
    "AGENT_LIFECYCLE": lambda args: "connected" if args[0] == 1 else "disconnected",
}
_IDS = (
    "REBOOT", "RTC_CHANGE", "WATCHDOG", "IO_ERROR_REASON", "CONTROL_ERROR", "BLOCK_JOB_2", "DISK_CHANGE",
    "TRAY_CHANGE", "PMWAKEUP", "PMSUSPEND", "PMSUSPEND_DISK", "BALLOON_CHANGE", "DEVICE_REMOVED", "DEVICE_ADDED",
    "DEVICE_REMOVAL_FAILED", "TUNABLE", "AGENT_LIFECYCLE", "JOB_COMPLETED", "METADATA_CHANGE", "BLOCK_THRESHOLD",
    "MEMORY_FAILURE", "MEMORY_DEVICE_SIZE_CHANGE",
)  # fmt: skip
# Reported every time a guest's clock or balloon moves: read again, but no line in the history.
_NOISY = frozenset({"RTC_CHANGE", "BALLOON_CHANGE"})
# Nothing but the state changes, which saves a dozen calls for each.
_STATE_ONLY = frozenset({"suspended", "resumed"})
_HISTORY = 500


class DomainEvents:
    """Dirty marks and history of the domain events of one connection at a time; safe from any thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._dirty: dict[str, bool] = {}
        self._history: deque[DomainEvent] = deque(maxlen=_HISTORY)
        self._registered: list[int] = []

    def register(self, connection: Any) -> bool:
        """Subscribe to all domain events that the driver has; False when it has no lifecycle events, so that the
        caller must poll the list."""
        self._registered = []
        lifecycle = self._try(connection, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle)
        for name in _IDS:
            number = getattr(libvirt, f"VIR_DOMAIN_EVENT_ID_{name}", None)
            if number is not None:
                self._try(connection, number, self._handler(name))
        return lifecycle

    def _try(self, connection: Any, number: int, callback: Callable[..., None]) -> bool:
        try:
            self._registered.append(connection.domainEventRegisterAny(None, number, callback, None))
        except libvirt.libvirtError:
            return False
        return True

    def deregister(self, connection: Any) -> None:
        """Drop the subscriptions; on a dead connection they are gone already."""
        for number in self._registered:
            with contextlib.suppress(libvirt.libvirtError):
                connection.domainEventDeregisterAny(number)
        self._registered = []

    def take_dirty(self) -> dict[str, bool]:
        """Return the UUIDs touched since the last call, each with whether more than its state may have changed."""
        with self._lock:
            dirty, self._dirty = self._dirty, {}
        return dirty

    def history(self) -> tuple[DomainEvent, ...]:
        """Return the last events, oldest first."""
        with self._lock:
            return tuple(self._history)

    def _note(self, key: str, kind: str, detail: str, *, keep: bool = True) -> None:
        with self._lock:
            self._dirty[key] = self._dirty.get(key, False) or kind not in _STATE_ONLY
            if keep:
                self._history.append(DomainEvent(key, time.time_ns(), kind, detail))
        self._wake()

    def _on_lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: object) -> None:
        kind, details = _LIFECYCLE.get(event, (f"event {event}", ()))
        self._note(domain.UUIDString(), kind, details[detail] if 0 <= detail < len(details) else "")

    def _handler(self, name: str) -> Callable[..., None]:
        kind = name.lower().replace("_", " ").removesuffix(" 2").removesuffix(" reason")
        describe = _DESCRIBE.get(name)

        def on_event(_connection: Any, domain: Any, *args: Any) -> None:
            detail = describe(args) if describe is not None else ""
            self._note(domain.UUIDString(), kind, detail, keep=name not in _NOISY)

        return on_event
