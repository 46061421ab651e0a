"""Trouble while volumes are made, converted, rebased and committed: what is said, and that nothing is lost by it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.hosts import session_daemon
from tests.lab.actions import Completed
from tests.lab.host import LabHost
from tests.lab.namespaces import run
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import (
    done,
    failed,
    image_plans,
    make_in_p,
    random_file,
    read_by_guest,
    write,
)

_MIB = 1 << 20
_BIG = 256 * _MIB


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


def chain(lab: LabHost, pool: Path, mib: int = 6) -> str:
    """An image on another, each with so much of its own; a checksum of what a guest reads of it."""
    size = 2 * mib * _MIB
    make_in_p(lab, "low", size)
    write(pool / "low", 1, "0", f"{mib}M")
    make_in_p(lab, "top", size, below="low")
    write(pool / "top", 2, f"{mib // 2}M", f"{mib}M")
    return read_by_guest(pool / "top")


# The disk is full


@contextmanager
def small_disk(lab: LabHost, pool: Path, mib: int) -> Iterator[None]:
    """A filesystem of so much under the pool, which only what runs inside the lab sees."""
    lab.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(pool)])
    lab.virsh("pool-refresh", "p")
    try:
        yield
    finally:
        lab.virsh("pool-destroy", "p")
        lab.run(["umount", str(pool)])


def inside(lab: LabHost, home: Path, *words: str) -> Completed:
    """What `virtdeck do` says inside the lab, where it sees what libvirtd sees."""
    environment = ["env", f"XDG_STATE_HOME={home}/state", f"XDG_CONFIG_HOME={home}/config"]
    return lab.run([*environment, sys.executable, "-m", "tui", "-c", lab.uri, "do", *words, "--yes"], check=False)


def test_a_full_disk_under_the_images(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    noise = random_file(tmp_path / "noise", 8 * _MIB)

    def content(name: str) -> str:
        copy = tmp_path / "copy"
        lab.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(pool / name), str(copy)])
        return read_by_guest(copy, "raw")

    with small_disk(lab, pool, 20):
        for number, (name, below, where) in enumerate((("low", "", "0 5M"), ("top", "low", "4M 4M"))):
            make_in_p(lab, name, 10 * _MIB, below=below)
            source = f"write -s {noise} {where}" if not number else f"write -P 7 {where}"
            lab.run(["qemu-io", "-f", "qcow2", "-c", source, str(pool / name)])
        before = content("top")
        lab.run(["dd", "if=/dev/zero", f"of={pool}/ballast", "bs=1M"], check=False)
        lab.run(["truncate", "-s", "-1M", f"{pool}/ballast"])
        # What libvirt last read of the pool says that there is room.
        said = inside(lab, home, "volume.convert", "p/top", "--set", "name=new", "--set", "format=raw")
        assert (said.returncode, "No space left on device" in said.stderr) == (1, True), said
        assert "Nothing is left of it." in said.stderr
        words = ("--set", "name=new", "--set", "format=qcow2", "--set", "compress=yes")
        said = inside(lab, home, "volume.convert", "p/top", *words)
        assert "No space left on device. What had come of it is removed." in said.stderr, said
        said = inside(lab, home, "volume.rebase", "p/top", "--set", "backing=")
        assert f"No space left on device. It lies on {pool}/low as before. It holds what it held" in said.stderr, said
        assert content("top") == before
        said = inside(lab, home, "volume.commit", "p/top")
        assert f"No space left on device. {pool}/low may have a part of it; top is whole" in said.stderr, said
        assert content("top") == before
        said = inside(lab, home, "volume.create", "p", "--set", "name=new", "--set", "capacity=4M",
                      "--set", "format=raw", "--set", "allocation=4M")  # fmt: skip
        assert (said.returncode, "Nothing is left of it." in said.stderr) == (1, True), said
        assert sorted(lab.run(["ls", str(pool)]).stdout.split()) == ["ballast", "low", "top"]
        lab.run(["rm", f"{pool}/ballast"])
        assert inside(lab, home, "volume.commit", "p/top").returncode == 0
        assert content("top") == content("low") == before
        assert deck.read().connection.live


# Files and folders go


def test_files_removed_underneath(lab: LabHost, deck: StorageDeck, pool: Path) -> None:
    chain(lab, pool)
    plans = {**image_plans(deck), "delete": deck.plan("volume.delete", "p/top")}
    (pool / "low").rename(pool.parent / "low-away")
    for what in ("compress", "rebase", "commit"):
        failed(deck.run(plans[what]), "low.*No such file or directory")
    failed(deck.run(plans["convert"]), "No such file or directory", r"Nothing is left of it\.")
    (pool.parent / "low-away").rename(pool / "low")
    (pool / "top").unlink()
    for what, plan in plans.items():
        if what != "delete":
            failed(deck.run(plan), "Its file is gone; refresh the pool")
    # libvirt deletes what is not there.
    done(deck.run(plans["delete"]))
    assert [path.name for path in pool.iterdir()] == ["low"]
    seen = deck.read().storage
    assert seen is not None
    assert [volume.name for volume in seen.volumes.values()] == ["low"]


def test_the_folder_of_the_pool_is_gone(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    before = chain(lab, pool)
    make_in_p(lab, "raw", _MIB, "raw")
    source = random_file(tmp_path / "source", _MIB)
    plans = [
        *image_plans(deck).values(),
        deck.plan("volume.create", "p", name="x", capacity="1M"),
        deck.plan("volume.clone", "p/raw"),
        deck.plan("volume.resize", "p/raw", capacity="2M"),
        deck.plan("volume.upload", "p/raw", file=str(source)),
        deck.plan("volume.download", "p/raw", file=str(tmp_path / "back")),
        deck.plan("volume.wipe", "p/raw"),
    ]
    away = pool.with_name("away")
    pool.rename(away)
    for plan in plans:
        failed(deck.run(plan), "No such file or directory|Its file is gone")
    assert deck.read().connection.live
    away.rename(pool)
    lab.virsh("pool-refresh", "p")
    assert sorted(path.name for path in pool.iterdir()) == ["low", "raw", "top"]
    assert read_by_guest(pool / "top") == before
    assert not (tmp_path / "back").exists()


# What may not be written to


@contextmanager
def read_only_folder(path: Path, inside_too: LabHost) -> Iterator[None]:
    """The folder can be read alone, here and inside the lab."""
    places: list[Callable[[list[str]], object]] = [run, inside_too.run]
    for place in places:
        place(["mount", "--bind", str(path), str(path)])
        place(["mount", "-o", "remount,bind,ro", str(path)])
    try:
        yield
    finally:
        for place in places:
            place(["umount", str(path)])


def test_what_may_not_be_written_to(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    chain(lab, pool)
    write(pool / "top", 3, "0", "1M")
    make_in_p(lab, "raw", _MIB, "raw")
    before = read_by_guest(pool / "top")
    plans = image_plans(deck)
    more = [
        deck.plan("volume.create", "p", name="x", capacity="1M"),
        deck.plan("volume.clone", "p/top"),
        deck.plan("volume.resize", "p/top", capacity="+1M"),
        deck.plan("volume.wipe", "p/top", raw="yes"),
        deck.plan("volume.delete", "p/top"),
        deck.plan("volume.check", "p/top", repair="all"),
        deck.plan("volume.upload", "p/raw", file=str(random_file(tmp_path / "source", _MIB))),
    ]
    with read_only_folder(pool, lab):
        for what in ("check", "info"):
            done(deck.run(plans[what]))
        failed(deck.run(plans["commit"]), "low cannot be written to. Nothing was changed")
        failed(deck.run(plans["compress"]), r"new\.part: Read-only file system. Nothing was changed")
        failed(deck.run(plans["rebase"]), "Read-only file system", "lies on .*low as before")
        failed(deck.run(plans["convert"]), "Read-only file system", r"Nothing is left of it\.")
        for plan in more:
            failed(deck.run(plan), "Read-only file system")
    assert sorted(path.name for path in pool.iterdir()) == ["low", "raw", "top"]
    assert read_by_guest(pool / "top") == before
    assert not any((pool / "raw").read_bytes())


def test_a_folder_that_the_daemon_may_not_write_to(tmp_path: Path) -> None:
    """A libvirtd that is not root, as of a user's session."""
    with (
        tempfile.TemporaryDirectory(prefix="virtdeck-closed-", dir="/tmp") as folder,
        session_daemon() as socket,
        StorageDeck(f"qemu+unix:///session?socket={socket}", tmp_path / "home") as deck,
    ):
        closed = Path(folder)
        closed.chmod(0o755)
        image = closed / "a"
        image.write_bytes(b"x" * _MIB)
        image.chmod(0o644)
        done(deck.run(deck.plan("pool.define", name="closed", target=str(closed))))
        for action, target, values in (
            ("create", "closed", {"name": "x", "capacity": "1M", "format": "raw"}),
            ("clone", "closed/a", {}),
            ("convert", "closed/a", {"name": "b", "format": "qcow2"}),
        ):
            job = deck.run(deck.plan(f"volume.{action}", target, **values))
            failed(job, "Permission denied", r"Nothing is left of it\.")
        for action, values in (("resize", {"capacity": "2M"}), ("wipe", {}), ("delete", {})):
            failed(deck.run(deck.plan(f"volume.{action}", "closed/a", **values)), "Permission denied")
        assert [path.name for path in closed.iterdir()] == ["a"]
        assert image.read_bytes() == b"x" * _MIB
