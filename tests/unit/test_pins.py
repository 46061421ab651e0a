"""Pins as text, placements offered by one key, and the table that the pin matrix shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, make_plan
from tui.actions.pins import why_not
from tui.model.domain import Domain, DomainState
from tui.model.domain_detail import DomainDetail, VcpuPlacement
from tui.model.domain_xml import parse_domain_xml
from tui.model.host import Connection, ConnectionState, Host
from tui.model.host_cpus import HostCpu, HostCpus
from tui.model.pin_table import PinRow, PinTable, host_cpus, pin_table
from tui.model.pins import compact, expand, follow_memory, format_pins, parse_pins, spread
from tui.model.process import QemuProcess, QemuThread, ThreadRole
from tui.model.snapshot import HostSnapshot
from tui.ops import execute
from tui.ops.base import OpError
from tui.ops.pins import PinThread
from tui.runtime.collector import Collector

# As text


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("vcpu 0=0-3,8", {"vcpu 0": (0, 1, 2, 3, 8)}),
        ("vcpu 0=0-3,^2; emulator=all;", {"vcpu 0": (0, 1, 3), "emulator": None}),
        (" vcpu 1 - 2 = 4 ", {"vcpu 1": (4,), "vcpu 2": (4,)}),
        ("iothread *=1", {"iothread *": (1,)}),
        ("worker tid77=1;vhost tid 78=2", {"worker tid77": (1,), "vhost tid78": (2,)}),
        ("vcpu 0-1=0; vcpu 0=3", {"vcpu 1": (0,), "vcpu 0": (3,)}),
    ],
)
def test_pins_are_read(text: str, pins: Mapping[str, tuple[int, ...] | None]) -> None:
    assert list(parse_pins(text).items()) == list(pins.items())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "name threads"),
        (" ; ", "name threads"),
        ("vcpu 0", "not THREAD=CPUS"),
        ("vcpu=0", "which vcpu"),
        ("emulator 1=0", "one emulator"),
        ("cpu 0=0", "not a thread"),
        ("vcpu 3-1=0", "not a range"),
        ("vcpu 0-999999=0", "not a range"),
        ("vcpu 0=", "is not a CPU"),
        ("vcpu 0=none", "is not a CPU"),
        ("vcpu 0=0,^0", "leaves no CPU"),
        ("vcpu 0=99999", "highest CPU number"),
        ("vcpu ١=0", "not a thread"),
    ],
)
def test_what_are_no_pins_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_pins(text)


def test_pins_are_written_as_they_are_read() -> None:
    pins = {
        "vcpu 0": (0, 1),
        "vcpu 1": (0, 1),
        "vcpu 2": None,
        "emulator": (3,),
        "iothread 1": (3,),
        "worker tid9": None,
    }
    text = "vcpu 0-1=0-1; vcpu 2=all; emulator=3; iothread 1=3; worker tid9=all"
    assert format_pins(pins) == text
    assert parse_pins(text) == pins
    assert format_pins({"vcpu *": (0,), "vcpu 3": (0,), "vcpu 1": (0,)}) == "vcpu *=0; vcpu 3=0; vcpu 1=0"


def test_all_of_a_role_are_those_that_there_are() -> None:
    threads = ["vcpu 0", "vcpu 1", "emulator"]
    assert expand(parse_pins("vcpu *=0; vcpu 1=1; iothread *=2"), threads) == {"vcpu 0": (0,), "vcpu 1": (1,)}
    assert expand(parse_pins("vcpu 1=1; vcpu *=0"), threads) == {"vcpu 0": (0,), "vcpu 1": (0,)}


# Placements


def cpus(offline: tuple[int, ...] = ()) -> tuple[HostCpu, ...]:
    """Two nodes of two cores of two hardware threads: 0,4 and 1,5 on node 0; 2,6 and 3,7 on node 1."""
    cores = [(core, mate) for core in range(4) for mate in (core, core + 4)]
    return tuple(HostCpu(n, n not in offline, core // 2, core // 2, core, (core, core + 4)) for core, n in cores)


def table(
    vcpus: int,
    *,
    claims: Mapping[int, tuple[str, ...]] | None = None,
    memory: tuple[int, ...] = (),
    allowed: tuple[int, ...] | None = None,
    offline: tuple[int, ...] = (),
    plugged: int | None = None,
) -> PinTable:
    there = vcpus if plugged is None else plugged
    names = (*(f"vcpu {number}" for number in range(vcpus)), "emulator")
    rows = tuple(
        PinRow(name, None, None, name == "emulator" or number < there, None, None, None, None, None, False)
        for number, name in enumerate(names)
    )
    return PinTable("a", rows, cpus(offline), {}, claims or {}, memory, True, True, allowed)


@pytest.mark.parametrize(
    ("found", "vcpus", "rest"),
    [
        (table(2), (0, 1), (4, 5)),
        (table(2, memory=(1,)), (2, 3), (6, 7)),
        (table(2, claims={0: ("b",)}), (2, 3), (6, 7)),
        (table(2, claims={0: ("b",), 6: ("c",)}), (1, 5), (4,)),
        (table(3), (0, 1, 4), (5,)),
        (table(4, claims={4: ("b",)}), (2, 3, 6, 7), (0, 1, 5)),
        (table(5), (0, 1, 2, 3, 4), (5, 6, 7)),
        (table(3, allowed=(0, 1)), (0, 1, 0), (0, 1)),
        (table(2, offline=(0,)), (4, 1), (5,)),
        (table(4, plugged=2), (0, 1, 4, 5), (2, 3, 6, 7)),
    ],
)
def test_spread_gives_each_vcpu_a_cpu(found: PinTable, vcpus: tuple[int, ...], rest: tuple[int, ...]) -> None:
    pins = spread(found)
    assert tuple(pins[f"vcpu {number}"] for number in range(len(vcpus))) == tuple((cpu,) for cpu in vcpus)
    assert pins["emulator"] == rest


def test_compact_and_follow_take_whole_nodes() -> None:
    assert compact(table(1, offline=(6,)), 1) == {"vcpu 0": (2, 3, 7), "emulator": (2, 3, 7)}
    assert follow_memory(table(1, memory=(0,))) == {"vcpu 0": (0, 1, 4, 5), "emulator": (0, 1, 4, 5)}
    assert follow_memory(table(1, memory=(0, 1), allowed=(1, 2)))["vcpu 0"] == (1, 2)


def test_placements_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="node 2 has no CPU"):
        compact(table(1), 2)
    with pytest.raises(ValueError, match="not bound"):
        follow_memory(table(1))
    with pytest.raises(ValueError, match="no CPU that it may use"):
        spread(table(1, allowed=()))


# The table

XML = """<domain type='kvm'><name>{name}</name><memory>1024</memory><vcpu {placement} current='2'>3</vcpu>
<iothreads>1</iothreads><iothreadids><iothread id='1'/></iothreadids><cputune>{pins}</cputune>
<numatune><memory mode='strict' nodeset='1'/></numatune><os><type arch='x86_64'>hvm</type></os></domain>"""


def a_domain(name: str, pins: str = "", later: str = "", placement: str = "", *, active: bool = True) -> Domain:
    live, persistent = (
        parse_domain_xml(XML.format(name=name, pins=words, placement=placement)) for words in (pins, later)
    )
    state = DomainState.RUNNING if active else DomainState.SHUTOFF
    config = live if active else persistent
    return Domain(
        f"uuid-{name}", name, name, 1 if active else None, state, "", True, config=config, persistent_config=persistent
    )


def a_process(
    *threads: QemuThread, uuid: str | None = None, allowed: tuple[int, ...] | None = None, cpuset: str | None = None
) -> QemuProcess:
    return QemuProcess(
        key="50:1", pid=50, name="by hand", uuid=uuid, executable="qemu", architecture="x86_64", machine=None,
        accelerator="kvm", user="root", libvirt_name="a" if uuid else None, started_ns=0, vcpus=2, vcpus_max=2,
        memory_kib=1, rss_kib=None, cpu_time_ns=0, state="running", threads=threads, drives=(), nics=(),
        qmp_sockets=(), args=(), read_ns=10, cpuset=cpuset, allowed=allowed,
    )  # fmt: skip


def a_thread(
    tid: int, role: ThreadRole, index: int | None, affinity: tuple[int, ...] | None, on: int | None = None
) -> QemuThread:
    return QemuThread(tid, "t", role, index, 0, affinity, on, 12.0, 3.0)


def a_snapshot(*domains: Domain, process: QemuProcess | None = None, offline: tuple[int, ...] = ()) -> HostSnapshot:
    return HostSnapshot(
        sequence=1,
        taken_ns=0,
        connection=Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False),
        host=Host("h", "QEMU", "9", "7", "x86_64", 8, 2, 1, local=True),
        cpus=HostCpus(cpus(offline), (), None),
        domains={domain.key: domain for domain in domains},
        processes={} if process is None else {process.key: process},
        processes_read_ns=10**12,
    )


def rows(found: PinTable) -> dict[str, PinRow]:
    return {row.thread: row for row in found.rows}


ALL = tuple(range(8))


def test_a_domains_table_joins_wish_and_kernel() -> None:
    domain = a_domain("a", "<vcpupin vcpu='0' cpuset='0-1'/>", "<emulatorpin cpuset='7'/>")
    process = a_process(
        a_thread(50, ThreadRole.EMULATOR, None, ALL, 3),
        a_thread(51, ThreadRole.VCPU, 0, (0, 1), 1),
        a_thread(52, ThreadRole.VCPU, 1, (4,), 4),
        a_thread(53, ThreadRole.IOTHREAD, 1, None),
        a_thread(54, ThreadRole.WORKER, None, ALL),
        uuid=domain.key,
    )
    found = pin_table(a_snapshot(domain, process=process), domain)
    assert (found.live, found.persistent, found.memory_nodes) == (True, True, (1,))
    assert [cpu.number for cpu in found.cpus] == [0, 4, 1, 5, 2, 6, 3, 7]
    assert list(rows(found)) == ["vcpu 0", "vcpu 1", "vcpu 2", "emulator", "iothread 1"]
    one = rows(found)["vcpu 0"]
    assert one == PinRow("vcpu 0", (0, 1), None, True, 51, (0, 1), 1, 12.0, 3.0, drift=False)
    assert rows(found)["vcpu 1"].drift
    assert not rows(found)["vcpu 2"].there
    assert (rows(found)["emulator"].persistent, rows(found)["emulator"].drift) == ((7,), False)
    assert (rows(found)["iothread 1"].real, rows(found)["iothread 1"].drift) == (None, False)


@pytest.mark.parametrize(
    ("pins", "placement", "allowed", "real", "drift"),
    [
        ("", "", None, ALL, False),
        ("", "", None, (0,), True),
        ("", "", (0, 1), (0, 1), False),
        ("", "cpuset='2-3'", None, (2, 3), False),
        ("", "cpuset='2-3'", None, ALL, True),
        ("<vcpupin vcpu='0' cpuset='0,5'/>", "cpuset='2-3'", None, (0, 5), False),
        ("<vcpupin vcpu='0' cpuset='0,6'/>", "", None, (0,), False),
        ("<vcpupin vcpu='0' cpuset='0-1'/>", "", (0,), (0,), True),
    ],
)
def test_drift_is_what_nothing_explains(
    pins: str, placement: str, allowed: tuple[int, ...] | None, real: tuple[int, ...], drift: bool
) -> None:
    """CPU 6 is offline."""
    domain = a_domain("a", pins, placement=placement)
    process = a_process(a_thread(51, ThreadRole.VCPU, 0, real), uuid=domain.key, allowed=allowed)
    found = pin_table(a_snapshot(domain, process=process, offline=(6,)), domain)
    assert rows(found)["vcpu 0"].drift is drift
    assert found.allowed == allowed


@pytest.mark.parametrize(("read_ns", "real", "on_cpu"), [(5, (0,), 0), (20, (1,), 1)])
def test_the_newer_of_libvirt_and_proc_tells(read_ns: int, real: tuple[int, ...], on_cpu: int) -> None:
    domain = a_domain("a")
    process = a_process(a_thread(51, ThreadRole.VCPU, 0, (0,), 0), uuid=domain.key)
    place = VcpuPlacement(0, "running", 0, 1, (1,))
    seen = replace(
        a_snapshot(domain, process=process), detail=DomainDetail(domain.key, None, None, (), (place,), "", read_ns)
    )
    row = rows(pin_table(seen, domain))["vcpu 0"]
    assert (row.real, row.on_cpu, row.tid) == (real, on_cpu, 51)
    remote = rows(pin_table(replace(seen, processes={}), domain))["vcpu 0"]
    assert (remote.real, remote.on_cpu, remote.tid, remote.drift) == ((1,), 1, None, True)


def test_claims_are_of_others_that_leave_out_some_cpu() -> None:
    domains = (
        a_domain("a", "<vcpupin vcpu='0' cpuset='0'/>"),
        a_domain("b", "<vcpupin vcpu='0' cpuset='0-1'/><emulatorpin cpuset='0-7'/>"),
        a_domain("c", placement="cpuset='1'"),
        a_domain("d", later="<vcpupin vcpu='0' cpuset='0'/>", active=False),
        a_domain("e", "<vcpupin vcpu='0' cpuset='0-7'/>"),
    )
    bound = a_process(a_thread(50, ThreadRole.EMULATOR, None, ALL), a_thread(51, ThreadRole.VCPU, 0, (5,)))
    seen = a_snapshot(*domains, process=bound)
    assert pin_table(seen, domains[0]).claims == {0: ("b",), 1: ("b", "c"), 5: ("by hand",)}
    assert pin_table(seen, bound).claims == {0: ("a", "b"), 1: ("b", "c")}


def test_a_process_has_one_side_and_all_its_threads() -> None:
    process = a_process(
        a_thread(52, ThreadRole.WORKER, None, ALL),
        a_thread(51, ThreadRole.VCPU, 0, (1,)),
        a_thread(50, ThreadRole.EMULATOR, None, (0, 1)),
        allowed=(0, 1),
        cpuset="/box",
    )
    found = pin_table(a_snapshot(process=process), process)
    assert (found.live, found.persistent, found.allowed, found.cpuset) == (True, False, (0, 1), "/box")
    assert {name: row.live for name, row in rows(found).items()} == {
        "vcpu 0": (1,),
        "emulator": None,
        "worker tid52": None,
    }


def test_cpus_that_were_not_read_are_as_many_as_the_host_says() -> None:
    seen = replace(a_snapshot(), cpus=None)
    assert [(cpu.number, cpu.online, cpu.node) for cpu in host_cpus(seen)] == [(n, True, None) for n in ALL]
    assert host_cpus(replace(seen, host=None)) == ()


def test_a_domain_that_is_off_has_nothing_now() -> None:
    domain = a_domain("a", later="<vcpupin vcpu='1' cpuset='2'/>", active=False)
    found = pin_table(a_snapshot(domain), domain)
    assert (found.live, found.persistent) == (False, True)
    assert not any(row.there or row.live or row.drift for row in found.rows)
    assert rows(found)["vcpu 1"].persistent == (2,)


# What is refused before


def test_why_cpus_cannot_be_had() -> None:
    seen = a_snapshot(offline=(3,))
    assert why_not(seen, (0, 7)) is None
    assert why_not(seen, (0, 8, 9)) == "the host has no CPU 8-9"
    assert why_not(seen, (3,)) == "offline: CPU 3"
    assert why_not(seen, (0, 1), (0,), "/box") == "its cpuset /box leaves out CPU 1"
    assert why_not(replace(seen, cpus=None), (0, 9), (0,), "/") == "offline or not there: CPU 9"


def test_a_process_in_a_cpuset_gets_no_more_than_that(tmp_path: Path) -> None:
    process = a_process(a_thread(51, ThreadRole.VCPU, 0, (0, 1)), allowed=(0, 1), cpuset="/box")
    context = Context(a_snapshot(process=process), tmp_path)
    for ident, field, cpus in (("process.pin", "pins", "vcpu 0=0,2"), ("process.affinity", "cpus", "0,2")):
        with pytest.raises(FieldError, match="its cpuset /box leaves out CPU 2") as refused:
            make_plan(BY_ID[ident], context, [process], {field: cpus})
        assert refused.value.field == field
    plan = make_plan(BY_ID["process.pin"], context, [process], {"pins": "vcpu 0=1"})
    assert plan.command_lines() == ["taskset -pc 1 51"]
    assert [step.command[2] for step in plan.undo_steps()] == ["0-1"]
    alone = replace(process, allowed=(0,))
    assert BY_ID["process.pin"].reason(context, alone) == "its cpuset /box leaves it CPU 0 alone"


def test_a_cpuset_is_of_one_domain_and_the_hosts_cpus_are_of_all(tmp_path: Path) -> None:
    free, boxed = a_domain("a"), a_domain("b")
    process = a_process(a_thread(51, ThreadRole.VCPU, 0, (0, 1)), uuid=boxed.key, allowed=(0, 1), cpuset="/box")
    context = Context(a_snapshot(free, boxed, process=process, offline=(3,)), tmp_path)
    plan = make_plan(BY_ID["domain.pin"], context, [free, boxed], {"pins": "vcpu 0=2", "where": "live"})
    assert [step.target for step in plan.steps] == [free.key]
    assert "b: skipped, b: its cpuset /box leaves out CPU 2" in plan.notes
    for cpus, why in (("3", "offline: CPU 3"), ("9", "the host has no CPU 9")):
        with pytest.raises(FieldError, match=f"pins: a: {why}"):
            make_plan(BY_ID["domain.pin"], context, [free, boxed], {"pins": f"vcpu 0={cpus}"})


def test_a_pin_that_stays_may_name_a_cpu_that_is_offline(tmp_path: Path) -> None:
    domain = a_domain("a", "<vcpupin vcpu='0' cpuset='2-3'/>", "<vcpupin vcpu='0' cpuset='2-3'/>")
    context = Context(a_snapshot(domain, offline=(3,)), tmp_path)
    plan = make_plan(BY_ID["domain.pin"], context, [domain], {"pins": "vcpu 0=2-3; vcpu 1=1", "where": "live"})
    assert [step.command[3:] for step in plan.steps] == [("vcpupin", "a", "1", "1", "--live")]
    (back,) = make_plan(BY_ID["domain.pin"], context, [domain], {"pins": "vcpu 0=1", "where": "live"}).undo_steps()
    assert back.request == PinThread(domain.key, "vcpu 0", (2, 3), live=True, back=True)


def test_the_test_driver_pins_vcpus_that_run(plain: Collector, tmp_path: Path) -> None:
    domains = plain.board.snapshot.domains.values()
    running = next(domain for domain in domains if domain.active)
    off = next(domain for domain in domains if not domain.active)
    context = Context(plain.board.snapshot, tmp_path)
    plan = make_plan(BY_ID["domain.pin"], context, [running], {"pins": "vcpu 0=1; emulator=0"})
    assert [step.command[3:] for step in plan.steps] == [
        ("vcpupin", running.name, "0", "1"),
        ("emulatorpin", running.name, "0", "--live"),
        ("emulatorpin", running.name, "0", "--config"),
    ]
    assert "this driver pins vCPUs of running domains alone" in plan.notes[0]
    for step in plan.steps:
        execute(step.request, plain)
    handle = plain.control().lookupByUUIDString(running.key)
    assert [cpu for cpu, allowed in enumerate(handle.vcpuPinInfo()[0]) if allowed] == [1]
    with pytest.raises(OpError, match="keeps pins to CPUs 0-7 alone, not 9"):
        execute(PinThread(running.key, "vcpu 0", (1, 9), live=True, plain=True), plain)
    with pytest.raises(OpError, match="iothread 9"):
        execute(PinThread(running.key, "iothread 9", (1,), live=True), plain)
    with pytest.raises(FieldError, match="running domains alone"):
        make_plan(BY_ID["domain.pin"], context, [off], {"pins": "vcpu 0=1"})
    assert len(make_plan(BY_ID["domain.pin"], context, [off], {"pins": "emulator=1"}).steps) == 1
