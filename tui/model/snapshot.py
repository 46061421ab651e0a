"""All that was seen of one host at one instant, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.model.asked import AskedGuest
    from tui.model.dnsmasq import Dnsmasq
    from tui.model.domain import Address, Domain, DomainEvent, MonitorState
    from tui.model.domain_detail import DomainDetail
    from tui.model.finding import Finding
    from tui.model.firewall import Firewall
    from tui.model.health import HostHealth, ImageState
    from tui.model.host import Connection, Host
    from tui.model.host_cpus import HostCpus
    from tui.model.image_info import VolumeImage
    from tui.model.link import LinkDetail, Links, LinkUsage
    from tui.model.network import Networks
    from tui.model.ovs import Ovs
    from tui.model.pool_host import PoolHost
    from tui.model.process import QemuProcess
    from tui.model.storage import Storage
    from tui.model.usage import DomainTraffic, DomainUsage

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_NO_LOADS: Mapping[int, float] = MappingProxyType({})
# libvirt tells of a domain when its QEMU is up and configured; so long after its birth a process may yet be one's.
_BIRTH_NS = 3_000_000_000


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """Everything known of a host; mappings are by key (domain UUID, process key) and never change once published."""

    sequence: int
    taken_ns: int
    connection: Connection
    host: Host | None = None
    cpus: HostCpus | None = None
    """Read only while somebody looks at the host's CPUs, and once for reports and plans; None: not read yet."""
    cpu_loads: Mapping[int, float] = field(default_factory=lambda: _NO_LOADS)
    """Percent busy of each host CPU by number, between the last two readings; empty while nobody looks."""
    domains: Mapping[str, Domain] = field(default_factory=lambda: _NOTHING)
    domains_read_ns: int | None = None
    """When the list and the states were last known to be right; None: never read."""
    usage: Mapping[str, DomainUsage] = field(default_factory=lambda: _NOTHING)
    usage_every_s: float = 0.0
    """How often the figures of a domain that is looked at are read, in seconds; 0: not read yet."""
    traffic: Mapping[str, DomainTraffic] = field(default_factory=lambda: _NOTHING)
    addresses: Mapping[str, tuple[Address, ...]] = field(default_factory=lambda: _NOTHING)
    addresses_read_ns: int | None = None
    """When the addresses were last found to have changed; leases are read every 10 s, agents asked every 30 s."""
    monitors: Mapping[str, MonitorState] = field(default_factory=lambda: _NOTHING)
    """Domains whose monitor is stuck; those that answer are not listed."""
    events: tuple[DomainEvent, ...] = ()
    processes: Mapping[str, QemuProcess] = field(default_factory=lambda: _NOTHING)
    processes_read_ns: int | None = None
    storage: Storage | None = None
    """Pools and volumes; None: not read yet, or the driver has none."""
    pool_hosts: Mapping[str, PoolHost] | None = None
    """Filesystem and disks of the active pools, by pool UUID; None: not read yet, empty where the host is not this
    machine."""
    image: VolumeImage | None = None
    """The image of the volume that is looked at, while its page is open; None: none is, or it is not read yet."""
    networks: Networks | None = None
    """libvirt's networks; None: not read yet, or the driver has none."""
    links: Links | None = None
    """Links, addresses and routes of every network namespace of this machine; None: not read yet, or the host is not
    this machine."""
    link_usage: Mapping[str, LinkUsage] = field(default_factory=lambda: _NOTHING)
    """Counters and rates by link key; empty while nobody looks."""
    link_detail: LinkDetail | None = None
    """What is read of the link that is open in the detail, or was the last that was."""
    firewalls: Mapping[str, Firewall] = field(default_factory=lambda: _NOTHING)
    """By namespace key; a namespace that is not listed was not read."""
    ovs: Ovs | None = None
    """Open vSwitch; None: there is none that can be reached."""
    dnsmasqs: tuple[Dnsmasq, ...] = ()
    detail: DomainDetail | None = None
    health: HostHealth | None = None
    """How the host itself does; None: not read yet, or it is not this machine."""
    images: Mapping[str, ImageState] = field(default_factory=lambda: _NOTHING)
    """Images of domains that are off, by raw path, where their daemon's files can be seen; those not listed were not
    looked at."""
    asked: tuple[AskedGuest, ...] = ()
    """What guests were asked from here and have not done although they had the time."""
    findings: tuple[Finding, ...] | None = None
    """What triage says, worst first; None: it has not looked yet."""
    unread: frozenset[str] = frozenset(
        {
            "domains",
            "configs",
            "usage",
            "addresses",
            "processes",
            "storage",
            "networks",
            "links",
            "firewalls",
            "ovs",
            "dnsmasqs",
            "health",
            "images",
        }
    )
    """Sources that have not finished their first pass."""
    problems: tuple[str, ...] = ()
    """What cannot be read at the moment although it should, and why."""
    limits: tuple[str, ...] = ()
    """What cannot be seen here and why, e.g. "processes: the host is not this machine"."""

    def unmanaged(self) -> dict[str, QemuProcess]:
        """Return the QEMU processes that no active domain of this libvirt owns, by key."""
        return {key: process for key, process in self.processes.items() if not self._owned(process)}

    def _owned(self, process: QemuProcess) -> bool:
        if process.uuid is None or process.libvirt_name is None:
            return False
        domain = self.domains.get(process.uuid)
        if domain is not None and domain.active:
            return True
        return self.processes_read_ns is not None and self.processes_read_ns - process.started_ns < _BIRTH_NS


def as_json(value: Any) -> Any:
    """Return model objects as JSON-able data under the model's own names; None stays null: unknown."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, frozenset, set)):
        items = [as_json(item) for item in value]
        return sorted(items) if isinstance(value, (frozenset, set)) else items
    return value
