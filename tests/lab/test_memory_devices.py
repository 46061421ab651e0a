"""DIMMs and virtio-mem in real guests: what they get they see, what they keep is said, what cannot be is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.lab.actions import Deck, Seen, look
from tests.lab.console import Console
from tests.lab.domain import Shape, blank_xml, text
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tui.actions.base import Context, FieldError
from tui.actions.undoing import undo_plan
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.ops import memory_devices as ops
from tui.runtime.jobs import Job, Jobs

_DIMM = "<memory model='dimm'"
_VIRTIO = "<memory model='virtio-mem'"


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


def seen(lab: LabHost, name: str) -> Seen:
    """What there is of a domain."""
    with lab.connect() as connection:
        uuid = connection.lookupByName(name).UUIDString()
    return look(lab, name, uuid)


def counts(lab: LabHost, name: str, start: str) -> tuple[int, int]:
    """How often words are in the live and in the persistent XML."""
    there = seen(lab, name)
    return there.live.count(start), there.config.count(start)


def total_mib(console: Console) -> int:
    """The memory that the guest's kernel has, in MiB; the guest tells of its memory blocks in between."""
    for _ in range(20):
        output = console.run('awk \'/MemTotal/ { print "total", int($2 / 1024), "MiB" }\' /proc/meminfo')[1]
        if found := re.search(r"^total (\d+) MiB$", output, re.MULTILINE):
            return int(found[1])
    raise AssertionError(f"the guest does not say what memory it has: {output!r}")


def has_mib(console: Console, least: int, most: int) -> bool:
    """Whether the guest's kernel has that much memory."""
    return least <= total_mib(console) <= most


def done(job: Job) -> Job:
    """The job, which must have come to its end."""
    assert job.status is Status.DONE, job.results
    return job


def undo(deck: Deck, job: Job) -> Job:
    """Take it back as a later session does."""
    return done(deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id))


def test_a_dimm_is_seen_by_the_guest_and_leaves_it_again(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name, memory_mib=128, max_memory_mib=512)
    before = seen(lab, name)
    with lab.console(name) as console:
        mib = total_mib(console)
        job = done(deck.run(deck.plan("domain.memory-attach", name, size="256M")))
        assert counts(lab, name, _DIMM) == (1, 1)
        assert counts(lab, name, "<alias name='ua-dimm0'/>") == (1, 1)
        wait_until(lambda: has_mib(console, mib + 200, mib + 260), "the guest to see the DIMM", timeout=20)
        undo(deck, job)
        assert seen(lab, name) == before
        wait_until(lambda: has_mib(console, mib, mib), "the guest to be without it", timeout=20)


