"""Uploads and downloads: byte-exact, with progress, cancelled at half, and staged trouble on the way."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.actions import environment, run_commands
from tests.lab.host import LabHost
from tests.lab.namespaces import run, wait_until
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import Watched, done, random_file, refused, slowed, use
from tui.model.journal import Status
from tui.ops import request_types
from tui.runtime.journal import Journal

_MIB = 1024**2
_SIZE = 256 * _MIB
_GIB = 1024 * _MIB


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


def make(lab: LabHost, name: str, size: int = _SIZE, form: str = "raw") -> None:
    lab.virsh("vol-create-as", "p", name, str(size), "--allocation", "0", "--format", form)


def checksum(path: Path, size: int | None = None) -> str:
    with path.open("rb") as file:
        if size is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(file.read(size)).hexdigest()


def test_a_gib_comes_back_as_it_went(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    source, back = random_file(tmp_path / "source", _GIB), tmp_path / "back"
    make(lab, "a", _GIB)
    done(deck.run(deck.plan("volume.upload", "p/a", file=str(source))))
    assert checksum(pool / "a") == checksum(source)
    done(deck.run(deck.plan("volume.download", "p/a", file=str(back))))
    assert checksum(back) == checksum(source)
    assert not (tmp_path / "back.part").exists()


def test_the_commands_move_the_same_bytes(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    source = random_file(tmp_path / "source", 16 * _MIB)
    for name in ("ours", "theirs"):
        make(lab, name, 16 * _MIB)
    reading = deck.read()
    for action, files in (("volume.upload", [source, source]), ("volume.download", [tmp_path / "a", tmp_path / "b"])):
        plan, by_hand = (
            deck.plan_of(reading, action, [f"p/{name}"], {"file": str(file)})
            for name, file in zip(("ours", "theirs"), files, strict=True)
        )
        done(deck.run(plan))
        run_commands(by_hand.steps)
        assert checksum(pool / "ours") == checksum(pool / "theirs") == checksum(source)
    assert checksum(tmp_path / "a") == checksum(tmp_path / "b") == checksum(source)


def test_a_file_is_overwritten_only_when_asked(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    make(lab, "a", _MIB)
    (pool / "a").write_bytes(b"x" * _MIB)
    file = tmp_path / "file"
    plan = deck.plan("volume.download", "p/a", file=str(file))
    file.write_text("mine")
    job = deck.run(plan)
    assert job.status is Status.FAILED
    assert "is there already. Nothing was changed" in job.results[0].message
    refused(deck, "volume.download", "p/a", "is there already", file=str(file))
    assert file.read_text() == "mine"
    plan = deck.plan("volume.download", "p/a", file=str(file), overwrite="yes")
    assert plan.losses() == [f"what {file} holds now"]
    done(deck.run(plan))
    assert checksum(file) == checksum(pool / "a")


def test_an_upload_cancelled_at_half_says_what_is_left(
    lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = random_file(tmp_path / "source", _GIB)
    make(lab, "a", _GIB)
    plan = deck.plan("volume.upload", "p/a", file=str(source))
    said: list[str | None] = []
    slowed(monkeypatch, lambda done: said.append(watched.cancel()) if done >= _GIB // 2 and not said else None)
    watched = Watched(deck, plan)
    job = watched.ended()
    assert said == [f"{plan.title}: stopping"]
    assert job.status is Status.CANCELLED
    assert job.entry.work is None
    message = job.results[0].message
    assert "cancelled at 512M of 1.0G" in message
    assert "Up to 512M from its beginning are overwritten, the rest is as before; upload it again." in message
    assert deck.entry(job).status is Status.CANCELLED
    # What was sent last is in sockets and pipes on the way when the stream is aborted.
    half = _GIB // 2 - 32 * _MIB
    wait_until(lambda: (pool / "a").stat().st_size == _GIB, "the volume to be as large as it was")
    assert checksum(pool / "a", half) == checksum(source, half)
    assert not (pool / "a").read_bytes()[_GIB // 2 + 2 * _MIB :].strip(b"\0")
    works = [work for work in watched.works if work.rate]
    assert works, "its rate is told"
    assert all(work.total == _GIB and work.left_s is not None for work in works)
    assert [work.done for work in works] == sorted(work.done for work in works)


def test_a_download_cancelled_at_half_leaves_nothing(
    lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(lab, "a", _GIB)
    random_file(pool / "a", _GIB)
    plan = deck.plan("volume.download", "p/a", file=str(tmp_path / "back"))
    said: list[str | None] = []
    slowed(monkeypatch, lambda done: said.append(watched.cancel()) if done >= _GIB // 2 and not said else None)
    watched = Watched(deck, plan)
    job = watched.ended()
    assert job.status is Status.CANCELLED
    assert "cancelled at 512M of 1.0G; what had come of it is removed" in job.results[0].message
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("back")) == []


def with_holes(path: Path) -> None:
    """Fill an empty volume of 64 MiB with two pieces of data: holes before, between and behind them."""
    with path.open("r+b") as file:
        for at in (5, 40):
            file.seek(at * _MIB)
            file.write(os.urandom(_MIB))


@pytest.mark.parametrize("sparse", ["yes", "no"])
def test_holes_stay_holes_if_asked(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path, sparse: str) -> None:
    make(lab, "a", 64 * _MIB)
    with_holes(pool / "a")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    reading = deck.read()
    for path in (ours, theirs):
        plan = deck.plan_of(reading, "volume.download", ["p/a"], {"file": str(path), "sparse": sparse})
        if path is ours:
            done(deck.run(plan))
        else:
            run_commands(plan.steps)
    assert checksum(ours) == checksum(theirs) == checksum(pool / "a")
    for path in (ours, theirs):
        assert path.stat().st_size == 64 * _MIB
        taken = path.stat().st_blocks * 512
        assert (taken < 8 * _MIB) is (sparse == "yes"), f"{path.name} takes {taken}"


@pytest.mark.parametrize(("action", "values"), [("clone", {}), ("convert", {"format": "raw"})])
def test_a_cancelled_copy_is_deleted(
    lab: LabHost, deck: StorageDeck, pool: Path, action: str, values: dict[str, str]
) -> None:
    make(lab, "a")
    random_file(pool / "a")
    watched = Watched(deck, deck.plan(f"volume.{action}", "p/a", name="b", **values))
    watched.cancel()
    job = watched.ended()
    assert job.status is Status.CANCELLED, job.results
    assert not (pool / "b").exists()
    assert lab.virsh("vol-list", "p").stdout.split() == ["a", str(pool / "a")]


def test_a_file_that_is_too_large_or_of_another_format_is_refused(
    lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path
) -> None:
    for name in ("ours", "theirs"):
        make(lab, name, 4 * _MIB)
    make(lab, "other", 4 * _MIB, "qcow2")
    source = random_file(tmp_path / "source", 4 * _MIB)
    plan = deck.plan("volume.upload", "p/ours", file=str(source))
    random_file(source, 8 * _MIB)
    lab.virsh("vol-upload", "theirs", str(source), "--pool", "p")
    assert (pool / "theirs").stat().st_size == 8 * _MIB, "libvirt itself writes beyond the capacity"
    words = r"holds 8.0M \(8388608 bytes\), the volume's capacity is 4.0M"
    refused(deck, "volume.upload", "p/ours", words, file=str(source))
    job = deck.run(plan)
    assert job.status is Status.FAILED
    assert "the volume's capacity is 4.0M" in job.results[0].message
    assert (pool / "ours").stat().st_size == 4 * _MIB
    refused(deck, "volume.upload", "p/other", "is raw, the volume is qcow2", file=str(source))
    refused(deck, "volume.upload", "p/ours", "is qcow2, the volume is raw", file=str(pool / "other"))
    refused(deck, "volume.upload", "p/ours", "no file", file=str(tmp_path / "none"))


def test_a_running_disk_is_not_written_over(lab: LabHost, deck: StorageDeck, pool: Path, name: str) -> None:
    for volume in ("ours", "theirs"):
        make(lab, volume, 4 * _MIB)
    source = random_file(pool / "source", 4 * _MIB)
    plan = deck.plan("volume.upload", "p/ours", file=str(source))
    use(lab, f"{name}-x", pool / "theirs")
    lab.virsh("vol-upload", "theirs", str(source), "--pool", "p")
    assert checksum(pool / "theirs") == checksum(source), "libvirt itself writes over the disk of a running domain"
    use(lab, name, pool / "ours")
    job = deck.run(plan)
    assert job.status is Status.FAILED
    assert f"it is used by {name} (vda, running). Nothing was changed" in job.results[0].message
    refused(deck, "volume.upload", "p/ours", rf"it is used by {name} \(vda, running\)", file=str(source))
    assert not any((pool / "ours").read_bytes())


# Trouble on the way


def test_a_full_disk_under_the_pool(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    lab.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(pool)])
    try:
        make(lab, "a", 64 * _MIB)
        source = random_file(tmp_path / "source", 32 * _MIB)
        job = deck.run(deck.plan("volume.upload", "p/a", file=str(source)))
        assert job.status is Status.FAILED
        assert "No space left on device" in job.results[0].message
        assert "from its beginning are overwritten" in job.results[0].message
        assert deck.read().connection.live
    finally:
        lab.virsh("pool-destroy", "p")
        lab.run(["umount", str(pool)])


def test_a_copy_that_finds_no_room_is_not_left_half_made(
    lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path
) -> None:
    lab.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(pool)])
    try:
        make(lab, "a", 6 * _MIB)
        plan = deck.plan("volume.clone", "p/a")
        lab.virsh("vol-upload", "a", str(random_file(tmp_path / "source", 6 * _MIB)), "--pool", "p")
        job = deck.run(plan)
        assert job.status is Status.FAILED, job.results
        assert lab.run(["ls", str(pool)]).stdout.split() == ["a"]
        refused(deck, "volume.clone", "p/a", "the copy takes 6.0M, p has 2.0M free")
    finally:
        lab.virsh("pool-destroy", "p")
        lab.run(["umount", str(pool)])


def test_a_full_disk_under_the_file(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    make(lab, "a", 32 * _MIB)
    random_file(pool / "a", 32 * _MIB)
    small = tmp_path / "small"
    small.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)])
    try:
        job = deck.run(deck.plan("volume.download", "p/a", file=str(small / "back")))
        assert job.status is Status.FAILED
        assert "No space left on device. What had come of it is removed" in job.results[0].message
        assert list(small.iterdir()) == []
    finally:
        run(["umount", str(small)])


def test_a_file_removed_underneath(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    make(lab, "a", 4 * _MIB)
    source = random_file(tmp_path / "source", 4 * _MIB)
    plans = [
        deck.plan("volume.upload", "p/a", file=str(source)),
        deck.plan("volume.download", "p/a", file=str(tmp_path / "back")),
        deck.plan("volume.clone", "p/a"),
        deck.plan("volume.resize", "p/a", capacity="8M"),
        deck.plan("volume.wipe", "p/a"),
    ]
    (pool / "a").unlink()
    for plan in plans:
        job = deck.run(plan)
        assert job.status is Status.FAILED, plan.title
        assert "Its file is gone; refresh the pool" in job.results[0].message
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("back")) == []
    assert list(pool.iterdir()) == []
    assert deck.read().connection.live


@pytest.mark.parametrize("action", ["volume.upload", "volume.download"])
def test_a_daemon_killed_in_mid_copy(
    lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    source = random_file(tmp_path / "source")
    make(lab, "a")
    if action == "volume.download":
        random_file(pool / "a")
    before = checksum(source)
    plan = deck.plan(action, "p/a", file=str(source), **({"overwrite": "yes"} if "down" in action else {}))
    killed: list[int] = []

    def kill(done: int) -> None:
        if done >= _SIZE // 4 and not killed:
            killed.append(lab.daemon_pid)
            os.kill(lab.daemon_pid, signal.SIGKILL)

    slowed(monkeypatch, kill)
    job = Watched(deck, plan).ended()
    assert killed
    assert job.status is Status.FAILED
    assert checksum(source) == before, "the local file is what it was"
    assert not (tmp_path / "source.part").exists()
    if action == "volume.upload":
        assert "from its beginning are overwritten, the rest is as before; upload it again" in job.results[0].message
    wait_until(lambda: not lab.is_up, "the daemon to be gone")
    lab.start_daemon()
    lab.virsh("pool-start", "p", check=False)
    if action == "volume.upload":
        done(deck.run(deck.plan(action, "p/a", file=str(source))))
        assert checksum(pool / "a") == before


def test_ctrl_c_cancels_and_says_what_is_left(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    """The program on its own, as from a shell."""
    source = random_file(tmp_path / "source", 4 * _SIZE)
    make(lab, "a", 4 * _SIZE)
    words = ["do", "volume.upload", "p/a", "--set", f"file={source}", "--yes"]
    program = subprocess.Popen(
        [sys.executable, "-m", "tui", "-c", lab.uri, *words],
        env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: any((pool / "a").open("rb").read(16)), "the first bytes", timeout=60)
    program.send_signal(signal.SIGINT)
    out, said = program.communicate(timeout=60)
    assert program.returncode == 1
    assert ": stopping; Ctrl+C again leaves it" in said
    assert re.search(r"cancelled at \d.*[KM] of 1.0G. Up to \d.*[KM] from its beginning are overwritten", said), said
    assert "uploaded" not in out
    (entry,) = deck_of(tmp_path).entries()
    assert entry.status is Status.CANCELLED


def deck_of(home: Path) -> Journal:
    """The journal that the program kept."""
    journal = Journal(home / "state" / "virtdeck" / "journal.jsonl", request_types)
    journal.load()
    return journal
