"""QEMU processes among others, told by the program they run; the programs here are copies of a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import cast

import pytest

from tui.model.plan import Request
from tui.model.process import QemuProcess, ThreadRole
from tui.ops.base import OpContext, OpError, Progress
from tui.ops.process import OPS, KillProcess, SetAffinity, TerminateProcess
from tui.sources.processes import ProcessSource, role_by_name
from tui.sources.qemu_proc import emulated_architecture, parse_stat

STAT = (
    b"42 (a) b (c) R 7 42 40 0 -1 4194560 1 0 0 0 120 30 0 0 20 0 5 0 987654 2703360 700 1 1 1 0 0 0 0 0 0 0 0 0 0 17 "
    b"3 0 0 0 9 0 0 0 0 0 0 0 0 0"
)


WAIT = ("-c", "read line")
"""What makes the shell stay; to the parser an option that it does not know."""


NO_CONTEXT = cast(OpContext, None)
"""Ops on processes need no connection."""


def run(request: Request) -> Progress:
    """Execute `request` and wait, as a job would, until it is confirmed or two seconds have passed."""
    outcome = OPS[type(request)](request, NO_CONTEXT)
    if outcome.watch is None:
        return Progress.CONFIRMED
    deadline = monotonic() + 2
    while (progress := outcome.watch()) is Progress.PENDING and monotonic() < deadline:
        sleep(0.01)
    return progress


@pytest.fixture
def emulator(tmp_path: Path) -> Path:
    """Return a program that is called like QEMU."""
    return Path(shutil.copy("/bin/sh", tmp_path / "qemu-system-riscv64"))


@contextmanager
def running(program: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([program, *(args or WAIT)], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def find(source: ProcessSource, pid: int) -> QemuProcess | None:
    return next((process for process in source.read() if process.pid == pid), None)


def test_a_stat_line_with_parentheses_in_the_name() -> None:
    stat = parse_stat(STAT)
    assert (stat.name, stat.state, stat.parent, stat.session) == ("a) b (c", "running", 7, 40)
    assert (stat.cpu_ticks, stat.start_ticks, stat.rss_pages, stat.last_cpu) == (150, 987654, 700, 3)
    assert stat.guest_ticks == 9


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("CPU 11/KVM", (ThreadRole.VCPU, 11)),
        ("CPU 0/TCG", (ThreadRole.VCPU, 0)),
        ("ALL CPUs/TCG", (ThreadRole.VCPU, None)),
        ("IO iothread2", (ThreadRole.IOTHREAD, 2)),
        ("IO fast", (ThreadRole.IOTHREAD, None)),
        ("IO iothread-abc", (ThreadRole.IOTHREAD, None)),
        ("IO mon_iothread", None),
        ("vhost-4711", (ThreadRole.VHOST, None)),
        ("worker", None),
        ("call_rcu", None),
        ("CPU x/KVM", None),
    ],
)
def test_names_tell_roles(name: str, role: tuple[ThreadRole, int | None] | None) -> None:
    assert role_by_name(name) == role


@pytest.mark.parametrize(
    ("program", "architecture"),
    [
        ("/usr/bin/qemu-system-aarch64", "aarch64"),
        ("/usr/bin/qemu-system-x86_64-microvm", "x86_64"),
        ("/usr/libexec/qemu-kvm", os.uname().machine),
        ("kvm", os.uname().machine),
        ("/nix/store/x/bin/.qemu-system-x86_64-wrapped", "x86_64"),
        ("/usr/bin/qemu-img", None),
        ("/usr/bin/qemu-x86_64-static", None),
        ("/usr/sbin/kvm-ok", None),
        ("/usr/bin/qemu-ga", None),
        ("", None),
    ],
)
def test_programs_that_are_system_emulators(program: str, architecture: str | None) -> None:
    assert emulated_architecture(program) == architecture


def test_an_emulator_comes_and_goes(emulator: Path) -> None:
    source = ProcessSource()
    with running(emulator, *WAIT, "-smp", "3", "disk.img") as process:
        found = find(source, process.pid)
        assert found is not None
        assert (found.architecture, found.name, found.vcpus) == ("riscv64", "disk.img", 3)
        assert found.executable == str(emulator)
        assert found.drives[0].raw_path == str(Path.cwd() / "disk.img")
        assert found.args[-1] == "disk.img"
        assert [thread.role for thread in found.threads] == [ThreadRole.EMULATOR]
        assert found.threads[0].affinity == tuple(sorted(os.sched_getaffinity(0)))
        again = find(source, process.pid)
        assert again is not None
        assert again.key == found.key
    assert find(source, process.pid) is None


def test_an_emulator_whose_program_was_replaced_is_still_one(emulator: Path) -> None:
    with running(emulator) as process:
        emulator.unlink()
        found = find(ProcessSource(), process.pid)
    assert found is not None
    assert found.executable == str(emulator)


@pytest.mark.parametrize("young_s", [10.0, -1.0])
def test_a_process_that_becomes_an_emulator_is_seen(
    emulator: Path, monkeypatch: pytest.MonkeyPatch, young_s: float
) -> None:
    """Also when it is no longer young, and so is looked at in some reads only."""
    monkeypatch.setattr("tui.sources.processes.YOUNG_S", young_s)
    source = ProcessSource()
    script = "import os, sys; sys.stdin.read(1); os.execv(sys.argv[1], ['vm', '-c', 'read line'])"
    with running(Path(sys.executable), "-c", script, str(emulator)) as process:
        assert find(source, process.pid) is None
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        deadline = monotonic() + 5
        while (found := find(source, process.pid)) is None and monotonic() < deadline:
            sleep(0.02)
    assert found is not None


def test_a_capability_probe_is_no_guest(emulator: Path) -> None:
    source = ProcessSource()
    with running(emulator, *WAIT, "-machine", "none") as probe, running(emulator, *WAIT, "-machine", "virt") as guest:
        assert find(source, guest.pid) is not None
        assert find(source, probe.pid) is None


def test_terminate_and_kill(emulator: Path) -> None:
    for kind in (TerminateProcess, KillProcess):
        with running(emulator) as process:
            found = find(ProcessSource(), process.pid)
            assert found is not None
            assert run(kind(found.key)) is Progress.CONFIRMED
        assert process.returncode == (-15 if kind is TerminateProcess else -9)


@pytest.mark.parametrize("kind", [TerminateProcess, KillProcess])
def test_a_reused_pid_is_not_signalled(emulator: Path, kind: type[TerminateProcess | KillProcess]) -> None:
    with running(emulator) as process:
        with pytest.raises(OpError, match="no such process") as caught:
            run(kind(f"{process.pid}:1"))
        assert "another process" in caught.value.advice
        assert process.poll() is None
    with pytest.raises(OpError, match="ESRCH"):
        run(kind(f"{process.pid}:1"))


@pytest.mark.parametrize("key", ["", "12", "x:y", "-1:5", "1:2:3", "../1:2"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(OpError, match="pid:START"):
        run(KillProcess(key))


def test_affinity_is_all_or_nothing(emulator: Path) -> None:
    source = ProcessSource()
    with running(emulator) as process:
        found = find(source, process.pid)
        assert found is not None
        before = found.threads[0].affinity
        assert before is not None
        assert run(SetAffinity(found.key, ((process.pid, before[:1]),))) is Progress.CONFIRMED
        bound = find(source, process.pid)
        assert bound is not None
        assert bound.threads[0].affinity == before[:1]
        with pytest.raises(OpError, match="CPU 4000 is offline"):
            run(SetAffinity(found.key, ((process.pid, before), (process.pid, (4000,)))))
        assert os.sched_getaffinity(process.pid) == set(before[:1])


def test_affinity_passes_over_threads_that_ended_but_not_over_all_of_them(emulator: Path) -> None:
    with running(emulator) as process:
        found = find(ProcessSource(), process.pid)
        assert found is not None
        before, other = os.sched_getaffinity(process.pid), os.sched_getaffinity(1)
        assert run(SetAffinity(found.key, ((process.pid, tuple(before)), (1, (0,))))) is Progress.CONFIRMED
        with pytest.raises(OpError, match="no such thread"):
            run(SetAffinity(found.key, ((1, (0,)),)))
        assert os.sched_getaffinity(1) == other, "a thread of another process was bound"


def test_affinity_that_the_kernel_cuts_down_is_refused(emulator: Path) -> None:
    with running(emulator) as process:
        found = find(ProcessSource(), process.pid)
        assert found is not None
        before = os.sched_getaffinity(process.pid)
        with pytest.raises(OpError, match=r"asked for CPUs .*4000, got"):
            run(SetAffinity(found.key, ((process.pid, (*sorted(before), 4000)),)))
        assert os.sched_getaffinity(process.pid) == before
        with pytest.raises(OpError, match="No CPU was given"):
            run(SetAffinity(found.key, ((process.pid, ()),)))


def test_threads_have_rates_from_the_second_reading_on_and_a_cpuset(emulator: Path) -> None:
    with running(emulator) as child:
        source = ProcessSource()
        process = find(source, child.pid)
        assert process is not None
        assert [thread.cpu_percent for thread in process.threads] == [None]
        deadline = monotonic() + 20
        while process is not None and process.threads[0].cpu_percent is None and monotonic() < deadline:
            sleep(0.05)
            process = find(source, child.pid)
        assert process is not None
        assert process.threads[0].cpu_percent is not None
        assert process.threads[0].cpu_percent >= 0
        assert (process.cpuset is None) is (process.allowed is None)
        assert process.allowed is None or os.sched_getaffinity(child.pid) <= set(process.allowed)
