"""Which threads of a guest may run on which host CPUs: the wish of both sides, and what the kernel does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from tui.model.cpuset import parse_cpus
from tui.model.domain import Domain
from tui.model.host_cpus import HostCpu
from tui.model.pins import thread_order
from tui.model.process import QemuProcess, QemuThread, ThreadRole

if TYPE_CHECKING:
    from tui.model.domain_config import DomainConfig
    from tui.model.domain_detail import DomainDetail, VcpuPlacement
    from tui.model.snapshot import HostSnapshot
    from tui.model.usage import VcpuUsage


@dataclass(frozen=True, slots=True)
class PinRow:
    """One thread: a vCPU, the emulator, an I/O thread; of processes also vhost and worker threads."""

    thread: str
    """As in `<cputune>` and the field `pins`: `vcpu 0`, `emulator`, `iothread 1`."""
    live: tuple[int, ...] | None
    """The pin of the running domain; None: no pin of its own. Of a process what the kernel does, None when that leaves
    out none of the CPUs that it may use."""
    persistent: tuple[int, ...] | None
    """The pin from the next boot on; None: no pin of its own."""
    there: bool
    """Whether the thread runs now: a vCPU that is not plugged has none."""
    tid: int | None
    real: tuple[int, ...] | None
    """Where the kernel lets it run (sched_getaffinity); None: cannot be seen."""
    on_cpu: int | None
    use_percent: float | None
    wait_percent: float | None
    """Of the time, how much it waited for a host CPU (steal, as the guest sees it)."""
    drift: bool
    """Whether the kernel's CPUs are not those of the live wish."""


@dataclass(frozen=True, slots=True)
class PinTable:
    """All that the pin matrix shows of one target."""

    name: str
    rows: tuple[PinRow, ...]
    cpus: tuple[HostCpu, ...]
    """By NUMA node, socket, core, then number."""
    loads: Mapping[int, float]
    """Percent busy by host CPU; empty: not read yet."""
    claims: Mapping[int, tuple[str, ...]]
    """Other guests pinned to a host CPU, by its number; those whose pins leave out no online CPU claim none."""
    memory_nodes: tuple[int, ...]
    """Host NUMA nodes to which the guest's memory is bound; () when it is not."""
    live: bool
    persistent: bool
    """Whether there is such a side; of a process `live` alone."""
    allowed: tuple[int, ...] | None
    """What the cpuset of the process leaves it, None when that cannot be seen."""
    cpuset: str | None = None
    """The cpuset that `allowed` is of, as the kernel spells it."""


def pin_table(snapshot: HostSnapshot, target: Domain | QemuProcess) -> PinTable:
    """Return the table of a domain or process as of `snapshot`."""
    cpus = host_cpus(snapshot)
    online = frozenset(cpu.number for cpu in cpus if cpu.online)
    loads, claims = snapshot.cpu_loads, _claims(snapshot, target.key, online)
    if isinstance(target, Domain):
        process = process_of(snapshot, target)
        configs = [config for config in (target.config, target.persistent_config) if config is not None]
        allowed = process.allowed if process is not None else None
        return PinTable(
            name=target.name,
            rows=tuple(_domain_rows(snapshot, target, process, online)),
            cpus=cpus,
            loads=loads,
            claims=claims,
            memory_nodes=_memory_nodes(configs[0]) if configs else (),
            live=target.active,
            persistent=target.persistent is not False,
            allowed=allowed,
            cpuset=process.cpuset if process is not None else None,
        )
    usable = online if target.allowed is None else frozenset(target.allowed)
    rows = (_process_row(thread, usable) for thread in target.threads)
    return PinTable(
        name=target.name,
        rows=tuple(sorted(rows, key=lambda row: thread_order(row.thread))),
        cpus=cpus,
        loads=loads,
        claims=claims,
        memory_nodes=(),
        live=True,
        persistent=False,
        allowed=target.allowed,
        cpuset=target.cpuset,
    )


def drifting(snapshot: HostSnapshot, domain: Domain) -> frozenset[str]:
    """Return the threads of a domain that the kernel lets run elsewhere than on the CPUs of their live wish."""
    online = frozenset(cpu.number for cpu in host_cpus(snapshot) if cpu.online)
    rows = _domain_rows(snapshot, domain, process_of(snapshot, domain), online)
    return frozenset(row.thread for row in rows if row.drift)


