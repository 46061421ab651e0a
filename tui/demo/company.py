"""The guests of a small web shop with its own rack: believable names, sizes and states."""

from __future__ import annotations

from tui.demo.guest import Guest, Nic, State
from tui.demo.storage import Disk

_UBUNTU = "http://ubuntu.com/ubuntu/24.04"
_WINDOWS = "http://microsoft.com/win/2k22"
_BRIDGED = Nic("br-lan", "bridge")
_LAN = (_BRIDGED,)
_PLAIN = (Nic("default"),)
_DMZ = (Nic("br-dmz", "bridge", vlan=110), _BRIDGED)


def _root(name: str, used: float = 2, size: float = 20) -> Disk:
    return Disk("images", f"{name}.qcow2", size, used, backing="debian-12.qcow2")


def _data(name: str, size: float, used: float) -> Disk:
    """Return a logical volume, which takes all its space at once."""
    return Disk("nvme", name, size, used)


def _web(number: int, state: State = State.RUNNING) -> Guest:
    return Guest(
        f"web-{number:02}",
        title="Shop front end",
        state=state,
        memory=4,
        memory_now=3,
        disks=(_root(f"web-{number:02}", 1.5),),
        nics=_DMZ,
        autostart=state is State.RUNNING,
        owner="shop",
    )


def _kubernetes(name: str, vcpus: int, memory: float, state: State = State.RUNNING) -> Guest:
    return Guest(
        name,
        title="Kubernetes " + ("control plane" if "-cp-" in name else "worker"),
        state=state,
        vcpus=vcpus,
        memory=memory,
        disks=(_root(name, 2.5, 40),),
        nics=(_BRIDGED, Nic("storage")),
        autostart=True,
        os=_UBUNTU,
        owner="platform",
    )


def _runner(number: int, state: State) -> Guest:
    return Guest(
        f"ci-runner-{number}",
        title="Build runner, made anew for each job",
        state=state,
        vcpus=4,
        memory=8,
        disks=(_root(f"ci-runner-{number}", 0.8, 30),),
        nics=(Nic("lab"),),
        transient=True,
        owner="platform",
    )


_FRONT = (
    Guest("lb-01", "Load balancer, active", disks=(_root("lb-01", 0.9, 8),), nics=_DMZ, autostart=True),
    Guest("lb-02", "Load balancer, standby", disks=(_root("lb-02", 0.9, 8),), nics=_DMZ, autostart=True),
    _web(1),
    _web(2),
    _web(3),
    _web(4, State.SHUTOFF),
    Guest("shop-api-01", "Shop API", vcpus=4, memory=8, disks=(_root("shop-api-01"),), nics=_LAN, autostart=True),
    Guest("shop-api-02", "Shop API", state=State.PAUSED, vcpus=4, memory=8, disks=(_root("shop-api-02"),), nics=_LAN),
)

_DATA = (
    Guest(
        "db-primary",
        "PostgreSQL 16, primary",
        "Bound to node 0 by hand.\nAsk the data team before you move it.",
        vcpus=16,
        vcpus_now=8,
        memory=64,
        disks=(_root("db-primary", 3), _data("db-data", 40, 40), _data("db-wal", 8, 8)),
        nics=(_BRIDGED, Nic("storage")),
        autostart=True,
        pins=tuple(str(cpu) for cpu in range(4, 12)),
        emulator_pin="0-1",
        iothreads=2,
        numa_cells=2,
        owner="data",
    ),
    Guest(
        "db-replica",
        "PostgreSQL 16, replica",
        vcpus=8,
        memory=32,
        disks=(_root("db-replica", 3), _data("db-replica-data", 40, 40)),
        nics=(_BRIDGED, Nic("storage")),
        autostart=True,
        pins=("16-23",) * 8,
        iothreads=1,
        owner="data",
    ),
    Guest("redis-01", "Session cache", memory=8, disks=(_root("redis-01", 0.9),), nics=_LAN, autostart=True),
    Guest("mq-01", "RabbitMQ", memory=6, disks=(_root("mq-01", 1.1),), nics=_LAN, autostart=True),
    Guest("db-staging", state=State.SHUTOFF, vcpus=4, memory=16, disks=(_root("db-staging", 3, 60),), nics=_LAN),
)

