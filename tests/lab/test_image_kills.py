"""Work on volumes cancelled, and qemu-img, libvirtd and virtdeck killed in the middle of it: nothing is lost by it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab.actions import environment
from tests.lab.host import LabHost
from tests.lab.namespaces import is_alive, run, wait_until
from tests.lab.storage_twins import StorageDeck
from tests.lab.volume_words import (
    Watched,
    done,
    failed,
    image_plans,
    make_in_p,
    random_file,
    read_by_guest,
    slowed,
    write,
)
from tui.model.image_header import backing_of
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.runtime.jobs import Job

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


def children(pid: int | str = "self") -> list[int]:
    """The processes of qemu-img that one started, by default this one."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            for child in (task / "children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "qemu-img":
                    found.append(int(child))
    return found


def frozen() -> int:
    """The process of qemu-img once it has read some MiB, stopped where it is."""
    found: list[int] = []

    def reads() -> bool:
        found[:] = [pid for pid in children() if _read_so_far(pid) > 4 * _MIB]
        return bool(found)

    wait_until(reads, "qemu-img to be at work")
    os.kill(found[0], signal.SIGSTOP)
    return found[0]


def _read_so_far(pid: int) -> int:
    with suppress(OSError):
        return int(re.search(r"^rchar: (\d+)$", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)[1])  # type: ignore[index]
    return 0


