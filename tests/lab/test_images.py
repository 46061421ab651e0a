"""Volumes converted, checked, rebased and committed: what the command does is done, and taken back where it can be."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.lab.actions import run_commands, virtdeck
from tests.lab.host import LabHost
from tests.lab.namespaces import run
from tests.lab.screen_words import open_deck
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import Twin, chain, done, leak, read_by_guest, twins, undo, write
from tui.actions import image_chain, image_check, image_convert
from tui.actions.base import FieldKind
from tui.model.journal import Status
from tui.model.plan import Step
from tui.ops.image_convert import CompressVolume, ConvertVolume
from tui.runtime.desk import Focus

_NO_SIZES = re.compile(r"<(allocation|physical) unit='bytes'>\d+<")


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[StorageDeck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture
def pair(lab: LabHost, tmp_path: Path) -> tuple[Twin, Twin]:
    """Two pools, and beside each another one."""
    found = twins(lab, tmp_path)
    for twin in found:
        other = beside(twin)
        lab.define_pool(other.name, other.path)
    return found


def beside(twin: Twin) -> Twin:
    """The other pool of a twin."""
    return replace(twin, name=f"{twin.name}-x", path=twin.path.with_name(f"{twin.path.name}-x"))


def chain_and_more(twin: Twin) -> None:
    """And an image that the upper one could lie on as well."""
    chain(twin)
    write(twin.make("new.img", "8M", "raw"), 3, "4M", "1M", "raw")


def raw_one(twin: Twin) -> None:
    """A raw image of an odd name."""
    twin.make("-a b'c", "8M", "raw")


def leaky(twin: Twin) -> None:
    """An image with a leaked cluster."""
    write(twin.make("a"), 1, "0", "1M")
    leak(twin.path / "a")


def broken(twin: Twin) -> None:
    """An image with a cluster that is there twice."""
    write(twin.make("a"), 1, "0", "1M")
    leak(twin.path / "a", corrupt=True)


@dataclass(frozen=True, slots=True)
class Case:
    """What is there before, what is done to one of its volumes, and what must be seen after it."""

    action: str
    what: str
    make: Callable[[Twin], None]
    volume: str
    values: Mapping[str, str] = field(default_factory=dict)
    own: Callable[[Twin], Mapping[str, str]] = lambda _twin: {}
    """Values that differ between the twins."""
    says: str = ""
    undo: bool = False
    changes: bool = True
    forgiven: re.Pattern[str] | None = None
    """What undo does not bring back: an image that has grown stays so."""


_RAW, _QCOW2 = "file format: raw", "file format: qcow2"
CASES = (
    Case("volume.convert", "raw", chain, "top", says="<name>top.raw<", undo=True),
    Case("volume.convert", "qcow2", raw_one, "-a b'c", {"name": "--new", "format": "qcow2"}, says=_QCOW2, undo=True),
    Case("volume.convert", "flat", chain, "top", {"name": "flat", "format": "qcow2"}, says="<name>flat<", undo=True),
    Case(
        "volume.convert", "elsewhere", chain, "top", {"name": "new"}, lambda twin: {"pool": f"{twin.name}-x"},
        says="<name>new<", undo=True,
    ),
    Case(
        "volume.convert", "compressed", chain, "top", {"name": "new", "format": "qcow2", "compress": "yes"},
        lambda twin: {"pool": f"{twin.name}-x"}, says="<name>new<", undo=True,
    ),
    Case("volume.info", "chain", chain, "top", changes=False),
    Case("volume.check", "sound", chain, "top", changes=False),
    Case("volume.check", "leaks", leaky, "a", {"repair": "leaks"}),
    Case("volume.check", "all", broken, "a", {"repair": "all"}),
    Case(
        "volume.rebase", "other", chain_and_more, "top", {"backing": "new.img"}, says="<path>POOL/new.img<", undo=True,
        forgiven=_NO_SIZES,
    ),
    Case(
        "volume.rebase", "none", chain, "top", {"backing": ""}, says="<name>top<", undo=True, forgiven=_NO_SIZES,
    ),
    Case(
        "volume.rebase", "unsafe", chain_and_more, "top", {"backing": "new.img", "mode": "unsafe"},
        says="<path>POOL/new.img<", undo=True,
    ),
    Case("volume.commit", "emptied", chain, "top"),
    Case("volume.commit", "kept", chain, "top", {"keep": "yes"}),
)  # fmt: skip


def by_hand(steps: tuple[Step, ...]) -> None:
    """Run the commands; what virtdeck hands to libvirt in a file is there, and files are their owner's alone."""
    for step in steps:
        if isinstance(step.request, ConvertVolume):
            Path(step.request.file).write_text(step.request.xml)
    before = os.umask(0o077 if any(isinstance(step.request, CompressVolume) for step in steps) else 0o022)
    try:
        run_commands(steps)
    finally:
        os.umask(before)


