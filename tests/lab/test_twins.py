"""Every action does what its command does: virtdeck changes one twin, the real tools change the other, and libvirt
tells the same of both; and so for the way back."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import libvirt
import pytest

from tests.lab.actions import Deck, Seen, run_commands, same
from tests.lab.host import LabHost
from tests.lab.namespaces import is_alive, wait_until
from tests.lab.twin_cases import CASES, nics, tuning
from tests.lab.twins import OFF, RUNNING, Case, Make, Twin, any_reason, saved, twins
from tui import ops
from tui.actions import ACTIONS
from tui.actions.base import FieldError, FieldKind
from tui.model.journal import Status
from tui.model.plan import Plan, Step
from tui.ops.base import Outcome
from tui.ops.define import Define, Undefine
from tui.ops.disk_moves import ChangeSource, CopyVolume
from tui.ops.disks import AttachDisk
from tui.ops.lifecycle import SetAutostart
from tui.ops.memory_devices import AttachMemory, DetachMemory, ResizeMemory, SetMemorySlots
from tui.ops.nics import AttachNic, PlugNic, SetNicLink
from tui.ops.ports import SetRootPorts
from tui.ops.vcpu_layout import ReshapeVcpus
from tui.runtime.jobs import Job
from tui.sources.connection import start_event_loop

_numbers = itertools.count(1)


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_twins(lab: LabHost, deck: Deck, tmp_path: Path, case: Case) -> None:
    try_case(lab, deck, tmp_path, case)


def try_case(lab: LabHost, deck: Deck, folder: Path, case: Case) -> None:
    """Make the twins, change both, compare; take both back, compare."""
    ours, theirs = twins(lab, folder, next(_numbers), named=case.named)
    both((ours, theirs), case.make)
    values = [{**case.values, **case.paths(twin)} for twin in (ours, theirs)]
    our_state, their_state = (partial(twin.seen_with, case.also) for twin in (ours, theirs))
    before = same(our_state, their_state, lambda _seen: True)
    plan, by_hand = (
        deck.plan(case.action, twin.name, **given) for twin, given in zip((ours, theirs), values, strict=True)
    )
    job = change(deck, theirs, plan, by_hand.steps)
    after = same(our_state, their_state, case.reached)
    assert after != before or case.action == "domain.reset"
    assert bool(job.entry.undo) is case.undo
    if case.undo:
        assert job.entry.undo == plan.undo_steps()
    if case.undo and case.taken_back:
        take_back(deck, job, theirs, by_hand)
        back = same(our_state, their_state, lambda seen: case.forgiven(seen) == case.forgiven(before))
        assert back != after


def both(pair: tuple[Twin, Twin], make: Make) -> None:
    """Do it to both at once."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(make, pair))


def change(deck: Deck, theirs: Twin, plan: Plan, by_hand: tuple[Step, ...], undoes: str = "") -> Job:
    """Carry out our plan and, at the same time, the commands for the other twin."""
    ended = deck.start(plan, undoes)
    keep_xml(theirs, by_hand)
    run_commands(by_hand)
    job = ended()
    assert job.status is Status.DONE, job.results
    assert [result.step for result in job.results] == [step for step in plan.steps if not step.only_if_failed]
    return job


_KEPT = (AttachMemory, DetachMemory, ResizeMemory, AttachDisk, AttachNic, CopyVolume, ChangeSource)


def keep_xml(twin: Twin, steps: tuple[Step, ...]) -> None:
    """Keep the XML that undo needs and commands read, as our op does before it changes anything; virsh would write it
    to standard output."""
    for step in steps:
        request = step.request
        files: dict[str, str] = {}
        if isinstance(request, (Define, Undefine, ReshapeVcpus, SetMemorySlots, SetRootPorts)) and request.backup:
            files[request.backup] = twin.lab.virsh("dumpxml", step.target, "--inactive", "--security-info").stdout
        if isinstance(request, (SetMemorySlots, SetRootPorts)):
            files[request.file] = request.edited(files[request.backup])
        elif isinstance(request, PlugNic) or (isinstance(request, SetNicLink) and request.file):
            side = [] if request.live else ["--inactive"]
            files[request.file] = request.edited(twin.lab.virsh("dumpxml", step.target, *side).stdout)
        elif isinstance(request, _KEPT) and request.file:
            files[request.file] = request.xml
        for path, xml in files.items():
            Path(path).parent.mkdir(exist_ok=True)
            Path(path).write_text(xml)


def take_back(deck: Deck, job: Job, theirs: Twin, by_hand: Plan) -> None:
    """Undo our change as a later session would, from the journal's file, and the other by the commands of its undo."""
    entry = deck.entry(job)
    assert entry.undo == job.entry.undo
    change(deck, theirs, Plan("undo", f"Undo: {entry.title}", entry.undo), by_hand.undo_steps(), entry.id)
    assert deck.journal().undone(entry.id)


