"""The host itself: virtualization, memory, CPUs, swap, clock, services, QEMU after an upgrade."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.checks.base import ERROR, HOST, INFO, WARNING, AnyCheck, Check, Rule, Scene, Subject, run
from tui.model import units
from tui.model.kind import Kind

if TYPE_CHECKING:
    from tui.model.finding import Finding
    from tui.model.health import HostHealth
    from tui.model.process import QemuProcess

CPUS_PER_CPU = 5.0
"""vCPUs for each host CPU from which on overcommit is felt even by guests that idle most of the time."""
STEAL_PERCENT, PRESSURE_PERCENT = 10, 20
CPU_PRESSURE_PERCENT = 60
"""Of /proc/pressure/cpu, some, avg60: builds alone reach 30."""
_SWAP_IN_KIB_PER_S = 1024
_SHORT = 0.05

_KVM = Rule("host.kvm", WARNING, "Guests run under emulation, 10 to 50 times slower than with KVM.")
_EMULATED = Rule(
    "domain.emulated", WARNING, "Each of its instructions is translated: 10 to 50 times slower than with KVM."
)
_MEMORY = Rule("host.memory", WARNING, "When guests use what they were given, the kernel kills the largest of them.")
_SCARCE = Rule(
    "host.memory-short", ERROR, "The kernel kills a process when nothing is left, and QEMUs are the largest."
)
_CPUS = Rule("host.cpu-overcommit", INFO, "Guests wait for a CPU as soon as many of them are busy.")
_PRESSED = Rule("host.cpu-pressure", INFO, "Guests share the CPUs; those that matter more can be given shares or pins.")
_STEAL = Rule("host.steal", WARNING, "The hypervisor below takes the CPUs' time; nothing on this host can mend that.")
_HUGE = Rule("host.hugepages", WARNING, "A guest that wants huge pages does not start without them.")
_SWAP = Rule("host.swap", WARNING, "Guests whose memory is read back from swap stand still meanwhile.")
_THP = Rule("host.thp", INFO, "With small pages alone, guests of many GiB lose 5 to 20 % to page tables.")
_KSM = Rule("host.ksm-numa", INFO, "Merged pages lie on one node alone; guests on others reach them slowly.")
_UNIT = Rule("host.service", ERROR, "What it does for guests is not done.")
_CLOCK = Rule(
    "host.clocksource", WARNING, "Each look at the clock is a system call of microseconds, here and in guests."
)
_OLD = Rule(
    "process.old-binary",
    INFO,
    "It runs the program from before the upgrade, with its faults, until it is started anew.",
)
_MIXED_MOST = 3


def _kvm(scene: Scene) -> Iterable[Finding]:
    """Of no matter where nobody means to use it: where the guests are emulated on purpose or are of another kind."""
    seen, health = scene.snapshot, scene.snapshot.health
    if health is None or health.kvm is None:
        return
    wanting = [d for d in seen.domains.values() if d.config is not None and d.config.virt_type == "kvm"]
    if health.kvm:
        yield from _emulated(scene)
    elif wanting:
        more = "; the CPUs offer no virtualization (vmx, svm)" if health.virtualization is False else ""
        where = "in the firmware"
        if health.guest_itself:
            # The hypervisor below decides (nested virtualization).
            more += "; this host is a guest itself, of a hypervisor that does not let its guests have guests"
            where = "in the hypervisor below (nested=1 of its kvm_intel or kvm_amd, a CPU model with vmx or svm)"
        remedy = run(f"switch virtualization on {where}", "modprobe", "-v", "kvm")
        yield _KVM.of(HOST, f"KVM cannot be used: {health.kvm_problem}{more}", remedy, severity=ERROR)
    elif any(d.active and d.config is not None and d.config.virt_type == "qemu" for d in seen.domains.values()):
        yield _KVM.of(HOST, f"KVM cannot be used: {health.kvm_problem}", severity=INFO)


def _emulated(scene: Scene) -> Iterable[Finding]:
    """Domains of this machine's own architecture that run without the KVM that there is."""
    host = scene.snapshot.host
    for domain in scene.snapshot.domains.values():
        config = domain.config
        if not domain.active or config is None or config.virt_type != "qemu" or host is None:
            continue
        if config.architecture == host.architecture:
            remedy = run("give it type='kvm' and start it anew", "virsh", "edit", domain.raw_name)
            yield _EMULATED.of(
                Subject(Kind.DOMAIN, domain.name, domain.key),
                "runs under emulation although KVM can be used",
                remedy,
                severity=INFO,
            )


