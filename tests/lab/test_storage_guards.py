"""Guards of volumes that tests/lab/test_volumes.py and test_volume_streams.py have no room for: first libvirt does the
damage to one twin, then virtdeck refuses the other, by the plan and by the op after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.host import LabHost
from tests.lab.namespaces import run
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import Twin, raced, read_by_guest, refused, twins, use

_MIB = 1024**2


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[StorageDeck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture
def pair(lab: LabHost, tmp_path: Path) -> tuple[Twin, Twin]:
    """Two pools, the first for virtdeck, the second for libvirt alone."""
    return twins(lab, tmp_path)


def lay_on(lab: LabHost, twin: Twin, low: str, form: str) -> Path:
    """An overlay of the volume, without a name among the volumes that the pool has read already."""
    lab.virsh(
        "vol-create-as", twin.name, "top", "8M", "--format", "qcow2", "--backing-vol", low, "--backing-vol-format", form
    )
    return twin.path / "top"


def fact(image: Path, name: str) -> str:
    """What qemu-img says of an image, by the name it has there."""
    found = re.search(rf"^{name}: (.*)$", run(["qemu-img", "info", "-U", str(image)]).stdout, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_disk_of_a_running_domain_is_not_wiped(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    ours, theirs = pair
    wiped, kept = theirs.make("a", form="raw"), ours.make("a", form="raw")
    use(lab, f"{name}-x", wiped)
    lab.virsh("vol-wipe", "a", "--pool", theirs.name)
    assert not any(wiped.read_bytes()), "libvirt itself wipes the disk of a running domain"
    plan = deck.plan("volume.wipe", f"{ours.name}/a")
    assert plan.phrase == "a"
    use(lab, name, kept)
    words = rf"it is used by {name} \(vda, running\)"
    raced(deck, plan, kept, words)
    refused(deck, "volume.wipe", f"{ours.name}/a", words)


def test_the_disk_of_a_running_domain_is_not_grown_behind_its_back(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    ours, theirs = pair
    grown, kept = theirs.make("a", form="raw"), ours.make("a", form="raw")
    use(lab, f"{name}-x", grown)
    lab.virsh("vol-resize", "a", "16M", "--pool", theirs.name)
    assert grown.stat().st_size == 16 * _MIB, "libvirt itself grows it, and QEMU is not told"
    plan = deck.plan("volume.resize", f"{ours.name}/a", capacity="16M")
    use(lab, name, kept)
    raced(deck, plan, kept, rf"it is used by {name} \(vda, running\)")
    refused(deck, "volume.resize", f"{ours.name}/a", "grow it there, by U on the domain", capacity="16M")


@pytest.mark.parametrize("action", ["volume.wipe", "volume.upload"])
def test_what_another_volume_lies_on_is_not_changed(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], tmp_path: Path, action: str
) -> None:
    """No domain has either: it is the header of the other volume that counts."""
    ours, theirs = pair
    source = tmp_path / "source"
    source.write_bytes(b"other stuff " * 4096)
    values = {"file": str(source)} if action == "volume.upload" else {}
    command = ("vol-upload", "low", str(source)) if values else ("vol-wipe", "low")
    for twin in pair:
        twin.make("low", form="raw")
    plan = deck.plan(action, f"{ours.name}/low", **values)
    overlays = [lay_on(lab, twin, "low", "raw") for twin in pair]
    before = read_by_guest(overlays[1])
    lab.virsh(*command, "--pool", theirs.name)
    assert read_by_guest(overlays[1]) != before, "libvirt itself changes what another volume lies on"
    words = r"it is used by top \(lies on it\)"
    raced(deck, plan, ours.path / "low", words)
    refused(deck, action, f"{ours.name}/low", words, **values)
    assert read_by_guest(overlays[0]) == before


def test_what_another_volume_lies_on_is_not_shrunk(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours, theirs = pair
    for twin in pair:
        twin.make("low", form="raw")
    plan = deck.plan("volume.resize", f"{ours.name}/low", capacity="1M")
    for twin in pair:
        lay_on(lab, twin, "low", "raw")
    lab.virsh("vol-resize", "low", "1M", "--shrink", "--pool", theirs.name)
    assert (theirs.path / "low").stat().st_size == _MIB, "libvirt itself cuts what another volume lies on"
    words = r"it is used by top \(lies on it\)"
    raced(deck, plan, ours.path / "low", words)
    refused(deck, "volume.resize", f"{ours.name}/low", words, capacity="1M")


def test_a_raw_file_is_not_put_over_a_qcow2(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], tmp_path: Path
) -> None:
    ours, theirs = pair
    raw, qcow2 = tmp_path / "raw", tmp_path / "qcow2"
    raw.write_bytes(b"pattern " * 32768)
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(qcow2), "8M"])
    for twin in pair:
        twin.make("a")
    lab.virsh("vol-upload", "a", str(raw), "--pool", theirs.name)
    assert fact(theirs.path / "a", "file format") == "raw", "libvirt itself makes a raw volume of it"
    refused(deck, "volume.upload", f"{ours.name}/a", "is raw, the volume is qcow2", file=str(raw))
    plan = deck.plan("volume.upload", f"{ours.name}/a", file=str(qcow2))
    qcow2.write_bytes(raw.read_bytes())
    before = (ours.path / "a").read_bytes()
    job = deck.run(plan)
    assert "is raw, the volume is qcow2. Nothing was changed" in job.results[0].message
    assert (ours.path / "a").read_bytes() == before


def test_what_a_running_domain_writes_to_is_neither_copied_nor_lain_upon(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    ours, theirs = pair
    for twin in pair:
        twin.make("a", form="raw")
    use(lab, f"{name}-x", theirs.path / "a")
    lab.virsh("vol-clone", "a", "copy", "--pool", theirs.name)
    lay_on(lab, theirs, "a", "raw")
    assert (theirs.path / "copy").exists(), "libvirt itself copies what is being written to"
    assert fact(theirs.path / "top", "backing file").startswith(str(theirs.path / "a")), "and lets others lie on it"
    clone = deck.plan("volume.clone", f"{ours.name}/a")
    overlay = {"name": "top", "capacity": "8M", "backing": "a"}
    create = deck.plan("volume.create", ours.name, **overlay)
    use(lab, name, ours.path / "a")
    for plan in (clone, create):
        raced(deck, plan, ours.path / "a", rf"it is used by {name} \(vda, running\)")
    refused(deck, "volume.clone", f"{ours.name}/a", "a copy would be of no one moment")
    refused(deck, "volume.create", ours.name, "what lies on it would break", **overlay)
    assert sorted(path.name for path in ours.path.iterdir()) == ["a"]
