"""What tests of volumes say: twin pools, who uses an image, what is refused."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.domain import Shape, blank_xml, disk_xml
from tests.lab.host import LabHost
from tests.lab.namespaces import run
from tests.lab.storage_twins import StorageDeck
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.model.work import Work
from tui.runtime.jobs import Job, Jobs, Run

_MIB = 1024**2
_WAIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Twin:
    """One of two pools with the same volumes in them."""

    lab: LabHost
    name: str
    path: Path

    def make(self, name: str, size: str = "8M", form: str = "qcow2", *more: str) -> Path:
        """The path of a new volume of it, made by virsh, with a pattern at its beginning where it is raw."""
        self.lab.virsh("vol-create-as", self.name, name, size, "--allocation", "0", "--format", form, *more)
        if form == "raw":
            with (self.path / name).open("r+b") as file:
                file.write(b"pattern " * 4096)
        return self.path / name

    def seen(self) -> str:
        """All volumes as libvirt tells of them and what is in their files, without what twins never share."""
        text = ""
        with self.lab.connect() as connection:
            pool = connection.storagePoolLookupByName(self.name)
            pool.refresh(0)
            for name in sorted(pool.listVolumes()):
                text += pool.storageVolLookupByName(name).XMLDesc(0) + content(self.path / name) + "\n"
        text = text.replace(str(self.path), "POOL").replace(self.name, "NAME")
        # ext4 counts the blocks of its own extent trees now and then.
        return re.sub(r"<(atime|mtime|ctime|btime)>[\d.]+<|<inode>\d+<", "", text)


def content(path: Path) -> str:
    """A checksum of what a guest would read of an image, and the image's own facts."""
    facts = run(["qemu-img", "info", "-U", str(path)]).stdout
    kept = [line for line in facts.splitlines() if re.match(r"(file format|virtual size|backing file):", line)]
    form = re.search(r"^file format: (\w+)$", facts, re.MULTILINE)
    assert form is not None
    return "\n".join([*kept, read_by_guest(path, form[1])])


