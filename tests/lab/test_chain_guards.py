"""What qemu-img would have let happen to a chain of images is shown first, and then that virtdeck refuses it: by the
plan, and by the op when it came about after the plan was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.domain import Shape, blank_xml, disk_xml, element
from tests.lab.host import LabHost
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import (
    Twin,
    chain,
    digest,
    done,
    img,
    overlay,
    raced,
    read_by_guest,
    refused,
    twins,
    undo,
    use,
    write,
)
from tui.model.journal import Status
from tui.model.plan import Confirm


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[StorageDeck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture
def pair(lab: LabHost, tmp_path: Path) -> tuple[Twin, Twin]:
    """Two pools."""
    return twins(lab, tmp_path)


# Rebase


def test_a_chain_does_not_become_a_circle(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours, theirs = pair
    for twin in pair:
        chain(twin)
    plan = deck.plan("volume.rebase", f"{ours.name}/low", backing=str(ours.make("other")))
    late = deck.plan("volume.rebase", f"{ours.name}/low", backing="other", mode="unsafe")
    img("rebase", "-u", "-f", "qcow2", "-b", theirs.path / "top", "-F", "qcow2", theirs.path / "low")
    said = img("info", "--backing-chain", theirs.path / "top", check=False)
    assert "infinite loop" in said, "qemu-img itself makes a circle of it, which nothing can open any more"
    for mode in ("safe", "unsafe"):
        said = "top is low, or lies on it: the chain would be a circle"
        refused(deck, "volume.rebase", f"{ours.name}/low", said, backing="top", mode=mode)
    img("rebase", "-u", "-f", "qcow2", "-b", ours.path / "top", "-F", "qcow2", ours.path / "other")
    for made in (plan, late):
        raced(deck, made, ours.path / "low", "is that image, or lies on it: the chain would be a circle")


def test_an_image_is_not_put_on_what_somebody_writes_to(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    ours, theirs = pair
    for twin in pair:
        chain(twin)
        write(twin.make("disk"), 5, "0", "1M")
    use(lab, f"{name}-x", theirs.path / "disk", form="qcow2")
    img("rebase", "-u", "-f", "qcow2", "-b", theirs.path / "disk", "-F", "qcow2", theirs.path / "top")
    said = img("info", "-U", "-f", "qcow2", theirs.path / "top")
    assert not said, "qemu-img itself puts it on the disk of a running domain, and it changes as that writes"
    plan = deck.plan("volume.rebase", f"{ours.name}/top", backing="disk", mode="unsafe")
    use(lab, name, ours.path / "disk", form="qcow2", start=False)
    noted = deck.plan("volume.rebase", f"{ours.name}/top", backing="disk")
    assert f"disk: {name} (vda) writes to it when it runs, which breaks what lies on it" in noted.notes
    lab.virsh("start", name)
    for made in (plan, noted):
        raced(deck, made, ours.path / "top", rf"disk is written to by {name} \(vda, running\)")
    refused(deck, "volume.rebase", f"{ours.name}/top", "what lies on it would break", backing="disk")


def test_an_image_that_is_open_is_not_rebased(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    """QEMU's lock keeps qemu-img from it as well, but not where the filesystem has no locks."""
    ours = pair[0]
    chain(ours)
    overlay(ours, "above", "top")
    ours.make("other")
    plans = [deck.plan("volume.rebase", f"{ours.name}/{volume}", backing="other") for volume in ("top", "above")]
    use(lab, name, ours.path / "above", form="qcow2")
    assert "lock" in img("rebase", "-u", "-f", "qcow2", "-b", "", ours.path / "top", check=False)
    for plan, volume in zip(plans, ("top", "above"), strict=True):
        raced(deck, plan, ours.path / volume, rf"it is used by {name} \(vda, running\)")
        refused(deck, "volume.rebase", f"{ours.name}/{volume}", rf"it is used by {name} \(vda, running\)", backing="")


def test_an_unsafe_rebase_says_what_is_lost_and_wants_the_name(deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours, theirs = pair
    for twin in pair:
        chain(twin)
        overlay(twin, "above", "top")
    wanted = read_by_guest(theirs.path / "above")
    img("rebase", "-u", "-f", "qcow2", "-b", "", theirs.path / "top")
    assert read_by_guest(theirs.path / "above") != wanted, "with qemu-img itself all above it reads something else"
    plan = deck.plan("volume.rebase", f"{ours.name}/top", backing="", mode="unsafe")
    assert (plan.confirm, plan.phrase) == (Confirm.TYPE, "top")
    assert plan.losses()[0].startswith("the content of top, and so of above above it and of snapshots inside, unless")
    safe = deck.plan("volume.rebase", f"{ours.name}/top", backing="")
    assert (safe.confirm, safe.losses()) == (Confirm.NONE, [])
    done(deck.run(safe))
    assert read_by_guest(ours.path / "above") == wanted


def test_an_image_whose_base_was_moved_is_put_on_it_again(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin]
) -> None:
    """What the unsafe mode is for: the old name leads nowhere."""
    ours, theirs = pair
    chain(ours)
    wanted = read_by_guest(ours.path / "top")
    (ours.path / "low").rename(theirs.path / "moved")
    for twin in pair:
        lab.virsh("pool-refresh", twin.name)
    values = {"backing": str(theirs.path / "moved")}
    job = deck.run(deck.plan("volume.rebase", f"{ours.name}/top", **values))
    assert "No such file or directory. It lies on" in job.results[0].message
    job = done(deck.run(deck.plan("volume.rebase", f"{ours.name}/top", **values, mode="unsafe")))
    assert read_by_guest(ours.path / "top") == wanted
    assert [step.loses is not None for step in deck.entry(job).undo] == [True, False]


