"""One place for the newest snapshot: the writer never waits, the reader gets the latest and misses the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Latest wins; `wake` is called from the writer's thread once per letter that was not yet announced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._letter: T | None = None
        self._wake: Callable[[], None] | None = None

    def on_mail(self, wake: Callable[[], None] | None) -> None:
        """Set who is told; called at once when a letter lies there already."""
        with self._lock:
            self._wake = wake
            waiting = self._letter is not None
        if waiting and wake is not None:
            wake()

    def put(self, letter: T) -> None:
        """Leave the newest letter; replaces one that was not taken."""
        with self._lock:
            announced = self._letter is not None
            self._letter = letter
            wake = self._wake
        if not announced and wake is not None:
            wake()

    def take(self) -> T | None:
        """Return the newest letter and empty the box; None when nothing new came."""
        with self._lock:
            letter, self._letter = self._letter, None
        return letter
