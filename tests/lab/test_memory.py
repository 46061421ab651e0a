"""Memory of real guests: the balloon goes down and up and the guest's own `free` follows; what cannot be is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tests.lab.actions import Deck
from tests.lab.console import Console
from tests.lab.domain import Shape, blank_xml
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.screen_words import open_deck
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError
from tui.model.domain import Domain
from tui.model.journal import Status
from tui.model.plan import Confirm, Plan
from tui.model.snapshot import HostSnapshot
from tui.runtime.jobs import Job, Jobs

MIB = 1024
MAXIMUM = 128
_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


def booted(lab: LabHost, name: str) -> None:
    """A guest of 128 MiB with its balloon's driver and statistics."""
    lab.define_guest(name, memory_mib=MAXIMUM)


def blank(lab: LabHost, name: str, model: str, *, start: bool = True) -> None:
    """A domain without an operating system and with a balloon device of a model."""
    root = blank_xml(Shape(name=name, memory_mib=MAXIMUM, machine="pc"), lab.emulator)
    device = root.find("devices/memballoon")
    assert device is not None
    device.set("model", model)
    lab.define(root, start=start)


def current(lab: LabHost, name: str) -> tuple[int, int]:
    """MiB of `<currentMemory>`, live (or of what is off) and persistent."""
    with lab.connect() as connection:
        found = connection.lookupByName(name)
        sides = (found.XMLDesc(0), found.XMLDesc(_INACTIVE))
    match = [re.search(r"<currentMemory unit='KiB'>(\d+)<", xml) for xml in sides]
    live, persistent = (int(one[1]) // MIB for one in match if one)
    return live, persistent


def xml(lab: LabHost, name: str) -> tuple[str, str]:
    """Both XMLs, whole."""
    with lab.connect() as connection:
        found = connection.lookupByName(name)
        return found.XMLDesc(0), found.XMLDesc(_INACTIVE)


def last_report(lab: LabHost, name: str) -> int:
    """When the guest's balloon driver reported last, seconds since the epoch."""
    with lab.connect() as connection:
        return int(connection.lookupByName(name).memoryStats()["last_update"])


def guest_mib(console: Console) -> int:
    """What the guest's own `free` says that it has in all."""
    status, said = console.run("free -k")
    assert status == 0
    found = re.search(r"Mem:\s+(\d+)", said)
    assert found is not None
    return int(found[1]) // MIB


def wait_guest(console: Console, low: int, high: int) -> int:
    """Wait until the guest's own `free` says so many MiB."""
    wait_until(lambda: low <= guest_mib(console) <= high, f"free to say {low} to {high} MiB", timeout=20)
    return guest_mib(console)


def seen_with_usage(deck: Deck, name: str) -> HostSnapshot:
    """A reading with what the guest says that it uses."""
    deck.read()

    def told(seen: HostSnapshot) -> bool:
        found = [seen.usage.get(key) for key, domain in seen.domains.items() if domain.raw_name == name]
        return bool(found and found[0] and found[0].usable_kib is not None)

    board = deck.collector.board
    assert board.wait(told, 20), board.snapshot.usage
    return board.snapshot


def domain_of(seen: HostSnapshot, name: str) -> Domain:
    return next(domain for domain in seen.domains.values() if domain.raw_name == name)


def reason(deck: Deck, action: str, name: str) -> str | None:
    seen = deck.read()
    return BY_ID[action].reason(Context(seen, deck.kept), domain_of(seen, name))


def pending(job: Job) -> str:
    """What a job says that the host has yet to comply with; "" when nothing."""
    return next((result.hint for result in job.results if result.status is Status.PENDING), "")


def start(deck: Deck, plan: Plan) -> tuple[Jobs, Job]:
    """Carry out a plan until the guest is said not to comply; the jobs are to be stopped."""
    jobs = deck.jobs()
    run = jobs.run(plan)
    wait_until(lambda: pending(run.job) != "", "the job to say that the guest did not comply", timeout=20)
    return jobs, run.job


def test_down_and_up_with_the_guests_own_free(lab: LabHost, deck: Deck, name: str) -> None:
    booted(lab, name)
    with lab.console(name) as console:
        whole = guest_mib(console)
        down = deck.run(deck.plan("domain.memory", name, amount="96M"))
        assert down.status is Status.DONE, down.results
        assert [step.title for step in down.plan.steps] == [
            f"give {name} 96M instead of 128M from the next boot on",
            f"give {name} 96M instead of 128M now",
        ]
        assert current(lab, name) == (96, 96)
        assert wait_guest(console, whole - 33, whole - 31) < whole
        up = deck.run(deck.plan("domain.memory", name, amount="+16M", where="live"))
        assert up.status is Status.DONE, up.results
        assert current(lab, name) == (112, 96)
        wait_guest(console, whole - 17, whole - 15)
        for entry in (deck.entry(up), deck.entry(down)):
            undone = deck.run(Plan("undo", "undo", entry.undo), entry.id)
            assert undone.status is Status.DONE, undone.results
        assert current(lab, name) == (MAXIMUM, MAXIMUM)
        wait_guest(console, whole, whole)


def test_steps_by_key_stop_at_what_the_guest_needs(lab: LabHost, deck: Deck, name: str) -> None:
    booted(lab, name)
    action = BY_ID["domain.memory-less"]
    for _ in range(8):
        seen = seen_with_usage(deck, name)
        why = action.reason(Context(seen, deck.kept), domain_of(seen, name))
        if why is not None:
            break
        plan = deck.plan_of(seen, action.id, [name], {})
        assert plan.confirm is Confirm.NONE
        assert deck.run(plan).status is Status.DONE
    assert why is not None
    assert "is the least it should have" in why
    live, persistent = current(lab, name)
    assert 64 <= live < MAXIMUM
    assert persistent == 64
    with lab.console(name) as console:
        assert console.run("echo lives")[1] == "lives"


def test_above_the_maximum_is_refused_with_the_numbers(lab: LabHost, deck: Deck, name: str) -> None:
    blank(lab, name, "virtio")
    before = xml(lab, name)
    for where, word in (("live", "now"), ("persistent", "at the next boot")):
        with pytest.raises(FieldError) as refused:
            deck.plan("domain.memory", name, amount="129M", where=where)
        assert str(refused.value) == (
            f"amount: the most {name} can have {word} is 128M, and 129M is more; B raises it for the next boot"
        )
    assert reason(deck, "domain.memory-more", name) == (
        "now it has all 128M of its maximum; from the next boot on it has all 128M of its maximum; "
        "B raises it for the next boot"
    )
    assert xml(lab, name) == before
    with lab.connect() as connection, pytest.raises(libvirt.libvirtError) as said:
        connection.lookupByName(name).setMemoryFlags(129 * MIB, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert said.value.get_error_code() == libvirt.VIR_ERR_INVALID_ARG


def test_without_a_balloon_device_it_says_so(lab: LabHost, deck: Deck, name: str) -> None:
    blank(lab, name, "none")
    before = xml(lab, name)
    for action in ("memory", "memory-more", "memory-less", "memory-stats"):
        assert reason(deck, f"domain.{action}", name) == "it has no balloon device"
        with pytest.raises(FieldError, match="it has no balloon device"):
            deck.plan(f"domain.{action}", name)
    assert xml(lab, name) == before


def test_a_guest_without_a_driver_does_not_give_it_and_says_so(
    lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.ops.memory.BALLOON_PATIENCE_S", 1.0)
    booted(lab, name)
    with lab.console(name) as console:
        assert console.run("rmmod virtio_balloon")[0] == 0
        whole = guest_mib(console)
        jobs, job = start(deck, deck.plan("domain.memory", name, amount="112M", where="live"))
        assert pending(job) == (
            "the guest did not give it: it has 128M, not 112M; no balloon driver, or nothing to spare"
        )
        assert current(lab, name) == (MAXIMUM, MAXIMUM)
        jobs.stop()
        # A driver that comes later obeys what was asked last.
        back = deck.run(deck.plan("domain.memory", name, amount="128M", where="live"))
        assert back.status is Status.DONE, back.results
        assert console.run("modload virtio_balloon")[0] == 0
        assert guest_mib(console) == whole
    assert current(lab, name) == (MAXIMUM, MAXIMUM)


def test_a_guest_that_is_gone_before_it_gave_it(lab: LabHost, deck: Deck, name: str) -> None:
    blank(lab, name, "virtio")
    plan = deck.plan("domain.memory", name, amount="96M", where="live")
    jobs = deck.jobs()
    run = jobs.run(plan)
    wait_until(lambda: any("asked for" in result.message for result in run.job.results), "it to be asked", timeout=20)
    lab.virsh("destroy", name)
    job = run.wait(20)
    jobs.stop()
    assert job.status is Status.FAILED
    assert job.results[0].hint == "it stopped before the guest did it"


def test_libvirt_takes_8_mib_and_virtdeck_asks_for_the_name(lab: LabHost, deck: Deck, name: str) -> None:
    blank(lab, name, "virtio")
    assert lab.virsh("setmem", name, "8MiB", "--live").returncode == 0
    for where in ("live", "persistent"):
        plan = deck.plan("domain.memory", name, amount="8M", where=where)
        assert (plan.confirm, plan.phrase) == (Confirm.TYPE, name)
        assert "kills processes for want of memory, or panics" in plan.losses()[0]
    plan = deck.plan("domain.memory", name, amount="64M")
    assert (plan.confirm, plan.losses()) == (Confirm.NONE, [])


def test_the_floor_is_what_the_guest_needs(lab: LabHost, deck: Deck, name: str) -> None:
    booted(lab, name)
    seen = seen_with_usage(deck, name)
    squeezed = deck.plan_of(seen, "domain.memory", [name], {"amount": "66M", "where": "live"})
    assert (squeezed.confirm, squeezed.phrase) == (Confirm.TYPE, name)
    assert re.search(r"it needs about \d+\.\dM$", squeezed.losses()[0])
    spared = deck.plan_of(seen, "domain.memory", [name], {"amount": "112M", "where": "live"})
    assert spared.confirm is Confirm.NONE
    later = deck.plan_of(seen, "domain.memory", [name], {"amount": "66M", "where": "persistent"})
    assert later.confirm is Confirm.NONE


def test_the_maximum_changes_at_the_next_boot_alone(lab: LabHost, deck: Deck, name: str) -> None:
    blank(lab, name, "virtio")
    live = xml(lab, name)[0]
    plan = deck.plan("domain.memory-max", name, maximum="96M")
    assert [step.command[3] for step in plan.steps] == ["setmem", "setmaxmem"]
    assert plan.notes == (f"{name}: a maximum changes only at a boot; it keeps 128M until then",)
    assert deck.run(plan).status is Status.DONE
    assert xml(lab, name)[0] == live
    assert current(lab, name) == (MAXIMUM, 96)
    flags = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_MEM_MAXIMUM
    with lab.connect() as connection, pytest.raises(libvirt.libvirtError) as said:
        connection.lookupByName(name).setMemoryFlags(96 * MIB, flags)
    assert said.value.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID


def test_a_maximum_among_numa_cells_says_why_not(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name, memory_mib=MAXIMUM, max_memory_mib=512, start=False)
    why = reason(deck, "domain.memory-max", name)
    assert why == "its memory is divided among NUMA cells; edit its XML, or plug a memory device"
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_MEM_MAXIMUM
    with lab.connect() as connection, pytest.raises(libvirt.libvirtError, match="NUMA") as said:
        connection.lookupByName(name).setMemoryFlags(256 * MIB, flags)
    assert said.value.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID


def test_statistics_are_switched_on_and_come(lab: LabHost, deck: Deck, name: str) -> None:
    booted(lab, name)
    lab.virsh("dommemstat", name, "--period", "0", "--live")
    off = deck.plan("domain.memory", name, amount="112M", where="live")
    words = "its memory statistics are off, so what it needs is not sure; S switches them on"
    assert f"{name}: {words}" in off.notes
    before = last_report(lab, name)
    job = deck.run(deck.plan("domain.memory-stats", name, period="1", where="live"))
    assert job.status is Status.DONE, job.results
    assert "<stats period='1'/>" in xml(lab, name)[0]
    wait_until(lambda: last_report(lab, name) > before, "the guest to report again", timeout=20)
    undone = deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id)
    assert undone.status is Status.DONE
    assert "<stats " not in xml(lab, name)[0]


def test_by_keys(lab: LabHost, tmp_path: Path, name: str) -> None:
    booted(lab, name)
    lab.virsh("setmem", name, "96MiB", "--live", "--config")
    wait_until(lambda: current(lab, name) == (96, 96), "the balloon to be blown up", timeout=20)
    with open_deck(lab, tmp_path) as deck:
        deck.focus(name)
        deck.expect_row(name, "96.0M/128M")
        said = deck.act("b", amount="+32M")
        assert f"setmem {name} 131072KiB --live" in said
        deck.expect_toast(f"Set memory {name}: done")
        assert current(lab, name) == (MAXIMUM, MAXIMUM)
        deck.expect_row(name, "128M/128M")
        deck.act("{")
        deck.expect_row(name, "112M/128M")
        deck.expect_toast(f"A step less memory {name}: done")
        assert current(lab, name) == (112, 112)
        deck.press("b")
        deck.expect_dialog("esc cancel")
        deck.press("end", "ctrl+u")
        deck.terminal.type("8M")
        said = deck.expect_dialog(f"type {name} and press enter")
        assert "for want of memory, or panics" in " ".join(said.split())
        deck.press("enter")
        deck.terminal.type("yes\r")
        assert deck.expect_dialog(f"type {name} and press enter")
        deck.press("escape")
        deck.expect_no_dialog()
        assert current(lab, name) == (112, 112)
        deck.press("]", "]")
        deck.expect("█ in use +[0-9.]+M +▅ free +[0-9.]+M")
        deck.expect("▁ not given +16.0M")
        deck.expect("Actual +112M")
        deck.expect("Reported +just now")