def test_another_format_than_planned_is_not_put_below(deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours, theirs = pair
    for twin in pair:
        chain(twin)
    wanted = read_by_guest(theirs.path / "top")
    img("rebase", "-u", "-f", "qcow2", "-b", theirs.path / "low", "-F", "raw", theirs.path / "top")
    assert read_by_guest(theirs.path / "top") != wanted, "qemu-img itself has a qcow2 image read as raw"
    ours.make("new", form="raw")
    plan = deck.plan("volume.rebase", f"{ours.name}/top", backing="new")
    (ours.path / "new").unlink()
    img("create", "-q", "-f", "qcow2", ours.path / "new", "8M")
    raced(deck, plan, ours.path / "top", "the header of .*new says qcow2, not raw")


def test_a_chain_that_a_domain_names_itself_is_not_changed(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    ours, theirs = pair
    for twin in pair:
        chain(twin)
        twin.make("other")
    _use_with_chain(lab, f"{name}-x", theirs)
    img("rebase", "-f", "qcow2", "-b", theirs.path / "other", "-F", "qcow2", theirs.path / "top")
    lab.virsh("start", f"{name}-x")
    live = lab.virsh("dumpxml", f"{name}-x").stdout
    assert f"<source file='{theirs.path}/low'" in live, "QEMU lays it on the old image all the same"
    plan = deck.plan("volume.rebase", f"{ours.name}/top", backing="other")
    _use_with_chain(lab, name, ours)
    raced(deck, plan, ours.path / "top", rf"the XML of {name} \(vda\) itself names what lies below it")
    refused(deck, "volume.rebase", f"{ours.name}/top", "itself names what lies below it", backing="other")


def _use_with_chain(lab: LabHost, name: str, twin: Twin) -> None:
    """A domain that is off and whose XML says what lies below its disk."""
    disk = disk_xml(twin.path / "top", "vda", kind="qcow2")
    source = element("source", file=str(twin.path / "low"))
    below = element("backingStore", element("format", type="qcow2"), source, element("backingStore"), type="file")
    disk.append(below)
    lab.define(blank_xml(Shape(name=name, machine="pc", memory_mib=16, devices=(disk,)), lab.emulator))


def test_what_was_rebased_meanwhile_is_looked_at_again(deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours = pair[0]
    chain(ours)
    ours.make("other")
    plans = [deck.plan("volume.rebase", f"{ours.name}/top", backing=""), deck.plan("volume.commit", f"{ours.name}/top")]
    img("rebase", "-f", "qcow2", "-b", ours.path / "other", "-F", "qcow2", ours.path / "top")
    before = digest(ours.path / "low"), digest(ours.path / "other")
    for plan in plans:
        raced(deck, plan, ours.path / "top", "it lies on .*/other by now, not on .*/low")
    assert (digest(ours.path / "low"), digest(ours.path / "other")) == before
    ours.lab.virsh("pool-refresh", ours.name)
    refused(deck, "volume.rebase", f"{ours.name}/top", "top lies on .*/other already", backing="other")
    refused(deck, "volume.rebase", f"{ours.name}/top", "no active pool has /etc/hosts", backing="/etc/hosts")
    refused(deck, "volume.commit", f"{ours.name}/low", "it lies on no other image")


def test_snapshots_inside_do_not_come_to_read_something_else(deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours, theirs = pair
    for twin in pair:
        chain(twin)
        img("snapshot", "-c", "before", twin.path / "top")
        write(twin.path / "top", 9, "0", "1M")
        write(twin.make("other"), 8, "0", "8M")

    def inside(twin: Twin) -> str:
        copy = twin.path.parent / f"{twin.name}-copy"
        img("convert", "-f", "qcow2", "-O", "raw", "-l", "before", twin.path / "top", copy)
        return digest(copy)

    wanted = inside(theirs)
    img("commit", "-q", "-f", "qcow2", theirs.path / "top")
    committed = inside(theirs)
    img("rebase", "-f", "qcow2", "-b", theirs.path / "other", "-F", "qcow2", theirs.path / "top")
    assert len({wanted, committed, inside(theirs)}) == 3, "qemu-img itself changes what a snapshot inside reads as"
    for plan in (
        deck.plan("volume.rebase", f"{ours.name}/top", backing="other"),
        deck.plan("volume.rebase", f"{ours.name}/top", backing=""),
        deck.plan("volume.commit", f"{ours.name}/top"),
    ):
        raced(deck, plan, ours.path / "top", "the snapshots inside it would read something else then: before")
    assert inside(ours) == wanted


# Commit


def test_what_others_lie_on_is_not_committed_to(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str, tmp_path: Path
) -> None:
    """Another volume, an image in no pool that a domain has which is off, and a domain that has it itself."""
    ours, theirs = pair
    for twin in pair:
        chain(twin)
    overlay(theirs, "sibling")
    wanted = read_by_guest(theirs.path / "sibling")
    img("commit", "-q", "-f", "qcow2", theirs.path / "top")
    assert read_by_guest(theirs.path / "sibling") != wanted, "qemu-img itself changes what the other image reads as"
    target, low, top = f"{ours.name}/top", ours.path / "low", ours.path / "top"
    plan = deck.plan("volume.commit", target)
    assert plan.losses() == [f"{low} as it is without top"]
    sibling = overlay(ours, "sibling")
    raced(deck, plan, low, r"low is used by sibling \(lies on it\) too")
    refused(deck, "volume.commit", target, r"low below it is used by sibling \(lies on it\) too")
    lab.virsh("vol-delete", "sibling", "--pool", ours.name)
    outside = tmp_path / sibling.name
    img("create", "-q", "-f", "qcow2", "-b", low, "-F", "qcow2", outside)
    use(lab, f"{name}-off", outside, form="qcow2", start=False)
    raced(deck, plan, low, rf"low is used by {name}-off \(vda\) too")
    lab.virsh("undefine", f"{name}-off")
    use(lab, f"{name}-own", low, form="qcow2", start=False)
    raced(deck, plan, low, rf"low is used by {name}-own \(vda\) too")
    refused(deck, "volume.commit", target, rf"low below it is used by {name}-own \(vda\) too")
    lab.virsh("undefine", f"{name}-own")
    use(lab, name, top, form="qcow2", start=False)
    named = deck.plan("volume.commit", target)
    assert f"top: it is used by {name} (vda)" in named.notes
    lab.virsh("start", name)
    assert "lock" in img("commit", "-f", "qcow2", top, check=False)
    raced(deck, named, low, rf"it is used by {name} \(vda, running\)")
    refused(deck, "volume.commit", target, rf"it is used by {name} \(vda, running\)")
    lab.virsh("destroy", name)
    done(deck.run(named))


def test_what_a_snapshot_goes_back_to_is_not_committed_to(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    ours, theirs = pair
    for twin, domain in ((ours, name), (theirs, f"{name}-x")):
        write(twin.make("low"), 1, "0", "1M")
        use(lab, domain, twin.path / "low", form="qcow2", start=False)
        spec = f"vda,snapshot=external,file={twin.path}/top"
        lab.virsh("snapshot-create-as", domain, "before", "--disk-only", "--diskspec", spec)
        write(twin.path / "top", 2, "0", "1M")
        lab.virsh("pool-refresh", twin.name)
    wanted = read_by_guest(theirs.path / "low")
    img("commit", "-q", "-f", "qcow2", theirs.path / "top")
    assert read_by_guest(theirs.path / "low") != wanted, "with qemu-img itself the snapshot is not what it was"
    plan = deck.plan("volume.commit", f"{ours.name}/top")
    raced(deck, plan, ours.path / "low", f"low is what snapshot before of {name} goes back to")
    lab.virsh("snapshot-delete", name, "before", "--metadata")
    done(deck.run(plan))


def test_a_base_of_no_said_format_is_not_written_to(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    """A guest whose raw disk lies below may have written a header into it, which QEMU would believe."""
    ours, theirs = pair
    for twin in pair:
        write(twin.make("low", "8M", "raw"), 1, "0", "1M", "raw")
        img("create", "-q", "-f", "qcow2", "-b", twin.path / "low", "-F", "raw", twin.path / "top")
        write(twin.path / "top", 2, "4M", "64k")
        silent = (twin.path / "top").read_bytes().replace(b"\xe2\x79\x2a\xca", b"\x12\x34\x56\x78", 1)
        (twin.path / "top").write_bytes(silent)
        lab.virsh("pool-refresh", twin.name)
    img("commit", "-q", "-f", "qcow2", theirs.path / "top")
    plan = deck.plan("volume.commit", f"{ours.name}/top")
    raced(deck, plan, ours.path / "low", "its header does not say as what .*low is read, and QEMU would guess")
    img("rebase", "-u", "-f", "qcow2", "-b", ours.path / "low", "-F", "qcow2", ours.path / "top")
    raced(deck, plan, ours.path / "low", "the header of .*low says raw, but top reads it as qcow2")
    img("rebase", "-u", "-f", "qcow2", "-b", ours.path / "low", "-F", "raw", ours.path / "top")
    done(deck.run(plan))


def test_undo_of_a_rebase_looks_again(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str) -> None:
    ours = pair[0]
    chain(ours)
    ours.make("other")
    job = done(deck.run(deck.plan("volume.rebase", f"{ours.name}/top", backing="other")))
    use(lab, name, ours.path / "low", form="qcow2")
    back = undo(deck, job)
    assert back.status is Status.FAILED
    assert f"low is written to by {name} (vda, running): what lies on it would break" in back.results[0].message