def _memory(scene: Scene) -> Iterable[Finding]:
    seen, health = scene.snapshot, scene.snapshot.health
    if health is None or not health.memory_kib:
        return
    given = sum(d.config.memory_kib for d in seen.domains.values() if d.active and d.config is not None)
    given += sum(process.memory_kib for process in seen.unmanaged().values())
    have = health.memory_kib + (health.swap_total_kib or 0)
    if given > have:
        words = f"running guests were given {units.size(given)}, and the host has {units.size(have)} with its swap"
        # Memory that guests never touched is none: what is left says how near it is.
        near = health.available_kib is not None and health.available_kib < health.memory_kib * 0.15
        yield _MEMORY.of(
            HOST, words, run("take memory from guests, or move some away"), severity=WARNING if near else INFO
        )
    left = health.available_kib
    if left is not None and left < health.memory_kib * _SHORT and left < 4 * 1024**2:
        pressed = (health.memory_pressure_percent or 0) >= PRESSURE_PERCENT
        words = f"{units.size(left)} of {units.size(health.memory_kib)} memory is left"
        yield _SCARCE.of(
            HOST, words, run("take memory from guests, or move some away"), severity=ERROR if pressed else WARNING
        )


def _cpus(scene: Scene) -> Iterable[Finding]:
    seen, health = scene.snapshot, scene.snapshot.health
    count = seen.host.cpus if seen.host is not None else None
    vcpus = sum(d.config.vcpus for d in seen.domains.values() if d.active and d.config is not None)
    vcpus += sum(process.vcpus for process in seen.unmanaged().values())
    if count and vcpus > count * CPUS_PER_CPU:
        yield _CPUS.of(
            HOST,
            f"running guests have {vcpus} vCPUs on {count} CPUs, {_ratio(vcpus / count)} for each",
            run("watch the delay of their vCPUs"),
        )
    pressure = health.cpu_pressure_percent if health is not None else None
    if pressure is not None and pressure >= CPU_PRESSURE_PERCENT:
        words = f"in {pressure // 10 * 10} % of the last minute or more something waited for a CPU"
        yield _PRESSED.of(HOST, words, run("see which guests take them: sort domains by CPU"))
    if health is not None and health.steal_percent is not None and health.steal_percent >= STEAL_PERCENT:
        words = f"{health.steal_percent // 10 * 10} % or more of the CPUs' time goes to others (steal)"
        yield _STEAL.of(HOST, words, run("ask whoever runs the machine below"))


def _ratio(value: float) -> str:
    """With one decimal, which a whole number has no use for."""
    return f"{value:.1f}".removesuffix(".0")


def _swap(scene: Scene) -> Iterable[Finding]:
    """Swap that is used is no matter, swap that is read back is."""
    health = scene.snapshot.health
    if health is None or (health.swap_in_kib_per_s or 0) < _SWAP_IN_KIB_PER_S:
        return
    used = (health.swap_total_kib or 0) - (health.swap_free_kib or 0)
    words = f"reads back more than {units.size(_SWAP_IN_KIB_PER_S)}iB/s from swap; {units.size(used)} is out there"
    yield _SWAP.of(HOST, words, run("take memory from guests, or move some away"))


