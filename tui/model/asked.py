"""What a guest was asked and has not done although it had the time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AskedGuest:
    """One request that a guest ignores so far."""

    key: str
    """The domain's UUID."""
    action: str
    """The id of the action, as domain.shutdown."""
    since_ns: int
    """When it was asked."""
