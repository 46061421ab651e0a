"""What goes wrong under a disk that is copied, moved or committed: clear words, nothing lost, nothing half-made."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.actions import Deck
from tests.lab.block_words import Layered, begin, failed, layered, until
from tests.lab.disk_words import StorageDeck, done
from tests.lab.host import LabHost
from tui.model.journal import Status
from tui.ops import disk_moves
from tui.runtime.jobs import Job

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


@contextmanager
def small(lab: LabHost, pool: Path, *options: str) -> Iterator[None]:
    """The pool `p` on a filesystem of 40 MiB of its own."""
    lab.run(["mount", "-t", "tmpfs", "-o", ",".join(("size=40m", *options)), "tmpfs", str(pool)])
    try:
        lab.virsh("pool-refresh", "p")
        yield
    finally:
        for name in lab.virsh("list", "--name").stdout.split():
            lab.virsh("destroy", name)
        lab.virsh("pool-destroy", "p")
        lab.run(["umount", str(pool)])


def as_before(made: Layered, pool: Path) -> bool:
    """Whether the disk is what it was, on both sides and in its bytes, and nothing is in the pool."""
    sides = made.chain() == made.chain(later=True) == [made.images[0]]
    inside = made.lab.run(["ls", str(pool)]).stdout.split()
    return sides and made.job() == "" and inside in ([], ["filler"]) and made.holds(made.images[0], (1, "0", "16M"))


def test_a_pool_that_fills_up_in_mid_copy(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    made = layered(lab, name)
    made.write(5, "16M", "12M")
    with small(lab, pool):
        plan = deck.plan("domain.disk-move", name, limit=_SLOW)
        jobs, handle = begin(deck, plan)
        until(made.job, "the copy to begin")
        lab.run(["dd", "if=/dev/zero", f"of={pool}/filler", "bs=1M"], check=False)
        text = failed(handle.wait(60))
        jobs.stop()
        assert "QEMU broke it off, and libvirt does not say why; 0B free where" in text
        assert f"vda is {made.images[0]} as before" in text
        assert "is removed" in text
        assert as_before(made, pool)
        assert deck.read().connection.live


def test_a_pool_that_nobody_may_write_to(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    """Root, as QEMU is here, is denied by a filesystem that is read-only alone."""
    made = layered(lab, name)
    with small(lab, pool):
        plan = deck.plan("domain.disk-move", name)
        lab.run(["mount", "-o", "remount,ro", str(pool)])
        text = failed(deck.run(plan))
        assert "Read-only file system" in text
        assert as_before(made, pool)
        lab.run(["mount", "-o", "remount,rw", str(pool)])


def test_a_folder_that_nobody_may_write_to(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    made, closed = layered(lab, name), lab.images / f"{name}-closed"
    closed.mkdir()
    plan = deck.plan("domain.disk-copy", name, to=str(closed / "copy"))
    lab.run(["chattr", "+i", str(closed)], check=False)
    try:
        if os.access(closed, os.W_OK):
            pytest.skip("this filesystem has no immutable folders")
        text = failed(deck.run(plan))
    finally:
        lab.run(["chattr", "-i", str(closed)], check=False)
    assert "Operation not permitted" in text
    assert "The disk is as it was." in text
    assert as_before(made, pool)


def test_an_image_whose_file_is_gone_is_saved_by_moving_it(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    """QEMU has it open: what the guest wrote is still there, and would be lost with its end."""
    made = layered(lab, name)
    made.write(5, "16M", "1M")
    plan = deck.plan("domain.disk-move", name)
    made.images[0].unlink()
    done(deck.run(plan))
    (moved,) = made.chain(later=True)
    assert moved == pool / made.images[0].name
    assert made.holds(moved, (1, "0", "16M"), (5, "16M", "1M"))


def test_libvirtd_killed_in_mid_copy(lab: LabHost, deck: Deck, name: str, pool: Path) -> None:
    """QEMU goes on, and the libvirtd that comes next knows of the job."""
    made = layered(lab, name)
    jobs, handle = begin(deck, deck.plan("domain.disk-move", name, limit=_SLOW))
    until(lambda: handle.job.entry.work is not None and made.job(), "the copy to be under way")
    lab.kill_daemon()
    text = failed(handle.wait(60))
    jobs.stop()
    assert "The job goes on in QEMU: the disks of the domain show it, and domain.disk-job pivots or ends it" in text
    assert f"{pool / made.images[0].name} is left, a part of the copy" in text
    lab.start_daemon()
    plan = deck.plan("domain.disk-job", name)
    assert plan.steps[0].title == f"abort the copy of vda of {name}"
    assert made.chain() == [made.images[0]]
    done(deck.run(plan))
    assert made.job() == ""
    assert made.chain() == made.chain(later=True) == [made.images[0]]
    assert made.holds(made.images[0], (1, "0", "16M"))


@pytest.mark.parametrize("action", ["move", "commit"])
def test_qemu_killed_in_mid_job(lab: LabHost, deck: Deck, name: str, pool: Path, action: str) -> None:
    made = layered(lab, name, *(["one"] if action == "commit" else []))
    made.write(7, "16M", "12M")
    chain = made.chain()
    assert made.holds(chain[0], (7, "16M", "12M"))
    jobs, handle = begin(deck, deck.plan(f"domain.disk-{action}", name, limit=_SLOW))
    until(lambda: handle.job.entry.work is not None and made.job(), "the job to be under way")
    os.kill(lab.qemu_pid(name), signal.SIGKILL)
    job: Job = handle.wait(60)
    jobs.stop()
    text = failed(job)
    assert "the domain stopped meanwhile" in text
    assert ("is removed" if action == "move" else "the disk is as it was") in text
    assert list(pool.iterdir()) == []
    assert made.chain() == made.chain(later=True) == chain
    assert job.status is Status.FAILED
    lab.virsh("start", name)
    assert made.holds(chain[0], (7, "20M", "4M"), (1, "2M", "14M"))


@pytest.mark.parametrize("fault", ["written", "gone"])
def test_a_copy_of_what_was_touched_meanwhile_is_removed(
    lab: LabHost, deck: Deck, name: str, pool: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    lab.define_pool("q", lab.images / f"{name}-q")
    made = layered(lab, name, folder=lab.images / f"{name}-q")
    lab.virsh("destroy", name)
    lab.virsh("pool-refresh", "q")
    image = made.images[0]
    copied: list[Path] = []

    def when_copied(*_given: object) -> None:
        copied.extend(pool.iterdir())
        os.utime(image, (1, 1)) if fault == "written" else image.unlink()

    monkeypatch.setattr(disk_moves, "delete_if_cancelled", when_copied)
    said = failed(deck.run(deck.plan("domain.disk-move", name, pool="p")))
    assert ("it was written to meanwhile" if fault == "written" else f"{image}'") in said
    assert copied == [pool / image.name]
    assert f"{pool / image.name} is removed" in said
    assert not list(pool.iterdir())