GUEST_CASES: tuple[tuple[str, dict[str, str], tuple[int, int, int]], ...] = (
    ("domain.reboot", {"mode": "default"}, (0, 0, 1)),
    ("domain.reboot", {"mode": "acpi"}, (0, 1, 0)),
    ("domain.reboot", {"mode": "agent"}, (0, 0, 1)),
    ("domain.shutdown", {"mode": "default"}, (0, 0, 1)),
    ("domain.shutdown", {"mode": "acpi"}, (0, 1, 0)),
    ("domain.shutdown", {"mode": "agent"}, (0, 0, 1)),
)
"""Action, values, and how often the guest then says that it is ready, saw its power button, was told by its agent."""


def test_guests_comply(lab: LabHost, deck: Deck, tmp_path: Path) -> None:
    """One pair of guests that boots, and boots again after a reset; each case takes them as they were saved then. Of
    a reboot its event is enough: a boot of the pair takes 4 s."""
    ours, theirs = pair = boot(twins(lab, tmp_path, next(_numbers)))
    ask(deck, pair, "domain.reset", {})
    same(ours.seen, theirs.seen, partial(came_to, (RUNNING, 1), (2, 0, 0)))
    both(pair, saved(lambda _twin: None))
    with reboots(lab) as rebooted:
        for action, values, marks in GUEST_CASES:
            rebooted.clear()
            both(pair, restore)
            ask(deck, pair, action, values)
            if action == "domain.shutdown":
                same(ours.seen, theirs.seen, partial(came_to, (OFF, 1), marks))
                assert not rebooted
            else:
                wait_until(lambda: rebooted == {ours.uuid, theirs.uuid}, "both to reboot")
                same(partial(booting, ours), partial(booting, theirs), partial(came_to, (RUNNING, 0), marks))
                both(pair, lambda twin: twin.virsh("destroy"))


def boot(made: tuple[Twin, Twin]) -> tuple[Twin, Twin]:
    """Guests in the place of the twins, booted side by side."""
    lab = made[0].lab
    ours, theirs = (replace(twin, uuid=lab.define_guest(twin.name, agent=True, wait=False).uuid) for twin in made)
    for twin in (ours, theirs):
        lab.wait_ready(twin.name)
    return ours, theirs


def restore(twin: Twin) -> None:
    twin.lab.virsh("restore", twin.saved)


def booting(twin: Twin) -> Seen:
    """What can be compared while the guests boot, each at its own pace: not what their agents and consoles say then."""
    seen = any_reason(twin.seen())
    return replace(seen, live="", console=(0, *seen.console[1:]))


@contextmanager
def reboots(lab: LabHost) -> Iterator[set[str]]:
    """The UUIDs of the domains that libvirt reports to have rebooted, as it goes on."""
    seen: set[str] = set()
    start_event_loop()
    with lab.connect() as connection:
        event = libvirt.VIR_DOMAIN_EVENT_ID_REBOOT
        ident = connection.domainEventRegisterAny(None, event, lambda _c, it, _: seen.add(it.UUIDString()), None)
        yield seen
        connection.domainEventDeregisterAny(ident)


def ask(deck: Deck, pair: tuple[Twin, Twin], action: str, values: dict[str, str]) -> None:
    """Do it to both once their agents answer: where one does not, libvirt's default is the power button."""
    for twin in pair:
        twin.lab.wait_agent(twin.name)
        twin.virsh("domtime")
    reading = deck.read()
    plan, by_hand = (deck.plan_of(reading, action, [twin.name], values) for twin in pair)
    ended = deck.start(plan)
    try:
        run_commands(by_hand.steps)
    except RuntimeError as error:
        # The guest was gone before libvirt had read its agent's answer; what became of it is compared all the same.
        if "End of file from agent socket" not in str(error):
            raise
    assert ended().status is Status.DONE


def came_to(number: tuple[int, int], shown: tuple[int, ...], seen: Seen) -> bool:
    """Whether the domain is in that state for that reason, and its guest has said all that."""
    return seen.state == number and seen.console == shown


@dataclass(frozen=True, slots=True)
class ProcessCase:
    """What is done to an unmanaged QEMU; `left` is whether it lives on."""

    action: str
    values: Mapping[str, str] = field(default_factory=dict)
    left: bool = True
    undo: bool = True
    moved: str = ""
    """The role whose threads alone are bound; all when it is empty."""


PROCESS_CASES = (
    ProcessCase("process.terminate", left=False, undo=False),
    ProcessCase("process.kill", left=False, undo=False),
    ProcessCase("process.affinity", {"role": "all", "cpus": "0"}),
    ProcessCase("process.affinity", {"role": "vcpu", "cpus": "0"}, moved="vcpu"),
    ProcessCase("process.affinity", {"role": "iothread", "cpus": "0"}, moved="iothread"),
    ProcessCase("process.affinity", {"role": "emulator", "cpus": "0"}, moved="emulator"),
    ProcessCase("process.affinity", {"role": "worker", "cpus": "0"}, moved="worker"),
    ProcessCase("process.pin", {"pins": "vcpu 1=0"}, moved="vcpu 1"),
    ProcessCase("process.pin", {"pins": "vcpu *=0; vcpu 0=all"}, moved="vcpu 1"),
    ProcessCase("process.pin", {"pins": "emulator=0"}, moved="emulator"),
    ProcessCase("process.pin", {"pins": "iothread 1=0"}, moved="iothread"),
    ProcessCase("process.pin", {"pins": "worker *=0"}, moved="worker"),
)


