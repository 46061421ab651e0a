"""Disks of real guests: what is attached they see, what grows they see grow, what is detached is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tests.lab.actions import Deck
from tests.lab.disk_words import StorageDeck, boot, done, expect_sectors, holds, seen, undo
from tests.lab.domain import disk_xml, element
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.screen_words import open_deck
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.plan import Confirm, Plan
from tui.ops import disks as ops
from tui.runtime.jobs import Job, Jobs


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture
def pool(lab: LabHost, name: str) -> str:
    """A pool with the qcow2 volume `new` of 16 MiB."""
    folder = lab.images / name
    folder.mkdir()
    lab.virsh("pool-create-as", f"pool-{name}", "dir", "--target", str(folder))
    lab.virsh("vol-create-as", f"pool-{name}", "new", "16M", "--format", "qcow2")
    return f"pool-{name}"


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_a_new_volume_is_seen_grown_and_gone_again(
    lab: LabHost, deck: Deck, name: str, pool: str, machine: str
) -> None:
    root = lab.create_image(f"{name}.qcow2", size_mib=8)
    boot(lab, name, machine, disk_xml(root, "vda"))
    with lab.console(name) as console:
        expect_sectors(console, "vda", 8 * 2048)
        plan = deck.plan("domain.disk-attach", name, source=f"{pool}/new")
        assert [step.title for step in plan.steps] == [
            f"attach {lab.images / name / 'new'} (qcow2) to {name} as vdb {when}"
            for when in ("now", "from the next boot on")
        ]
        done(deck.run(plan))
        expect_sectors(console, "vdb", 16 * 2048)
        grow = deck.plan("domain.disk-resize", name, device="vdb", size="+16M")
        assert any("growpart /dev/vdb 1 and resize2fs /dev/vdb1" in note for note in grow.notes)
        job = done(deck.run(grow))
        assert not job.entry.undo
        expect_sectors(console, "vdb", 32 * 2048)
        leave = deck.plan("domain.disk-detach", name, device="vdb")
        assert leave.confirm is Confirm.ASK
        assert any("unmount it in the guest first" in note for note in leave.notes)
        job = done(deck.run(leave))
        expect_sectors(console, "vdb", 0)
        there = seen(lab, name)
        assert "vdb" not in there.live
        assert "vdb" not in there.config
        undo(deck, job)
        expect_sectors(console, "vdb", 32 * 2048)
        assert seen(lab, name).config.count("<target dev='vdb'") == 1


def test_the_medium_of_a_cdrom_is_changed_and_ejected(lab: LabHost, deck: Deck, name: str) -> None:
    one, two = (lab.create_image(f"{name}-{size}.iso", size_mib=size, kind="raw") for size in (1, 2))
    drive = disk_xml(one, "sda", bus="sata", kind="raw")
    drive.set("device", "cdrom")
    lab.define_guest(name, devices=[drive])
    plan = deck.plan("domain.media", name, source=str(two))
    assert [" ".join(step.command[3:]) for step in plan.steps] == [
        f"change-media {name} sda {two} --update {side}" for side in ("--live", "--config")
    ]
    job = done(deck.run(plan))
    assert holds(lab, name, two) == (True, True)
    undo(deck, job)
    assert holds(lab, name, one) == (True, True)
    done(deck.run(deck.plan("domain.media", name, where="live")))
    assert holds(lab, name, one) == (False, True)
    with pytest.raises(FieldError, match="source: sda is empty already"):
        deck.plan("domain.media", name, where="live")


def test_a_tray_that_the_guest_locked_is_told_and_can_be_forced(lab: LabHost, deck: Deck, name: str) -> None:
    image = lab.create_image(f"{name}.iso", size_mib=1, kind="raw")
    drive = disk_xml(image, "sda", bus="scsi", kind="raw")
    drive.set("device", "cdrom")
    lab.define_guest(name, devices=[element("controller", type="scsi", model="virtio-scsi"), drive])
    with lab.console(name) as console:
        wait_until(lambda: console.run("ls /dev/sr0")[0] == 0, "the guest to have its drive", timeout=20)
        assert console.run("exec 9</dev/sr0")[0] == 0
        job = deck.run(deck.plan("domain.media", name, where="live"))
        assert job.status is Status.FAILED
        (result,) = job.results
        assert result.code == libvirt.VIR_ERR_OPERATION_FAILED
        assert "The guest has locked the tray: unmount the medium there, or force it." in result.entry_line
        assert holds(lab, name, image) == (True, True)
        forced = deck.plan("domain.media", name, where="live", force="yes")
        assert forced.confirm is Confirm.ASK
        assert "--force" in forced.steps[0].command
        done(deck.run(forced))
        assert holds(lab, name, image) == (False, True)


def test_a_disk_is_limited_and_the_limit_lifted(lab: LabHost, deck: Deck, name: str) -> None:
    image = lab.create_image(f"{name}.qcow2")
    boot(lab, name, "pc", disk_xml(image, "vda"))
    before = seen(lab, name).config
    job = done(deck.run(deck.plan("domain.disk-tune", name, device="vda", read_iops="50", write_bytes="1M")))
    there = seen(lab, name)
    for words in ("<read_iops_sec>50<", "<write_bytes_sec>1048576<"):
        assert (there.live.count(words), there.config.count(words)) == (1, 1)
    said = lab.virsh("qemu-monitor-command", name, '{"execute":"query-block"}').stdout
    assert '"iops_rd":50' in said
    with pytest.raises(FieldError, match="libvirt takes a total or read_iops, not both"):
        deck.plan("domain.disk-tune", name, device="vda", total_iops="70")
    with pytest.raises(FieldError, match="it has these limits already"):
        deck.plan("domain.disk-tune", name, device="vda", read_iops="50")
    undo(deck, job)
    assert seen(lab, name).config == before
    assert '"iops_rd":50' not in lab.virsh("qemu-monitor-command", name, '{"execute":"query-block"}').stdout


def test_a_guest_that_does_not_run_keeps_its_disk_until_it_does(
    lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "DETACH_PATIENCE_S", 0.2)
    image = lab.create_image(f"{name}.qcow2")
    boot(lab, name, "pc", disk_xml(image, "vda"))
    lab.virsh("suspend", name)
    plan = deck.plan("domain.disk-detach", name, where="live")
    reports: list[Job] = []
    jobs = Jobs(deck.collector, deck.journal(), deck.uri, deck.collector.nudge, reports.append)
    handle = jobs.run(plan)

    def told() -> str:
        return " ".join(result.entry_line for result in reports[-1].results) if reports else ""

    wait_until(lambda: "still pending" in told(), "the job to say that the guest keeps it", timeout=30)
    assert "the guest has not given the disk up" in told()
    assert "<target dev='vda'" in seen(lab, name).live
    lab.virsh("resume", name)
    done(handle.wait(60))
    jobs.stop()
    assert "<target dev='vda'" not in seen(lab, name).live


def test_undo_leaves_a_disk_that_came_in_between(lab: LabHost, deck: Deck, name: str) -> None:
    mine, theirs = (lab.create_image(f"{name}-{who}.qcow2") for who in ("mine", "theirs"))
    lab.define_blank(name)
    job = done(deck.run(deck.plan("domain.disk-attach", name, source=str(mine))))
    lab.virsh("detach-disk", name, "vda", "--config")
    lab.virsh("attach-disk", name, str(theirs), "vda", "--config")
    back = deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id)
    assert back.status is Status.FAILED
    assert "its vda is another disk by now" in back.results[0].message
    assert holds(lab, name, theirs)[1]


def test_by_keys_alone(lab: LabHost, tmp_path: Path, name: str) -> None:
    image = lab.create_image(f"{name}.qcow2", size_mib=16)
    iso = lab.create_image(f"{name}.iso", size_mib=1, kind="raw")
    drive = element("disk", element("target", dev="sda", bus="sata"), type="file", device="cdrom")
    lab.define_guest(name, devices=[drive])
    with open_deck(lab, tmp_path, size=(120, 50)) as screen, lab.console(name) as console:
        screen.focus(name)
        screen.act("y", source=str(image))
        screen.expect_toast("Attach a disk to .*: done")
        expect_sectors(console, "vda", 16 * 2048)
        screen.act("U", device="vda", size="20M")
        screen.expect_toast("Grow a disk of .*: done")
        expect_sectors(console, "vda", 20 * 2048)
        screen.act("Q", device="vda", total_bytes="5M")
        screen.expect_toast("Limit a disk of .*: done")
        assert seen(lab, name).live.count("<total_bytes_sec>5242880<") == 1
        screen.act("o", device="sda", source=str(iso))
        screen.expect_toast("Change the medium of .*: done")
        assert holds(lab, name, iso) == (True, True)
        screen.act("Y", device="vda")
        screen.expect_toast("Detach a disk from .*: done")
        expect_sectors(console, "vda", 0)
        assert [entry["status"] for entry in screen.journal()] == ["done"] * 5
