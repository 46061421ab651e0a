"""Scheduler, limits and I/O threads on real QEMU: on a host without control groups, which says so, and on one with the
CPU controller, whose files are looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.actions import Deck, look
from tests.lab.domain import Shape, blank_xml, disk_xml, element, text
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.test_twins import try_case
from tests.lab.twin_cases.tuning import LIVE_CASES
from tests.lab.twins import Case
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError
from tui.model.domain import Domain
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.model.snapshot import HostSnapshot
from tui.ops import execute
from tui.ops.base import OpError
from tui.ops.tuning import DeleteIOThread
from tui.runtime.jobs import Job
from tui.sources.detail import read_detail

NO_CPU = "cgroup CPU controller is not mounted"
NO_MEMORY = "cgroup memory controller is not mounted"
CPU_GROUPS = Path("/sys/fs/cgroup/cpu")
"""The hierarchy of the CPU controller where control groups are of version 1."""


def has_cpu() -> bool:
    """Whether this machine has the CPU controller, of version 1 or 2."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    return CPU_GROUPS.is_dir() or (unified.exists() and "cpu" in unified.read_text().split())


needs_cpu = pytest.mark.skipif(not has_cpu(), reason="this machine has no CPU controller")
needs_v1 = pytest.mark.skipif(not CPU_GROUPS.is_dir(), reason="this machine has no CPU controller of version 1")


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def cpu_host(lab_host: LabHost) -> Iterator[LabHost]:
    """A second host, whose libvirtd has the CPU controller; `lab_host` says why there can be none."""
    assert lab_host.is_up
    with LabHost("virtdeck-cpu", cgroups=["cpu"]) as host:
        yield host


@pytest.fixture
def grouped(cpu_host: LabHost) -> Iterator[LabHost]:
    """It, with nothing defined."""
    yield cpu_host
    cpu_host.reset()