def seen(twin: Twin) -> str:
    """What is in both pools of a twin; what a file takes in clusters: ext4 counts its own extent trees as well."""
    text = twin.seen() + beside(twin).seen().replace(str(twin.path), "POOL").replace(twin.name, "NAME")
    return re.sub(r"(<allocation unit='bytes'>)(\d+)", lambda found: f"{found[1]}{int(found[2]) // 65536}", text)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.action.partition('.')[2]}-{case.what}")
def test_twins(deck: StorageDeck, pair: tuple[Twin, Twin], case: Case) -> None:
    ours, theirs = pair
    for twin in pair:
        case.make(twin)
    before = seen(ours)
    assert before == seen(theirs)
    reading = deck.read()
    plan, other = (
        deck.plan_of(reading, case.action, [f"{twin.name}/{case.volume}"], {**case.values, **case.own(twin)})
        for twin in pair
    )
    deck.kept.mkdir(exist_ok=True)
    job = done(deck.run(plan))
    by_hand(other.steps)
    after = seen(ours)
    assert after == seen(theirs)
    assert (after != before) is case.changes
    assert case.says in after
    assert bool(job.entry.undo) is case.undo
    if case.undo:
        done(undo(deck, job))
        run_commands(other.undo_steps())
        back = seen(ours)
        assert back == seen(theirs)
        alike = (re.sub(case.forgiven, "", text) if case.forgiven else text for text in (back, before))
        assert len(set(alike)) == 1


def test_every_action_and_every_value_has_a_twin() -> None:
    actions = (*image_convert.ACTIONS, *image_check.ACTIONS, *image_chain.ACTIONS)
    assert {case.action for case in CASES} == {action.id for action in actions}
    for action in actions:
        for asked in action.fields:
            wanted = ("no", "yes") if asked.kind is FieldKind.FLAG else asked.choices
            cases = [case for case in CASES if wanted and case.action == action.id]
            given = {case.values.get(asked.name, wanted[0]) for case in cases}
            assert given | {wanted[1] if asked.name == "format" else ""} - {""} == set(wanted), action.id


def test_a_guest_reads_what_it_read_before(deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    """Content, by checksum, through all that leaves it as it is."""
    ours, other = pair[0], beside(pair[0])
    chain_and_more(ours)
    top, target = ours.path / "top", f"{ours.name}/top"
    wanted = read_by_guest(top)
    for name, form, compress in (("a.raw", "raw", "no"), ("b", "qcow2", "no"), ("c", "qcow2", "yes")):
        values = {"name": name, "format": form, "compress": compress, "pool": other.name}
        done(deck.run(deck.plan("volume.convert", target, **values)))
        assert read_by_guest(other.path / name, form) == wanted
        assert (other.path / name).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in other.path.iterdir()) == ["a.raw", "b", "c"]
    assert (other.path / "a.raw").stat().st_blocks * 512 < 4 << 20, "what is empty takes no room"
    assert (other.path / "c").stat().st_size < (other.path / "b").stat().st_size // 2
    for backing in ("new.img", "", "low"):
        job = done(deck.run(deck.plan("volume.rebase", target, backing=backing)))
        assert read_by_guest(top) == wanted, backing
    done(undo(deck, job))
    assert read_by_guest(top) == wanted
    done(deck.run(deck.plan("volume.rebase", target, backing="low")))
    done(deck.run(deck.plan("volume.commit", target)))
    assert read_by_guest(top) == read_by_guest(ours.path / "low") == wanted
    told = json.loads(run(["qemu-img", "map", "--output=json", "-f", "qcow2", str(top)]).stdout)
    assert {part["depth"] for part in told if part["data"]} == {1}, "nothing of it is in the upper image any more"