_PLATFORM = (
    _kubernetes("k8s-cp-1", 2, 4),
    _kubernetes("k8s-worker-1", 8, 24),
    _kubernetes("k8s-worker-2", 8, 24),
    _kubernetes("k8s-worker-3", 8, 24, State.CRASHED),
    _runner(1, State.RUNNING),
    _runner(2, State.BLOCKED),
    Guest("gitlab", vcpus=8, vcpus_now=4, memory=16, memory_now=12, disks=(_root("gitlab", 4, 80),), nics=_LAN),
    Guest("monitoring", "Prometheus, Grafana", vcpus=4, memory=8, disks=(_root("monitoring", 3, 50),), nics=_LAN),
    Guest(
        "logs",
        "OpenSearch",
        vcpus=6,
        memory=16,
        disks=(_root("logs", 2), *(Disk("archive", f"logs-{number}.raw", 20, 9) for number in (1, 2, 3))),
        nics=(_BRIDGED, Nic("storage")),
        owner="platform",
    ),
    Guest("vpn-gw", memory=1, vcpus=1, disks=(_root("vpn-gw", 0.7, 8),), nics=_DMZ, autostart=True, owner="network"),
    Guest("ns1", memory=0.5, vcpus=1, disks=(_root("ns1", 0.6, 8),), nics=_PLAIN, autostart=True, owner="network"),
    Guest("mail", memory=4, disks=(_root("mail", 3, 60),), nics=_DMZ, autostart=True, owner="office"),
    Guest("backup", "Nightly at 02:00", disks=(_root("backup"), Disk("archive", "backup.raw", 60, 31)), nics=_LAN),
)

_OFFICE = (
    Guest(
        "dc-01",
        "Active Directory",
        vcpus=4,
        memory=8,
        disks=(Disk("images", "dc-01.qcow2", 60, 5), Disk("isos", "virtio-win-0.1.262.iso", 0.7, 0.7, "sata", "cdrom")),
        nics=_LAN,
        autostart=True,
        os=_WINDOWS,
        windows=True,
        owner="office",
    ),
    Guest(
        "erp-prod",
        vcpus=6,
        memory=24,
        disks=(Disk("images", "erp-prod.qcow2", 120, 9),),
        nics=(_BRIDGED, Nic("enp65s0f0", "direct")),
        autostart=True,
        os=_WINDOWS,
        windows=True,
    ),
    Guest(
        "erp-test",
        "Copy of erp-prod, saved on Fridays",
        state=State.SHUTOFF,
        vcpus=4,
        memory=16,
        disks=(Disk("images", "erp-test.qcow2", 120, 5),),
        nics=_LAN,
        managed_save=True,
        snapshots=("clean", "erp-11.2", "erp-11.3"),
        os=_WINDOWS,
        windows=True,
    ),
    Guest(
        "desktop-anna",
        state=State.PMSUSPENDED,
        vcpus=4,
        memory=8,
        disks=(Disk("images", "desktop-anna.qcow2", 80, 5),),
        nics=(Nic("guests"),),
        os="http://microsoft.com/win/11",
        windows=True,
    ),
    Guest(
        "legacy-crm",
        "Windows 2003, do not touch",
        state=State.CRASHED,
        vcpus=1,
        memory=2,
        disks=(Disk("images", "legacy-crm.raw", 16, 3, "ide"),),
        nics=(Nic("br-lan", "bridge", model="e1000"),),
        machine="pc-i440fx-7.2",
        os="http://microsoft.com/win/2k3",
        windows=True,
    ),
    Guest("wiki", state=State.SHUTDOWN, disks=(_root("wiki", 1.4),), nics=_PLAIN, owner="office"),
    Guest("pentest-kali", state=State.PAUSED, disks=(_root("pentest-kali"),), nics=(Nic("lab"),), snapshots=("fresh",)),
    Guest("template-debian12", "Cloned from by hand", state=State.SHUTOFF, disks=(_root("template-debian12"),)),
    Guest("old-ftp", state=State.SHUTOFF, memory=1, disks=(_root("old-ftp", 1.2, 8),), nics=(Nic("old-office"),)),
)

COMPANY: tuple[Guest, ...] = _FRONT + _DATA + _PLATFORM + _OFFICE
"""35 guests in every state that the test driver can give."""

RESERVED = ("ns1", "wiki")
"""Guests with a fixed address on the network "default"."""
