"""vCPUs of real guests: what their own consoles say, what libvirt keeps of both sides, and what never comes about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import libvirt
import pytest

from tests.lab.actions import Deck, run_commands, virtdeck
from tests.lab.domain import Shape, blank_xml, element, text
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.screen_words import open_deck
from tui.actions.base import Context, FieldError
from tui.actions.undoing import undo_reason
from tui.model.journal import Asked, Status
from tui.model.plan import Plan
from tui.model.snapshot import HostSnapshot
from tui.model.unsettled import unsettled
from tui.runtime.jobs import Job

ONLINE = "cat /sys/devices/system/cpu/online"


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


def counts(lab: LabHost, name: str, uri: str | None = None) -> tuple[int | None, int | None]:
    """How many vCPUs a domain has, live and persistent, as libvirt tells; None for a side that is not there."""
    connection = libvirt.open(uri or lab.uri)
    try:
        found = connection.lookupByName(name)
        live = found.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_LIVE) if found.isActive() else None
        kept = found.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_CONFIG) if found.isPersistent() else None
        del found
        return live, kept
    finally:
        connection.close()


def inside(lab: LabHost, name: str) -> str:
    """The CPUs that the guest's kernel has online, by its console."""
    with lab.console(name) as console:
        status, output = console.run(ONLINE)
    assert status == 0
    return output


def test_what_is_plugged_is_seen_inside_the_guest(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name, vcpus=1, vcpus_max=4)
    assert inside(lab, name) == "0"
    job = deck.run(deck.plan("domain.vcpus", name, count="3"))
    assert job.status is Status.DONE, job.results
    lab.wait_console(name, "HOTPLUG add cpu", count=2)
    wait_until(lambda: inside(lab, name) == "0-2", "the guest to set them online")
    assert counts(lab, name) == (3, 3)
    assert [step.title for step in job.entry.undo] == [
        f"1 vCPU for {name} from the next boot on",
        f"1 vCPU for {name} now",
    ]


def test_the_agent_scales_down_and_up_inside_the_guest(lab: LabHost, deck: Deck, tmp_path: Path, name: str) -> None:
    lab.define_guest(name, vcpus=3, vcpus_max=4, agent=True)
    job = deck.run(deck.plan("domain.vcpus", name, count="1", via="agent"))
    assert job.status is Status.DONE, job.results
    assert inside(lab, name) in ("0", "1", "2")
    again = virtdeck(lab.uri, tmp_path, "do", "domain.vcpus", name, *set_("count=2", "via=agent"), "--plan")
    assert "undo sets 1 online again" in again.stdout, "the command line asks the agent too"
    assert counts(lab, name) == (3, 3), "the guest alone changes"
    assert deck.run(Plan("undo", "undo", deck.entry(job).undo)).status is Status.DONE
    assert inside(lab, name) == "0-2"
    with pytest.raises(FieldError, match=r"the guest of .* has 3"):
        deck.plan("domain.vcpus", name, count="4", via="agent")


def test_what_cannot_be_says_why_and_changes_nothing(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name, vcpus=2, vcpus_max=3, wait=False)
    off, full, alone = (lab.define_blank(f"{name}-{word}", start=word == "full").name for word in ("off", "full", "x"))
    for action, target, values, why in (
        ("domain.vcpus", name, {"count": "4"}, "count: the most .* now is 3; C raises it"),
        ("domain.vcpus", name, {"count": "4", "where": "persistent"}, "count: the most .* next boot is 3"),
        ("domain.vcpus", name, {"count": "0"}, "count: must be a number from 1 on"),
        ("domain.vcpus", name, {"count": "1", "where": "live"}, "count: the fewest .* now is 2: those it booted with"),
        ("domain.vcpus", name, {"count": "2"}, "count: .* has 2 already"),
        ("domain.vcpus", name, {"count": "1", "via": "agent"}, "via: .* has no agent channel"),
        ("domain.vcpus", off, {"count": "1", "where": "live"}, "where: .* is not running"),
        ("domain.vcpus", off, {"count": "1", "via": "agent"}, "via: .* is not running"),
        ("domain.vcpus-more", full, {}, "now it has all 1 of its maximum; .*; C raises it"),
        ("domain.vcpus-fewer", alone, {}, "has one, and vCPU 0 stays"),
        ("domain.vcpu-set", name, {"vcpus": "0", "state": "off"}, "vcpus: vCPU 0 stays on"),
        ("domain.vcpu-set", name, {"vcpus": "3"}, "vcpus: .* has vCPUs 0-2; C raises the maximum"),
        ("domain.vcpu-set", name, {"vcpus": "1", "state": "off"}, "vcpus: vCPU 1 of .* cannot go now"),
        ("domain.vcpu-set", name, {"vcpus": "1"}, "vcpus: 1 of .*: on already"),
        ("domain.vcpus-max", name, {"maximum": "3"}, "maximum: .* can have 3 already"),
        ("domain.vcpus-max", name, {"maximum": "4", "topology": "3:1:1:1"}, "3:1:1:1 makes 3 vCPUs, not 4"),
    ):
        with pytest.raises(FieldError, match=why):
            deck.plan(action, target, **values)
    assert counts(lab, name) == (2, 2)
    assert not deck.journal_file.exists()


