"""Whose QEMU monitor is stuck, and whose may be.

One call asks many monitors in turn, so when it hangs, only the one it waits for is known by virDomainGetControlInfo;
those behind it may hang as well, as they do when storage fails. They are suspects: asked behind all others, one by one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from tui.model.domain import MonitorState
from tui.sources.monitor import is_occupied

ControlInfo = Callable[[str], tuple[int, int] | None]
# Each call that hangs holds one of libvirtd's threads, of which it has 20 as it comes.
_MOST_STUCK = 10
_LATER_S = 5.0
_log = logging.getLogger("virtdeck.monitors")


class Quarantine:
    """The domains not to be asked, and those to be asked with care; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stuck: Mapping[str, MonitorState] = {}
        self._suspects: dict[str, float] = {}

    @property
    def stuck(self) -> Mapping[str, MonitorState]:
        """The domains whose monitor does not answer; the same object while there is no change."""
        return self._stuck

    @property
    def probing(self) -> bool:
        """Whether there are suspects."""
        return bool(self._suspects)

    def admit(self, keys: Iterable[str]) -> list[str]:
        """Return those of `keys` that may be asked now: in their order, the suspects last; these only while few calls
        hang."""
        with self._lock:
            now, stuck, suspects = time.monotonic(), self._stuck, self._suspects
            free = [key for key in keys if key not in stuck and suspects.get(key, 0.0) <= now]
            sound = [key for key in free if key not in suspects]
            return sound + ([key for key in free if key in suspects] if len(stuck) < _MOST_STUCK else [])

    def is_suspect(self, key: str) -> bool:
        """Whether a domain is to be asked alone."""
        return key in self._suspects

    def condemn(self, batch: Collection[str], since_ns: int, control_info: ControlInfo) -> list[str]:
        """Judge a call on `batch` that took too long and return the domains that it hangs on. Where libvirt blames none
        of them, all are suspects; a single one is left alone for a while, for something else than its monitor holds it,
        such as being destroyed."""
        culprits = [key for key in batch if is_occupied(control_info(key))]
        with self._lock:
            later = time.monotonic() + (_LATER_S if len(batch) == 1 else 0.0)
            self._suspects |= dict.fromkeys(batch, later)
            for key in culprits:
                del self._suspects[key]
            self._stuck = {**self._stuck, **dict.fromkeys(culprits, MonitorState(since_ns))}
        _log.warning("monitor stuck: %s", ", ".join(culprits) or f"one of {len(batch)}")
        return culprits or [key for key in batch if len(batch) == 1]

    def clear(self, keys: Iterable[str]) -> None:
        """Take back the suspicion of domains that answered, or went."""
        with self._lock:
            for key in keys:
                self._suspects.pop(key, None)

    def release(self, control_info: ControlInfo) -> None:
        """Let out those that answer again or are gone."""
        kept = {key: state for key, state in self._stuck.items() if is_occupied(control_info(key))}
        if len(kept) != len(self._stuck):
            _log.info("monitor answers again: %s", ", ".join(self._stuck.keys() - kept.keys()))
            with self._lock:
                self._stuck = kept

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget the suspicion of domains that are not running any more."""
        with self._lock:
            gone = [key for key in self._suspects if key not in keys]
        self.clear(gone)
