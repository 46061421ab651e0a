"""A private libvirtd in namespaces of its own: started, stopped, killed and restarted while its guests live on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import libvirt

from tests.lab.guest import cache_folder
from tests.lab.namespaces import (
    Completed,
    LabUnavailable,
    Namespaces,
    end_process,
    find_program,
    is_alive,
    run,
    wait_until,
)

EMULATOR = "qemu-system-x86_64"
PROGRAMS = ("libvirtd", EMULATOR, "virsh", "qemu-img", "unshare", "nsenter", "ip", "busybox")

_QEMU_CONF = """\
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = [{controllers}]
stdio_handler = "file"
seccomp_sandbox = 0
"""
_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
host_uuid = "{uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""


def missing_requirements() -> list[str]:
    """Why the lab cannot run here, empty when it can: not root, or a program is missing."""
    reasons = [] if os.geteuid() == 0 else ["not root"]
    return reasons + [f"{name} is not installed" for name in PROGRAMS if find_program(name) is None]


class PrivateLibvirtd:
    """The daemon and its namespaces, without guests; a context manager that starts and stops it."""

    def __init__(self, hostname: str = "virtdeck-lab", *, cgroups: Sequence[str] = ()) -> None:
        """Check the machine (LabUnavailable) and make the folder.

        `cgroups` names the controllers libvirt may use; without any it sees none, whatever the machine has.
        """
        if reasons := missing_requirements():
            raise LabUnavailable(", ".join(reasons))
        self.hostname = hostname
        self.emulator = os.path.realpath(find_program(EMULATOR) or EMULATOR)
        self.namespaces = Namespaces(hostname, cgroups=cgroups)
        self.root = self.namespaces.root
        self.sockets = self.root / "run" / "libvirt"
        self._daemon: int | None = None
        controllers = ", ".join(f'"{name}"' for name in cgroups)
        (self.root / "etc" / "qemu.conf").write_text(_QEMU_CONF.format(controllers=controllers))
        (self.root / "etc" / "libvirtd.conf").write_text(_LIBVIRTD_CONF.format(uuid=uuid.uuid4()))

    def start(self) -> None:
        """Make the namespaces and start libvirtd; returns when it answers (0.1 s; the first time 1-4 s)."""
        kept = cache_folder() / "capabilities"
        try:
            if kept.exists():
                shutil.copytree(kept, self.root / "cache" / "qemu" / "capabilities")
            self.namespaces.start()
            self.start_daemon()
            self._probe_qemu(kept)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End libvirtd, all guests and all else that runs inside, and delete the folder."""
        self.namespaces.stop()
        self._daemon = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def uri(self) -> str:
        """The URI of the private libvirtd; it works outside and inside of the namespaces."""
        return f"qemu+unix:///system?socket={self.sockets / 'libvirt-sock'}"

    @property
    def uri_readonly(self) -> str:
        """The same libvirtd's read-only socket, which every user may open."""
        return f"qemu+unix:///system?socket={self.sockets / 'libvirt-sock-ro'}"

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """A libvirt.virConnect of one's own, closed afterwards."""
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        connection = libvirt.open(self.uri)
        try:
            yield connection
        finally:
            with suppress(libvirt.libvirtError):
                connection.close()

    def virsh(self, *arguments: str, timeout: float = 60, check: bool = True) -> Completed:
        """What the real virsh says; RuntimeError with its error text when it fails and check is set."""
        return run(["virsh", "-q", "-c", self.uri, *arguments], timeout=timeout, check=check)

    def run(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> Completed:
        """Run a program (ip, nft, ping) inside to its end; RuntimeError when it fails and check is set."""
        return self.namespaces.run(argv, timeout=timeout, check=check)

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The argument list that runs a program inside, for a Popen of one's own (it starts in /)."""
        return self.namespaces.inside(argv)

    @property
    def daemon_pid(self) -> int:
        """The process id of libvirtd; RuntimeError when it is down."""
        if self._daemon is None or not is_alive(self._daemon):
            raise RuntimeError("libvirtd is not running")
        return self._daemon

    @property
    def is_up(self) -> bool:
        """Whether libvirtd exists, stopped by SIGSTOP or not."""
        return self._daemon is not None and is_alive(self._daemon)

    def start_daemon(self) -> None:
        """Start libvirtd where it is down, in the same namespaces: it finds its guests. Returns when it answers."""
        if self.is_up:
            return
        argv = [find_program("libvirtd") or "libvirtd", "-f", "/etc/libvirt/libvirtd.conf", "-p", "/run/libvirtd.pid"]
        self._daemon = self.namespaces.spawn(argv, self.root / "log" / "libvirtd.out")
        wait_until(self._listens, "libvirtd to listen")
        wait_until(self._answers, "libvirtd to answer")

    def kill_daemon(self) -> None:
        """Kill libvirtd with SIGKILL; returns when it is gone. Guests live on."""
        end_process(self.daemon_pid, signal.SIGKILL)

    def stop_daemon(self) -> None:
        """SIGSTOP libvirtd: its sockets accept and nothing answers."""
        os.kill(self.daemon_pid, signal.SIGSTOP)

    def continue_daemon(self) -> None:
        """SIGCONT libvirtd, if it lives."""
        if self.is_up:
            os.kill(self.daemon_pid, signal.SIGCONT)

    def restart_daemon(self) -> None:
        """End libvirtd in good order, where it runs, and start it again in the same namespaces. Guests live on."""
        if self.is_up:
            self.continue_daemon()
            end_process(self.daemon_pid, signal.SIGTERM)
        self.start_daemon()

    def _listens(self) -> bool:
        """Whether something accepts on libvirtd's socket; RuntimeError with its output when libvirtd ended."""
        if not self.is_up:
            raise RuntimeError(f"libvirtd ended: {(self.root / 'log' / 'libvirtd.out').read_text().strip()}")
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(self.sockets / "libvirt-sock")) == 0

    def _answers(self) -> bool:
        """Whether libvirtd answers: one that was killed may accept for a moment yet, while its threads end."""
        try:
            with self.connect() as connection:
                connection.getLibVersion()
        except libvirt.libvirtError:
            return False
        return True

    def _probe_qemu(self, kept: Path) -> None:
        """Have libvirt probe QEMU now, or take what an earlier run learned, and keep what it knows for the next."""
        with self.connect() as connection:
            connection.getDomainCapabilities(self.emulator, "x86_64", None, "qemu", 0)
        kept.mkdir(exist_ok=True)
        for path in (self.root / "cache" / "qemu" / "capabilities").glob("*.xml"):
            target = kept / path.name
            if not target.exists() or target.read_bytes() != path.read_bytes():
                scratch = kept / f"{path.name}.{os.getpid()}"
                shutil.copyfile(path, scratch)
                scratch.rename(target)