def _is_asked_to_end(pid: int) -> bool:
    """Whether SIGTERM waits for it to go on."""
    found = re.search(r"^ShdPnd:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) & 1 << (signal.SIGTERM - 1))


def _cancel(watched: Watched, pid: int) -> None:
    watched.cancel()
    wait_until(lambda: _is_asked_to_end(pid), "qemu-img to be asked to end")
    os.kill(pid, signal.SIGCONT)


def _kill(_watched: Watched, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def stopped_in_the_middle(
    deck: StorageDeck, plan: Plan, monkeypatch: pytest.MonkeyPatch, stop: Callable[[Watched, int], None]
) -> Job:
    """Carry it out, and stop it when it is at work."""
    with monkeypatch.context() as patched:
        slowed(patched, lambda _done: None)
        watched = Watched(deck, plan)
        stop(watched, frozen())
        job = watched.ended()
    assert {work.total for work in watched.works} == {_BIG}, "how far it is of what is known"
    assert not children(), "nothing of it goes on"
    return job


@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_stopped_in_the_middle_nothing_is_lost(
    lab: LabHost, deck: StorageDeck, pool: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    make_in_p(lab, "low", _BIG)
    make_in_p(lab, "top", _BIG, below="low")
    write(pool / "low", 1, "0", "192M")
    write(pool / "top", 2, "64M", "192M")
    before = read_by_guest(pool / "top")
    stop, status = (_cancel, Status.CANCELLED) if how == "cancelled" else (_kill, Status.FAILED)
    word = "cancelled" if how == "cancelled" else "qemu-img was killed by signal 9"

    def ends(plan: Plan, *said: str) -> None:
        job = stopped_in_the_middle(deck, plan, monkeypatch, stop)
        assert job.status is status, job.results
        for part in (word, *said):
            assert re.search(part, job.results[0].message), job.results[0].message
        assert read_by_guest(pool / "top") == before

    plans = image_plans(deck)
    ends(plans["compress"], r"What had come of it is removed\.")
    assert sorted(path.name for path in pool.iterdir()) == ["low", "top"]
    ends(plans["rebase"], r"It lies on .*/low as before\. It holds what it held", "A check may find leaked clusters")
    ends(plans["commit"], "low may have a part of it; top is whole and reads as before: commit it again")
    for name in ("low", "top"):
        done(deck.run(deck.plan("volume.check", f"p/{name}", repair="leaks")))
    done(deck.run(deck.plan("volume.commit", "p/top")))
    assert read_by_guest(pool / "top") == read_by_guest(pool / "low") == before


def test_a_rebase_killed_at_its_end_loses_nothing(lab: LabHost, deck: StorageDeck, pool: Path) -> None:
    """qemu-img changes the header before its tables are in the file."""
    size = 128 * _MIB
    make_in_p(lab, "low", size)
    make_in_p(lab, "top", size, below="low")
    write(pool / "low", 1, "0", "96M")
    top = pool / "top"
    before, old = read_by_guest(top), top.read_bytes()

    def killed_at_the_end(start: Callable[[], Callable[[], bool]]) -> bool:
        """Whether a guest reads of it then what it read before."""
        top.write_bytes(old)
        runs = start()
        while backing_of(str(top)) and runs():
            pass
        for pid in children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not runs(), "its end")
        return read_by_guest(top) == before

    def plain() -> Callable[[], bool]:
        process = subprocess.Popen(["qemu-img", "rebase", "-f", "qcow2", "-b", "", str(top)])
        return lambda: process.poll() is None

    def ours() -> Callable[[], bool]:
        run = Watched(deck, plan).run
        return lambda: not run.job.status.ended

    plan = deck.plan("volume.rebase", "p/top", backing="")
    assert not all(killed_at_the_end(plain) for _ in range(20)), "qemu-img itself loses what it had copied"
    assert all(killed_at_the_end(ours) for _ in range(4))


@pytest.mark.parametrize("action", ["volume.clone", "volume.convert"])
def test_a_daemon_killed_in_mid_copy(lab: LabHost, deck: StorageDeck, pool: Path, action: str) -> None:
    make_in_p(lab, "a", _BIG, "raw")
    random_file(pool / "a", _BIG)
    before = read_by_guest(pool / "a", "raw")
    plan = deck.plan(action, "p/a", name="b", **({"format": "raw"} if action == "volume.convert" else {}))
    ended = deck.start(plan)
    copy = pool / "b"
    wait_until(lambda: copy.exists() and copy.stat().st_blocks > 0, "the first bytes of the copy")
    os.kill(lab.daemon_pid, signal.SIGKILL)
    failed(ended(), r"What there is of b may be half-made: look at it, and delete it\.")
    assert read_by_guest(pool / "a", "raw") == before
    wait_until(lambda: not lab.is_up, "the daemon to be gone")
    lab.start_daemon()
    lab.virsh("pool-start", "p", check=False)
    lab.virsh("pool-refresh", "p")
    done(deck.run(deck.plan("volume.delete", "p/b")))
    done(deck.run(deck.plan("volume.clone", "p/a", name="b")))
    compared = run(["qemu-img", "compare", "-f", "raw", "-F", "raw", str(pool / "a"), str(copy)], check=False)
    assert read_by_guest(copy, "raw") == before, compared.stdout + str(copy.stat())


def test_a_daemon_killed_in_mid_wipe(lab: LabHost, deck: StorageDeck, pool: Path) -> None:
    make_in_p(lab, "a", _BIG, "raw")
    random_file(pool / "a", _BIG)
    ended = deck.start(deck.plan("volume.wipe", "p/a"))
    wait_until(lambda: not any((pool / "a").open("rb").read(64)), "the first zeros")
    os.kill(lab.daemon_pid, signal.SIGKILL)
    failed(ended(), r"A part of it may be overwritten\.")
    wait_until(lambda: not lab.is_up, "the daemon to be gone")
    lab.start_daemon()
    lab.virsh("pool-start", "p", check=False)
    done(deck.run(deck.plan("volume.wipe", "p/a")))


def test_virtdeck_ended_in_mid_conversion(lab: LabHost, deck: StorageDeck, pool: Path, tmp_path: Path) -> None:
    """By Ctrl+C, which a terminal sends to all that runs on it, and by SIGKILL."""
    make_in_p(lab, "a", 64 * _MIB, "raw")
    random_file(pool / "a", 64 * _MIB)
    part, values = pool / "b.part", {"name": "b", "format": "qcow2", "compress": "yes"}
    program = converting(lab, tmp_path / "home", part)
    os.killpg(program.pid, signal.SIGINT)
    _out, said = program.communicate(timeout=60)
    assert (program.returncode, b"cancelled. What had come of it is removed." in said) == (1, True), said
    assert [path.name for path in pool.iterdir()] == ["a"]
    program = converting(lab, tmp_path / "home", part)
    left = children(program.pid)
    program.kill()
    program.communicate()
    assert not (pool / "b").exists(), "what is not whole does not have the name"
    job = deck.run(deck.plan("volume.convert", "p/a", **values))
    failed(job, r"b\.part: File exists", "or was cut off: then delete it")
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in left), "the end of qemu-img")
    lab.virsh("pool-refresh", "p")
    done(deck.run(deck.plan("volume.delete", "p/b.part")))
    done(deck.run(deck.plan("volume.convert", "p/a", **values)))
    assert read_by_guest(pool / "b") == read_by_guest(pool / "a", "raw")


def converting(lab: LabHost, home: Path, part: Path) -> subprocess.Popen[bytes]:
    """virtdeck at it, as from a shell, once the first bytes of the copy are there."""
    words = ["do", "volume.convert", "p/a", "--set=name=b", "--set=format=qcow2", "--set=compress=yes", "--yes"]
    program = subprocess.Popen(
        [sys.executable, "-m", "tui", "-c", lab.uri, *words], env=environment(home), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_until(lambda: part.exists() and part.stat().st_size > _MIB, "the first bytes of the copy")
    return program
