"""Pins on real QEMUs: what libvirt, the kernel and the pin table say of them; and what is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.lab.actions import Deck, affinities, allowed_list
from tests.lab.domain import Shape, blank_xml, element
from tests.lab.host import LabHost
from tests.lab.namespaces import run, wait_until
from tests.lab.test_lab import has_cpuset
from tui.actions.base import FieldError
from tui.model.host_cpus import HostCpu, HostCpus
from tui.model.journal import Status
from tui.model.pin_table import PinRow, PinTable, pin_table
from tui.model.plan import Plan
from tui.model.process import QemuProcess
from tui.model.snapshot import HostSnapshot
from tui.ops import execute
from tui.ops.base import OpError
from tui.ops.pins import PinThread
from tui.ops.process import SetAffinity
from tui.runtime.jobs import Job

CPUSETS = Path("/sys/fs/cgroup/cpuset")


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    with Deck(lab.uri, tmp_path) as made:
        yield made


def define(lab: LabHost, name: str) -> str:
    """Start a domain of two vCPUs, one more that can be plugged, and an I/O thread; its UUID."""
    root = blank_xml(Shape(name=name, memory_mib=16, vcpus=2, vcpus_max=3, machine="pc"), lab.emulator)
    root.append(element("iothreads", text="1"))
    root.append(element("iothreadids", element("iothread", id="1")))
    return lab.define(root, start=True).uuid


def pins(lab: LabHost, name: str, *options: str) -> dict[str, str]:
    """The pins in a domain's XML, by element and number."""
    tune = ET.fromstring(lab.virsh("dumpxml", name, *options).stdout).find("cputune")
    found = [] if tune is None else list(tune)
    return {
        " ".join((pin.tag, *(pin.attrib[key] for key in pin.attrib if key != "cpuset"))): pin.attrib["cpuset"]
        for pin in found
    }


def both_sides(lab: LabHost, name: str) -> tuple[dict[str, str], dict[str, str]]:
    return pins(lab, name), pins(lab, name, "--inactive")


def table(seen: HostSnapshot, name: str) -> PinTable:
    domain = next(domain for domain in seen.domains.values() if domain.raw_name == name)
    return pin_table(seen, domain)


def row(found: PinTable, thread: str) -> PinRow:
    return next(row for row in found.rows if row.thread == thread)


def done(deck: Deck, plan: Plan) -> Job:
    job = deck.run(plan)
    assert job.status is Status.DONE, job.results
    return job


def test_pins_are_what_the_kernel_does_and_undo_brings_both_sides_back(lab: LabHost, deck: Deck, name: str) -> None:
    define(lab, name)
    for words in (("vcpupin", "0", "1", "--live"), ("vcpupin", "0", "0", "--config"), ("emulatorpin", "1", "--live")):
        lab.virsh(words[0], name, *words[1:])
    before = both_sides(lab, name)
    assert before == ({"vcpupin 0": "1", "emulatorpin": "1"}, {"vcpupin 0": "0"})
    job = done(deck, deck.plan("domain.pin", name, pins="vcpu 0=0; emulator=0; iothread 1=1"))

    wanted = {"vcpupin 0": "0", "emulatorpin": "0", "iothreadpin 1": "1"}
    assert both_sides(lab, name) == (wanted, wanted)
    seen = deck.read(processes=True)
    found = table(seen, name)
    for thread, cpus in (("vcpu 0", (0,)), ("emulator", (0,)), ("iothread 1", (1,)), ("vcpu 1", None)):
        line = row(found, thread)
        assert (line.live, line.persistent, line.real) == (cpus, cpus, cpus or (0, 1))
        assert line.tid is not None
        assert allowed_list(line.tid) == ("0-1" if cpus is None else str(cpus[0]))
        assert (line.there, line.drift) == (True, False)
    unplugged = row(found, "vcpu 2")
    assert (unplugged.there, unplugged.tid, unplugged.real, unplugged.drift) == (False, None, None, False)

    done(deck, Plan("undo", "undo", deck.entry(job).undo))
    # What had no pin has one that leaves out no CPU: libvirt takes none away.
    live, later = both_sides(lab, name)
    assert live == {"vcpupin 0": "1", "emulatorpin": "1", "iothreadpin 1": "0-1"}
    assert later == {"vcpupin 0": "0", "emulatorpin": "0-1", "iothreadpin 1": "0-1"}
    assert dict(affinities(lab, name)) | {"CPU 0": "1", "emulator": "1", "IO iothread1": "0-1"} == dict(
        affinities(lab, name)
    )


