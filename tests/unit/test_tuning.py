"""Tuning: what its XML says, what the next boot changes of it, the plans that change it, and how it is shown."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.unit.tuning_sample import CONFIG, HOST, PLAIN, TUNED, UUID, context_at, domain, enforced
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, TargetError, make_plan
from tui.model.domain import Domain
from tui.model.domain_config import Difference, DomainConfig
from tui.model.domain_detail import Enforced
from tui.model.domain_xml import differences
from tui.model.plan import Confirm, Plan
from tui.model.tuning import (
    PARAMETERS,
    CpuTune,
    MemoryDevice,
    MemTune,
    NumaCell,
    NumaTune,
    Topology,
    Tuning,
    VcpuSlot,
    quota_cpus,
)
from tui.model.tuning_xml import parse_tuning
from tui.model.usage import DomainUsage
from tui.ops.tuning import UNLIMITED, DeleteIOThread, SetMemoryLimits, SetScheduler
from tui.sources.detail import read_detail


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return context_at(tmp_path)


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def version(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The version of the host's control groups."""
    file = tmp_path / "cgroup.controllers"
    if request.param:
        file.write_text("cpu memory\n")
    monkeypatch.setattr("tui.actions.scheduler._V2", str(file))
    return 2 if request.param else 1


def plan(context: Context, ident: str, target: Domain, **values: str) -> Plan:
    return make_plan(BY_ID[f"domain.{ident}"], context, [target], values)


def lines(plan: Plan) -> list[str]:
    """What virsh is told, step by step."""
    return [" ".join(step.command[3:]) for step in plan.steps]


def undo_lines(plan: Plan) -> list[str]:
    return [" ".join(step.command[3:]) for step in plan.undo_steps()]


def usage(rss_kib: int | None) -> DomainUsage:
    nothing: dict[str, Any] = dict.fromkeys((field.name for field in fields(DomainUsage)), None)
    return DomainUsage(**{**nothing, "read_ns": 0, "vcpus": (), "disks": (), "rss_kib": rss_kib})


# What the XML says


def test_everything_of_a_real_domain() -> None:
    found = parse_tuning(ET.fromstring(TUNED))
    (device,) = found.memory_devices
    assert replace(device, xml="") == MemoryDevice("dimm", "", 131072, 0, 0)
    assert replace(found, memory_devices=()) == Tuning(
        vcpu_placement="0-1",
        vcpu_slots=(
            VcpuSlot(0, True, False), VcpuSlot(1, True, True), VcpuSlot(2, False, True), VcpuSlot(3, False, True),
        ),
        topology=Topology(2, 1, 2, 1),
        memory_ceiling_kib=4194304,
        slots=4,
        balloon_period_s=5,
        iothread_ids=(1, 2, 3, 7),
        iothreads_in_use=(2, 7),
        iothread_users=((7, "disk vda"), (2, "controller scsi 0")),
        iothreads_tuned=(1, 2),
        cells=(NumaCell(0, "0-1", 262144), NumaCell(1, "2-3", 262144)),
        numatune=NumaTune("strict", "0", ((0, "preferred", "0"),)),
        cpu=CpuTune(2048, 50000, 75000, 100000, -1, 20000, 10000, 10000, 2500),
        memory=MemTune(1048576, 614400, 2097152),
        hugepages_kib=(2048, 1048576),
        memory_locked=True,
    )  # fmt: skip


def test_libvirt_itself_takes_the_sample() -> None:
    """The in-process test driver parses it as any driver does; what it writes means the same."""
    connection = libvirt.open("test:///default")
    try:
        made = connection.defineXML(TUNED.replace("type='qemu'", "type='test'"))
        assert parse_tuning(ET.fromstring(made.XMLDesc(0))).cpu == CONFIG.tuning.cpu
        assert parse_tuning(ET.fromstring(made.XMLDesc(0))).iothread_users == CONFIG.tuning.iothread_users
    finally:
        connection.close()


def test_a_disk_may_have_several_io_threads() -> None:
    xml = (
        "<domain><iothreads>3</iothreads><devices><disk><driver><iothreads><iothread id='1'><queue id='0'/></iothread>"
        "<iothread id='3'/></iothreads></driver><target dev='vda'/></disk></devices></domain>"
    )
    found = parse_tuning(ET.fromstring(xml))
    assert (found.iothread_ids, found.iothreads_in_use) == ((1, 2, 3), (1, 3))
    assert found.iothread_users == ((1, "disk vda"), (3, "disk vda"))


