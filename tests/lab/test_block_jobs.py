"""Block jobs on running domains: commit, pull, copy and move, followed to their end, cancelled, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.lab.actions import Deck
from tests.lab.block_words import Layered, begin, failed, holds_bytes, layered, snapshot, until
from tests.lab.disk_words import StorageDeck, done, undo
from tests.lab.host import LabHost
from tests.lab.namespaces import run
from tui.actions.base import FieldError
from tui.model.domain_config import Disk
from tui.model.journal import Status
from tui.model.plan import Confirm, Plan
from tui.ops import block_follow

_SLOW = "1M"


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture
def pool(lab: LabHost, name: str) -> Path:
    """The folder of the pool `p`."""
    folder = lab.images / f"{name}-pool"
    lab.define_pool("p", folder)
    return folder


# Snapshot, commit and pull


def test_a_snapshot_of_the_disks_goes_on_above_them(lab: LabHost, deck: Deck, name: str) -> None:
    made = layered(lab, name)
    base, above = made.images[0], lab.images / f"{name}-base.then"
    lab.virsh("attach-disk", name, str(lab.create_image(f"{name}-b.img")), "vdb", "--subdriver", "qcow2")
    plan = deck.plan("domain.snapshot-disk", name, device="vda", name="then")
    assert plan.steps[0].command[-4:] == ("--diskspec", f"vda,file={above}", "--diskspec", "vdb,snapshot=no")
    job = done(deck.run(plan))
    assert f"vda is {above} now, at the next boot too" in job.results[0].message
    made.write(9, "0", "1M")
    assert made.chain() == made.chain(later=True) == [above, base]
    assert made.holds(base, (1, "0", "16M"))
    with pytest.raises(FieldError, match=r"base\.then is there already"):
        deck.plan("domain.snapshot-disk", name, device="vda", name="then")
    undo(deck, job)
    assert made.chain() == made.chain(later=True) == [base]
    assert made.holds(base, (9, "0", "1M"), (1, "1M", "15M"))
    both = deck.plan("domain.snapshot-disk", name, name="both")
    done(deck.run(both))
    assert made.chain() == [lab.images / f"{name}-base.both", base]
    assert "its vda is" in failed(deck.run(both))


def test_a_snapshot_of_a_domain_that_stops_then_is_made_all_the_same(
    lab: LabHost, deck: Deck, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = layered(lab, name)
    plan, above = deck.plan("domain.snapshot-disk", name, name="then"), lab.images / f"{name}-base.then"
    look = block_follow.Job.disk

    def disk(job: block_follow.Job, advice: str = "") -> Disk:
        if above.exists():
            lab.virsh("destroy", name)
        return look(job, advice)

    monkeypatch.setattr(block_follow.Job, "disk", disk)
    job = done(deck.run(plan))
    assert job.entry.undo == plan.steps[0].undo
    assert made.chain(later=True)[0] == above


def test_an_active_commit_pivots_on_both_sides(lab: LabHost, deck: Deck, name: str) -> None:
    made = layered(lab, name, "one")
    base, one = made.images
    plan = deck.plan("domain.disk-commit", name)
    assert plan.confirm is Confirm.ASK
    assert plan.losses() == [f"{base} as it is now: it cannot be gone back to"]
    assert f"{name}: left behind: {one}" in plan.notes
    job = done(deck.run(plan))
    assert f"vda is {base} now, at the next boot too; left behind: {one}" in job.results[0].message
    assert made.chain() == made.chain(later=True) == [base]
    assert one.exists()
    assert made.holds(base, (2, "0", "1M"), (1, "1M", "15M"))
    assert not job.entry.undo


def test_a_layer_in_the_middle_is_committed(lab: LabHost, deck: Deck, name: str) -> None:
    made = layered(lab, name, "one", "two", "three")
    base, _one, two, three = made.images
    lab.define_pool("all", lab.images)
    for wrong, said in (("3", "must be below"), ("9", "no image of the chain is that; 0: .*-three.qcow2, 1:")):
        with pytest.raises(FieldError, match=said):
            deck.plan("domain.disk-commit", name, top="3", base=wrong)
    done(deck.run(deck.plan("domain.disk-commit", name, top=str(two), base=base.name)))
    assert made.chain() == made.chain(later=True) == [three, base]
    assert made.holds(base, (2, "0", "1M"), (3, "1M", "1M"), (1, "2M", "14M"))
    assert made.holds(three, (2, "0", "1M"), (3, "1M", "1M"), (4, "2M", "1M"), (1, "3M", "13M"))


def test_a_pull_leaves_a_disk_that_needs_no_other(lab: LabHost, deck: Deck, name: str) -> None:
    made = layered(lab, name, "one", "two")
    base, one, two = made.images
    done(deck.run(deck.plan("domain.disk-pull", name, base=str(base))))
    assert made.chain() == made.chain(later=True) == [two, base]
    job = done(deck.run(deck.plan("domain.disk-pull", name)))
    assert f"vda does not need {base} any more" in job.results[0].message
    assert made.chain() == made.chain(later=True) == [two]
    base.unlink()
    one.unlink()
    assert made.holds(two, (2, "0", "1M"), (3, "1M", "1M"), (1, "2M", "14M"))
    with pytest.raises(FieldError, match="no disk of it lies on another image"):
        deck.plan("domain.disk-pull", name)


def test_what_others_lie_on_is_not_committed_into(lab: LabHost, deck: Deck, name: str) -> None:
    """libvirt commits, and the other's disk is not what it was."""
    plain, ours = layered(lab, f"{name}-x", "one"), layered(lab, name, "one")
    siblings = []
    for made in (plain, ours):
        siblings.append(lab.images / f"{made.name}-sibling.qcow2")
        base = str(made.images[0])
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", str(siblings[-1])])
    assert holds_bytes(siblings[0], (1, "0", "16M"))
    lab.virsh("blockcommit", plain.name, "vda", "--active", "--pivot")
    assert not holds_bytes(siblings[0], (1, "0", "16M")), "libvirt itself ruins what lies beside it"
    plan = deck.plan("domain.disk-commit", name)
    other = f"{name}-other"
    lab.define_blank(other)
    lab.virsh("attach-disk", other, str(siblings[1]), "vda", "--config", "--subdriver", "qcow2")
    with pytest.raises(FieldError, match=rf"ruin what others read: {other} \(vda\)"):
        deck.plan("domain.disk-commit", name)
    lab.virsh("start", other)
    text = failed(deck.run(plan))
    assert f"what is committed would break {other} (vda, running). Nothing was changed" in text
    assert ours.chain() == [ours.images[1], ours.images[0]]
    assert holds_bytes(siblings[1], (1, "0", "16M"))


