"""What actions apply to."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kind of thing an action applies to."""

    DOMAIN = "domain"
    PROCESS = "process"
    POOL = "pool"
    VOLUME = "volume"
    NETWORK = "network"
    LINK = "link"
    FINDING = "finding"
    HOST = "host"

    @property
    def plural(self) -> str:
        """The word for several of them."""
        return self.value + ("es" if self.value.endswith("s") else "s")
