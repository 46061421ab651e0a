"""Volumes made, cloned, resized, wiped and deleted: what the command does is done, and what libvirt would let happen
to a volume that somebody uses is refused, by the plan and by the op after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.actions import run_commands
from tests.lab.host import LabHost
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import Twin, done, raced, refused, twins, undo, use
from tui.actions import volumes
from tui.actions.base import FieldKind
from tui.model.journal import Status

_MIB = 1024**2


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[StorageDeck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture
def pair(lab: LabHost, tmp_path: Path) -> tuple[Twin, Twin]:
    """Two pools."""
    return twins(lab, tmp_path)


def nothing(_twin: Twin) -> None:
    """An empty pool."""


def has(name: str, size: str = "8M", form: str = "qcow2") -> Callable[[Twin], None]:
    """One volume."""

    def make(twin: Twin) -> None:
        twin.make(name, size, form)

    return make


@dataclass(frozen=True, slots=True)
class Case:
    """What is there before, and what is done to it: to the pool where `volume` is empty."""

    action: str
    what: str
    make: Callable[[Twin], None]
    volume: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    undo: bool = False
    says: str = ""
    """What must be seen after it."""


_NEW = {"name": "new.img", "capacity": "8M"}
CASES = (
    Case("volume.create", "qcow2", nothing, values=_NEW, undo=True, says="file format: qcow2"),
    Case("volume.create", "raw", nothing, values={**_NEW, "format": "raw"}, undo=True, says="file format: raw"),
    Case(
        "volume.create", "allocated", nothing, values={**_NEW, "format": "raw", "allocation": "100%"}, undo=True,
        says="<allocation unit='bytes'>8388608<",
    ),
    Case("volume.create", "metadata", nothing, values={**_NEW, "preallocation": "metadata"}, undo=True),
    Case(
        "volume.create", "backing", has("low.img", form="raw"),
        values={**_NEW, "backing": "low.img", "capacity": "+8M"}, undo=True, says="backing file: POOL/low.img",
    ),
    Case("volume.create", "odd-name", nothing, values={**_NEW, "name": "--a b'c"}, undo=True),
    Case("volume.clone", "qcow2", has("a.qcow2"), "a.qcow2", undo=True, says="<name>a-clone.qcow2<"),
    Case("volume.clone", "raw", has("a.img", form="raw"), "a.img", {"name": "b"}, undo=True, says="<name>b<"),
    Case("volume.resize", "grow", has("a.qcow2"), "a.qcow2", {"capacity": "+8M"}, says="unit='bytes'>16777216<"),
    Case("volume.resize", "grow-raw", has("a", form="raw"), "a", {"capacity": "16M"}, says="unit='bytes'>16777216<"),
    Case("volume.resize", "shrink", has("a", form="raw"), "a", {"capacity": "50%"}, says="unit='bytes'>4194304<"),
    Case("volume.wipe", "raw", has("a", form="raw"), "a", says="file format: raw"),
    Case("volume.wipe", "qcow2", has("a"), "a", {"raw": "yes"}, says="file format: raw"),
    Case("volume.delete", "qcow2", has("a"), "a"),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.action.partition('.')[2]}-{case.what}")
def test_twins(deck: StorageDeck, pair: tuple[Twin, Twin], case: Case) -> None:
    ours, theirs = pair
    for twin in pair:
        case.make(twin)
    before = ours.seen()
    assert before == theirs.seen()
    reading = deck.read()
    targets = [f"{twin.name}/{case.volume}" if case.volume else twin.name for twin in pair]
    plan, by_hand = (deck.plan_of(reading, case.action, [target], case.values) for target in targets)
    job = done(deck.run(plan))
    run_commands(by_hand.steps)
    after = ours.seen()
    assert after == theirs.seen()
    assert after != before
    assert case.says in after
    assert bool(job.entry.undo) is case.undo
    if case.undo:
        done(undo(deck, job))
        run_commands(by_hand.undo_steps())
        assert ours.seen() == theirs.seen() == before


STREAMED: Sequence[tuple[str, Mapping[str, str]]] = (
    ("volume.upload", {}), ("volume.download", {"overwrite": "no"}), ("volume.download", {"overwrite": "yes"}),
    ("volume.download", {"sparse": "yes"}), ("volume.download", {"sparse": "no"}),
)  # fmt: skip
"""What tests/lab/test_volume_streams.py carries out."""


def test_every_action_and_every_value_has_a_twin() -> None:
    cases = [*((case.action, case.values) for case in CASES), *STREAMED]
    assert {action for action, _values in cases} == {action.id for action in volumes.ACTIONS}
    for action in volumes.ACTIONS:
        for asked in action.fields:
            wanted = ("no", "yes") if asked.kind is FieldKind.FLAG else asked.choices
            given = {values.get(asked.name, wanted[0]) for ident, values in cases if wanted and ident == action.id}
            assert given == set(wanted), f"{action.id} has no twin for every {asked.name}"


# Guards


def test_a_used_volume_is_not_deleted(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str) -> None:
    ours, theirs = pair
    gone, kept = theirs.make("a", form="raw"), ours.make("a", form="raw")
    use(lab, f"{name}-x", gone)
    lab.virsh("vol-delete", "a", "--pool", theirs.name)
    assert not gone.exists(), "libvirt itself deletes the disk of a running domain"
    plan = deck.plan("volume.delete", f"{ours.name}/a")
    assert plan.phrase == "a"
    use(lab, name, kept, start=False)
    raced(deck, plan, kept, rf"it is used by {name} \(vda\)")
    refused(deck, "volume.delete", f"{ours.name}/a", rf"it is used by {name} \(vda\)")
    lab.virsh("start", name)
    refused(deck, "volume.delete", f"{ours.name}/a", rf"it is used by {name} \(vda, running\)")
    assert kept.exists()


def test_a_backing_file_is_not_deleted(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours, theirs = pair
    for twin in pair:
        twin.make("low")
    plan = deck.plan("volume.delete", f"{ours.name}/low")
    for twin in pair:
        twin.make("top", "8M", "qcow2", "--backing-vol", "low", "--backing-vol-format", "qcow2")
    lab.virsh("vol-delete", "low", "--pool", theirs.name)
    assert not (theirs.path / "low").exists(), "libvirt itself deletes what another volume lies on"
    raced(deck, plan, ours.path / "low", r"it is used by top \(lies on it\)")
    refused(deck, "volume.delete", f"{ours.name}/low", r"it is used by top \(lies on it\)")


def test_a_linked_name_is_the_same_file(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str) -> None:
    ours = pair[0]
    path = ours.make("a", form="raw")
    link = ours.path.parent / f"{ours.path.name}-link"
    link.symlink_to(path)
    plan = deck.plan("volume.delete", f"{ours.name}/a")
    use(lab, name, link, start=False)
    raced(deck, plan, path, rf"it is used by {name} \(vda\)")


def test_a_used_volume_is_not_shrunk(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str) -> None:
    ours, theirs = pair
    cut, kept = theirs.make("a", form="raw"), ours.make("a", form="raw")
    use(lab, f"{name}-x", cut)
    lab.virsh("vol-resize", "a", "4M", "--shrink", "--pool", theirs.name)
    assert cut.stat().st_size == 4 * _MIB, "libvirt itself shrinks the disk of a running domain"
    plan = deck.plan("volume.resize", f"{ours.name}/a", capacity="4M")
    assert (plan.phrase, plan.losses()) == ("a", ["the last 4.0M of a"])
    use(lab, name, kept)
    raced(deck, plan, kept, rf"it is used by {name} \(vda, running\)")
    for size in ("4M", "16M"):
        refused(deck, "volume.resize", f"{ours.name}/a", "grow it there, by U on the domain", capacity=size)


def test_a_volume_that_was_resized_meanwhile_is_not_cut(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin]
) -> None:
    ours = pair[0]
    path = ours.make("a", form="raw")
    plan = deck.plan("volume.resize", f"{ours.name}/a", capacity="16M")
    lab.virsh("vol-resize", "a", "32M", "--pool", ours.name)
    raced(deck, plan, path, "its capacity is 32.0M by now, not 8.0M")


def test_a_qcow2_is_not_wiped_to_raw_by_accident(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    ours, theirs = pair
    for twin in pair:
        twin.make("a")
    lab.virsh("vol-wipe", "a", "--pool", theirs.name)
    assert "file format: raw" in theirs.seen(), "libvirt itself makes a raw volume of it"
    refused(deck, "volume.wipe", f"{ours.name}/a", "would not be qcow2 any more but raw")
    plan = deck.plan("volume.wipe", f"{ours.name}/a", raw="yes")
    assert (plan.phrase, plan.losses()) == ("a", ["all that a holds, and that it is qcow2"])
    use(lab, name, ours.path / "a", form="qcow2", start=False)
    raced(deck, plan, ours.path / "a", rf"it is used by {name} \(vda\)")
    refused(deck, "volume.wipe", f"{ours.name}/a", rf"it is used by {name} \(vda\)", raw="yes")
    assert "file format: qcow2" in ours.seen()


def test_undo_of_a_new_volume_that_is_used_is_refused(
    lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str
) -> None:
    ours = pair[0]
    job = done(deck.run(deck.plan("volume.create", ours.name, name="new", capacity="8M", format="raw")))
    use(lab, name, ours.path / "new")
    back = undo(deck, job)
    assert back.status is Status.FAILED
    assert f"it is used by {name} (vda, running)" in back.results[0].message
    assert (ours.path / "new").exists()


def test_what_cannot_be_made_is_refused(lab: LabHost, deck: StorageDeck, pair: tuple[Twin, Twin], name: str) -> None:
    ours = pair[0]
    low = ours.make("low")
    for values, words in (
        ({"name": "low"}, "has a volume low already"),
        ({"name": "a/b"}, "without slashes"),
        ({"capacity": "1M", "backing": "low"}, "less than that of its backing file, 8.0M"),
        ({"format": "raw", "backing": "low"}, "raw cannot lie on another image"),
        ({"backing": "/etc/hosts"}, "no active pool has /etc/hosts"),
        ({"format": "raw", "preallocation": "metadata"}, "only qcow2 has metadata"),
        ({"allocation": "9M"}, "more than the capacity"),
        ({"capacity": "900T", "allocation": "900T"}, "free"),
    ):
        refused(deck, "volume.create", ours.name, words, **{**_NEW, **values})
    plan = deck.plan("volume.create", ours.name, **_NEW, backing="low")
    use(lab, name, low, form="qcow2")
    refused(deck, "volume.create", ours.name, "what lies on it would break", **_NEW, backing="low")
    refused(deck, "volume.clone", f"{ours.name}/low", "a copy would be of no one moment")
    raced(deck, plan, low, rf"it is used by {name} \(vda, running\)")
    assert not (ours.path / "new.img").exists()


def test_a_wipe_says_when_nothing_is_overwritten(deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours = pair[0]
    thin, full = ours.make("thin", form="raw"), ours.make("full", form="raw")
    full.write_bytes(b"x" * 8 * _MIB)
    plans = [deck.plan("volume.wipe", f"{ours.name}/{name}") for name in ("thin", "full")]
    assert ["does not overwrite" in " ".join(plan.notes) for plan in plans] == [True, False]
    for plan in plans:
        done(deck.run(plan))
    assert (thin.stat().st_blocks, thin.stat().st_size) == (0, 8 * _MIB), "it has its room no more"
    assert full.stat().st_blocks * 512 == 8 * _MIB
    assert not any(full.read_bytes())