def _hugepages(scene: Scene) -> Iterable[Finding]:
    """Of domains that start with the host and could not now."""
    cpus = scene.snapshot.cpus
    if cpus is None:
        return
    free: dict[int, int | None] = {}
    for pool in (pool for cell in cpus.cells for pool in cell.hugepages):
        known = free.get(pool.size_kib, 0)
        free[pool.size_kib] = None if pool.free is None or known is None else known + pool.free
    for domain in scene.snapshot.domains.values():
        config = domain.config
        if domain.active or config is None or not config.tuning.hugepages_kib or not domain.autostart:
            continue
        sizes = config.tuning.hugepages_kib
        size = sizes[0] or min((size for size in free if free[size] is not None), default=0)
        if len(sizes) == 1 and (left := free.get(size, 0 if free else None)) is not None and size:
            want = -(-config.memory_max_kib // size)
            if want > left:
                words = f"wants {want} huge pages of {units.size(size)}, and {left} are free"
                remedy = run("set more aside", "sysctl", "-w", "vm.nr_hugepages=NUMBER")
                yield _HUGE.of(Subject(Kind.DOMAIN, domain.name, domain.key), words, remedy)


def _kernel(scene: Scene) -> Iterable[Finding]:
    health = scene.snapshot.health
    if health is None:
        return
    if health.thp == "never" and _large_guests(scene):
        path = "/sys/kernel/mm/transparent_hugepage/enabled"
        yield _THP.of(
            HOST,
            "transparent huge pages are off, and guests of 8G and more run without huge pages",
            run(f"write madvise to {path}"),
        )
    nodes = scene.snapshot.host.numa_nodes if scene.snapshot.host is not None else None
    if health.ksm_run == 1 and health.ksm_across_nodes and (nodes or 1) > 1 and (health.ksm_sharing_kib or 0) > 1024**2:
        words = f"KSM merges pages across {nodes} NUMA nodes; it saves {units.size(health.ksm_sharing_kib)}"
        yield _KSM.of(HOST, words, run("set /sys/kernel/mm/ksm/merge_across_nodes to 0 (after run=2)"))
    yield from _clock(health)
    for unit in health.failed_units or ():
        yield _UNIT.of(
            HOST, f"{unit} has failed", run("see why, and start it", "systemctl", "restart", unit), part=unit
        )


def _large_guests(scene: Scene) -> bool:
    configs = (d.config for d in scene.snapshot.domains.values() if d.active)
    return any(c is not None and c.memory_kib >= 8 * 1024**2 and not c.tuning.hugepages_kib for c in configs)


def _clock(health: HostHealth) -> Iterable[Finding]:
    """The kernel leaves the tsc for these when it finds it unsteady."""
    if health.clocksource in ("hpet", "acpi_pm", "pit") and health.guest_itself is False:
        yield _CLOCK.of(
            HOST,
            f"the clock is {health.clocksource}, not the CPU's own (tsc)",
            run("see why the kernel gave the tsc up", "dmesg"),
        )


def _upgrade(scene: Scene) -> Iterable[Finding]:
    """One finding for the host: after an upgrade it is true of all guests at once."""
    old: list[QemuProcess] = [process for process in scene.snapshot.processes.values() if process.replaced]
    if not old:
        return
    names = ", ".join(process.name for process in old[:_MIXED_MOST]) + (" …" if len(old) > _MIXED_MOST else "")
    run_ = "runs" if len(old) == 1 else "run"
    words = f"{units.counted(len(old), 'QEMU')} {run_} a program that was replaced since: {names}"
    yield _OLD.of(HOST, words, run("shut each down and start it, or migrate it away and back"))


CHECKS: tuple[AnyCheck, ...] = (
    Check(_kvm, ("health", "domains", "host")),
    Check(_memory, ("health", "domains", "processes"), calm=("processes",)),
    Check(_cpus, ("health", "domains", "processes", "host"), calm=("processes", "host")),
    Check(_swap, ("health",)),
    Check(_hugepages, ("cpus", "domains")),
    Check(_kernel, ("health", "domains", "host")),
    Check(_upgrade, ("processes",), calm=("processes",)),
)
