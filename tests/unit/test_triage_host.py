"""Checks of the host, of pools and of what domains were given, on scripted snapshots: the fault, and what looks like
it and is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.triage_scene import (
    GIB,
    HEALTH,
    by_key,
    checks,
    cpus,
    disk,
    domain,
    findings,
    host,
    off,
    pool,
    process,
    storage,
    volume,
)
from tui.model.domain import Domain
from tui.model.host_cpus import HugepagePool
from tui.model.pool_host import PoolHost
from tui.model.snapshot import HostSnapshot
from tui.model.storage import PoolState


def kernel(*domains: Domain, **facts: Any) -> HostSnapshot:
    """A host whose kernel tells something else."""
    return host(*(domains or (domain("vm1"),)), health=replace(HEALTH, **facts))


def emulated(name: str, architecture: str = "x86_64") -> Domain:
    one = domain(name)
    assert one.config is not None
    return replace(one, config=replace(one.config, virt_type="qemu", architecture=architecture))


def large(name: str, gib: int, rest: str = "", **facts: Any) -> Domain:
    one = domain(name, "", rest, **facts)
    assert one.config is not None
    return replace(one, config=replace(one.config, memory_kib=gib * GIB, memory_max_kib=gib * GIB))


def with_pages(free: int | None) -> Any:
    known = cpus()
    cell = replace(known.cells[0], hugepages=(HugepagePool(2048, 1024, free),))
    return replace(known, cells=(cell, known.cells[1]))


HUGE = "<memoryBacking><hugepages/></memoryBacking>"
GB = 1 << 30


def full(**facts: Any) -> HostSnapshot:
    known = {"size_bytes": 100 * GB, "free_bytes": GB, "inodes": 1000, "free_inodes": 900}
    return host(pool_hosts={"images": PoolHost("ext4", **(known | facts))})


def thin(free: int, *, running: bool = True, size: int = 100 * GB) -> HostSnapshot:
    """A guest with a thin image of 50G that has 10G so far."""
    make = domain if running else off
    pools = storage([pool(size=size, free=free)], [volume("a.qcow2", size=50 * GB, used=10 * GB)])
    return host(make("vm1", disk("/images/a.qcow2")), storage=pools, pool_hosts={})


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (host(domain("vm1"), off("vm2")), {}),
        # KVM: of "Could not access KVM kernel module", and of hosts whose guests are emulated on purpose.
        (kernel(kvm=False, kvm_problem="there is no /dev/kvm", virtualization=False), {"host.kvm": "error"}),
        (kernel(emulated("vm1", "aarch64"), kvm=False, kvm_problem="no"), {"host.kvm": "info"}),
        (kernel(off("vm1"), kvm=None), {}),
        (kernel(emulated("vm1")), {"domain.emulated": "info"}),
        (kernel(emulated("vm1", "aarch64")), {}),
        # Memory: 72G given of 64G and 8G swap is no overcommit, 80G is; it is trouble when little is left.
        (host(large("vm1", 72)), {}),
        (host(large("vm1", 80)), {"host.memory": "info"}),
        (kernel(large("vm1", 80), available_kib=8 * GIB), {"host.memory": "warning"}),
        (kernel(available_kib=1 * GIB), {"host.memory-short": "warning"}),
        (kernel(available_kib=1 * GIB, memory_pressure_percent=45), {"host.memory-short": "error"}),
        # 4 % of 512G are 20G: nobody wants for them.
        (kernel(available_kib=20 * GIB, memory_kib=512 * GIB), {}),
        # Swap that lies there is no matter.
        (kernel(swap_free_kib=0), {}),
        (kernel(swap_in_kib_per_s=20 * 1024), {"host.swap": "warning"}),
        (kernel(steal_percent=3), {}),
        (kernel(steal_percent=34), {"host.steal": "warning"}),
        # /proc/pressure/cpu, some avg60: a host that compiles on all CPUs says 30.
        (kernel(cpu_pressure_percent=35), {}),
        (kernel(cpu_pressure_percent=72), {"host.cpu-pressure": "info"}),
        (host(*(domain(f"vm{n}") for n in range(20)), health=replace(HEALTH, memory_kib=512 * GIB)), {}),
        (host(*(domain(f"vm{n}") for n in range(21)), health=replace(HEALTH, memory_kib=512 * GIB)),
         {"host.cpu-overcommit": "info"}),
        # The kernel: "clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable".
        (kernel(clocksource="hpet"), {"host.clocksource": "warning"}),
        (kernel(clocksource="hpet", guest_itself=True), {}),
        (kernel(clocksource="kvm-clock", guest_itself=True), {}),
        (kernel(failed_units=("libvirtd.service",)), {"host.service": "error"}),
        (kernel(failed_units=None), {}),
        (kernel(large("vm1", 16), thp="never"), {"host.thp": "info"}),
        (kernel(large("vm1", 16, HUGE), thp="never"), {}),
        (kernel(thp="never"), {}),
        (kernel(ksm_run=1, ksm_sharing_kib=4 * GIB), {"host.ksm-numa": "info"}),
        (kernel(ksm_run=1, ksm_sharing_kib=4 * GIB, ksm_across_nodes=False), {}),
        # 4G of 2M pages are 2048.
        (host(off("vm1", "", rest=HUGE, autostart=True), cpus=with_pages(512)),
         {"host.hugepages": "warning", "domain.autostart-off": "info"}),
        (host(off("vm1", "", rest=HUGE, autostart=True), cpus=with_pages(2048)), {"domain.autostart-off": "info"}),
        (host(off("vm1", "", rest=HUGE, autostart=True), cpus=with_pages(None)), {"domain.autostart-off": "info"}),
        (host(domain("vm1", "", HUGE), cpus=with_pages(0)), {}),
        # /proc/PID/exe -> /usr/bin/qemu-system-x86_64 (deleted)
        (host(domain("vm1"), processes=by_key(process("vm1", replaced=True))), {"process.old-binary": "info"}),
        (host(domain("vm1"), processes=by_key(process("vm1"))), {}),
        # Pools.
        (host(storage=storage([pool(state=PoolState.INACTIVE)])), {"pool.down": "warning"}),
        (host(storage=storage([pool(state=PoolState.INACTIVE, autostart=False)])), {}),
        (host(storage=storage([pool(state=PoolState.INACCESSIBLE)])), {"pool.sick": "error"}),
        (full(), {"pool.full": "error"}),
        (full(free_bytes=5 * GB), {}),
        # 1 % of 100T is 1T.
        (full(size_bytes=100 << 40, free_bytes=1 << 40), {}),
        (full(free_bytes=50 * GB, free_inodes=3), {"pool.inodes": "error"}),
        # btrfs and network filesystems have no number of inodes.
        (full(free_bytes=50 * GB, inodes=None, free_inodes=None), {}),
        (full(free_bytes=50 * GB, read_only=True), {}),
        (thin(60 * GB), {}),
        (thin(30 * GB), {"pool.thin": "info"}),
        (thin(8 * GB), {"pool.thin": "warning"}),
        (thin(8 * GB, running=False), {}),
    ],
)  # fmt: skip
def test_the_host_and_its_pools(seen: HostSnapshot, found: dict[str, str]) -> None:
    assert checks(seen) == found


def test_a_pool_that_guests_write_to_must_not_be_read_only() -> None:
    """A pool of media is mounted so on purpose; one that was remounted (errors=remount-ro) is not."""
    place = PoolHost("ext4", True, 100 * GB, 50 * GB, 1000, 900)
    kept = storage([pool()], [volume("a.qcow2")])
    assert checks(host(domain("vm1", disk("/images/a.qcow2")), storage=kept, pool_hosts={"images": place})) == {
        "pool.read-only": "error"
    }
    reads = disk("/images/a.qcow2", more="<readonly/>")
    assert checks(host(domain("vm1", reads), storage=kept, pool_hosts={"images": place})) == {}


def test_what_is_not_read_is_no_finding() -> None:
    """Every part that a check looks at may be unknown, or not read yet."""
    bad = kernel(large("vm1", 80), kvm=False, kvm_problem="x", swap_in_kib_per_s=99999, steal_percent=50)
    assert findings(replace(bad, health=None, cpus=None, storage=None, pool_hosts=None, links=None)) == ()
    assert findings(replace(bad, unread=frozenset({"health", "domains", "processes"}))) == ()


def test_the_words_name_the_number() -> None:
    (found,) = findings(full())
    assert found.message == "99 % full: 1.0G of 100G left"
    (found,) = findings(thin(8 * GB))
    assert found.message == "a.qcow2 may yet take 40.0G; 8.0G are left"


def test_half_a_cpu_is_told() -> None:
    roomy = replace(HEALTH, memory_kib=512 * GIB)
    for guests, words in ((21, "42 vCPUs on 8 CPUs, 5.2 for each"), (24, "48 vCPUs on 8 CPUs, 6 for each")):
        (found,) = findings(host(*(domain(f"vm{n}") for n in range(guests)), health=roomy))
        assert found.message == f"running guests have {words}"


def test_a_host_that_is_a_guest_is_told_who_decides() -> None:
    (found,) = findings(kernel(kvm=False, kvm_problem="there is no /dev/kvm", virtualization=False, guest_itself=True))
    assert "is a guest itself" in found.message
    assert "nested=1" in found.remedies[0].words
