"""What a path can be traced from."""

from __future__ import annotations

from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.process import QemuProcess

TRACED = (Kind.LINK, Kind.DOMAIN, Kind.PROCESS)
"""The kinds of thing that a path begins at, the nearest to the wire first."""


def nic_count(thing: object) -> int:
    """Return how many NICs a guest has, 0 also while its configuration is not read, and for what is no guest."""
    if isinstance(thing, Domain):
        return len(thing.config.nics) if thing.config is not None else 0
    return len(thing.nics) if isinstance(thing, QemuProcess) else 0
