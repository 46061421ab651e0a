"""What is told of threads besides their roles: how much they ran and waited, what cpusets leave them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tui.sources import cpusets
from tui.sources.cpusets import Cpusets
from tui.sources.qemu_proc import TICK_NS, Stat
from tui.sources.thread_rates import Rates, ThreadRates


def stat(ticks: int) -> Stat:
    return Stat("CPU 0/KVM", "running", 1, 1, ticks, 0, 0, 0, 0)


def test_rates_are_of_the_time_between_two_readings(tmp_path: Path) -> None:
    rates, place = ThreadRates(), str(tmp_path)
    (tmp_path / "schedstat").write_text("1000000000 200000000 9\n")
    assert rates.of(7, place, stat(0), 10.0) == Rates()
    (tmp_path / "schedstat").write_text("2000000000 300000000 12\n")
    assert rates.of(7, place, stat(0), 10.1) == Rates(), "too soon"
    assert rates.of(7, place, stat(0), 12.0) == Rates(50.0, 5.0)
    assert rates.of(7, place, stat(0), 12.1) == Rates(50.0, 5.0)
    rates.keep([8])
    assert rates.of(7, place, stat(0), 14.0) == Rates()


@pytest.mark.parametrize("counted", ["", "0 0 0\n"])
def test_where_the_kernel_does_not_count_ticks_tell_what_ran(tmp_path: Path, counted: str) -> None:
    rates, place = ThreadRates(), str(tmp_path)
    if counted:
        (tmp_path / "schedstat").write_text(counted)
    rates.of(7, place, stat(0), 10.0)
    assert rates.of(7, place, stat(100_000_000 // TICK_NS), 11.0) == Rates(10.0, None)


def test_the_cpuset_of_this_process_holds_its_cpus() -> None:
    name, cpus = Cpusets().of(os.getpid())
    if not Path("/proc/self/cpuset").exists():
        assert (name, cpus) == (None, None)
    else:
        assert cpus is not None
        assert os.sched_getaffinity(0) <= set(cpus)


V1 = (("/cg/cpuset", "/", "cpuset.effective_cpus"),)
V2 = (("/cg", "/", "cpuset.cpus.effective"),)
BOUND = (("/cg/cpuset", "/docker/1", "cpuset.effective_cpus"),)
IN_BOUND = "/docker/1/a\n"
SLICE = "/machine.slice/machine-a.scope"


@pytest.mark.parametrize(
    ("mounts", "files", "by_libvirt", "found"),
    [
        (V1, {"/proc/9/cpuset": "/\n", "/cg/cpuset/cpuset.effective_cpus": "0-3\n"}, False, ("/", (0, 1, 2, 3))),
        (V1, {"/proc/9/cpuset": "/a\n", "/cg/cpuset/a/cpuset.effective_cpus": "2\n"}, False, ("/a", (2,))),
        (
            V2,
            {"/proc/9/cpuset": f"{SLICE}/libvirt/emulator\n", f"/cg{SLICE}/libvirt/cpuset.cpus.effective": "0-1\n"},
            True,
            (f"{SLICE}/libvirt", (0, 1)),
        ),
        (V2, {"/proc/9/cpuset": "/a/b\n", "/cg/cpuset.cpus.effective": "0\n"}, False, ("/a/b", (0,))),
        (
            BOUND,
            {"/proc/9/cpuset": "/docker/1/a\n", "/cg/cpuset/a/cpuset.effective_cpus": "1"},
            False,
            ("/docker/1/a", (1,)),
        ),
        (BOUND, {"/proc/9/cpuset": "/other\n", "/cg/cpuset/cpuset.effective_cpus": "1"}, False, (None, None)),
        (V1, {"/proc/9/cpuset": "/../x\n", "/cg/cpuset/cpuset.effective_cpus": "1"}, False, (None, None)),
        (V1, {"/proc/9/cpuset": "/a\n"}, False, (None, None)),
        (V1, {}, False, (None, None)),
        ((), {"/proc/9/cpuset": "/a\n"}, False, (None, None)),
        (V1, {"/proc/9/cpuset": "/a\x1b\n", "/cg/cpuset/a\x1b/cpuset.effective_cpus": "1"}, False, ("/a␛", (1,))),
    ],
)
def test_cpusets_of_both_versions(
    monkeypatch: pytest.MonkeyPatch,
    mounts: tuple[tuple[str, str, str], ...],
    files: Mapping[str, str],
    by_libvirt: bool,
    found: tuple[str | None, tuple[int, ...] | None],
) -> None:
    monkeypatch.setattr(cpusets, "_mounts", lambda: mounts)
    monkeypatch.setattr(cpusets, "read_file", lambda path: files[path].encode() if path in files else None)
    assert Cpusets().of(9, by_libvirt=by_libvirt) == found


def test_mounts_are_found_where_both_versions_are(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        b"34 31 0:31 / /sys/fs/cgroup/my\\040cpuset rw,relatime - cgroup cgroup rw,cpu,cpuset\n"
        b"35 31 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
        b"36 31 0:33 / /proc rw - proc proc rw\n"
    )
    monkeypatch.setattr(cpusets, "read_file", lambda _path: lines)
    cpusets._mounts.cache_clear()
    assert cpusets._mounts() == (("/sys/fs/cgroup/my cpuset", "/", "cpuset.effective_cpus"),)
    monkeypatch.setattr(cpusets, "read_file", lambda _path: lines.splitlines()[1])
    cpusets._mounts.cache_clear()
    assert cpusets._mounts() == (("/sys/fs/cgroup/unified", "/", "cpuset.cpus.effective"),)
    cpusets._mounts.cache_clear()
