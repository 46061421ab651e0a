"""What qemu-img, or libvirt, would have let ruin an image is shown first, and then that virtdeck refuses it: by the
plan, and by the op when it came about after the plan was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.host import LabHost
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import (
    Twin,
    chain,
    done,
    img,
    raced,
    refused,
    twins,
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


# Convert


def test_what_somebody_writes_to_is_not_converted(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str, tmp_path: Path
) -> None:
    ours, theirs = pair
    for twin in pair:
        twin.make("a", form="raw")
    use(lab, f"{name}-x", theirs.path / "a")
    xml = tmp_path / "new.xml"
    xml.write_text("<volume><name>new</name><capacity>8388608</capacity><target><format type='raw'/></target></volume>")
    lab.virsh("vol-create-from", theirs.name, str(xml), "a", "--inputpool", theirs.name)
    assert (theirs.path / "new").exists(), "libvirt itself copies the disk of a running domain, of no one moment"
    plan = deck.plan("volume.convert", f"{ours.name}/a", name="new", format="qcow2")
    packed = deck.plan("volume.convert", f"{ours.name}/a", name="new", format="qcow2", compress="yes")
    use(lab, name, ours.path / "a")
    for late in (plan, packed):
        raced(deck, late, ours.path / "a", rf"it is used by {name} \(vda, running\)")
    refused(deck, "volume.convert", f"{ours.name}/a", "a copy would be of no one moment", name="new")
    assert sorted(path.name for path in ours.path.iterdir()) == ["a"]


def test_a_header_that_a_guest_wrote_reads_no_file_of_the_host(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"of the host ".ljust(65536, b"."))
    made = tmp_path / "made"
    img("create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", made)
    for twin in pair:
        twin.make("a", "1M", "raw")
        use(lab, f"{name}-{twin.name}", twin.path / "a", start=False)
        with (twin.path / "a").open("r+b") as disk:
            disk.write(made.read_bytes())
        lab.virsh("pool-refresh", twin.name)
    ours, theirs = pair
    xml = tmp_path / "new.xml"
    xml.write_text("<volume><name>new</name><capacity>0</capacity><target><format type='raw'/></target></volume>")
    lab.virsh("vol-create-from", theirs.name, str(xml), "a", "--inputpool", theirs.name)
    assert b"of the host" in (theirs.path / "new").read_bytes(), "libvirt itself copies a file of the host for a guest"
    said = f"its header says qcow2, but {name}-{ours.name} reads it as raw"
    refused(deck, "volume.convert", f"{ours.name}/a", said, name="new")
    for action, values in (("check", {}), ("rebase", {"backing": ""}), ("commit", {})):
        refused(deck, f"volume.{action}", f"{ours.name}/a", said, **values)
    lab.virsh("undefine", f"{name}-{ours.name}")
    plan = deck.plan("volume.convert", f"{ours.name}/a", name="new", format="raw")
    use(lab, f"{name}-late", ours.path / "a", start=False)
    raced(deck, plan, ours.path / "a", f"its header says qcow2, but {name}-late reads it as raw")


def test_what_cannot_be_converted_is_refused(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours, theirs = pair
    write(ours.make("a"), 1, "0", "4M")
    lab.virsh("pool-destroy", theirs.name)
    for values, words in (
        ({"pool": "nosuch"}, "no pool nosuch; there are: "),
        ({"pool": theirs.name}, f"{theirs.name} is inactive; start it first"),
        ({"name": "a"}, "has a volume a already"),
        ({"name": "x", "format": "raw", "compress": "yes"}, "only qcow2 is compressed"),
    ):
        refused(deck, "volume.convert", f"{ours.name}/a", words, **values)
    plan = deck.plan("volume.convert", f"{ours.name}/a", name="b", format="qcow2", compress="yes")
    (ours.path / "b").write_text("of somebody else")
    raced(deck, plan, ours.path / "b", "b is there already")
    plan = deck.plan("volume.convert", f"{ours.name}/a", name="c", format="qcow2", compress="yes")
    (ours.path / "c.part").write_text("of somebody else")
    raced(deck, plan, ours.path / "c.part", r"c\.part: File exists")
    plan = deck.plan("volume.convert", f"{ours.name}/a", name="d", format="qcow2")
    ours.make("d", "1M")
    job = deck.run(plan)
    assert job.status is Status.FAILED
    assert "exists already" in job.results[0].message
    assert "half-made" not in job.results[0].message


# Check


def test_an_image_that_is_open_is_neither_checked_nor_repaired(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    """QEMU's lock keeps qemu-img from it as well, but not where the filesystem has no locks, nor with -U."""
    ours = pair[0]
    chain(ours)
    target = f"{ours.name}/top"
    plans = [deck.plan("volume.check", target, repair=repair) for repair in ("none", "leaks", "all")]
    assert [plan.confirm for plan in plans] == [Confirm.NONE, Confirm.NONE, Confirm.TYPE]
    use(lab, name, ours.path / "top", form="qcow2")
    assert "lock" in img("check", "-f", "qcow2", ours.path / "top", check=False)
    img("check", "-U", "-f", "qcow2", ours.path / "top")
    for plan in plans:
        raced(deck, plan, ours.path / "top", rf"it is used by {name} \(vda, running\)")
    refused(deck, "volume.check", target, "of an image that is being written to a check says nothing")
    done(deck.run(deck.plan("volume.check", f"{ours.name}/low")))
    refused(deck, "volume.check", f"{ours.name}/low", rf"it is used by {name} \(vda, running\)", repair="leaks")


def test_what_has_no_tables_is_not_checked(deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours = pair[0]
    ours.make("a", form="raw")
    refused(deck, "volume.check", f"{ours.name}/a", "raw images have no tables")
    for action in ("rebase", "commit"):
        refused(deck, f"volume.{action}", f"{ours.name}/a", "only qcow2 lies on another image", **_needed(action))
    plan_of = ours.make("b")
    plan = deck.plan("volume.check", f"{ours.name}/b")
    plan_of.write_bytes(bytes(4096))
    ours.lab.virsh("pool-refresh", ours.name)
    raced(deck, plan, plan_of, "it is raw by now, not qcow2")


def _needed(action: str) -> dict[str, str]:
    return {"backing": ""} if action == "rebase" else {}