def test_what_a_check_finds_is_said(deck: StorageDeck, pair: tuple[Twin, Twin], tmp_path: Path) -> None:
    ours, theirs = pair
    leaky(ours)
    job = deck.run(deck.plan("volume.check", f"{ours.name}/a"))
    assert job.status is Status.FAILED
    assert "it has 1 leaked cluster. Leaked clusters take room and harm nothing" in job.results[0].message
    broken(theirs)
    job = deck.run(deck.plan("volume.check", f"{theirs.name}/a"))
    assert re.search(r"it has 1 corruption and 2? ?\d* ?leaked cluster", job.results[0].message), job.results
    assert "Copy the file before you repair it" in job.results[0].message
    job = deck.run(deck.plan("volume.check", f"{theirs.name}/a", repair="leaks"))
    assert job.status is Status.FAILED
    assert "1 corruption; repaired: 1 leaked cluster" in job.results[0].message
    plan = deck.plan("volume.check", f"{theirs.name}/a", repair="all")
    assert (plan.phrase, len(plan.losses())) == ("a", 1)
    job = done(deck.run(plan))
    assert re.match(r"repaired: \d corruptions?.*; sound now; 1[56] of 128 clusters allocated", job.results[0].message)
    (ours.path / "a").write_bytes(b"QFI\xfb" + bytes(600))
    ours.lab.virsh("pool-refresh", ours.name)
    said = virtdeck(ours.lab.uri, tmp_path, "do", "volume.check", f"{theirs.name}/a", "--yes")
    assert (said.returncode, "sound" in said.stdout) == (0, True), said.stderr


def test_what_is_looked_at_is_read_again_after_a_change(deck: StorageDeck, pair: tuple[Twin, Twin]) -> None:
    ours = pair[0]
    chain(ours)
    plan = deck.plan("volume.rebase", f"{ours.name}/top", backing="")
    board, key = deck.collector.board, plan.steps[0].target
    deck.collector.focus(Focus(storage=(), image=key))
    assert board.wait(lambda seen: seen.image is not None and len(seen.image.chain) == 2, 20)
    assert board.snapshot.image is not None
    assert (board.snapshot.image.key, board.snapshot.image.problem) == (key, "")
    done(deck.run(plan))
    assert board.wait(lambda seen: seen.image is not None and len(seen.image.chain) == 1, 20)
    (ours.path / "top").unlink()
    deck.collector.reread()
    assert board.wait(lambda seen: seen.image is not None and "No such file" in seen.image.problem, 20)


def test_the_image_is_told_on_the_command_line_and_on_the_screen(
    lab: LabHost, pair: tuple[Twin, Twin], tmp_path: Path
) -> None:
    ours = pair[0]
    chain(ours)
    run(["qemu-img", "amend", "-f", "qcow2", "-o", "compat=1.1", str(ours.path / "top")])
    run(["qemu-img", "snapshot", "-c", "before", str(ours.path / "top")])
    said = virtdeck(lab.uri, tmp_path, "do", "volume.info", f"{ours.name}/top", "--yes")
    assert said.returncode == 0, said.stderr
    for line in ("  Format       qcow2 1.1", "  Refcounts    16 bits", "  Extended L2  no", f"on {ours.path}/low"):
        assert line in said.stdout
    assert re.search(r"  Snapshot     before  20\d\d-", said.stdout)
    with open_deck(lab, tmp_path / "home", size=(160, 50)) as deck:
        deck.press("3")
        deck.show_only("top")
        deck.press("]")
        deck.expect(r"Format +qcow2 1\.1")
        deck.expect(r"Refcounts +16 bits")
        deck.expect(r"before +20\d\d-")
        deck.expect("Layer 1 below")
        deck.show_only("low")
        deck.terminal.wait_for(lambda term: not any("Layer 1 below" in line for line in term.lines()))
        deck.expect(r"Format +qcow2 0\.10")
        deck.act("V")
        deck.expect_toast("Check low: done")