def test_what_is_pinned_so_already_is_left_alone(lab: LabHost, deck: Deck, name: str) -> None:
    define(lab, name)
    lab.virsh("vcpupin", name, "0", "0", "--config")
    plan = deck.plan("domain.pin", name, pins="vcpu 0=0; vcpu 1=all; emulator=0-1")
    assert [step.command[-1] for step in plan.steps] == ["--live"]
    done(deck, plan)
    with pytest.raises(FieldError, match="is pinned so already"):
        deck.plan("domain.pin", name, pins="vcpu 0=0; vcpu 2=all")


def test_drift_is_flagged_and_pinning_again_ends_it(lab: LabHost, deck: Deck, name: str) -> None:
    define(lab, name)
    tid = row(table(deck.read(processes=True), name), "vcpu 1").tid
    run(["taskset", "-pc", "0", str(tid)])
    with lab.connect() as connection:
        assert connection.lookupByName(name).vcpuPinInfo() == [(True, True), (True, True)]
    seen = deck.read(processes=True)
    line = row(table(seen, name), "vcpu 1")
    assert (line.live, line.real, line.drift) == (None, (0,), True)
    assert not row(table(seen, name), "vcpu 0").drift
    plan = deck.plan_of(seen, "domain.pin", [name], {"pins": "vcpu *=0-1", "where": "both"})
    assert [step.title for step in plan.steps] == [f"pin vcpu 1 of {name} to CPUs 0-1 now"]
    done(deck, plan)
    assert allowed_list(tid or 0) == "0-1"
    assert not row(table(deck.read(processes=True), name), "vcpu 1").drift


def test_many_domains_are_pinned_by_one_plan_and_claim_their_cpus(lab: LabHost, deck: Deck, name: str) -> None:
    names = [f"{name}-{letter}" for letter in "abc"]
    for each in names:
        define(lab, each)
    plan = deck.plan("domain.pin", *names[:2], pins="vcpu *=1", where="live")
    assert len(plan.steps) == 6
    job = done(deck, plan)
    assert table(deck.read(processes=True), names[2]).claims == {1: (names[0], names[1])}
    done(deck, Plan("undo", "undo", deck.entry(job).undo))
    assert table(deck.read(processes=True), names[2]).claims == {}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pins": "vcpu 3=0"}, "has no vcpu 3"),
        ({"pins": "iothread 2=0; worker *=0"}, "has no iothread 2"),
        ({"pins": "vcpu 0=7"}, "the host has no CPU 7"),
        ({"pins": "vcpu 0"}, "not THREAD=CPUS"),
        ({"pins": "vcpu 0=1-0"}, "the range runs backwards"),
    ],
)
def test_what_cannot_be_is_refused_before(
    lab: LabHost, deck: Deck, name: str, values: dict[str, str], said: str
) -> None:
    define(lab, name)
    before = both_sides(lab, name)
    with pytest.raises(FieldError, match=said):
        deck.plan_of(with_cpus(deck.read(), online=(0, 1)), "domain.pin", [name], values)
    assert both_sides(lab, name) == before


