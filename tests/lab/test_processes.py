"""Real QEMUs started by hand, as an engineer would, without libvirt and without a guest OS."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, sleep, thread_time
from typing import Any, TypeVar, cast

import psutil
import pytest

from tui.model.plan import Request
from tui.model.process import QemuProcess, QemuThread, ThreadRole
from tui.ops.base import OpContext, OpError, Progress
from tui.ops.process import OPS, KillProcess, SetAffinity, TerminateProcess
from tui.sources.processes import ProcessSource
from tui.sources.qmp import DEADLINE_S

QEMU = shutil.which("qemu-system-x86_64") or ""
BARE = (QEMU, "-m", "64", "-smp", "2", "-nodefaults", "-display", "none", "-S")
UUID = "6f2b3c5e-0c1c-4d8e-9b51-1f6d5a3c9e10"
NO_CONTEXT = cast(OpContext, None)
"""Ops on processes need no connection."""

T = TypeVar("T")

pytestmark = pytest.mark.skipif(not QEMU, reason="qemu-system-x86_64 is not installed")


@contextmanager
def running(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(ask: Callable[[], T | None], seconds: float = 10.0) -> T:
    """Return what `ask` returns once that is something; fails after `seconds`."""
    deadline = monotonic() + seconds
    while (answer := ask()) is None:
        assert monotonic() < deadline, "not within the deadline"
        sleep(0.02)
    return answer


def find(source: ProcessSource, pid: int) -> QemuProcess | None:
    return next((process for process in source.read() if process.pid == pid), None)


def with_roles(source: ProcessSource, pid: int, vcpus: int = 2) -> QemuProcess:
    """Return the process once its vCPU threads are told apart."""

    def ask() -> QemuProcess | None:
        process = find(source, pid)
        return process if process is not None and len(of_role(process, ThreadRole.VCPU)) == vcpus else None

    return wait_for(ask)


def at_rest(source: ProcessSource, pid: int) -> QemuProcess | None:
    """Return the process when it sleeps, with the threads that psutil sees."""
    process, threads = find(source, pid), {thread.id for thread in psutil.Process(pid).threads()}
    settled = process is not None and process.state == "sleeping" and len(of_role(process, ThreadRole.VCPU)) == 2
    return process if process and settled and {thread.tid for thread in process.threads} == threads else None


def of_role(process: QemuProcess, role: ThreadRole) -> list[QemuThread]:
    return [thread for thread in process.threads if thread.role is role]


def talk(connection: socket.socket, *commands: str, greeted: bool = False) -> Any:
    """Say `commands` on a QMP connection and return the last answer."""
    stream = connection.makefile("rw")
    assert greeted or "QMP" in stream.readline()
    answer: Any = None
    for command in commands:
        stream.write(json.dumps({"execute": command}) + "\n")
        stream.flush()
        answer = json.loads(stream.readline())
    return answer["return"]


def connect(path: Path) -> socket.socket:
    def ask() -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5)
        with suppress(OSError):
            connection.connect(str(path))
            return connection
        connection.close()
        return None

    return wait_for(ask)


def run(request: Request) -> Progress:
    """Execute `request` and wait, as a job would, for as long as it asks for patience."""
    outcome = OPS[type(request)](request, NO_CONTEXT)
    if outcome.watch is None:
        return Progress.CONFIRMED
    deadline = monotonic() + outcome.patience_s
    while (progress := outcome.watch()) is Progress.PENDING and monotonic() < deadline:
        sleep(0.02)
    return progress


def test_a_qemu_with_named_threads(tmp_path: Path) -> None:
    image, source = tmp_path / "disk,1.raw", ProcessSource()
    image.write_bytes(bytes(1 << 20))
    drive = f"file={str(image).replace(',', ',,')},if=virtio,format=raw"
    name = ("-name", "test,debug-threads=on", "-uuid", UUID)
    with running(*BARE, *name, "-object", "iothread,id=iothread1", "-drive", drive, "-smp", "maxcpus=4") as qemu:
        process = wait_for(lambda: at_rest(source, qemu.pid))
        assert (process.name, process.libvirt_name, process.accelerator) == ("test", None, "tcg")
        assert process.uuid == UUID
        assert (process.vcpus, process.vcpus_max, process.memory_kib) == (2, 4, 64 << 10)
        assert process.architecture == "x86_64"
        assert [(item.raw_path, item.format, item.interface) for item in process.drives] == [
            (str(image), "raw", "virtio")
        ]
        assert [thread.index for thread in of_role(process, ThreadRole.VCPU)] == [0, 1]
        assert [thread.index for thread in of_role(process, ThreadRole.IOTHREAD)] == [1]
        assert [thread.tid for thread in of_role(process, ThreadRole.EMULATOR)] == [qemu.pid]
        reference = psutil.Process(qemu.pid)
        assert process.user == reference.username()
        assert abs(process.started_ns / 1e9 - reference.create_time()) < 0.1
        assert process.rss_kib is not None
        assert process.rss_kib == pytest.approx(reference.memory_info().rss >> 10, rel=0.2)


@pytest.mark.parametrize("path", ["qmp.sock", "absolute", "long/" * 20 + "qmp.sock"])
def test_threads_without_names_are_told_by_qmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """The socket is given relative to QEMU's directory, absolute, or longer than an address may be."""
    monitor = tmp_path / "qmp.sock" if path == "absolute" else tmp_path / path
    monitor.parent.mkdir(parents=True, exist_ok=True)
    given = str(monitor) if path == "absolute" else monitor.name
    extra = ("-name", "plain", "-object", "iothread,id=io7", "-qmp", f"unix:{given},server=on,wait=off")
    with running(*BARE, *extra, cwd=monitor.parent) as qemu:
        process = with_roles(ProcessSource(), qemu.pid)
        assert process.qmp_sockets == (given,)
        assert len({thread.name for thread in process.threads}) == 1
        assert [thread.index for thread in of_role(process, ThreadRole.IOTHREAD)] == [7]
        monkeypatch.chdir(monitor.parent)
        with connect(Path(monitor.name)) as connection:
            told = talk(connection, "qmp_capabilities", "query-cpus-fast")
        vcpus = of_role(process, ThreadRole.VCPU)
        assert {vcpu["thread-id"]: vcpu["cpu-index"] for vcpu in told} == {item.tid: item.index for item in vcpus}