def host_cpus(snapshot: HostSnapshot) -> tuple[HostCpu, ...]:
    """Return the host's CPUs by NUMA node, socket, core and number; as many as the host says, taken to be online and
    on no node, while they have not been read."""
    if snapshot.cpus is not None and snapshot.cpus.cpus:
        return tuple(sorted(snapshot.cpus.cpus, key=_cpu_order))
    count = snapshot.host.cpus if snapshot.host is not None else None
    return tuple(HostCpu(number, True, None, None, None, (number,)) for number in range(count or 0))


def _cpu_order(cpu: HostCpu) -> tuple[int, int, int, int]:
    last = 1 << 20
    node, socket, core = (last if place is None else place for place in (cpu.node, cpu.socket, cpu.core))
    return node, socket, core, cpu.number


def process_of(snapshot: HostSnapshot, domain: Domain) -> QemuProcess | None:
    """Return the QEMU of a running domain, None when it cannot be seen from here."""
    if not domain.active:
        return None
    found = (process for process in snapshot.processes.values() if process.uuid == domain.key)
    return next((process for process in found if process.libvirt_name is not None), None)


def pins_of(config: DomainConfig) -> dict[str, tuple[int, ...]]:
    """Return the pins of one side of a domain by thread; a CPU set that is none is left out."""
    pins = {thread: cpus_of(cpus) for thread, cpus in config.vcpu_pins}
    return {thread: cpus for thread, cpus in pins.items() if cpus is not None}


def unpinned_on(config: DomainConfig) -> tuple[int, ...] | None:
    """Return where threads without a pin of their own may run (`<vcpu cpuset=>`); None: on all CPUs."""
    return cpus_of(config.tuning.vcpu_placement)


def threads_of(config: DomainConfig) -> tuple[str, ...]:
    """Return the threads that can be pinned on one side of a domain, vCPUs up to the maximum among them."""
    vcpus = (f"vcpu {number}" for number in range(config.vcpus_max))
    iothreads = (f"iothread {number}" for number in sorted(config.tuning.iothread_ids))
    return (*vcpus, "emulator", *iothreads)


def thread_key(thread: QemuThread) -> str:
    """Return what a thread of a process is called in the field `pins`: its role and number, else role and tid."""
    if thread.role is ThreadRole.EMULATOR:
        return thread.role.value
    number = f"tid{thread.tid}" if thread.index is None else str(thread.index)
    return f"{thread.role.value} {number}"


@lru_cache(maxsize=4096)
def cpus_of(text: str) -> tuple[int, ...] | None:
    """Return the CPUs of a CPU set as libvirt writes it, None when it names none."""
    try:
        return parse_cpus(text)
    except ValueError:
        return None


def _memory_nodes(config: DomainConfig) -> tuple[int, ...]:
    tune = config.tuning.numatune
    if tune is None:
        return ()
    told = (cpus_of(nodes) or () for nodes in (tune.nodes, *(nodes for _cell, _mode, nodes in tune.cells)))
    return tuple(sorted({node for nodes in told for node in nodes}))


def _domain_rows(
    snapshot: HostSnapshot, domain: Domain, process: QemuProcess | None, online: frozenset[int]
) -> Iterator[PinRow]:
    live = domain.config if domain.active else None
    later = domain.persistent_config
    rows = {thread: None for side in (live, later) if side is not None for thread in threads_of(side)}
    live_pins = {} if live is None else pins_of(live)
    later_pins = {} if later is None else pins_of(later)
    free = _unpinned_real(live, process, online)
    running = {thread_key(thread): thread for thread in process.threads} if process is not None else {}
    usage = snapshot.usage.get(domain.key) if domain.active else None
    figures = {f"vcpu {vcpu.number}": vcpu for vcpu in usage.vcpus} if usage is not None else {}
    placements, newer = _placements(snapshot.detail, domain.key, process)
    for thread in sorted(rows, key=thread_order):
        seen = _seen(running.get(thread), placements.get(thread), newer)
        pin = live_pins.get(thread)
        wish = free if pin is None else online.intersection(pin)
        there = live is not None and _is_there(thread, live)
        tid, real, on_cpu = seen if there else (None, None, None)
        use, wait = _figures(running.get(thread), figures.get(thread)) if there else (None, None)
        yield PinRow(
            thread=thread,
            live=pin,
            persistent=later_pins.get(thread),
            there=there,
            tid=tid,
            real=real,
            on_cpu=on_cpu,
            use_percent=use,
            wait_percent=wait,
            drift=real is not None and bool(online) and online.intersection(real) != wish,
        )