def with_cpus(seen: HostSnapshot, online: tuple[int, ...]) -> HostSnapshot:
    """A reading of a host with two CPUs, of which these are online."""
    cpus = tuple(HostCpu(number, number in online, 0, 0, number, (number,)) for number in range(2))
    return replace(seen, cpus=HostCpus(cpus, (), None))


def test_an_offline_cpu_is_refused_for_domains_and_processes(lab: LabHost, deck: Deck, name: str) -> None:
    define(lab, name)
    pid = lab.spawn_unmanaged(f"{name}-by-hand")
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/task")) >= 3, "the threads of QEMU")
    seen = with_cpus(deck.read(processes=True), online=(0,))
    for action, target in (("domain.pin", name), ("process.pin", str(pid))):
        with pytest.raises(FieldError, match="offline: CPU 1"):
            deck.plan_of(seen, action, [target], {"pins": "vcpu 0=1"})


def test_the_op_refuses_a_cpu_that_there_is_not(lab: LabHost, deck: Deck, name: str) -> None:
    uuid = define(lab, name)
    deck.read()
    before = both_sides(lab, name), affinities(lab, name)
    for live in (True, False):
        with pytest.raises(OpError, match="the host has no CPU 5"):
            execute(PinThread(uuid, "vcpu 0", (0, 5), live), deck.collector)
    assert (both_sides(lab, name), affinities(lab, name)) == before


@dataclass(frozen=True)
class HalfOffline:
    """A connection, or its owner, to a host of which CPU 1 is offline; what is not asked of CPUs is the lab's own."""

    real: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def control(self) -> Any:
        return HalfOffline(self.real.control())

    def getCPUMap(self, _flags: int) -> tuple[int, list[bool], int]:
        return 2, [True, False], 1


def test_a_pin_is_put_back_as_far_as_its_cpus_are_online(lab: LabHost, deck: Deck, name: str) -> None:
    uuid = define(lab, name)
    deck.read()
    host: Any = HalfOffline(deck.collector)
    assert execute(PinThread(uuid, "vcpu 0", (0,), live=True), host).message == "vcpu 0 runs on CPUs 0 now"
    for request in (
        PinThread(uuid, "vcpu 0", (0, 1), live=True),
        PinThread(uuid, "vcpu 0", (1,), live=True, back=True),
    ):
        with pytest.raises(OpError, match="offline: CPU 1"):
            execute(request, host)
    outcome = execute(PinThread(uuid, "vcpu 0", (0, 1), live=True, back=True), host)
    assert outcome.message == "vcpu 0 runs on CPUs 0 now, without CPU 1, which is offline"
    execute(PinThread(uuid, "vcpu 0", (0, 1), live=False, back=True), host)
    assert both_sides(lab, name) == ({"vcpupin 0": "0"}, {"vcpupin 0": "0-1"})


def test_sides_that_are_not_there(lab: LabHost, deck: Deck, name: str) -> None:
    define(lab, name)
    lab.virsh("undefine", name)
    with pytest.raises(FieldError, match="transient"):
        deck.plan("domain.pin", name, pins="vcpu 0=0", where="persistent")
    lab.define_blank(f"{name}-off")
    with pytest.raises(FieldError, match="not running"):
        deck.plan("domain.pin", f"{name}-off", pins="vcpu 0=0", where="live")
    assert len(deck.plan("domain.pin", f"{name}-off", pins="vcpu 0=0").steps) == 1


# Unmanaged


def by_hand(lab: LabHost, *arguments: str) -> int:
    """The QEMU of the issue."""
    return lab.spawn([lab.emulator, "-m", "128", "-smp", "2", "-name", "test", "-display", "none", *arguments])


def process(seen: HostSnapshot, pid: int) -> QemuProcess:
    return next(process for process in seen.processes.values() if process.pid == pid)


def threads(seen: HostSnapshot, pid: int) -> dict[str, int]:
    return {row.thread: row.tid or 0 for row in pin_table(seen, process(seen, pid)).rows}