NONSENSE = """
<domain><maxMemory slots='many'>lots</maxMemory><vcpu>x</vcpu><iothreads>-3</iothreads>
  <iothreadids><iothread id='one'/><iothread/></iothreadids>
  <cputune><shares>x</shares><period/><quota>1.5</quota><global_quota>\u001b</global_quota>
    <iothreadsched iothreads='x-y' scheduler='fifo'/><iothreadsched/></cputune>
  <memtune><hard_limit>x</hard_limit><soft_limit unit='furlong'>7</soft_limit>
    <swap_hard_limit>9007199254740991</swap_hard_limit></memtune>
  <numatune><memory/><memnode/></numatune><cpu><topology sockets='x'/><numa><cell/></numa></cpu>
  <memoryBacking><hugepages/></memoryBacking>
  <devices><disk><driver iothread='x'/></disk><controller><driver iothread='-1'/></controller><memory/></devices>
</domain>
""".replace("\u001b", "escape")


def test_nonsense_is_taken_as_not_set() -> None:
    found = parse_tuning(ET.fromstring(NONSENSE))
    assert found.cpu == CpuTune()
    assert found.memory == MemTune(0, 7, None)
    assert (found.iothreads_in_use, found.iothread_users, found.slots) == ((), (), 0)
    assert found.hugepages_kib == (0,)
    assert found.topology == Topology(1, 1, 1, 1)
    assert parse_tuning(ET.fromstring("<domain/>")) == Tuning()


@pytest.mark.parametrize(
    ("quota", "period", "cpus"),
    [(None, None, None), (-1, 50000, None), (0, None, None), (50000, None, 0.5), (75000, 50000, 1.5), (1000, 0, 0.01)],
)
def test_a_quota_in_cpus(quota: int | None, period: int | None, cpus: float | None) -> None:
    assert quota_cpus(quota, period) == cpus


def test_every_parameter_has_its_field() -> None:
    assert {field for _name, field in PARAMETERS} == {field.name for field in fields(CpuTune)}


# What the next boot changes


def tuned(**changes: Any) -> DomainConfig:
    return replace(PLAIN, tuning=replace(PLAIN.tuning, **changes))


@pytest.mark.parametrize(
    ("live", "persistent", "found"),
    [
        ({"cpu": CpuTune(shares=512)}, {}, Difference("CPU shares", "512", "default")),
        ({"cpu": CpuTune(quota_us=5000)}, {}, Difference("vCPU limit", "5000 of 100000 µs", "none")),
        (
            {"cpu": CpuTune(global_quota_us=5000)},
            {"cpu": CpuTune(global_quota_us=5000, global_period_us=20000)},
            Difference("limit of all threads", "5000 of 100000 µs", "5000 of 20000 µs"),
        ),
        ({}, {"memory": MemTune(hard_limit_kib=1 << 20)}, Difference("hard memory limit", "none", "1.0G")),
        ({"iothread_ids": (1, 3)}, {"iothread_ids": (1, 2)}, Difference("I/O threads", "1,3", "1-2")),
        ({"memory_locked": True}, {}, Difference("memory locked", "yes", "no")),
        ({}, {"topology": Topology(2, 1, 4, 1)}, Difference("topology", "none", "2 sockets, 4 cores")),
        ({"numatune": NumaTune("strict", "0", ())}, {}, Difference("NUMA memory", "strict 0", "anywhere")),
        ({"balloon_period_s": 1}, {}, Difference("balloon reports", "every 1 s", "off")),
        ({}, {"slots": 4}, Difference("memory slots", "0", "4")),
        ({}, {"memory_ceiling_kib": 4 << 20}, Difference("memory with slots", "none", "4.0G")),
        (
            {"memory_devices": (MemoryDevice("dimm", "dimm0", 131072, 0, 0),)}, {},
            Difference("memory devices", "dimm 128M", "none"),
        ),
    ],
)  # fmt: skip
def test_what_differs_is_told(live: dict[str, Any], persistent: dict[str, Any], found: Difference) -> None:
    assert differences(tuned(**live), tuned(**persistent)) == (found,)


@pytest.mark.parametrize(
    ("live", "persistent"),
    [
        ({"cpu": CpuTune(quota_us=-1, period_us=100000)}, {}),
        ({"cpu": CpuTune(quota_us=5000, period_us=100000)}, {"cpu": CpuTune(quota_us=5000)}),
        ({"cpu": CpuTune(period_us=5000)}, {}),
        ({"memory_ceiling_kib": (4 << 20) + 2048}, {"memory_ceiling_kib": 4 << 20}),
        ({"hugepages_kib": (2048,)}, {"hugepages_kib": (0,)}),
        ({"cells": (NumaCell(0, "0-1", 262144),)}, {"cells": (NumaCell(0, "0-1", 262000),)}),
        (
            {"memory_devices": (MemoryDevice("dimm", "dimm0", 131072, 0, 0),)},
            {"memory_devices": (MemoryDevice("dimm", "", 131072, 0, None),)},
        ),
    ],
)
def test_what_means_the_same_is_no_difference(live: dict[str, Any], persistent: dict[str, Any]) -> None:
    assert differences(tuned(**live), tuned(**persistent)) == ()