@pytest.mark.parametrize("action", ["domain.disk-commit", "domain.disk-pull"])
def test_a_cancelled_job_leaves_the_disk_as_it_was(lab: LabHost, deck: Deck, name: str, action: str) -> None:
    made = layered(lab, name, "one", "two")
    made.write(7, "16M", "12M")
    before = made.chain()
    jobs, handle = begin(deck, deck.plan(action, name, limit=_SLOW))
    until(lambda: handle.job.entry.work is not None and handle.job.entry.work.done, "bytes to be told of")
    assert "No active" not in made.job()
    jobs.cancel(handle.job.entry.id)
    job = handle.wait(30)
    assert job.status is Status.CANCELLED, job.results
    assert "the disk" in job.results[0].message
    assert made.chain() == made.chain(later=True) == before
    assert made.job() == ""
    assert made.holds(before[0], (2, "0", "1M"), (3, "1M", "1M"), (7, "16M", "12M"))


# Copy and move


def test_a_running_disk_is_moved_and_moved_back(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    made = layered(lab, name)
    old, new = made.images[0], pool / f"{name}-base.qcow2"
    plan = deck.plan("domain.disk-move", name)
    assert [" ".join(step.command[3:]) for step in plan.steps] == [
        f"vol-create-as p {new.name} 33554432 --allocation 0 --format qcow2",
        f"blockcopy {name} vda --dest {new} --format qcow2 --reuse-external --transient-job --pivot",
    ]
    job = done(deck.run(plan))
    assert made.chain() == made.chain(later=True) == [new]
    made.write(9, "16M", "1M")
    assert made.holds(new, (1, "0", "16M"), (9, "16M", "1M"))
    assert not made.holds(old, (9, "16M", "1M"))
    undo(deck, job)
    assert made.chain() == made.chain(later=True) == [old]
    assert made.holds(old, (1, "0", "16M"), (9, "16M", "1M"))
    assert not new.exists()


def test_the_old_volume_goes_once_the_disk_has_left_it(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    lab.define_pool("q", lab.images / f"{name}-q")
    made = layered(lab, name, folder=lab.images / f"{name}-q")
    lab.virsh("pool-refresh", "q")
    plan = deck.plan("domain.disk-move", name, pool="p", old="delete", name="new")
    assert (plan.confirm, plan.phrase) == (Confirm.TYPE, name)
    job = done(deck.run(plan))
    assert made.chain() == [pool / "new"]
    assert not made.images[0].exists()
    assert not job.entry.undo


def test_a_disk_is_moved_with_or_without_what_lies_below(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    lab.define_pool("q", lab.images / f"{name}-q")
    made = layered(lab, name, "one", folder=lab.images / f"{name}-q")
    base, one = made.images
    with pytest.raises(FieldError, match=r"chain: libvirt makes no volume on .*, which is in no active pool"):
        deck.plan("domain.disk-move", name, pool="p", chain="shallow")
    lab.virsh("pool-refresh", "q")
    shallow = deck.plan("domain.disk-move", name, chain="shallow")
    assert f"{name}: the new image lies on {base}, which must stay and not change" in shallow.notes
    job = done(deck.run(shallow))
    assert made.chain() == [pool / one.name, base]
    undo(deck, job)
    assert made.chain() == [one, base]
    job = done(deck.run(deck.plan("domain.disk-move", name)))
    assert made.chain() == [pool / one.name]
    assert made.holds(pool / one.name, (2, "0", "1M"), (1, "1M", "15M"))
    made.write(0, "4M", "1M")
    undo(deck, job)
    assert made.chain() == made.chain(later=True) == [one]
    assert made.holds(one, (2, "0", "1M"), (1, "1M", "3M"), (0, "4M", "1M"), (1, "5M", "11M")), "zeros hide the base"


def test_a_copy_is_the_disk_of_one_moment(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    made = layered(lab, name)
    job = done(deck.run(deck.plan("domain.disk-copy", name, to="p/then.qcow2")))
    made.write(9, "0", "1M")
    assert made.chain() == [made.images[0]]
    assert made.holds(pool / "then.qcow2", (1, "0", "16M"))
    undo(deck, job)
    assert not (pool / "then.qcow2").exists()
    path = lab.images / f"{name}-plain.raw"
    job = done(deck.run(deck.plan("domain.disk-copy", name, to=str(path), format="raw", then="pivot")))
    assert made.chain() == made.chain(later=True) == [path]
    assert "<driver name='qemu' type='raw'/>" in lab.virsh("dumpxml", name, "--inactive").stdout
    assert path.read_bytes()[: 2 << 20] == b"\x09" * (1 << 20) + b"\x01" * (1 << 20)


@pytest.mark.parametrize("to", ["volume", "path"])
def test_a_cancelled_copy_leaves_nothing(lab: LabHost, deck: Deck, name: str, pool: Path, to: str) -> None:
    made = layered(lab, name)
    values = {"volume": {"to": "p/new"}, "path": {"to": str(lab.images / f"{name}-new")}}[to]
    jobs, handle = begin(deck, deck.plan("domain.disk-copy", name, limit=_SLOW, **values))
    until(lambda: handle.job.entry.work is not None, "work to be told of")
    jobs.cancel(handle.job.entry.id)
    job = handle.wait(30)
    assert job.status is Status.CANCELLED, job.results
    assert f"vda is {made.images[0]} as before" in job.results[-1].message
    assert "is removed" in job.results[-1].message
    assert not (pool / "new").exists()
    assert not (lab.images / f"{name}-new").exists()
    assert "new" not in lab.virsh("vol-list", "p").stdout
    assert (made.chain(), made.job()) == ([made.images[0]], "")


def test_a_job_under_way_is_seen_and_ended_whoever_began_it(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    made = layered(lab, name)
    target = pool / "theirs"
    lab.virsh("blockcopy", name, "vda", "--dest", str(target), "--transient-job", "--bandwidth", "1")
    with pytest.raises(FieldError, match=r"a block job is under way on vda \(copy \d+%.*at most 1.0M/s"):
        deck.plan("domain.disk-move", name)
    with pytest.raises(FieldError, match="it is not ready yet: copy"):
        deck.plan("domain.disk-job", name, end="pivot")
    plan = deck.plan("domain.disk-job", name)
    assert f"{name}: vda is {made.images[0]} as before, {target} is left" in plan.notes
    done(deck.run(plan))
    assert (made.chain(), made.job()) == ([made.images[0]], "")
    target.unlink()
    lab.virsh("blockcopy", name, "vda", "--dest", str(target), "--transient-job", "--wait")
    done(deck.run(deck.plan("domain.disk-job", name, end="pivot")))
    assert made.chain() == made.chain(later=True) == [target]
    with pytest.raises(FieldError, match="no block job is under way"):
        deck.plan("domain.disk-job", name)
    assert "it is not under way any more" in failed(deck.run(plan))


def test_a_disk_of_a_domain_that_is_off_is_moved(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    lab.define_pool("q", lab.images / f"{name}-q")
    made = layered(lab, name, folder=lab.images / f"{name}-q")
    lab.virsh("destroy", name)
    lab.virsh("pool-refresh", "q")
    job = done(deck.run(deck.plan("domain.disk-move", name, pool="p", old="delete")))
    new = pool / made.images[0].name
    assert (made.chain(later=True), made.images[0].exists(), job.entry.undo) == ([new], False, ())
    lab.virsh("start", name)
    assert made.holds(new, (1, "0", "16M"))


def test_what_was_written_to_since_it_was_copied_is_not_left_behind(
    lab: LabHost, deck: Deck, name: str, pool: Path
) -> None:
    """A domain that ran between the copy and the change would lose what its guest wrote then."""
    lab.define_pool("q", lab.images / f"{name}-q")
    made = layered(lab, name, folder=lab.images / f"{name}-q")
    lab.virsh("destroy", name)
    lab.virsh("pool-refresh", "q")
    plan = deck.plan("domain.disk-move", name, pool="p")
    copy, change = plan.steps
    done(deck.run(Plan("first", "first", (copy,))))
    lab.virsh("start", name)
    assert "it runs by now" in failed(deck.run(Plan("second", "second", (change,))))
    assert not list(pool.iterdir())
    assert made.chain(later=True) == [made.images[0]]
    again = deck.plan("domain.disk-move", name)
    assert "blockcopy" in again.steps[1].command, "it is moved as it runs now"
    lab.virsh("destroy", name)
    done(deck.run(Plan("first", "first", (copy,))))
    lab.virsh("start", name)
    made.write(9, "0", "1M")
    lab.virsh("destroy", name)
    text = failed(deck.run(Plan("second", "second", (change,))))
    assert f"{made.images[0]} was written to since it was copied" in text
    assert "is removed" in text
    assert made.chain(later=True) == [made.images[0]]


def test_a_disk_of_a_pool_that_was_written_to_or_saved_since_is_not_left_behind(
    lab: LabHost, deck: Deck, name: str, pool: Path
) -> None:
    """A disk may name its pool and volume in place of a path."""
    lab.define_pool("q", lab.images / f"{name}-q")
    made = layered(lab, name, folder=lab.images / f"{name}-q")
    lab.virsh("destroy", name)
    lab.virsh("pool-refresh", "q")
    root = ET.fromstring(lab.virsh("dumpxml", name, "--inactive").stdout)
    disk = root.find("devices/disk")
    assert disk is not None
    disk.set("type", "volume")
    source = disk.find("source")
    assert source is not None
    source.attrib = {"pool": "q", "volume": made.images[0].name}
    lab.define(root)
    copy, change = deck.plan("domain.disk-move", name, pool="p").steps
    done(deck.run(Plan("first", "first", (copy,))))
    lab.virsh("start", name)
    made.write(9, "0", "1M")
    lab.virsh("destroy", name)
    text = failed(deck.run(Plan("second", "second", (change,))))
    assert f"q/{made.images[0].name} was written to since it was copied" in text
    copy, change = deck.plan("domain.disk-move", name, pool="p").steps
    lab.virsh("start", name)
    lab.virsh("managedsave", name)
    done(deck.run(Plan("first", "first", (copy,))))
    text = failed(deck.run(Plan("second", "second", (change,))))
    assert "its saved state goes on with the old image" in text
    assert not list(pool.iterdir()), "what was copied is removed"


# Refused before anything is done


def test_what_cannot_be_moved_is_refused_first(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    made = layered(lab, name)
    (pool / "taken").write_bytes(b"")
    small = lab.images / f"{name}-small"
    small.mkdir()
    lab.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)])
    try:
        lab.define_pool("small", small)
        with pytest.raises(FieldError, match=r"small has 8\.0M free, and what is to be copied takes 1[67]"):
            deck.plan("domain.disk-move", name, pool="small")
    finally:
        lab.virsh("pool-destroy", "small")
        lab.run(["umount", str(small)])
    for values, said in (
        ({"pool": "p", "name": "taken"}, "name: .*/taken is there already; refresh p"),
        ({"pool": "none"}, "pool: no pool none; there are: "),
        ({"pool": "p", "chain": "shallow"}, "chain: vda lies on no other image"),
        ({"pool": "p", "device": "vdq"}, "no vdq there now; it has: vda"),
    ):
        with pytest.raises(FieldError, match=said):
            deck.plan("domain.disk-move", name, **values)
    lab.virsh("pool-refresh", "p")
    with pytest.raises(FieldError, match="p has a volume taken already"):
        deck.plan("domain.disk-move", name, pool="p", name="taken")
    assert made.chain() == [made.images[0]]


def test_what_changed_since_the_plan_is_not_copied(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    made = layered(lab, name)
    plan = deck.plan("domain.disk-move", name)
    snapshot(lab, name, lab.images / f"{name}-between.qcow2")
    assert f"its vda is {lab.images}/{name}-between.qcow2 by now" in failed(deck.run(plan))
    assert not list(pool.iterdir()), "the volume that was made for it is gone again"
    assert _undone_by_nobody(deck, plan, made)


def test_what_was_made_for_a_domain_that_is_gone_is_told(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    layered(lab, name)
    plan = deck.plan("domain.disk-move", name, name="lone")
    lab.virsh("destroy", name)
    lab.virsh("undefine", name)
    assert f"{pool}/lone is left, an image that nothing was copied to" in failed(deck.run(plan))
    assert (pool / "lone").exists()


def _undone_by_nobody(deck: Deck, plan: Plan, made: Layered) -> bool:
    """Whether the journal offers no way back for what came to nothing."""
    entry = next(entry for entry in deck.journal().entries() if entry.action == plan.action)
    return not entry.undo and len(made.chain()) == 2
