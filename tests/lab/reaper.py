"""The first process in a lab host's private namespaces, started by unshare: reaper.py ROOT HOSTNAME [CONTROLLER...].

It arranges the mounts, says so with one line on standard output, then starts each program that a line on standard
input asks for ({"argv": [...], "log": PATH}, answered by {"pid": N}). Daemonised grandchildren become its children and
are reaped, so that libvirt does not wait for a zombie. When standard input closes it kills all that lives in its
namespaces and deletes ROOT: a test run that dies leaves nothing. It runs alone: it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MS_BIND, MS_MOVE, MS_REC, MNT_DETACH = 0x1000, 0x2000, 0x4000, 2
PR_SET_CHILD_SUBREAPER = 36
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
KILL_LIMIT_S = 15.0
CGROUPS = Path("/sys/fs/cgroup")
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What the reaper outlives, and its children get back as it was."""

BINDS = {
    "run": "/run",
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "hosts": "/etc/hosts",
}
"""What of ROOT is seen where. /run as a whole, so that no D-Bus, systemd or udev of the machine is met."""

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Mount(2); OSError with the target."""
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    if _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def detach(target: str) -> bool:
    """Whether the topmost mount at a path could be taken away, with all below it (umount2(2))."""
    return bool(_libc.umount2(target.encode(), MNT_DETACH) == 0)


def require_private_namespaces() -> None:
    """SystemExit in a namespace of the parent: ending all that lives there would end the machine."""
    for kind in ("mnt", "uts", "net"):
        if os.readlink(f"/proc/self/ns/{kind}") == os.readlink(f"/proc/{os.getppid()}/ns/{kind}"):
            raise SystemExit(f"reaper.py: the {kind} namespace is not its own; it is started by unshare -m -u -n")


def arrange(root: Path, hostname: str, controllers: list[str]) -> None:
    """Make the private namespaces ready for a libvirtd."""
    socket.sethostname(hostname)
    hide_devices(root)
    fresh_sysfs(root, controllers)
    for name, target in BINDS.items():
        if not os.path.exists(target):
            os.makedirs(target)
        mount(str(root / name), target, flags=MS_BIND)
    loopback_up()


def hide_devices(root: Path) -> None:
    """A /dev with all but kvm: an unusable kvm makes libvirt probe QEMU anew, for a minute, at every define."""
    new = root / "dev"
    new.mkdir()
    mount("dev", str(new), "tmpfs", data="mode=755")
    for entry in os.scandir("/dev"):
        target = new / entry.name
        mode = entry.stat(follow_symlinks=False).st_mode
        if entry.is_symlink():
            target.symlink_to(os.readlink(entry.path))
        elif entry.is_dir():
            target.mkdir()
            mount(entry.path, str(target), flags=MS_BIND | MS_REC)
        elif entry.name != "kvm" and (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
            os.mknod(target, mode, entry.stat().st_rdev)
            os.chmod(target, stat.S_IMODE(mode))
    mount(str(new), "/dev", flags=MS_MOVE)


def fresh_sysfs(root: Path, controllers: list[str]) -> None:
    """A sysfs that shows this network namespace's links, and of the control groups only the controllers asked for."""
    kept = root / "cgroup"
    kept.mkdir()
    keep_controllers(kept, controllers)
    while detach("/sys"):
        pass
    mount("sysfs", "/sys", "sysfs")
    if controllers:
        mount(str(kept), "/sys/fs/cgroup", flags=MS_MOVE)


def keep_controllers(kept: Path, controllers: list[str]) -> None:
    """Bind the machine's control groups aside: the one hierarchy of version 2, or those of version 1 asked for."""
    if not controllers:
        return
    if CGROUPS.joinpath("cgroup.controllers").exists():
        mount(str(CGROUPS), str(kept), flags=MS_BIND)
        return
    mount("cgroup", str(kept), "tmpfs", data="mode=755")
    for name in controllers:
        (kept / name).mkdir()
        mount(str(CGROUPS / name), str(kept / name), flags=MS_BIND)


def machine_groups() -> set[Path]:
    """libvirt's control groups that are seen here: /machine in each hierarchy, and one for each domain in it."""
    return {
        path
        for pattern in ("machine*", "*/machine*")
        for path in [*CGROUPS.glob(pattern), *CGROUPS.glob(f"{pattern}/*/")]
    }


def remove_groups(before: set[Path]) -> None:
    """Remove libvirt's control groups that came since; all of them are empty now."""
    for top in sorted(machine_groups() - before, reverse=True):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def loopback_up() -> None:
    """Set lo up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack_from("H", fcntl.ioctl(sock, SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | IFF_UP, b""))


def spawn(argv: list[str], log: str) -> int:
    """The process id of a program started in a session of its own, its output appended to a file."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, append, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setsid=True, setsigdef=IGNORED)


def reap() -> bool:
    """Collect every child that has ended; whether any child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def requests(wakeup: int) -> Iterator[dict[str, Any]]:
    """The requests on standard input until it closes; children are reaped meanwhile."""
    pending = b""
    while True:
        ready, _, _ = select.select([0, wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 4096)
            reap()
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            yield from (json.loads(line) for line in lines)


def answer(reply: dict[str, Any]) -> None:
    """Write one reply line."""
    os.write(1, json.dumps(reply).encode() + b"\n")


def serve() -> None:
    """Answer requests until standard input closes."""
    wakeup, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    answer({"ready": True})
    for request in requests(wakeup):
        try:
            answer({"pid": spawn(request["argv"], request["log"])})
        except OSError as error:
            answer({"error": str(error)})


def inhabitants() -> list[int]:
    """All others in this mount or UTS namespace: `ip netns exec` makes a mount namespace, and keeps the UTS one."""
    own = {os.readlink("/proc/self/ns/mnt"), os.readlink("/proc/self/ns/uts")}
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            spaces = {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("mnt", "uts")}
        except OSError:
            continue
        if spaces & own and pid != os.getpid():
            found.append(pid)
    return found


def kill_all() -> None:
    """Kill everything in the namespaces and wait until it is gone and reaped, 15 s at most."""
    end = time.monotonic() + KILL_LIMIT_S
    alive = inhabitants()
    while (alive or reap()) and time.monotonic() < end:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
        alive = inhabitants()


def delete(root: Path) -> None:
    """Take away mounts below ROOT, then ROOT."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for target in reversed([line.split()[4] for line in lines]):
        if target.startswith(f"{root}/"):
            detach(target)
    shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Arrange, serve, and clean up."""
    require_private_namespaces()
    root, hostname, *controllers = Path(sys.argv[1]), *sys.argv[2:]
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before: set[Path] = set()
    try:
        arrange(root, hostname, controllers)
        before = machine_groups()
        serve()
    finally:
        kill_all()
        remove_groups(before)
        delete(root)


if __name__ == "__main__":
    main()