def taskset(tid: int) -> str:
    """What `taskset -pc` says of a thread, two neighbours as a range."""
    return run(["taskset", "-pc", str(tid)]).stdout.rpartition(": ")[2].strip().replace("0,1", "0-1")


def test_a_qemu_started_by_hand_is_pinned_by_thread(lab: LabHost, deck: Deck) -> None:
    pid = by_hand(lab, "-qmp", f"unix:{lab.root}/qmp.sock,server=on,wait=off")
    wait_until(lambda: (lab.root / "qmp.sock").exists(), "the monitor of QEMU")
    wait_until(lambda: "vcpu 1" in threads(deck.read(processes=True), pid), "the roles of its threads")
    seen = deck.read(processes=True)
    tids = threads(seen, pid)
    plan = deck.plan_of(seen, "process.pin", [str(pid)], {"pins": "vcpu 0=0; vcpu 1=1; emulator=1"})
    assert [step.command[:2] for step in plan.steps] == [("taskset", "-pc")] * 3
    job = done(deck, plan)
    assert [taskset(tids[name]) for name in ("vcpu 0", "vcpu 1", "emulator")] == ["0", "1", "1"]
    again = deck.read(processes=True)
    assert {row.thread: row.live for row in pin_table(again, process(again, pid)).rows if row.live} == {
        "vcpu 0": (0,),
        "vcpu 1": (1,),
        "emulator": (1,),
    }
    done(deck, Plan("undo", "undo", deck.entry(job).undo))
    assert {taskset(tid) for tid in tids.values()} == {"0-1"}


def test_threads_without_names_are_pinned_by_their_ids(lab: LabHost, deck: Deck) -> None:
    pid = by_hand(lab, "-S", "-nodefaults")
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/task")) >= 4, "the threads of QEMU")
    seen = deck.read(processes=True)
    tids = threads(seen, pid)
    workers = sorted(name for name in tids if name.startswith("worker tid"))
    assert len(workers) >= 3
    done(deck, deck.plan_of(seen, "process.pin", [str(pid)], {"pins": f"worker *=0; {workers[0]}=1"}))
    assert [taskset(tids[name]) for name in workers] == ["1", *("0" for _ in workers[1:])]
    assert taskset(pid) == "0-1"
    with pytest.raises(FieldError, match="has no vcpu 0"):
        deck.plan("process.pin", str(pid), pins="vcpu 0=0")


# Cpusets


def can_make_cpusets() -> bool:
    """Whether this machine has cpusets of version 1, in which a test can make one."""
    return (CPUSETS / "cpuset.cpus").exists()


@contextmanager
def in_cpuset(pid: int, cpus: str) -> Iterator[str]:
    """Put a process into a cpuset of its own, by name."""
    group = CPUSETS / f"vd-test-{os.getpid()}-{pid}"
    group.mkdir()
    try:
        (group / "cpuset.cpus").write_text(cpus)
        (group / "cpuset.mems").write_text((CPUSETS / "cpuset.mems").read_text())
        (group / "cgroup.procs").write_text(str(pid))
        yield f"/{group.name}"
    finally:
        (CPUSETS / "cgroup.procs").write_text(str(pid))
        group.rmdir()


@pytest.mark.skipif(not can_make_cpusets(), reason="this machine has no cpusets of version 1")
def test_a_cpuset_in_the_way_is_told_before(lab: LabHost, deck: Deck) -> None:
    pid = lab.spawn_unmanaged("boxed", vcpus=2, arguments=["-S"])
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/task")) >= 4, "the threads of QEMU")
    with in_cpuset(pid, "1") as cpuset:
        seen = deck.read(processes=True)
        found = process(seen, pid)
        assert (found.cpuset, found.allowed) == (cpuset, (1,))
        assert pin_table(seen, found).allowed == (1,)
        reason = f"its cpuset {cpuset} leaves it CPU 1 alone"
        for action, values in (("process.pin", {"pins": "vcpu 0=0"}), ("process.affinity", {"cpus": "0"})):
            with pytest.raises(FieldError, match=re.escape(reason)):
                deck.plan_of(seen, action, [str(pid)], values)
        tid = threads(seen, pid)["vcpu 0"]
        refused = run(["taskset", "-pc", "0", str(tid)], check=False)
        assert "Invalid argument" in refused.stderr
        with pytest.raises(OpError, match="A cpuset"):
            execute(SetAffinity(found.key, ((tid, (0,)),)), deck.collector)
        assert taskset(tid) == "1"


