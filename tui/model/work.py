"""How far long work has come: bytes done of bytes in all, its rate and the time left, from readings of its counter."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tui.model import units

# The rate is that of the last seconds: long enough to be steady, short enough to show a disk that became slow.
_WINDOW_S = 5.0
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Work:
    """Long work as last read."""

    done: int
    """Bytes."""
    total: int | None
    """Bytes in all; None: not known."""
    rate: float | None = None
    """Bytes/s; None: not known yet."""
    cancelling: bool = False
    """Whether it was asked to stop and has yet to do so."""

    @property
    def share(self) -> float | None:
        """How much of it is done, from 0 to 1; None when that is not known."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest takes at this rate; None when that is not known."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate

    def bar(self, width: int) -> str:
        """Return a bar of `width` cells; blank when the share is not known."""
        eighths = round((self.share or 0.0) * width * 8)
        full, part = divmod(eighths, 8)
        return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width)

    def words(self) -> str:
        """Return the amount, rate and time left in a few words."""
        of = f" of {units.byte_size(self.total)}" if self.total is not None else ""
        parts = [f"{units.byte_size(self.done)}{of}"]
        parts += [f"{units.rate(self.rate)}/s"] if self.rate is not None else []
        if self.cancelling:
            parts.append("stopping")
        elif self.left_s is not None:
            parts.append(f"{units.span(self.left_s)} left")
        return ", ".join(parts)

    def percent(self) -> str:
        """Return the share as `45%`; "" when it is not known."""
        return "" if self.share is None else f"{int(self.share * 100)}%"


class Meter:
    """Makes Work of readings; the rate is over the last seconds. Used under the caller's lock."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int]] = deque()

    def read(self, at_s: float, done: int, total: int | None, *, cancelling: bool = False) -> Work:
        """Return the work after a reading of `done` bytes at a monotonic instant (s)."""
        if self._readings and done < self._readings[-1][1]:
            self._readings.clear()
        self._readings.append((at_s, done))
        while len(self._readings) > 2 and at_s - self._readings[1][0] >= _WINDOW_S:
            self._readings.popleft()
        first_s, first = self._readings[0]
        rate = (done - first) / (at_s - first_s) if at_s > first_s else None
        return Work(done, total, rate, cancelling)
