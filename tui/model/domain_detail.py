"""What is read only for the domain that is open: its XML, snapshots, and where its vCPUs run."""

from __future__ import annotations

from dataclasses import dataclass, field

from tui.model.tuning import CpuTune, MemTune


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
class GuestVcpus:
    """The vCPUs that the guest itself has, by its agent (virDomainGetGuestVcpus)."""

    there: tuple[int, ...]
    online: tuple[int, ...]
    can_go: tuple[int, ...]
    """Those that the guest can set offline."""


@dataclass(frozen=True, slots=True)
class Enforced:
    """What the control groups of a running domain hold it to, and why they cannot be asked, in libvirt's words."""

    cpu: CpuTune | None = None
    memory: MemTune | None = None
    no_cpu: str = ""
    """"" when `cpu` was read."""
    no_memory: str = ""
    """"" when `memory` was read."""


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
    read_ns: int = field(compare=False)
    enforced: Enforced | None = None
    """None while the domain is off."""
    guest: GuestVcpus | None = None
    """None: no agent has told."""