def read_by_guest(path: Path, form: str = "qcow2") -> str:
    """A checksum of what a guest would read of an image."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        run(["qemu-img", "convert", "-U", "-f", form, "-O", "raw", str(path), str(copy)])
        with copy.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, number: int, offset: str, length: str, form: str = "qcow2") -> None:
    """Have a guest write one byte over and over into an image."""
    done = run(["qemu-io", "-f", form, "-c", f"write -P {number} {offset} {length}", str(path)])
    assert "wrote" in done.stdout, done.stdout + done.stderr


def leak(path: Path, *, corrupt: bool = False) -> None:
    """Take a cluster of a qcow2 image out of its tables, so that it is leaked; `corrupt`: another is then there twice
    (docs/interop/qcow2.txt)."""
    with path.open("r+b") as file:
        file.seek(40)
        file.seek(int.from_bytes(file.read(8), "big"))
        table = int.from_bytes(file.read(8), "big") & 0x00FF_FFFF_FFFF_FE00
        file.seek(table)
        first, second = file.read(8), file.read(8)
        assert any(second), "the image has two clusters at its beginning"
        file.seek(table + 8)
        file.write(first if corrupt else bytes(8))


def twins(lab: LabHost, tmp_path: Path) -> tuple[Twin, Twin]:
    """Two pools."""
    ours, theirs = (Twin(lab, f"twin{letter}", lab.root / f"{tmp_path.name}-{letter}") for letter in "ab")
    for twin in (ours, theirs):
        lab.define_pool(twin.name, twin.path)
    return ours, theirs


def done(job: Job) -> Job:
    """The job, which must have come to its end."""
    assert job.status is Status.DONE, job.results
    return job


def undo(deck: StorageDeck, job: Job) -> Job:
    """Take it back as a later session does."""
    return deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id)


def use(lab: LabHost, name: str, path: Path, *, form: str = "raw", start: bool = True) -> None:
    """Have a domain with the image as its disk, running or off."""
    shape = Shape(name=name, machine="pc", memory_mib=16, devices=(disk_xml(path, "vda", kind=form),))
    lab.define(blank_xml(shape, lab.emulator), start=start)


def refused(deck: StorageDeck, action: str, target: str, words: str, **values: str) -> None:
    """The plan is refused with these words."""
    with pytest.raises(FieldError, match=words):
        deck.plan(action, target, **values)


def raced(deck: StorageDeck, plan: Plan, path: Path, words: str) -> None:
    """A plan made before somebody took the volume is refused by the op, and nothing is changed."""
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    job = deck.run(plan)
    assert job.status is Status.FAILED
    assert re.search(words, job.results[0].message), job.results[0].message
    assert "Nothing was changed" in job.results[0].message
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def chain(twin: Twin) -> None:
    """An image on another one, both with something in them."""
    write(twin.make("low"), 1, "0", "2M")
    overlay(twin, "top")
    write(twin.path / "top", 2, "1M", "2M")


def overlay(twin: Twin, name: str, below: str = "low") -> Path:
    """Another image on one of the pool."""
    return twin.make(name, "8M", "qcow2", "--backing-vol", below, "--backing-vol-format", "qcow2")


def img(*words: str | Path, check: bool = True) -> str:
    """What the real qemu-img says on standard error."""
    return run(["qemu-img", *map(str, words)], check=check).stderr


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Trouble


def make_in_p(lab: LabHost, name: str, size: int, form: str = "qcow2", below: str = "") -> None:
    """Have virsh make a volume of the pool `p`, all thin."""
    more = ["--backing-vol", below, "--backing-vol-format", "qcow2"] if below else []
    lab.virsh("vol-create-as", "p", name, str(size), "--allocation", "0", "--format", form, *more)


def failed(job: Job, *words: str) -> None:
    """The job failed, and said all of these."""
    assert job.status is Status.FAILED, job.results
    said = job.problems()[0].message
    for word in words:
        assert re.search(word, said), said


def image_plans(deck: StorageDeck) -> dict[str, Plan]:
    """One plan of each kind that runs on the image `top` of the pool."""
    return {
        "convert": deck.plan("volume.convert", "p/top", name="new", format="raw"),
        "compress": deck.plan("volume.convert", "p/top", name="new", format="qcow2", compress="yes"),
        "check": deck.plan("volume.check", "p/top"),
        "info": deck.plan("volume.info", "p/top"),
        "rebase": deck.plan("volume.rebase", "p/top", backing=""),
        "commit": deck.plan("volume.commit", "p/top"),
    }


# Long work


def random_file(path: Path, size: int = 256 * _MIB) -> Path:
    """A file in which no piece is like another."""
    rest = os.urandom(_MIB - 8)
    with path.open("wb") as file:
        for number in range(size // _MIB):
            file.write(number.to_bytes(8, "big") + rest)
    return path


class Watched:
    """A job under way, and all that was seen of its progress."""

    def __init__(self, deck: StorageDeck, plan: Plan) -> None:
        self.works: list[Work] = []
        self._journal = deck.journal()
        self._jobs = Jobs(deck.collector, self._journal, deck.uri, deck.collector.nudge, lambda _job: None)
        self._journal.on_change = self._look
        self.run: Run = self._jobs.run(plan)

    def _look(self) -> None:
        for entry in self._journal.entries():
            if entry.work is not None and entry.work not in self.works:
                self.works.append(entry.work)

    @property
    def began(self) -> bool:
        """Whether bytes are seen to move."""
        return any(work.done for work in self.works)

    def cancel(self) -> str | None:
        return self._jobs.cancel(self.run.job.entry.id)

    def ended(self) -> Job:
        job = self.run.wait(_WAIT_S)
        self._jobs.stop()
        return job


def slowed(monkeypatch: pytest.MonkeyPatch, half: Callable[[int], None]) -> None:
    """Have every reading shown, and be told of each."""
    monkeypatch.setattr("tui.runtime.job_parts._READ_S", 0.0)
    whole = Jobs.moved

    def moved(jobs: Jobs, job: Job) -> None:
        whole(jobs, job)
        assert job.entry.work is not None
        half(job.entry.work.done)

    monkeypatch.setattr(Jobs, "moved", moved)
