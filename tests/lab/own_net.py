"""Network and mount namespaces of its own for the main thread of the tests: what is "home" to the code under test.

Named namespaces made meanwhile (`ip netns add`) lie in a mount of their own, so nothing of this machine's network is
touched, and all is gone when the last of it is closed.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.namespaces import LabUnavailable, run, wait_until

_NEWNS, _NEWNET = 0x00020000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_net() -> Iterator[OwnNet]:
    """Put the main thread, and all threads and programs that it starts, into fresh namespaces; LabUnavailable with the
    kernel's reason when it may not. Threads started inside have to end before: they share its mounts."""
    folder = os.getcwd()
    old = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("mnt", "net")]
    before = set(threading.enumerate())
    try:
        _check(_libc.unshare(_NEWNS | _NEWNET), "unshare")
        try:
            run(["mount", "--make-rprivate", "/"])
            Path("/run/netns").mkdir(exist_ok=True)
            run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"])
            run(["ip", "link", "set", "lo", "up"])
            yield OwnNet()
        finally:
            wait_until(lambda: set(threading.enumerate()) <= before, "the threads that the test started")
            # The kernel's end of a thread comes after Python's.
            wait_until(lambda: _libc.setns(old[0], _NEWNS) == 0, "to be back in the mounts of before")
            _check(_libc.setns(old[1], _NEWNET), "setns")
            os.chdir(folder)
    finally:
        for number in old:
            os.close(number)


def _check(result: int, what: str) -> None:
    if result:
        raise LabUnavailable(f"{what}: {os.strerror(ctypes.get_errno())}")


class OwnNet:
    """The namespaces that the main thread is in, and what tests do in them."""

    def ip(self, *words: str, netns: str = "", check: bool = True) -> str:
        """Run `ip`, in a named namespace or at home; its output."""
        return run(["ip", *(["-n", netns] if netns else []), *words], check=check).stdout

    def json(self, *words: str, netns: str = "") -> Any:
        """Run `ip -j -d` and return what it says."""
        return json.loads(self.ip("-j", "-d", *words, netns=netns) or "[]")

    def bridge(self, *words: str, netns: str = "") -> Any:
        """Run `bridge -j` and return what it says."""
        return json.loads(run(["bridge", "-j", *(["-n", netns] if netns else []), *words]).stdout or "[]")

    def add_netns(self, *names: str) -> None:
        """Make named namespaces with lo up."""
        for name in names:
            self.ip("netns", "add", name)
            self.ip("link", "set", "lo", "up", netns=name)

    def key(self, netns: str = "") -> str:
        """The key of a named namespace, or of home."""
        if not netns:
            return os.readlink("/proc/self/ns/net")[5:-1]
        return str(os.stat(f"/run/netns/{netns}").st_ino)

    @contextmanager
    def unnamed(self, argv: Sequence[str] = ("sleep", "600")) -> Iterator[int]:
        """Run a program in a namespace that has no name; its process id."""
        process = subprocess.Popen(["unshare", "-n", "--", *argv])
        home = os.readlink("/proc/self/ns/net")
        try:
            wait_until(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != home, "unshare")
            yield process.pid
        finally:
            process.kill()
            process.wait()


def knows_kind(kind: str) -> bool:
    """Whether this kernel makes links of that kind; one that only lacks what it needs is refused in other words."""
    done = run(["ip", "link", "add", "name", "probe0", "type", kind], check=False)
    if done.returncode == 0:
        run(["ip", "link", "del", "probe0"])
    return "Unknown device type" not in done.stderr