def test_a_monitor_in_use_is_left_alone(tmp_path: Path) -> None:
    monitor = tmp_path / "qmp.sock"
    with running(*BARE, "-qmp", f"unix:{monitor},server=on,wait=off") as qemu, connect(monitor) as client:
        talk(client, "qmp_capabilities")
        source, start = ProcessSource(), monotonic()
        process = wait_for(lambda: find(source, qemu.pid))
        assert monotonic() - start < DEADLINE_S, "the monitor was waited for"
        roles = {thread.role for thread in process.threads if thread.tid != qemu.pid}
        assert roles == {ThreadRole.WORKER}
        assert process.vcpus == 2
        assert talk(client, "query-status", greeted=True)["status"] == "prelaunch"


def test_a_qemu_that_waits_for_its_first_client_is_not_started_by_looking(tmp_path: Path) -> None:
    monitor, source = tmp_path / "qmp.sock", ProcessSource()
    with running(*BARE, "-name", "held", "-qmp", f"unix:{monitor},server=on") as qemu:
        wait_for(lambda: True if monitor.exists() else None)
        threads = len(list(Path(f"/proc/{qemu.pid}/task").iterdir()))
        for _ in range(5):
            process = wait_for(lambda: find(source, qemu.pid))
            sleep(0.05)
            assert len(process.threads) == threads
        with connect(monitor) as client:
            assert talk(client, "qmp_capabilities", "query-status")["status"] == "prelaunch"
        assert len(wait_for(lambda: find(source, qemu.pid)).threads) > threads


