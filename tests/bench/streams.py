"""1 GiB into a volume and out of it, by virtdeck's jobs and by virsh in turn: at 0.9 of the speed of virsh at least."""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.program import Bench
from tests.lab.daemon import missing_requirements
from tests.lab.host import LabHost
from tests.lab.storage_twins import StorageDeck
from tui.model.journal import Status

_MIB = 1024**2
_WHOLE_MIB, _QUICK_MIB = 1024, 128
_ROUNDS = 5
_SLOWEST = 1 / 0.9
_WAIT_S = 600.0


def streams(bench: Bench) -> list[Figure]:
    """Measure upload and download against virsh; nothing where there can be no lab (it needs root and libvirtd)."""
    if missing_requirements():
        return []
    size = _QUICK_MIB if bench.quick else _WHOLE_MIB
    with tempfile.TemporaryDirectory(prefix="virtdeck-bench-", dir=_memory(6 * size)) as folder, LabHost() as lab:
        os.chmod(folder, 0o755)
        source, pool = Path(folder) / "source", Path(folder) / "pool"
        with source.open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(_MIB))
        lab.define_pool("bench", pool)
        for name in ("ours", "theirs"):
            lab.virsh("vol-create-as", "bench", name, f"{size}M", "--allocation", "0", "--format", "raw")
        with StorageDeck(lab.uri, Path(folder)) as deck:
            # One reading: each has threads of its own that go on reading.
            ours, theirs = _Ours(deck, Path(folder)), _Theirs(lab, Path(folder))
            figures = [
                *_compare("upload", size, ours.up, theirs.up),
                *_compare("download", size, ours.down, theirs.down),
            ]
        exact = len({_checksum(path) for path in (source, pool / "ours", Path(folder) / "ours")}) == 1
        return [*figures, Figure("not byte-exact after the round trip", float(not exact), "files", 0)]


def _memory(need_mib: int) -> str | None:
    """Where files lie in memory, if there is room: a disk's own pace is the same for both, but not from one round to
    the next. None: the usual place."""
    try:
        free = os.statvfs("/dev/shm")
    except OSError:
        return None
    return "/dev/shm" if free.f_bavail * free.f_frsize > need_mib * _MIB else None


def _compare(what: str, size: int, ours: Callable[[], float], theirs: Callable[[], float]) -> list[Figure]:
    """Time both, taking turns at who is first; the first round does not count: the files' blocks are there from then
    on."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(_ROUNDS + 1):
        for which in (0, 1) if turn % 2 else (1, 0):
            took_s = (ours, theirs)[which]()
            if turn:
                times[which].append(took_s)
    mine, other = (statistics.median(found) for found in times)
    return [
        Figure(f"{what} by virtdeck", size / mine, "MiB/s"),
        Figure(f"{what} by virsh", size / other, "MiB/s"),
        Figure(f"time of {what}, virtdeck to virsh", mine / other, "x", _SLOWEST, f"median of {_ROUNDS}"),
    ]


class _Ours:
    """virtdeck's jobs, timed."""

    def __init__(self, deck: StorageDeck, folder: Path) -> None:
        self._deck = deck
        self._folder = folder
        self._seen = deck.read()

    def up(self) -> float:
        """Seconds of an upload."""
        return self._run("volume.upload", self._folder / "source")

    def down(self) -> float:
        """Seconds of a download to a file that is not there."""
        back = self._folder / "ours"
        back.unlink(missing_ok=True)
        return self._run("volume.download", back)

    def _run(self, action: str, path: Path) -> float:
        plan = self._deck.plan_of(self._seen, action, ["bench/ours"], {"file": str(path)})
        jobs = self._deck.jobs()
        before = time.monotonic()
        job = jobs.run(plan).wait(_WAIT_S)
        took_s = time.monotonic() - before
        jobs.stop()
        if job.status is not Status.DONE:
            raise RuntimeError(job.entry.results)
        return took_s


class _Theirs:
    """virsh, timed."""

    def __init__(self, lab: LabHost, folder: Path) -> None:
        self._lab = lab
        self._folder = folder

    def up(self) -> float:
        """Seconds of an upload."""
        return self._run("vol-upload", self._folder / "source")

    def down(self) -> float:
        """Seconds of a download to a file that is not there."""
        back = self._folder / "theirs"
        back.unlink(missing_ok=True)
        return self._run("vol-download", back)

    def _run(self, verb: str, path: Path) -> float:
        before = time.monotonic()
        self._lab.virsh(verb, "theirs", str(path), "--pool", "bench", timeout=_WAIT_S)
        return time.monotonic() - before


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
