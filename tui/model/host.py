"""The host behind a connection, and the state of that connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class ConnectionState(StrEnum):
    """How the connection to libvirt stands."""

    CONNECTING = "connecting"
    LIVE = "live"
    SILENT = "not answering"
    LOST = "lost"
    REFUSED = "refused"
    ABSENT = "no libvirt"
    """None is asked: virtdeck shows this machine by itself."""


NO_LIBVIRT = "none:///"
"""The URI that stands for this machine without libvirt."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection to one host; `since_ns` is the wall clock of the last change of `state`."""

    uri: str
    state: ConnectionState
    since_ns: int
    read_only: bool
    problem: str = ""
    advice: str = ""
    attempts: int = 0

    @property
    def live(self) -> bool:
        """Whether what the screen shows is being kept up to date."""
        return self.state is ConnectionState.LIVE


@dataclass(frozen=True, slots=True)
class Host:
    """Facts of the host; None where the driver does not tell or the host is not this machine."""

    name: str
    driver: str
    libvirt_version: str
    hypervisor_version: str
    architecture: str
    cpus: int | None
    numa_nodes: int | None
    memory_kib: int | None
    local: bool
    """Whether the host's processes are processes of this machine."""
    memory_free_kib: int | None = None
    load_1min: float | None = None
    boot_time_s: int | None = None
    read_ns: int = field(default=0, compare=False)