def test_affinity_is_what_taskset_sees() -> None:
    source = ProcessSource()
    with running(*BARE, "-name", "pinned,debug-threads=on") as qemu:
        process = with_roles(source, qemu.pid)
        cpus = process.threads[0].affinity
        assert cpus is not None
        vcpu = of_role(process, ThreadRole.VCPU)[1]
        assert run(SetAffinity(process.key, ((vcpu.tid, cpus[-1:]),))) is Progress.CONFIRMED
        assert taskset(vcpu.tid) == str(cpus[-1])
        subprocess.run(["taskset", "-pc", str(cpus[0]), str(vcpu.tid)], check=True, capture_output=True)
        seen = {thread.tid: thread.affinity for thread in with_roles(source, qemu.pid).threads}
        assert seen[vcpu.tid] == cpus[:1]
        assert seen[qemu.pid] == cpus
        everything = tuple((thread.tid, cpus[:1]) for thread in process.threads)
        with pytest.raises(OpError, match=r"offline.* have their CPUs back"):
            run(SetAffinity(process.key, (*everything, (vcpu.tid, (4000,)))))
        restored = {thread.tid: thread.affinity for thread in with_roles(source, qemu.pid).threads}
        assert restored == seen


def taskset(tid: int) -> str:
    shown = subprocess.run(["taskset", "-pc", str(tid)], check=True, capture_output=True, text=True).stdout
    return shown.rpartition(": ")[2].strip()


def test_terminate_lets_qemu_leave(tmp_path: Path) -> None:
    monitor = tmp_path / "qmp.sock"
    with running(*BARE, "-name", "leaving", "-qmp", f"unix:{monitor},server=on,wait=off") as qemu:
        with connect(monitor) as client:
            talk(client, "qmp_capabilities")
        process = with_roles(ProcessSource(), qemu.pid)
        assert run(TerminateProcess(process.key)) is Progress.CONFIRMED
        assert qemu.wait(timeout=5) == 0
        with pytest.raises(OpError, match=r"[Nn]o such process"):
            run(KillProcess(process.key))


def test_a_stopped_qemu_does_not_leave_until_it_is_killed() -> None:
    source = ProcessSource()
    with running(*BARE, "-name", "stuck,debug-threads=on") as qemu:
        process = with_roles(source, qemu.pid)
        qemu.send_signal(signal.SIGSTOP)
        wait_for(lambda: True if with_roles(source, qemu.pid).state == "stopped" else None)
        outcome = OPS[TerminateProcess](TerminateProcess(process.key), NO_CONTEXT)
        assert outcome.watch is not None
        sleep(0.3)
        assert outcome.watch() is Progress.PENDING
        assert "kill" in outcome.hint
        assert run(KillProcess(process.key)) is Progress.CONFIRMED
        assert qemu.wait(timeout=5) == -signal.SIGKILL


def test_another_process_with_the_same_pid_is_spared() -> None:
    with running(*BARE, "-name", "spared,debug-threads=on") as qemu:
        process = with_roles(ProcessSource(), qemu.pid)
        stale = f"{process.pid}:{int(process.key.partition(':')[2]) - 1}"
        cpus = process.threads[0].affinity or ()
        for request in (TerminateProcess(stale), KillProcess(stale), SetAffinity(stale, ((qemu.pid, cpus),))):
            with pytest.raises(OpError, match="no such process"):
                run(request)
        assert qemu.poll() is None


def test_a_daemonized_qemu_is_one_process_and_its_images_are_found(tmp_path: Path) -> None:
    source, pidfile = ProcessSource(), tmp_path / "pid"
    (tmp_path / "disk.raw").write_bytes(bytes(1 << 20))
    extra = ("-daemonize", "-pidfile", str(pidfile), "-drive", "file=disk.raw,if=virtio,format=raw")
    with running(*BARE, "-name", "daemon,debug-threads=on", *extra, cwd=tmp_path) as launcher:
        assert launcher.wait(timeout=10) == 0
    process = with_roles(source, int(pidfile.read_text()))
    try:
        assert [item.pid for item in source.read() if item.name == "daemon"] == [process.pid]
        assert [drive.raw_path for drive in process.drives] == [str(tmp_path / "disk.raw")]
    finally:
        assert run(KillProcess(process.key)) is Progress.CONFIRMED


