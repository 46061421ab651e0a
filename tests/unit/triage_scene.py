"""Snapshots for the checks: a healthy host, and changes to it in few words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tui.checks.triage import Triage
from tui.model.domain import Domain, DomainState
from tui.model.domain_xml import differences, parse_domain_xml
from tui.model.finding import Finding
from tui.model.health import HostHealth
from tui.model.host import Connection, ConnectionState, Host
from tui.model.host_cpus import HostCell, HostCpu, HostCpus
from tui.model.pool_host import PoolHost
from tui.model.process import QemuProcess
from tui.model.snapshot import HostSnapshot
from tui.model.storage import Pool, PoolState, Storage, Volume
from tui.model.usage import DiskUsage, DomainUsage, VcpuUsage

GIB = 1024**2
"""In KiB."""
SECOND = 10**9
NOW = 1_764_000_000 * SECOND


def domain(name: str, devices: str = "", rest: str = "", later: str | None = None, **facts: Any) -> Domain:
    """A running, persistent domain; `devices` and `rest` are XML, `later` the devices of its next boot."""

    def xml(inside: str) -> str:
        return (
            f"<domain type='kvm'><name>{name}</name><memory>{4 * GIB}</memory><vcpu>2</vcpu>{rest}"
            f"<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>{inside}</devices></domain>"
        )

    live = parse_domain_xml(xml(devices))
    next_ = live if later is None else parse_domain_xml(xml(later))
    known = Domain(
        name, name, name, 1, DomainState.RUNNING, "booted", persistent=True, autostart=False, snapshots=False,
        config=live, persistent_config=next_, differences=differences(live, next_),
    )  # fmt: skip
    return replace(known, **facts)


def off(name: str, devices: str = "", **facts: Any) -> Domain:
    """A domain that was shut down."""
    return domain(name, devices, **{"id": None, "state": DomainState.SHUTOFF, "reason": "shutdown", **facts})


def disk(path: str, target: str = "vda", more: str = "", cache: str = "none") -> str:
    """The XML of a qcow2 disk."""
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='{cache}'/><source file='{path}'/>"
        f"<target dev='{target}' bus='virtio'/>{more}</disk>"
    )


def cpus(count: int = 8, offline: Sequence[int] = (), nodes: int = 2) -> HostCpus:
    """A host of two NUMA nodes; the lower half of the CPUs is on the first."""
    per = count // nodes
    made = tuple(HostCpu(n, n not in offline, n // per, n // per, n % per, (n,)) for n in range(count))
    cells = tuple(
        HostCell(n, 32 * GIB, 16 * GIB, tuple(c.number for c in made if c.node == n), (), ()) for n in range(nodes)
    )
    return HostCpus(made, cells, None)


def usage(at_s: float, **facts: Any) -> DomainUsage:
    """Figures of a guest that has plenty."""
    known: dict[str, Any] = {
        "read_ns": NOW + int(at_s * SECOND), "cpu_time_ns": 1, "cpu_percent": 50.0, "vcpus": (), "vcpus_current": 2,
        "vcpus_maximum": 2, "balloon_current_kib": 4 * GIB, "balloon_maximum_kib": 4 * GIB, "available_kib": 4 * GIB,
        "unused_kib": 2 * GIB, "usable_kib": 2 * GIB, "rss_kib": 4 * GIB, "swap_in_kib": 0, "swap_out_kib": 0,
        "major_faults": 100, "balloon_updated_s": 1, "disks": (), "disk_read_bytes_per_s": 0.0,
        "disk_write_bytes_per_s": 0.0,
    }  # fmt: skip
    return DomainUsage(**(known | facts))


def vcpu(number: int, delay_percent: float | None) -> VcpuUsage:
    return VcpuUsage(number, "running", 1, 1, 50.0, delay_percent)


def slow_disk(latency_ms: float, requests_per_s: float = 50.0) -> DiskUsage:
    return DiskUsage("vda", 1, 1, 1, 1, 1, 1, 1, 1, 1, requests_per_s=requests_per_s, latency_ns=latency_ms * 1e6)


def process(name: str, pid: int = 4242, **facts: Any) -> QemuProcess:
    """The QEMU of a domain."""
    known: dict[str, Any] = {
        "key": f"{pid}:1", "pid": pid, "name": name, "uuid": name, "executable": "/usr/bin/qemu-system-x86_64",
        "architecture": "x86_64", "machine": "pc-q35-7.2", "accelerator": "kvm", "user": "libvirt-qemu",
        "libvirt_name": name, "started_ns": NOW - 3600 * SECOND, "vcpus": 2, "vcpus_max": 2, "memory_kib": 4 * GIB,
        "rss_kib": 4 * GIB, "cpu_time_ns": 1, "state": "sleeping", "threads": (), "drives": (), "nics": (),
        "qmp_sockets": (), "args": (), "read_ns": NOW,
    }  # fmt: skip
    return QemuProcess(**(known | facts))


def pool(name: str = "images", *, size: int = 100 << 30, free: int = 60 << 30, **facts: Any) -> Pool:
    known: dict[str, Any] = {
        "key": name, "name": name, "raw_name": name, "kind": "dir", "state": PoolState.RUNNING, "autostart": True,
        "persistent": True, "capacity_bytes": size, "allocation_bytes": size - free, "available_bytes": free,
        "path": f"/{name}", "raw_path": f"/{name}", "source": "",
    }  # fmt: skip
    return Pool(**(known | facts))


def volume(name: str, in_: str = "images", *, size: int = 10 << 30, used: int = 10 << 30, below: str = "") -> Volume:
    path = f"/{in_}/{name}"
    return Volume(
        f"{in_}/{name}", in_, name, name, path, path, "file", "qcow2", size, used, used, below, below, "qcow2"
    )


def storage(pools: Sequence[Pool], volumes: Sequence[Volume] = ()) -> Storage:
    return Storage({p.key: p for p in pools}, {v.key: v for v in volumes}, NOW)


HEALTH = HostHealth(
    kvm=True, virtualization=True, nested=False, guest_itself=False, memory_kib=64 * GIB, available_kib=40 * GIB,
    swap_total_kib=8 * GIB, swap_free_kib=8 * GIB, swap_in_kib_per_s=0, steal_percent=0, memory_pressure_percent=0,
    cpu_pressure_percent=0, clocksource="tsc", clocksources=("tsc", "hpet", "acpi_pm"), thp="madvise", ksm_run=0,
    ksm_sharing_kib=0, ksm_across_nodes=True, failed_units=(),
)  # fmt: skip


def host(*domains: Domain, **parts: Any) -> HostSnapshot:
    """A healthy host with these domains, all of it read."""
    known: dict[str, Any] = {
        "host": Host("node1", "QEMU", "9.0.0", "7.2.0", "x86_64", 8, 2, 64 * GIB, True), "cpus": cpus(),
        "health": HEALTH, "storage": storage([pool()]),
        "pool_hosts": {"images": PoolHost("ext4", False, 100 << 30, 60 << 30, 1000, 900)},
        "processes": {}, "processes_read_ns": NOW, "unread": frozenset(), "domains_read_ns": NOW,
    }  # fmt: skip
    connection = Connection("qemu:///system", ConnectionState.LIVE, 1, False)
    return HostSnapshot(1, NOW, connection, domains={d.key: d for d in domains}, **(known | parts))


def by_key(*processes: QemuProcess) -> dict[str, QemuProcess]:
    return {p.key: p for p in processes}


def findings(*seen: HostSnapshot) -> tuple[Finding, ...]:
    """What triage says after the last of these snapshots."""
    triage = Triage()
    for snapshot in seen:
        found = triage.look(snapshot)
    return found


def checks(*seen: HostSnapshot) -> dict[str, str]:
    """The severity by the id of the check without its part, of what is found after the last of these snapshots."""
    return {":".join(f.check.split(":")[:1]): f.severity.word for f in findings(*seen)}
