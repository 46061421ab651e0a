"""Domains as libvirt tells of them: identity, state, events, addresses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.domain_config import Difference, DomainConfig


class DomainState(StrEnum):
    """States of a domain in the order of libvirt's virDomainState."""

    NOSTATE = "no state"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTDOWN = "in shutdown"
    SHUTOFF = "shut off"
    CRASHED = "crashed"
    PMSUSPENDED = "pmsuspended"

    @property
    def active(self) -> bool:
        """Whether a domain in this state has an emulator, as far as the state alone tells."""
        return self not in (DomainState.SHUTOFF, DomainState.CRASHED, DomainState.NOSTATE)


STATES: tuple[DomainState, ...] = tuple(DomainState)

# virDomain*Reason of libvirt-domain.h, by state; index is the reason's number.
_REASONS: dict[DomainState, tuple[str, ...]] = {
    DomainState.RUNNING: (
        "", "booted", "migrated", "restored", "from snapshot", "unpaused", "migration cancelled",
        "save cancelled", "wakeup", "crashed", "post-copy", "post-copy failed",
    ),
    DomainState.PAUSED: (
        "", "user", "migration", "save", "dump", "I/O error", "watchdog", "from snapshot", "shutting down",
        "snapshot", "crashed", "starting up", "post-copy", "post-copy failed", "API error",
    ),
    DomainState.SHUTDOWN: ("", "user"),
    DomainState.SHUTOFF: (
        "", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot", "daemon",
    ),
    DomainState.CRASHED: ("", "panicked"),
}  # fmt: skip


def state_of(number: int) -> DomainState:
    """Return the state for libvirt's virDomainState number; numbers of a newer libvirt become NOSTATE."""
    return STATES[number] if 0 <= number < len(STATES) else DomainState.NOSTATE


def reason_of(state: DomainState, number: int) -> str:
    """Return the words for libvirt's reason number in `state`; "" where libvirt says unknown."""
    reasons = _REASONS.get(state, ())
    return reasons[number] if 0 <= number < len(reasons) else ""


@dataclass(frozen=True, slots=True)
class Domain:
    """A libvirt domain; None means not read yet or not readable, never "no"."""

    key: str
    """The UUID."""
    name: str
    raw_name: str
    id: int | None
    state: DomainState
    reason: str
    persistent: bool | None = None
    autostart: bool | None = None
    managed_save: bool | None = None
    snapshots: bool | None = None
    """Whether it has at least one DomainSnapshot."""
    checkpoints: bool | None = None
    """Whether it has at least one DomainCheckpoint."""
    config: DomainConfig | None = None
    """Of the live XML when active, else of the persistent XML."""
    persistent_config: DomainConfig | None = None
    """Of the persistent XML; the same object as `config` when the domain is off, None when it is transient."""
    differences: tuple[Difference, ...] | None = None
    """Live against persistent configuration; () when equal or when there is only one."""
    config_read_ns: int | None = None
    oldest_snapshot_s: int | None = None
    """When the oldest of its DomainSnapshots was made, seconds since the epoch; None: it has none, or not read."""

    @property
    def active(self) -> bool:
        """Whether the domain has an emulator: one that crashed keeps its own where `<on_crash>` says preserve."""
        return self.id is not None or self.state.active


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something libvirt reported about a domain; `at_ns` is the wall clock when it arrived."""

    key: str
    at_ns: int
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class MonitorState:
    """A QEMU monitor that does not answer; `since_ns` is when the call that never came back was made."""

    since_ns: int


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a guest and where it came from: lease, agent, arp (libvirt) or neighbour (kernel table)."""

    address: str
    prefix: int | None
    mac: str
    source: str