def test_the_file_of_the_command_is_kept_for_its_owner_alone(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define(blank_xml(Shape(name=name, machine="pc", memory_mib=16, max_memory_mib=512), lab.emulator))
    plan = deck.plan("domain.memory-attach", name, size="128M")
    done(deck.run(plan))
    (step,) = plan.steps
    file = Path(step.command[-2])
    assert step.command[-4:] == ("attach-device", name, str(file), "--config")
    assert file.parent == deck.kept
    assert file.stat().st_mode & 0o777 == 0o600
    assert ET.parse(file).findtext("target/size") == str(128 * 1024)


def test_virtio_mem_grows_and_shrinks_with_its_guest(lab: LabHost, deck: Deck, name: str) -> None:
    """QEMU of this lab does not unplug it: that is said, and nothing is changed by it."""
    lab.define_guest(name, memory_mib=128, max_memory_mib=1024)
    with lab.console(name) as console:
        assert console.run("modload virtio_mem")[0] == 0
        mib = total_mib(console)
        plan = deck.plan("domain.memory-attach", name, model="virtio-mem", size="512M", requested="256M")
        job = done(deck.run(plan))
        wait_until(lambda: has_mib(console, mib + 200, mib + 260), "the guest to follow", timeout=20)
        assert counts(lab, name, "<requested unit='KiB'>262144<") == (1, 1)
        done(deck.run(deck.plan("domain.memory-resize", name, size="+128M")))
        wait_until(lambda: has_mib(console, mib + 330, mib + 390), "the guest to follow", timeout=20)
        with pytest.raises(FieldError, match=r"the guest has 384M of ua-virtiomem0; resize it to 0 first \(z\)"):
            deck.plan("domain.memory-detach", name)
        undo(deck, job)
        wait_until(lambda: has_mib(console, mib, mib), "the guest to follow", timeout=20)
    assert counts(lab, name, _VIRTIO) == (1, 0)
    refused = deck.run(deck.plan("domain.memory-detach", name))
    assert refused.status is Status.FAILED
    assert "cannot be unplugged" in refused.results[0].message
    assert refused.results[0].hint.startswith("This QEMU cannot unplug virtio-mem while it runs")
    assert counts(lab, name, _VIRTIO) == (1, 0)


def test_a_guest_without_the_driver_is_pending_until_it_has_it(
    lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "RESIZE_PATIENCE_S", 0.2)
    lab.define_guest(name, memory_mib=128, max_memory_mib=1024)
    plan = deck.plan("domain.memory-attach", name, model="virtio-mem", size="128M")
    told = Told(deck, plan)
    wait_until(lambda: "still pending" in told.line, "the job to say that the guest has not followed", timeout=20)
    assert "no virtio_mem driver" in told.line
    assert counts(lab, name, _VIRTIO) == (1, 1)
    with lab.console(name) as console:
        assert console.run("modload virtio_mem")[0] == 0
    done(told.ended())


class Told:
    """A job under way, and what it last reported."""

    def __init__(self, deck: Deck, plan: Plan) -> None:
        self._reports: list[Job] = []
        self._jobs = Jobs(deck.collector, deck.journal(), deck.uri, deck.collector.nudge, self._reports.append)
        self._run = self._jobs.run(plan)

    @property
    def line(self) -> str:
        """The last report, in a line."""
        return " ".join(result.entry_line for result in self._reports[-1].results)

    def ended(self) -> Job:
        """The job once it has ended."""
        job = self._run.wait(60)
        self._jobs.stop()
        return job


def test_a_guest_that_is_paused_gives_nothing_up_until_it_runs(
    lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "DETACH_PATIENCE_S", 0.2)
    lab.define_guest(name, memory_mib=128, max_memory_mib=512)
    with lab.console(name) as console:
        mib = total_mib(console)
        done(deck.run(deck.plan("domain.memory-attach", name, size="128M")))
        wait_until(lambda: has_mib(console, mib + 100, mib + 130), "the guest to see the DIMM", timeout=20)
    lab.virsh("suspend", name)
    told = Told(deck, deck.plan("domain.memory-detach", name))
    wait_until(lambda: "still pending" in told.line, "the job to say that the guest keeps it", timeout=20)
    assert "the guest has not given the memory up" in told.line
    assert counts(lab, name, _DIMM) == (1, 0), "its next boot does not wait for that"
    lab.virsh("resume", name)
    done(told.ended())
    assert counts(lab, name, _DIMM) == (0, 0)


def test_a_guest_that_refuses_is_said_to_and_its_next_boot_can_be_put_back(lab: LabHost, deck: Deck, name: str) -> None:
    """What its kernel itself lies in cannot be freed: here what it knows of many folders."""
    lab.define_guest(name, memory_mib=128, max_memory_mib=512)
    with lab.console(name) as console:
        mib = total_mib(console)
        assert console.run("echo online_kernel > /sys/devices/system/memory/auto_online_blocks")[0] == 0
        done(deck.run(deck.plan("domain.memory-attach", name, size="128M")))
        wait_until(lambda: has_mib(console, mib + 100, mib + 130), "the guest to see the DIMM", timeout=20)
        many = "mount -t tmpfs t /mnt; i=0; while [ $i -lt 3000 ]; do mkdir /mnt/$i; i=$((i+1)); done"
        assert console.run(many, timeout=90)[0] == 0
    before = seen(lab, name)
    job = deck.run(deck.plan("domain.memory-detach", name))
    assert job.status is Status.FAILED
    later, result = job.results
    assert later.status is Status.DONE
    assert "accepted, but it came to nothing" in result.message
    assert "it still uses it" in result.hint
    assert counts(lab, name, _DIMM) == (1, 0)
    plan = undo_plan(deck.entry(job), Context(deck.read(), deck.kept))
    assert plan.notes == (f"{name}: it still has ua-dimm0",)
    done(deck.run(plan, job.entry.id))
    assert seen(lab, name) == before


def test_slots_for_the_next_boot_can_be_used_then(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_guest(name, memory_mib=128)
    with pytest.raises(FieldError, match="it has no memory slots; L adds what is missing for the next boot"):
        deck.plan("domain.memory-attach", name)
    before = seen(lab, name)
    job = done(deck.run(deck.plan("domain.memory-slots", name, max="1G", slots="2")))
    assert counts(lab, name, "<maxMemory slots='2' unit='KiB'>1048576<") == (0, 1)
    assert counts(lab, name, "<cell id='0' cpus='0' memory='131072' unit='KiB'/>") == (0, 1)
    lab.virsh("desc", name, "--config", "--title", "theirs")
    undo(deck, job)
    assert counts(lab, name, "<title>theirs</title>") == (0, 1)
    lab.virsh("desc", name, "--config", "--title", "")
    assert seen(lab, name) == before
    done(deck.run(deck.plan("domain.memory-slots", name, max="1G", slots="2")))
    with pytest.raises(FieldError, match="where: now: it has no memory slots; choose persistent"):
        deck.plan("domain.memory-attach", name, size="128M")
    lab.virsh("destroy", name)
    lab.virsh("start", name)
    lab.wait_ready(name)
    with lab.console(name) as console:
        mib = total_mib(console)
        done(deck.run(deck.plan("domain.memory-attach", name, size="128M")))
        wait_until(lambda: has_mib(console, mib + 100, mib + 130), "the guest to see the DIMM", timeout=20)


def test_what_cannot_be_plugged_is_refused_and_changes_nothing(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define(blank_xml(Shape(name=name, machine="pc", memory_mib=16, max_memory_mib=512), lab.emulator), start=True)
    before = seen(lab, name)
    for values, said in WRONG:
        with pytest.raises(FieldError) as caught:
            deck.plan("domain.memory-attach", name, **values)
        assert str(caught.value) == said
    for _ in range(3):
        done(deck.run(deck.plan("domain.memory-attach", name, size="128M", where="persistent")))
    with pytest.raises(
        FieldError, match=r"from the next boot on: it is less than 128M below its maximum of 512M, and .*; choose live"
    ):
        deck.plan("domain.memory-attach", name, size="128M", where="persistent", node="0")
    lab.virsh("undefine", name)
    with pytest.raises(FieldError, match="it is transient: it has no next boot"):
        deck.plan("domain.memory-slots", name)
    assert seen(lab, name).live == before.live


WRONG = (
    ({"size": "100M"}, "size: guests take memory in blocks of 128M; give a multiple of that"),
    ({"size": "0"}, "size: guests take memory in blocks of 128M; give a multiple of that"),
    ({"size": "lots"}, "size: 'lots' is no amount of memory such as 1.5G, 512M, +256M or 50%"),
    ({"size": "512M"}, "size: now only 496M more fit below its maximum of 512M"),
    ({"size": "128M", "node": "1"}, "node: the guest has the NUMA nodes 0"),
    ({"size": "128M", "node": "x"}, "node: 'x' is no number"),
    (
        {"size": "128M", "model": "virtio-mem", "block": "3M"},
        "block: must be 2M, 4M, 8M and so on, and the size a multiple of it",
    ),
    (
        {"size": "128M", "model": "virtio-mem", "requested": "3M"},
        "requested: must be a multiple of its block, 2.0M",
    ),
    ({"size": "128M", "model": "virtio-mem", "requested": "129M"}, "requested: must be from 0 to 128M"),
)


def test_libvirt_itself_would_have_taken_what_the_guest_cannot_use(lab: LabHost, name: str) -> None:
    """Why a size that is no multiple of the guest's blocks is refused here: nobody else does."""
    lab.define(blank_xml(Shape(name=name, machine="pc", memory_mib=16, max_memory_mib=512), lab.emulator), start=True)
    with lab.connect() as connection:
        device = text(
            ET.fromstring("<memory model='dimm'><target><size unit='MiB'>100</size><node>0</node></target></memory>")
        )
        connection.lookupByName(name).attachDeviceFlags(device, 1)
    assert counts(lab, name, _DIMM) == (1, 0)


def test_slots_that_are_all_taken(lab: LabHost, deck: Deck, name: str) -> None:
    root = blank_xml(Shape(name=name, machine="pc", memory_mib=16, max_memory_mib=2048), lab.emulator)
    ceiling = root.find("maxMemory")
    assert ceiling is not None
    ceiling.set("slots", "1")
    lab.define(root)
    done(deck.run(deck.plan("domain.memory-attach", name, size="128M")))
    before = seen(lab, name)
    with pytest.raises(FieldError, match="all 1 memory slots are taken; L adds what is missing for the next boot"):
        deck.plan("domain.memory-attach", name, size="128M")
    with pytest.raises(FieldError, match="slots: must be from 1 to 256"):
        deck.plan("domain.memory-slots", name, slots="0")
    with pytest.raises(FieldError, match=r"slots: it has 1 slots and a maximum of 2\.0G already"):
        deck.plan("domain.memory-slots", name, slots="1", max="2G")
    with pytest.raises(FieldError, match="max: it has 144M already: the maximum must be 128M more at least"):
        deck.plan("domain.memory-slots", name, max="256M")
    with pytest.raises(FieldError, match=r"device: no nonsense there; it has: ua-dimm0 \(128M\)"):
        deck.plan("domain.memory-detach", name, device="nonsense")
    with pytest.raises(FieldError, match="it has no virtio-mem; a DIMM has one size"):
        deck.plan("domain.memory-resize", name)
    assert seen(lab, name) == before