# Plans


def test_each_side_gets_its_own_step_and_its_own_way_back(context: Context) -> None:
    live, later = tuned(cpu=CpuTune(shares=300, quota_us=5000)), tuned(cpu=CpuTune(shares=700, period_us=20000))
    made = plan(context, "scheduler", domain(live, later), shares="512", quota="1.5 CPU")
    assert lines(made) == [
        "schedinfo a --live cpu_shares=512 vcpu_quota=150000",
        "schedinfo a --config cpu_shares=512 vcpu_quota=30000",
    ]
    assert undo_lines(made) == [
        "schedinfo a --config cpu_shares=700 vcpu_quota=0",
        "schedinfo a --live cpu_shares=300 vcpu_quota=5000",
    ]
    assert made.steps[0].request == SetScheduler(UUID, True, (("cpu_shares", 512), ("vcpu_quota", 150000)))
    assert made.notes[:2] == ("now: each vCPU may use 1.5 CPU", "from the next boot on: each vCPU may use 1.5 CPU")


def test_what_is_so_already_is_left(context: Context) -> None:
    live, later = tuned(cpu=CpuTune(shares=300)), tuned(cpu=CpuTune(shares=700))
    assert lines(plan(context, "scheduler", domain(live, later), shares="700")) == ["schedinfo a --live cpu_shares=700"]
    with pytest.raises(TargetError, match="shares: a is scheduled so already"):
        plan(context, "scheduler", domain(live, live), shares="300")
    with pytest.raises(TargetError, match="hard: a is limited so already"):
        plan(context, "memtune", domain(PLAIN, PLAIN), hard="none")


def test_what_was_not_set_goes_back_to_the_default(context: Context, version: int) -> None:
    made = plan(context, "scheduler", domain(PLAIN, PLAIN), shares="512", period="2000", quota="2000")
    default = {1: 1024, 2: 100}[version]
    assert undo_lines(made) == [
        f"schedinfo a --config cpu_shares={default} vcpu_period=0 vcpu_quota=0",
        f"schedinfo a --live cpu_shares={default} vcpu_period=100000 vcpu_quota=-1",
    ]
    assert made.losses() == []
    assert any(f"undo sets the default cpu_shares={default}, vcpu_period=100000" in note for note in made.notes)


@pytest.mark.usefixtures("version")
def test_shares_of_a_far_host_are_not_guessed(context: Context) -> None:
    far = replace(context, snapshot=replace(context.snapshot, host=replace(HOST, local=False)))
    made = plan(far, "scheduler", domain(None, PLAIN), shares="20000")
    assert made.undo_steps() == ()
    assert made.confirm is Confirm.ASK
    assert "undo does not know the host's default" in made.losses()[0]
    assert any("takes no shares above 10000" in note for note in made.notes)


def test_shares_are_limited_by_the_version(context: Context, version: int) -> None:
    low, high = {1: (2, 262144), 2: (1, 10000)}[version]
    for good in (low, high):
        assert plan(context, "scheduler", domain(None, PLAIN), shares=str(good)).steps
    for bad in (low - 1, high + 1):
        with pytest.raises(FieldError, match=f"from {low} to {high}"):
            plan(context, "scheduler", domain(None, PLAIN), shares=str(bad))


def test_the_memory_limits_of_each_side(context: Context) -> None:
    live = tuned(memory=MemTune(hard_limit_kib=1 << 20))
    made = plan(context, "memtune", domain(live, PLAIN), hard="2G", soft="none")
    assert lines(made) == [
        "memtune a --live --hard-limit 2097152 --soft-limit -1",
        "memtune a --config --hard-limit 2097152 --soft-limit -1",
    ]
    assert undo_lines(made) == [
        "memtune a --config --hard-limit -1 --soft-limit -1",
        "memtune a --live --hard-limit 1048576 --soft-limit -1",
    ]
    assert made.steps[0].request == SetMemoryLimits(UUID, True, 2 << 20, UNLIMITED)
    assert made.losses() == []