def test_a_transient_domain_is_changed_as_it_runs(lab: LabHost, deck: Deck, name: str) -> None:
    with lab.connect() as connection:
        shape = Shape(name, vcpus=1, vcpus_max=2, machine="pc", memory_mib=16)
        connection.createXML(text(blank_xml(shape, lab.emulator)), 0)
    plan = deck.plan("domain.vcpus-more", name)
    assert [step.command[-1] for step in plan.steps] == ["--live"]
    assert deck.run(plan).status is Status.DONE
    assert counts(lab, name) == (2, None)
    for action, values in (("domain.vcpus", {"count": "1", "where": "persistent"}), ("domain.vcpus-max", {})):
        with pytest.raises(FieldError, match="transient"):
            deck.plan(action, name, **values)


def test_reading_only_refuses_it(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define(blank_xml(Shape(name, vcpus=1, vcpus_max=2), lab.emulator))
    for action, values in (("domain.vcpus-more", []), ("domain.vcpus", ["--set", "count=2"])):
        done = virtdeck(lab.uri, tmp_path, "--read-only", "do", action, name, *values, "--yes")
        assert done.returncode == 1
        assert "virtdeck runs with --read-only" in done.stderr
    assert counts(lab, name) == (None, 1)


def driver_xml(name: str, uuid: str, *, listed: bool) -> str:
    """A domain of the test driver with four vCPUs and six at most; `listed`: the last three of the four can go."""
    slots = [
        element("vcpu", id=str(n), enabled="yes" if n < 4 else "no", hotpluggable="yes" if n else "no")
        for n in range(6)
    ]
    parts = [
        element("name", text=name),
        element("uuid", text=uuid),
        element("memory", text="65536"),
        element("vcpu", text="6", current="4"),
        *([element("vcpus", *slots)] if listed else []),
        element("os", element("type", text="hvm")),
    ]
    return text(element("domain", *parts, type="test"))


@contextmanager
def driver_with(lab: LabHost, *names: str) -> Iterator[str]:
    """The URI of the test driver inside the lab's libvirtd, with running domains of those names; no emulated QEMU
    confirms an unplug, this driver does."""
    uri = lab.uri.replace("qemu+unix:///system", "test+unix:///default")
    connection = libvirt.open(uri)
    made = []
    for name in names:
        uuid = str(uuid4())
        made.append(connection.defineXML(driver_xml(name, uuid, listed=True)))
        made[-1].create()
        connection.defineXML(driver_xml(name, uuid, listed=False))
    try:
        yield uri
    finally:
        for domain in made:
            domain.destroy()
            domain.undefine()
        del domain
        made.clear()
        connection.close()


@pytest.mark.parametrize(
    ("action", "values", "after"),
    [
        ("domain.vcpus-more", {}, (5, 5)),
        ("domain.vcpus-fewer", {}, (3, 3)),
        ("domain.vcpus", {"count": "2"}, (2, 2)),
        ("domain.vcpus", {"count": "6", "where": "live"}, (6, 4)),
        ("domain.vcpus", {"count": "1", "where": "persistent"}, (4, 1)),
    ],
)
def test_undo_brings_back_both_sides(
    lab: LabHost, tmp_path: Path, name: str, action: str, values: dict[str, str], after: tuple[int, int]
) -> None:
    """Ours by the journal of a later session, the twin by the commands."""
    ours, theirs = f"{name}-a", f"{name}-b"
    with driver_with(lab, ours, theirs) as uri, Deck(uri, tmp_path) as deck:
        plan, by_hand = (deck.plan(action, target, **values) for target in (ours, theirs))
        job = deck.run(plan)
        assert job.status is Status.DONE, job.results
        run_commands(by_hand.steps)
        assert counts(lab, ours, uri) == counts(lab, theirs, uri) == after
        assert deck.run(Plan("undo", "undo", deck.entry(job).undo)).status is Status.DONE
        run_commands(by_hand.undo_steps())
        assert counts(lab, ours, uri) == counts(lab, theirs, uri) == (4, 4)


def squeezed(lab: LabHost, name: str, home: Path) -> None:
    """A guest that was plugged a second vCPU, and was asked to give it up by a session of virtdeck that then left."""
    lab.define_guest(name, vcpus=1, vcpus_max=4, agent=True)
    lab.virsh("setvcpus", name, "2", "--live")
    lab.wait_console(name, "HOTPLUG add cpu")
    done = virtdeck(
        lab.uri, home, "do", "domain.vcpus", name, *set_("count=1", "where=live"), "--yes", "--timeout", "8"
    )
    assert done.returncode == 1
    assert "still pending after 8 s: the guest has not given it up; plug none now" in done.stderr


def set_(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


def test_an_unplug_that_times_out_is_pending_and_never_plugged_again(
    lab: LabHost, deck: Deck, tmp_path: Path, name: str
) -> None:
    squeezed(lab, name, tmp_path)
    before = lab.qemu_pid(name)
    for action, more in (
        ("domain.vcpus-more", []),
        ("domain.vcpus", set_("count=3")),
        ("domain.vcpu-set", set_("vcpus=3", "state=on", "where=live")),
    ):
        done = virtdeck(lab.uri, tmp_path, "do", action, name, *more, "--yes")
        assert done.returncode != 0, done.stdout
        assert re.search(r"to plug (one would|may) kill", done.stderr), done.stderr
    # Another machine has no such journal; its op asks libvirt for the threads first.
    job = deck.run(deck.plan("domain.vcpus-more", name))
    assert job.status is Status.FAILED
    assert "given up a vCPU that libvirt still counts" in job.results[0].message
    assert counts(lab, name) == (2, 1), "neither side was changed"
    agent = virtdeck(lab.uri, tmp_path, "do", "domain.vcpus", name, *set_("count=1", "via=agent"), "--yes")
    assert lab.qemu_pid(name) == before, "its QEMU lives on"
    assert agent.returncode in (0, 1)
    lab.virsh("destroy", name)
    lab.virsh("start", name)
    lab.wait_ready(name)
    done = virtdeck(lab.uri, tmp_path, "do", "domain.vcpus-more", name, "--yes")
    assert done.returncode == 0, done.stderr
    assert counts(lab, name) == (2, 2)


def test_a_job_that_is_left_notes_what_is_open(lab: LabHost, deck: Deck, name: str) -> None:
    guest = lab.define_guest(name, vcpus=1, vcpus_max=4)
    lab.virsh("setvcpus", name, "2", "--live")
    lab.wait_console(name, "HOTPLUG add cpu")
    plan = deck.plan("domain.vcpus-fewer", name)
    assert [step.command[-1] for step in plan.steps] == ["--live"], "persistent it has one alone"
    jobs = deck.jobs()
    handle = jobs.run(plan)

    def pending() -> Job | None:
        job = handle.wait(0.1)
        return job if job.status is Status.PENDING else None

    wait_until(lambda: pending() is not None, "the job to be pending", timeout=20)
    seen = deck.read(processes=True)
    run = seen.domains[guest.uuid].id
    assert run is not None
    open_one = Asked(guest.uuid, run, 1, settled=False)
    [entry] = deck.journal().entries()
    assert (entry.status, entry.asked) == (Status.UNKNOWN, (open_one,)), "a session that reads it meanwhile"
    jobs.stop()
    assert handle.wait(20).status is Status.EXPIRED
    [entry] = deck.journal().entries()
    assert (entry.status, entry.asked) == (Status.EXPIRED, (open_one,))
    assert [step.title for step in entry.undo] == [f"2 vCPUs for {name} now"]
    left = unsettled([entry], seen)
    assert undo_reason(entry.undo, Context(seen, deck.kept, unsettled=left)) == left[guest.uuid]

    def by_threads(snapshot: HostSnapshot) -> bool:
        return "its QEMU has given up 1 vCPU" in unsettled([], snapshot).get(guest.uuid, "")

    assert deck.collector.board.wait(by_threads, 20), "no journal is needed where its threads can be seen"


def test_by_keys(lab: LabHost, tmp_path: Path, name: str) -> None:
    """Two key presses give a vCPU more; what a guest does not give back stays pending, over a restart too."""
    lab.define_guest(name, vcpus=1, vcpus_max=4)
    with open_deck(lab, tmp_path) as deck:
        deck.focus(name)
        deck.expect_row(name, r"running.* 1/4")
        deck.expect(r"\+.* vCPUs ")
        deck.press("+", "enter")
        deck.expect_row(name, r"running.* 2/4")
        lab.wait_console(name, "HOTPLUG add cpu")
        assert counts(lab, name) == (2, 2)
        deck.expect_toast(f"One vCPU more {name}: done")
        said = deck.act("-")
        assert "--config" in said
        deck.expect_toast("the guest has not given it up", timeout=30)
        deck.expect("Pending")
        assert counts(lab, name) == (2, 1)
        deck.press("+")
        deck.expect_toast("One vCPU more: .*to plug (one would|may) kill")
        assert not deck.dialog()
    with open_deck(lab, tmp_path) as deck:
        deck.focus(name)
        deck.expect("Pending", timeout=30)
        deck.press("+")
        deck.expect_toast("One vCPU more: .*to plug (one would|may) kill")
        assert not deck.dialog()
    assert lab.qemu_pid(name)
    assert counts(lab, name) == (2, 1)


@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])
def test_the_tab_shows_what_the_guest_has(lab: LabHost, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    lab.define_guest(name, vcpus=3, vcpus_max=4, agent=True)
    with open_deck(lab, tmp_path, size=size) as deck:
        deck.focus(name)
        if size[0] < 110:
            deck.press("enter")
            deck.expect("^Name ")
        deck.press("]")
        deck.expect("In the guest +3 online of 3")
        deck.expect(r"2 +(running|blocked) +\d+ ")
        deck.act("c", count="1", where="both", via="agent")
        deck.expect("In the guest +1 online of 3: [012]")
        deck.expect("vCPUs +3 of 4")