@pytest.mark.skipif(not can_make_cpusets(), reason="this machine has no cpusets of version 1")
@pytest.mark.parametrize("thread", ["vcpu 0", "emulator"])
def test_what_the_kernel_makes_otherwise_is_put_back(lab: LabHost, deck: Deck, name: str, thread: str) -> None:
    """It takes CPUs of which a cpuset leaves but some, without a word; so does libvirt."""
    uuid, pid = define(lab, name), lab.qemu_pid(name)
    with in_cpuset(pid, "1"):
        key = process(deck.read(processes=True), pid).key
        execute(PinThread(uuid, thread, (1,), live=True, process=key), deck.collector)
        before = both_sides(lab, name), affinities(lab, name)
        with pytest.raises(OpError, match=r"asked for CPUs 0-1, the kernel lets it run on 1.* It is back on CPUs 1"):
            execute(PinThread(uuid, thread, (0, 1), live=True, process=key), deck.collector)
        assert (both_sides(lab, name), affinities(lab, name)) == before


@pytest.mark.skipif(not has_cpuset(), reason="this machine has no cpuset controller")
@pytest.mark.usefixtures("lab_host")
def test_libvirt_pins_through_cpusets(tmp_path: Path, name: str) -> None:
    """From outside a thread so pinned cannot be moved; a domain's own cpuset is told apart from those of its pins."""
    with LabHost("virtdeck-pins", cgroups=["cpuset"]) as lab, Deck(lab.uri, tmp_path) as deck:
        uuid = define(lab, name)
        done(deck, deck.plan("domain.pin", name, pins="vcpu 0=0; emulator=1"))
        seen = deck.read(processes=True)
        found = table(seen, name)
        vcpu = row(found, "vcpu 0")
        assert found.allowed == (0, 1)
        assert found.cpuset is not None
        assert not found.cpuset.endswith("emulator")
        assert (vcpu.real, vcpu.drift, row(found, "emulator").real) == ((0,), False, (1,))
        assert "Invalid argument" in run(["taskset", "-pc", "1", str(vcpu.tid)], check=False).stderr
        if can_make_cpusets():
            refuse_outside(lab, deck, name, uuid, CPUSETS / found.cpuset.lstrip("/"))


def refuse_outside(lab: LabHost, deck: Deck, name: str, uuid: str, group: Path) -> None:
    """What somebody took from the cpuset of a whole domain cannot be had by a pin; nothing changes."""
    for child in group.iterdir():
        if child.is_dir():
            (child / "cpuset.cpus").write_text("0")
    (group / "cpuset.cpus").write_text("0")
    before = both_sides(lab, name), affinities(lab, name)
    seen = deck.read(processes=True)
    found = table(seen, name)
    assert found.allowed == (0,)
    assert not row(found, "vcpu 1").drift
    with pytest.raises(FieldError, match=re.escape(f"its cpuset {found.cpuset} leaves out CPU 1")):
        deck.plan_of(seen, "domain.pin", [name], {"pins": "vcpu 1=1"})
    assert deck.plan_of(seen, "domain.pin", [name], {"pins": "vcpu 1=1", "where": "persistent"}).steps
    with pytest.raises(OpError):
        execute(PinThread(uuid, "vcpu 1", (1,), live=True), deck.collector)
    assert (both_sides(lab, name), affinities(lab, name)) == before