def test_taps_are_named_by_the_kernel(tmp_path: Path) -> None:
    """In a user and network namespace of its own, so that it needs no root and leaves nothing behind."""
    monitor, unshare = tmp_path / "qmp.sock", ("unshare", "--user", "--map-root-user", "--net")
    probe = subprocess.run([*unshare, "test", "-w", "/dev/net/tun"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("no /dev/net/tun in a namespace of our own")
    taps = [arg for n in (0, 1) for arg in ("-netdev", f"tap,id=n{n},script=no,downscript=no")]
    named = ("-netdev", "tap,id=n2,ifname=vm%d,script=no,downscript=no", "-device", "virtio-net-pci,netdev=n2")
    with running(*unshare, *BARE, "-qmp", f"unix:{monitor},server=on,wait=off", *taps, *named) as qemu:
        process = with_roles(ProcessSource(), qemu.pid)
        with connect(monitor) as connection:
            stream = connection.makefile("rw")
            stream.readline()
            stream.write('{"execute":"qmp_capabilities"}{"execute":"human-monitor-command",')
            stream.write('"arguments":{"command-line":"info network"}}\n')
            stream.flush()
            shown = stream.readline() + stream.readline()
    for nic in process.nics:
        assert f"{nic.id}: index=0,type=tap,ifname={nic.ifname}," in shown
    assert [nic.ifname for nic in process.nics] == ["tap0", "tap1", "vm0"]


def test_unnamed_vcpus_are_seen_running_under_kvm() -> None:
    """The second vCPU waits in KVM for the first to start it, firmware or not."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no access to /dev/kvm")
    source = ProcessSource()
    with running(QEMU, "-accel", "kvm", "-m", "64", "-smp", "2", "-nodefaults", "-display", "none") as qemu:

        def ask() -> QemuProcess | None:
            if qemu.poll() is not None:
                pytest.skip("KVM does not work here")
            process = find(source, qemu.pid)
            return process if process and any(thread.index == 1 for thread in process.threads) else None

        process = wait_for(ask)
    assert (process.accelerator, process.vcpus) == ("kvm", 2)
    assert {thread.index for thread in of_role(process, ThreadRole.VCPU)} <= {None, 0, 1}
    assert len(of_role(process, ThreadRole.VCPU)) <= 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_what_a_stranger_may_not_read_is_unknown_or_as_given() -> None:
    with running(*BARE, "-name", "foreign,debug-threads=on", "-accel", "kvm", "-accel", "tcg") as qemu:
        with_roles(ProcessSource(), qemu.pid)
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_read_as_nobody, args=(qemu.pid, theirs))
        child.start()
        assert ours.poll(10)
        process = ours.recv()
        child.join()
    assert isinstance(process, QemuProcess)
    assert (process.name, process.accelerator, process.user) == ("foreign", "kvm:tcg", "root")
    assert process.executable == QEMU
    assert [thread.index for thread in of_role(process, ThreadRole.VCPU)] == [0, 1]


def _read_as_nobody(pid: int, answer: Connection) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    answer.send(find(ProcessSource(), pid))


def test_a_repeat_read_is_cheap_among_three_hundred_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure is the CPU time of the reading thread once no process is young, at its best, as others run here."""
    monkeypatch.setattr("tui.sources.processes.YOUNG_S", 0.0)
    source = ProcessSource()
    crowd = [subprocess.Popen(["sleep", "60"]) for _ in range(250)]
    try:
        with running(*BARE, "-name", "a,debug-threads=on") as one, running(*BARE, "-name", "b,debug-threads=on") as two:
            with_roles(source, one.pid)
            with_roles(source, two.pid)
            spent = [cpu_time(source.read) for _ in range(30)]
    finally:
        for process in crowd:
            process.kill()
            process.wait()
    assert min(spent) < 0.003


def cpu_time(call: Callable[[], object]) -> float:
    start = thread_time()
    call()
    return thread_time() - start