def _unpinned_real(live: DomainConfig | None, process: QemuProcess | None, online: frozenset[int]) -> frozenset[int]:
    """Where a thread without a pin runs when nobody interfered: a cpuset that leaves out CPUs is no drift."""
    placement = None if live is None else unpinned_on(live)
    free = online if placement is None else online.intersection(placement)
    return free if process is None or process.allowed is None else free.intersection(process.allowed)


def _placements(
    detail: DomainDetail | None, key: str, process: QemuProcess | None
) -> tuple[dict[str, VcpuPlacement], bool]:
    """What libvirt tells of the vCPUs, by thread, and whether it is newer than what /proc tells."""
    if detail is None or detail.key != key or not detail.placements:
        return {}, False
    newer = process is None or detail.read_ns > process.read_ns
    return {f"vcpu {place.number}": place for place in detail.placements}, newer


def _seen(
    thread: QemuThread | None, place: VcpuPlacement | None, newer: bool
) -> tuple[int | None, tuple[int, ...] | None, int | None]:
    """(tid, affinity, CPU) of a thread, by /proc and by libvirt, the newer first."""
    tid = None if thread is None else thread.tid
    told = [] if thread is None else [(thread.affinity, thread.last_cpu)]
    if place is not None:
        told.insert(0 if newer else 1, (place.affinity, place.host_cpu))
    real = next((affinity for affinity, _cpu in told if affinity is not None), None)
    return tid, real, next((cpu for _affinity, cpu in told if cpu is not None), None)


def _figures(thread: QemuThread | None, vcpu: VcpuUsage | None) -> tuple[float | None, float | None]:
    """(use, wait) in percent, by libvirt where it tells them."""
    use, wait = (None, None) if vcpu is None else (vcpu.cpu_percent, vcpu.delay_percent)
    if thread is None:
        return use, wait
    return thread.cpu_percent if use is None else use, thread.wait_percent if wait is None else wait


def _is_there(thread: str, live: DomainConfig) -> bool:
    role, _, number = thread.partition(" ")
    if role == "vcpu":
        slots = live.tuning.vcpu_slots
        return any(slot.enabled and slot.number == int(number) for slot in slots) if slots else int(number) < live.vcpus
    return role == "emulator" or int(number) in live.tuning.iothread_ids


def _process_row(thread: QemuThread, usable: frozenset[int]) -> PinRow:
    real = thread.affinity
    return PinRow(
        thread=thread_key(thread),
        live=None if real is None or usable <= frozenset(real) else real,
        persistent=None,
        there=True,
        tid=thread.tid,
        real=real,
        on_cpu=thread.last_cpu,
        use_percent=thread.cpu_percent,
        wait_percent=thread.wait_percent,
        drift=False,
    )


def _claims(snapshot: HostSnapshot, own: str, online: frozenset[int]) -> dict[int, tuple[str, ...]]:
    """Names of the guests other than `own` that are bound to some CPUs, by CPU."""
    names: dict[int, list[str]] = {}
    for name, bound in _bound(snapshot, own):
        claimed = {cpu for cpus in set(bound) if not online <= frozenset(cpus) for cpu in cpus}
        for cpu in claimed:
            names.setdefault(cpu, []).append(name)
    return {cpu: tuple(sorted(found)) for cpu, found in names.items()}


def _bound(snapshot: HostSnapshot, own: str) -> Iterator[tuple[str, Iterable[tuple[int, ...]]]]:
    for key, domain in snapshot.domains.items():
        if key != own and domain.active and domain.config is not None:
            config = domain.config
            sets = (*(cpus for _thread, cpus in config.vcpu_pins), config.tuning.vcpu_placement)
            yield domain.name, [cpus for words in sets if words and (cpus := cpus_of(words)) is not None]
    for key, process in snapshot.unmanaged().items():
        if key != own:
            yield process.name, [thread.affinity for thread in process.threads if thread.affinity]