@pytest.mark.parametrize(
    ("rss", "hard", "lost"),
    [
        (600 << 10, "512M", "its QEMU uses 600M, more than 512M"),
        (600 << 10, "700M", None),
        (None, "512M", "512M is less than its memory"),
        (None, "2G", None),
        (600 << 10, "none", None),
        (None, "none", None),
    ],
)
def test_a_limit_below_what_is_used_asks_first(context: Context, rss: int | None, hard: str, lost: str | None) -> None:
    seen = replace(context.snapshot, usage={UUID: usage(rss)})
    limited = tuned(memory=MemTune(hard_limit_kib=1 << 20))
    made = plan(replace(context, snapshot=seen), "memtune", domain(limited, None), hard=hard)
    assert [lost in loss for loss in made.losses()] == [True] if lost else made.losses() == []
    assert (made.confirm is Confirm.ASK) is (lost is not None)
    assert any("the kernel kills it" in note for note in made.notes) is (hard in ("512M", "700M"))


def test_where_control_groups_are_missing(context: Context) -> None:
    seen = enforced(context, Enforced(no_cpu="no CPU controller", no_memory="no memory controller"))
    running, alone, off = domain(PLAIN, PLAIN), domain(PLAIN, None), domain(None, PLAIN)
    assert BY_ID["domain.scheduler"].reason(seen, running) == "no CPU controller; set it while the domain is off"
    assert BY_ID["domain.memtune"].reason(seen, running) is None
    assert BY_ID["domain.memtune"].reason(seen, alone) == "no memory controller"
    made = plan(seen, "memtune", running, hard="2G")
    assert lines(made) == ["memtune a --config --hard-limit 2097152"]
    assert made.losses() == ["the next start on this host: libvirt may refuse it (no memory controller)"]
    limited = domain(PLAIN, tuned(memory=MemTune(hard_limit_kib=1 << 20)))
    assert plan(seen, "memtune", limited, hard="none").losses() == []
    for ident in ("scheduler", "memtune"):
        assert BY_ID[f"domain.{ident}"].reason(seen, off) is None
        assert BY_ID[f"domain.{ident}"].reason(context, running) is None
        assert BY_ID[f"domain.{ident}"].reason(enforced(context, Enforced(CpuTune(), MemTune())), running) is None


def test_io_threads_take_the_lowest_free_number(context: Context) -> None:
    live, later = tuned(iothread_ids=(1, 3)), tuned(iothread_ids=(2,))
    action = BY_ID["domain.iothread-add"]
    assert action.defaults(context, [domain(live, later)])["number"] == "4"
    assert action.defaults(context, [domain(live, later), domain(live, later)])["number"] == ""
    assert lines(plan(context, "iothread-add", domain(live, later), number="3")) == ["iothreadadd a --id 3 --config"]
    assert undo_lines(plan(context, "iothread-add", domain(live, None))) == ["iothreaddel a --id 2 --live"]


def test_a_deleted_io_thread_comes_back_with_its_pin(context: Context) -> None:
    target = domain(None, CONFIG)
    assert BY_ID["domain.iothread-del"].defaults(context, [target])["number"] == "3"
    free = replace(CONFIG, tuning=replace(CONFIG.tuning, iothreads_in_use=(), iothread_users=()))
    made = plan(context, "iothread-del", domain(None, free), number="7")
    assert undo_lines(made) == ["iothreadadd a --id 7 --config", "iothreadpin a 7 0-1 --config"]
    assert made.steps[0].request == DeleteIOThread(UUID, False, 7)
    assert made.losses() == []
    assert "thread pool" in plan(context, "iothread-del", domain(None, free), number="2").losses()[0]


def test_why_no_io_thread_can_be_deleted(context: Context) -> None:
    action = BY_ID["domain.iothread-del"]
    assert action.reason(context, domain(PLAIN, PLAIN)) == "it has no I/O threads"
    used = tuned(iothread_ids=(1,), iothreads_in_use=(1,), iothread_users=((1, "disk vda"),))
    assert action.reason(context, domain(used, used)) == "all its I/O threads are used, by disk vda"
    assert action.reason(context, domain(used, tuned(iothread_ids=(1,)))) is None
    unread = replace(domain(PLAIN, PLAIN), config=None, persistent_config=None)
    assert action.reason(context, unread) == "its configuration is not read yet"


def test_a_driver_without_control_groups_says_so() -> None:
    connection = libvirt.open("test:///default")
    try:
        detail = read_detail(connection.lookupByName("test"), active=True, persistent=True)
        assert detail.enforced == Enforced(memory=MemTune(), no_cpu="this driver has no such limits")
        assert read_detail(connection.lookupByName("test"), active=False, persistent=True).enforced is None
    finally:
        connection.close()
