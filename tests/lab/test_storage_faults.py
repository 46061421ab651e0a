"""Trouble staged under pools and volumes: no room, no directory, no right, no daemon. Each time the error says what is
wrong and what is left, nothing is lost, and what is shown afterwards is what there is."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.hosts import session_daemon
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import Watched, done, random_file
from tui.model.journal import Status
from tui.model.storage import Pool
from tui.runtime.jobs import Job

_MIB = 1024**2


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[StorageDeck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture
def pool(lab: LabHost, tmp_path: Path) -> Path:
    """The directory of the pool `p`."""
    path = lab.root / f"{tmp_path.name}-p"
    lab.define_pool("p", path)
    return path


@contextmanager
def small(lab: LabHost, pool: Path) -> Iterator[None]:
    """The pool on a filesystem of 8 MiB."""
    lab.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(pool)])
    lab.virsh("pool-refresh", "p")
    try:
        yield
    finally:
        lab.virsh("pool-destroy", "p", check=False)
        lab.run(["umount", str(pool)])


def failed(job: Job) -> str:
    """What a job that failed says."""
    assert job.status is Status.FAILED, job.results
    return job.problems()[0].message


def shown(deck: StorageDeck, name: str = "p") -> tuple[Pool, list[str]]:
    """The pool and the names of its volumes as virtdeck reads them now."""
    storage = deck.read().storage
    assert storage is not None
    found = next(pool for pool in storage.pools.values() if pool.name == name)
    return found, sorted(volume.name for volume in storage.volumes_of(found.key))


# No room


def test_a_new_volume_for_which_there_is_no_room_is_not_left(lab: LabHost, deck: StorageDeck, pool: Path) -> None:
    with small(lab, pool):
        plan = deck.plan("volume.create", "p", name="new", capacity="6M", allocation="6M", format="raw")
        lab.run(["dd", "if=/dev/zero", f"of={pool}/other", "bs=1M", "count=4", "status=none"])
        assert "No space left on device" in failed(deck.run(plan))
        lab.virsh("pool-refresh", "p")
        assert shown(deck)[1] == ["other"]


# No directory


def test_a_pool_whose_directory_went_while_it_is_active(
    lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path
) -> None:
    lab.virsh("vol-create-as", "p", "a", "1M", "--format", "raw")
    create = deck.plan("volume.create", "p", name="new", capacity="1M", format="raw")
    upload = deck.plan("volume.upload", "p/a", file=str(random_file(tmp_path / "source", _MIB)))
    aside = pool.with_name(f"{pool.name}-aside")
    pool.rename(aside)
    assert "No such file or directory" in failed(deck.run(create))
    assert "Its file is gone; refresh the pool, and look again." in failed(deck.run(upload))
    found, names = shown(deck)
    assert (found.state.value, found.problem.partition(":")[0], names) == ("running", "a", []), "said, not hidden"
    assert "libvirt stops a pool that it cannot read" in failed(deck.run(deck.plan("pool.refresh", "p")))
    assert shown(deck)[0].state.value == "inactive"
    aside.rename(pool)
    done(deck.run(deck.plan("pool.start", "p")))
    assert shown(deck)[1] == ["a"], "nothing is lost"


# No right


@contextmanager
def unprivileged(home: Path) -> Iterator[tuple[StorageDeck, Path]]:
    """virtdeck on a libvirtd that is not root, and the directory of an active pool `closed`, of which it may read all
    and write nothing: one volume of 1 MiB."""
    with tempfile.TemporaryDirectory(prefix="virtdeck-closed-", dir="/tmp") as folder:
        path = Path(folder)
        path.chmod(0o755)
        random_file(path / "a", _MIB).chmod(0o644)
        with session_daemon() as socket, StorageDeck(f"qemu+unix:///session?socket={socket}", home) as deck:
            done(deck.run(deck.plan("pool.define", name="closed", target=folder)))
            yield deck, path


def test_a_volume_that_the_daemon_may_not_write_is_not_uploaded_to(tmp_path: Path) -> None:
    source = random_file(tmp_path / "source", _MIB)
    with unprivileged(tmp_path) as (deck, path):
        (path / "a").write_bytes(b"precious" * (_MIB // 8))
        text = failed(deck.run(deck.plan("volume.upload", "closed/a", file=str(source))))
        assert "Permission denied" in text
        assert (path / "a").read_bytes() == b"precious" * (_MIB // 8)
        assert shown(deck, "closed")[1] == ["a"]


def test_what_the_daemon_may_no_longer_read_is_told(tmp_path: Path) -> None:
    with unprivileged(tmp_path) as (deck, path):
        plan = deck.plan("volume.download", "closed/a", file=str(tmp_path / "back"))
        (path / "a").chmod(0o600)
        assert "Permission denied" in failed(deck.run(plan))
        assert not [file for file in tmp_path.iterdir() if file.name.startswith("back")]
        path.chmod(0o700)
        text = failed(deck.run(deck.plan("pool.refresh", "closed")))
        assert "Permission denied" in text
        assert "it is inactive now; mend its path, then start it" in text
        assert shown(deck, "closed")[0].state.value == "inactive"
        path.chmod(0o755)
        (path / "a").chmod(0o644)
        done(deck.run(deck.plan("pool.start", "closed")))
        assert shown(deck, "closed")[1] == ["a"]


# No daemon


def test_a_daemon_killed_while_it_is_asked(lab: LabHost, deck: StorageDeck, pool: Path) -> None:
    """Stopped before, it has not begun: nothing is made, and it can be asked again."""
    plans = [
        deck.plan("volume.create", "p", name="new", capacity="1M", format="raw"),
        deck.plan("pool.refresh", "p"),
    ]
    for plan in plans:
        os.kill(lab.daemon_pid, signal.SIGSTOP)
        watched = Watched(deck, plan)
        os.kill(lab.daemon_pid, signal.SIGKILL)
        assert "libvirt code" in failed(watched.ended())
        wait_until(lambda: not lab.is_up, "the daemon to be gone")
        lab.start_daemon()
        lab.virsh("pool-start", "p", check=False)
        assert shown(deck)[1] == []
    for plan in plans:
        done(deck.run(plan))
    assert shown(deck)[1] == ["new"]