@pytest.fixture
def grouped_deck(grouped: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on it."""
    with Deck(grouped.uri, tmp_path) as made:
        yield made


def done(deck: Deck, plan: Plan) -> Job:
    """Carry it out; it must succeed."""
    job = deck.run(plan)
    assert job.status is Status.DONE, job.results
    return job


def undone(deck: Deck, job: Job) -> None:
    """Undo it as a later session would."""
    done(deck, Plan("undo", "undo", deck.entry(job).undo))


def domain_of(seen: HostSnapshot, name: str) -> Domain:
    return next(domain for domain in seen.domains.values() if domain.raw_name == name)


def opened(lab: LabHost, deck: Deck, name: str) -> tuple[Context, Domain]:
    """What actions look at when the domain is open on the screen."""
    seen = deck.read()
    domain = domain_of(seen, name)
    with lab.connect() as connection:
        detail = read_detail(
            connection.lookupByName(name), active=domain.active, persistent=domain.persistent is not False
        )
    return Context(replace(seen, detail=detail), deck.kept), domain


def threads(lab: LabHost, name: str) -> set[str]:
    """The names of the I/O threads that libvirt asked for, as the kernel has them (/proc/PID/task/TID/comm)."""
    tasks = Path(f"/proc/{lab.qemu_pid(name)}/task").iterdir()
    return {comm for task in tasks if re.match(r"IO iothread\d", comm := (task / "comm").read_text().strip())}


def wait_threads(lab: LabHost, name: str, *wanted: str) -> None:
    wait_until(lambda: threads(lab, name) == set(wanted), f"the threads {wanted}", timeout=20)


def sides_of(lab: LabHost, name: str) -> tuple[set[str], set[str]]:
    """The I/O threads that the live XML and the persistent one name."""
    shown = (lab.virsh("dumpxml", name).stdout, lab.virsh("dumpxml", name, "--inactive").stdout)
    live, config = (set(re.findall(r"<iothread id='(\d+)'", xml)) for xml in shown)
    return live, config


def test_a_guest_gets_io_threads_and_gives_them_back(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name)
    added = done(deck, deck.plan("domain.iothread-add", name))
    wait_threads(lab, name, "IO iothread1")
    assert sides_of(lab, name) == ({"1"}, {"1"})
    later = done(deck, deck.plan("domain.iothread-add", name, where="persistent"))
    now = done(deck, deck.plan("domain.iothread-add", name, number="5", where="live"))
    wait_threads(lab, name, "IO iothread1", "IO iothread5")
    assert sides_of(lab, name) == ({"1", "5"}, {"1", "2"})
    deleted = done(deck, deck.plan("domain.iothread-del", name, number="5"))
    wait_threads(lab, name, "IO iothread1")
    undone(deck, deleted)
    wait_threads(lab, name, "IO iothread1", "IO iothread5")
    for job in (now, later, added):
        undone(deck, job)
    wait_threads(lab, name)
    assert sides_of(lab, name) == (set(), set())
    with lab.console(name) as console:
        assert console.run("echo alive") == (0, "alive")


def test_an_io_thread_of_a_disk_stays(lab: LabHost, deck: Deck, name: str) -> None:
    disk = disk_xml(lab.create_image(f"{name}.qcow2"), "vda")
    driver = disk.find("driver")
    assert driver is not None
    driver.set("iothread", "1")
    made = lab.define_blank(name, start=True)
    done(deck, deck.plan("domain.iothread-add", name))
    file = lab.root / f"{name}.xml"
    file.write_text(text(disk))
    lab.virsh("attach-device", name, str(file), "--live", "--config")
    before = look(lab, name, made.uuid)
    with pytest.raises(FieldError, match=r"all its I/O threads are used, by disk vda"):
        deck.plan("domain.iothread-del", name)
    done(deck, deck.plan("domain.iothread-add", name))
    with pytest.raises(FieldError, match=r"disk vda of .* uses I/O thread 1 now"):
        deck.plan("domain.iothread-del", name, number="1")
    done(deck, deck.plan("domain.iothread-del", name))
    assert look(lab, name, made.uuid) == before
    for live in (True, False):
        with pytest.raises(OpError, match="being used by disk"):
            execute(DeleteIOThread(made.uuid, live, 1), deck.collector)
    assert look(lab, name, made.uuid) == before


REFUSED: tuple[tuple[str, Mapping[str, str], str], ...] = (
    ("domain.iothread-add", {"number": "0"}, "must be a whole number from 1"),
    ("domain.iothread-add", {"number": "4294967296"}, "must be a whole number from 1"),
    ("domain.iothread-add", {"number": "one"}, "must be a whole number from 1"),
    ("domain.iothread-add", {"number": "2"}, "has an I/O thread 2 already"),
    ("domain.iothread-add", {"where": "live"}, "is not running"),
    ("domain.iothread-del", {"number": ""}, "must be a whole number from 1"),
    ("domain.iothread-del", {"number": "9"}, "has no I/O thread 9"),
    ("domain.scheduler", {}, "give at least one value"),
    ("domain.scheduler", {"shares": "1"}, "must be a whole number from"),
    ("domain.scheduler", {"shares": "262145"}, "must be a whole number from"),
    ("domain.scheduler", {"period": "999"}, "must be a whole number from 1000 to 1000000"),
    ("domain.scheduler", {"period": "-1"}, "must be a whole number from 1000 to 1000000"),
    ("domain.scheduler", {"quota": "999"}, "must be µs from 1000"),
    ("domain.scheduler", {"quota": "0.001 CPU"}, "that is 100 µs"),
    ("domain.scheduler", {"global_quota": "lots"}, "must be µs from 1000"),
    ("domain.scheduler", {"shares": "2048", "where": "live"}, "is not running"),
    ("domain.memtune", {}, "give at least one limit"),
    ("domain.memtune", {"hard": "much"}, "is no amount of memory"),
    ("domain.memtune", {"hard": "1M"}, "must be at least"),
    ("domain.memtune", {"hard": "9000000T"}, "must be at least"),
    ("domain.memtune", {"soft": "0"}, "must be at least"),
    ("domain.memtune", {"swap_hard": "1G"}, "the hard limit must be set"),
    ("domain.memtune", {"hard": "2G", "swap_hard": "1G"}, "the hard limit must be set, and be no more"),
    ("domain.memtune", {"hard": "+1G"}, "what it is now is not known"),
    ("domain.memtune", {"hard": "1G", "where": "live"}, "is not running"),
)


def test_what_cannot_be_is_refused_before_anything_changes(lab: LabHost, deck: Deck, name: str) -> None:
    made = lab.define_blank(name)
    lab.virsh("iothreadadd", name, "--id", "2", "--config")
    before = look(lab, name, made.uuid)
    seen = deck.read()
    for action, values, said in REFUSED:
        with pytest.raises(FieldError, match=re.escape(said)):
            deck.plan_of(seen, action, [name], values)
    assert look(lab, name, made.uuid) == before


def test_a_transient_domain_has_no_next_boot(lab: LabHost, deck: Deck, name: str) -> None:
    made = lab.define_blank(name, start=True)
    lab.virsh("iothreadadd", name, "--id", "2", "--live")
    lab.virsh("undefine", name)
    before = look(lab, name, made.uuid)
    seen = deck.read()
    given = {"scheduler": {"shares": "512"}, "memtune": {"hard": "1G"}, "iothread-add": {}, "iothread-del": {}}
    for action, values in given.items():
        with pytest.raises(FieldError, match="is transient: it has no next boot"):
            deck.plan_of(seen, f"domain.{action}", [name], {**values, "where": "persistent"})
    assert look(lab, name, made.uuid) == before


def test_read_only_changes_nothing(lab: LabHost, tmp_path: Path, name: str) -> None:
    made = lab.define_blank(name)
    before = look(lab, name, made.uuid)
    with Deck(lab.uri_readonly, tmp_path, read_only=True) as locked:
        for action in ("scheduler", "memtune", "iothread-add", "iothread-del"):
            with pytest.raises(FieldError, match="virtdeck runs with --read-only"):
                locked.plan(f"domain.{action}", name)
    assert look(lab, name, made.uuid) == before


def test_without_control_groups_it_is_said_before(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, start=True)
    context, domain = opened(lab, deck, name)
    scheduler, memtune = BY_ID["domain.scheduler"], BY_ID["domain.memtune"]
    assert NO_CPU in (scheduler.reason(context, domain) or "")
    assert memtune.reason(context, domain) is None
    assert memtune.defaults(context, [domain])["where"] == "persistent"
    with pytest.raises(FieldError, match=f"{NO_MEMORY}; choose persistent"):
        deck.plan_of(context.snapshot, "domain.memtune", [name], {"hard": "1G", "where": "both"})
    done(deck, deck.plan_of(context.snapshot, "domain.memtune", [name], {"hard": "1G"}))
    assert ">1048576</hard_limit>" in lab.virsh("dumpxml", name, "--inactive").stdout
    lab.virsh("destroy", name)
    context, domain = opened(lab, deck, name)
    assert scheduler.reason(context, domain) is None
    assert memtune.defaults(context, [domain])["where"] == "both"


@pytest.mark.parametrize(
    ("action", "values", "said", "advice"),
    [
        ("domain.scheduler", {"shares": "512"}, NO_CPU, "shut it down"),
        ("domain.memtune", {"hard": "1G"}, NO_MEMORY, "choose persistent"),
    ],
)
def test_without_control_groups_it_fails_and_changes_nothing(
    lab: LabHost, deck: Deck, name: str, action: str, values: Mapping[str, str], said: str, advice: str
) -> None:
    made = lab.define_blank(name, start=True)
    before = look(lab, name, made.uuid)
    # As when other domains are marked too: what is in force is read of the open one alone.
    job = deck.run(deck.plan_of(deck.read(), action, [name], values))
    assert job.status is Status.FAILED
    assert said in job.results[0].message
    assert advice in job.results[0].message
    assert look(lab, name, made.uuid) == before


@needs_cpu
def test_a_start_makes_no_difference(grouped: LabHost, grouped_deck: Deck, name: str) -> None:
    """Whatever libvirt writes into the live XML of a domain with all that an emulated one can have."""
    shape = Shape(name=name, memory_mib=33, vcpus=2, vcpus_max=4, max_memory_mib=515)
    root = blank_xml(shape, grouped.emulator)
    cpu, devices = root.find("cpu"), root.find("devices")
    assert cpu is not None
    assert devices is not None
    cpu.insert(0, element("topology", sockets="2", cores="2", threads="1"))
    device = element("memory", element("target", element("size", text="128", unit="MiB"), element("node", text="0")))
    device.set("model", "dimm")
    devices.append(device)
    limits = {"shares": "300", "period": "20000", "quota": "-1", "global_quota": "90000"}
    root.append(element("cputune", *(element(tag, text=value) for tag, value in limits.items())))
    root.append(element("iothreads", text="2"))
    root.append(element("numatune", element("memory", mode="preferred", nodeset="0")))
    grouped.define(root, start=True)
    found = domain_of(grouped_deck.read(), name)
    assert found.config is not None
    assert found.config.tuning.cpu.shares == 300
    assert found.differences == ()
    done(grouped_deck, grouped_deck.plan("domain.scheduler", name, shares="400", where="live"))
    changed = domain_of(grouped_deck.read(), name).differences or ()
    assert [(one.what, one.live, one.persistent) for one in changed] == [("CPU shares", "400", "300")]


@needs_cpu
@pytest.mark.parametrize("case", LIVE_CASES, ids=lambda case: case.id)
def test_twins_with_control_groups(grouped: LabHost, grouped_deck: Deck, tmp_path: Path, case: Case) -> None:
    try_case(grouped, grouped_deck, tmp_path, case)


def group(lab: LabHost, name: str) -> Callable[[str], str]:
    """Reads a file of the domain's control group, of version 1: `cpu.shares`, `vcpu0/cpu.cfs_quota_us`."""
    lines = Path(f"/proc/{lab.qemu_pid(name)}/cgroup").read_text().splitlines()
    path = next(line.split(":", 2)[2] for line in lines if line.split(":")[1] == "cpu")
    folder = CPU_GROUPS / path.lstrip("/")
    return lambda file: (folder.parent / file).read_text().strip()


FILES = {
    "cpu.shares": "1024", "cpu.cfs_quota_us": "-1", "vcpu0/cpu.cfs_quota_us": "-1", "vcpu0/cpu.cfs_period_us": "100000",
    "emulator/cpu.cfs_quota_us": "-1", "iothread1/cpu.cfs_quota_us": "-1",
}  # fmt: skip
"""What the kernel does where nothing is set."""


@needs_v1
def test_shares_and_quotas_reach_the_kernel(grouped: LabHost, grouped_deck: Deck, name: str) -> None:
    grouped.define_blank(name, start=True)
    grouped.virsh("iothreadadd", name, "--id", "1", "--live", "--config")
    read = group(grouped, name)
    assert {file: read(file) for file in FILES} == FILES
    values = {"shares": "2048", "period": "50000", "quota": "0.5 CPU", "emulator_quota": "20000"}
    plan = grouped_deck.plan("domain.scheduler", name, iothread_quota="30000", global_quota="1.5cpu", **values)
    assert "now: each vCPU may use 0.5 CPU" in plan.notes
    job = done(grouped_deck, plan)
    assert {file: read(file) for file in FILES} == {
        "cpu.shares": "2048", "cpu.cfs_quota_us": "150000", "vcpu0/cpu.cfs_quota_us": "25000",
        "vcpu0/cpu.cfs_period_us": "50000", "emulator/cpu.cfs_quota_us": "20000", "iothread1/cpu.cfs_quota_us": "30000",
    }  # fmt: skip
    context, _domain = opened(grouped, grouped_deck, name)
    assert context.snapshot.detail is not None
    enforced = context.snapshot.detail.enforced
    assert enforced is not None
    assert enforced.cpu is not None
    assert (enforced.cpu.shares, enforced.cpu.quota_us, enforced.cpu.period_us) == (2048, 25000, 50000)
    assert (enforced.no_cpu, enforced.memory) == ("", None)
    assert NO_MEMORY in enforced.no_memory
    undone(grouped_deck, job)
    assert {file: read(file) for file in FILES} == FILES


@needs_v1
def test_a_quota_that_the_kernel_refuses_leaves_the_others_as_they_were(
    grouped: LabHost, grouped_deck: Deck, name: str
) -> None:
    grouped.define_blank(name, start=True)
    done(grouped_deck, grouped_deck.plan("domain.scheduler", name, global_quota="50000", shares="300"))
    config, read = grouped.virsh("dumpxml", name, "--inactive").stdout, group(grouped, name)
    job = grouped_deck.run(grouped_deck.plan("domain.scheduler", name, shares="512", quota="80000"))
    assert job.status is Status.FAILED
    assert "set them one by one" in job.results[0].message
    assert (read("cpu.shares"), read("cpu.cfs_quota_us"), read("vcpu0/cpu.cfs_quota_us")) == ("300", "50000", "-1")
    assert "<shares>300</shares>" in grouped.virsh("dumpxml", name).stdout
    assert grouped.virsh("dumpxml", name, "--inactive").stdout == config
