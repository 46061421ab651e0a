"""Domains as libvirt tells of them: identity, state, configuration, and what differs for the next boot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
        """Whether a domain in this state has a running emulator."""
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
class Disk:
    """A `<disk>` of a domain; `source` is a path, volume (`pool/volume`) or network URL, cleaned."""

    target: str
    bus: str
    device: str
    source_kind: str
    source: str
    raw_source: str
    format: str
    read_only: bool
    shareable: bool
    cache: str
    serial: str


@dataclass(frozen=True, slots=True)
class Nic:
    """An `<interface>` of a domain; `target` is the host-side device (tap), "" while it has none."""

    mac: str
    kind: str
    source: str
    model: str
    target: str
    link_up: bool
    virtualport: str
    vlan: str


@dataclass(frozen=True, slots=True)
class AgentChannel:
    """The guest agent's channel: configured, and whether the agent in the guest has it open (None: not said)."""

    connected: bool | None


@dataclass(frozen=True, slots=True)
class DomainConfig:
    """What virtdeck uses of one domain XML, live or persistent; sizes in KiB."""

    title: str
    description: str
    vcpus: int
    vcpus_max: int
    vcpu_pins: tuple[tuple[str, str], ...]
    """(thread, CPU set) pairs of `<cputune>`: `vcpu 0`, `emulator`, `iothread 1`."""
    memory_kib: int
    memory_max_kib: int
    virt_type: str
    architecture: str
    machine: str
    emulator: str
    firmware: str
    nvram: str
    raw_nvram: str
    cpu_mode: str
    iothreads: int
    balloon: str
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    graphics: tuple[str, ...]
    agent: AgentChannel | None
    tpm: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the running domain has otherwise than its persistent configuration."""

    what: str
    live: str
    persistent: str


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
    config: DomainConfig | None = None
    """Of the live XML when active, else of the persistent XML."""
    differences: tuple[Difference, ...] | None = None
    """Live against persistent configuration; () when equal or when there is only one."""
    config_read_ns: int | None = None

    @property
    def active(self) -> bool:
        """Whether the domain has a running emulator."""
        return self.state.active


@dataclass(frozen=True, slots=True)
class DomainSnapshot:
    """One snapshot of a domain (virDomainSnapshot); `created_s` is seconds since the epoch."""

    name: str
    parent: str
    state: str
    created_s: int
    current: bool
    external: bool


@dataclass(frozen=True, slots=True)
class VcpuPlacement:
    """Where one vCPU runs now and where it may run (virDomainGetVcpus); None where libvirt does not say."""

    number: int
    state: str
    cpu_time_ns: int | None
    host_cpu: int | None
    affinity: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class DomainDetail:
    """What is read only for the domain that the user has open."""

    key: str
    xml_live: str | None
    xml_persistent: str | None
    snapshots: tuple[DomainSnapshot, ...] | None
    placements: tuple[VcpuPlacement, ...] | None
    problem: str
    """Why a part is None, in libvirt's words; "" when all was read."""
    read_ns: int


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

    stuck: bool
    since_ns: int


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a guest and where it came from: lease, agent, arp (libvirt) or neighbour (kernel table)."""

    address: str
    prefix: int | None
    mac: str
    source: str