def test_process_twins(lab: LabHost, deck: Deck) -> None:
    """Each case has a pair of QEMUs, all started at once: nothing of them is waited for but their threads."""
    pids = [_spawn(lab, number) for number in range(2 * len(PROCESS_CASES))]
    wait_until(lambda: all(len(cpus_of(pid)) == THREADS for pid in pids), "the threads of all QEMUs")
    for case, ours, theirs in zip(PROCESS_CASES, pids[::2], pids[1::2], strict=True):
        before = cpus_of(ours)
        assert before == cpus_of(theirs)
        reading = deck.read(processes=True)
        plan, by_hand = (deck.plan_of(reading, case.action, [str(pid)], case.values) for pid in (ours, theirs))
        job = deck.run(plan)
        assert job.status is Status.DONE, job.results
        run_commands(by_hand.steps)
        wait_until(partial(_is_left, theirs, case.left), "the command's effect", timeout=5)
        assert is_alive(ours) is case.left
        assert bool(job.entry.undo) is case.undo
        if not case.left:
            continue
        assert cpus_of(ours) == cpus_of(theirs) == bound(before, case.moved)
        assert deck.run(Plan("undo", "undo", deck.entry(job).undo)).status is Status.DONE
        run_commands(by_hand.undo_steps())
        assert cpus_of(ours) == cpus_of(theirs) == before


def _is_left(pid: int, left: bool) -> bool:
    return is_alive(pid) is left


THREADS = 5
"""Of a QEMU with two vCPUs and an I/O thread, started by hand: the others are its main loop and one that cleans up."""


def _spawn(lab: LabHost, number: int) -> int:
    return lab.spawn_unmanaged(f"by-hand-{number}", vcpus=2, arguments=["-S", "-object", "iothread,id=iothread1"])


def cpus_of(pid: int) -> dict[str, frozenset[int]]:
    """The CPUs of each thread of a process, by role; the one that cleans up bears the process's name or its own."""
    threads = {}
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            role = "emulator" if int(task.name) == pid else _role((task / "comm").read_text().strip())
            threads[role] = frozenset(os.sched_getaffinity(int(task.name)))
    return threads


def _role(name: str) -> str:
    kinds = {"CPU 0/TCG": "vcpu 0", "CPU 1/TCG": "vcpu 1", "IO iothread1": "iothread"}
    return kinds.get(name, "worker")


def bound(before: Mapping[str, frozenset[int]], role: str) -> dict[str, frozenset[int]]:
    """The threads as they are when those of one role, or all, may run on CPU 0 alone."""
    return {name: frozenset({0}) if name.startswith(role) else cpus for name, cpus in before.items()}


def test_a_role_that_has_no_thread_is_refused(lab: LabHost, deck: Deck) -> None:
    """A thread of vhost needs a kernel that has it."""
    pid = _spawn(lab, 99)
    wait_until(lambda: len(cpus_of(pid)) == THREADS, "the threads of QEMU")
    with pytest.raises(FieldError, match="has no vhost thread"):
        deck.plan("process.affinity", str(pid), role="vhost", cpus="0")


def test_every_action_and_every_value_has_a_twin() -> None:
    cases: list[tuple[str, Mapping[str, str]]] = [
        *((case.action, case.values) for case in CASES),
        *((action, values) for action, values, _marks in GUEST_CASES),
        ("domain.reset", {}),
        *((case.action, case.values) for case in PROCESS_CASES),
        ("process.affinity", {"role": "vhost"}),
        *tuning.ELSEWHERE,
        *nics.ELSEWHERE,
    ]
    # Those have twins of their own, in test_pools.py, test_volumes.py, test_network_twins.py and test_triage.py.
    here = [action for action in ACTIONS if action.id.partition(".")[0] not in ("pool", "volume", "network", "finding")]
    assert {action for action, _values in cases} == {action.id for action in here}
    for action in here:
        for asked in action.fields:
            wanted = ("no", "yes") if asked.kind is FieldKind.FLAG else asked.choices
            given = {values.get(asked.name, wanted[0]) for ident, values in cases if wanted and ident == action.id}
            assert given == set(wanted), f"{action.id} has no twin for every {asked.name}"


@pytest.mark.parametrize("broken", ["op", "command"])
def test_twins_notice_what_does_nothing(
    lab: LabHost, deck: Deck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "op":
        monkeypatch.setitem(ops._OPS, SetAutostart, lambda _request, _context: Outcome("done"))
    else:
        monkeypatch.setattr("tui.actions.lifecycle.virsh", lambda uri, *_words: ("virsh", "-c", uri, "uri"))
    monkeypatch.setattr("tests.lab.actions._SAME_S", 0.5)
    case = next(case for case in CASES if case.action == "domain.autostart")
    with pytest.raises(AssertionError, match="what virtdeck did is not what the command did"):
        try_case(lab, deck, tmp_path, case)
