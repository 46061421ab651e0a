"""Private mount, UTS and network namespaces, held by a reaper that ends all in them when this process lets go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_REAPER = Path(__file__).parent / "reaper.py"
_STOP_LIMIT_S = 30.0
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
_ENVIRONMENT = os.environ | {"PATH": _PATH, "LC_ALL": "C.UTF-8"}
"""The caller's, with the sbin folders, and with messages that tests can read."""

Completed = subprocess.CompletedProcess[str]


class LabUnavailable(RuntimeError):
    """The lab cannot run on this machine; the text says why."""


class Namespaces:
    """A folder (`root`) that holds what is /run, /etc/libvirt and libvirt's part of /var inside; and a reaper."""

    def __init__(self, hostname: str, *, cgroups: Sequence[str] = ()) -> None:
        """Make the folder; nothing runs before start()."""
        self._hostname = hostname
        self._cgroups = tuple(cgroups)
        self._reaper: subprocess.Popen[bytes] | None = None
        # Below /tmp whatever TMPDIR says: a unix socket's path ends at 107 bytes.
        self.root = Path(tempfile.mkdtemp(prefix="virtdeck-lab-", dir="/tmp"))
        self.root.chmod(0o755)
        for name in ("run", "run/lock", "etc", "lib", "cache", "log"):
            (self.root / name).mkdir()
        (self.root / "hosts").write_text(f"127.0.0.1 localhost {hostname}\n::1 localhost\n")

    def start(self) -> None:
        """Make the namespaces; LabUnavailable with the kernel's reason when they cannot be made."""
        reaper = [sys.executable, "-I", "-S", str(_REAPER), str(self.root), self._hostname]
        self._reaper = subprocess.Popen(
            ["unshare", "-m", "-u", "-n", "--", *reaper, *self._cgroups],
            env=_ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reply()

    @property
    def pid(self) -> int:
        """The reaper's process id: /proc/PID/ns/net is the lab's network namespace."""
        if self._reaper is None:
            raise RuntimeError("the lab is not started")
        return self._reaper.pid

    def stop(self) -> None:
        """Kill all that runs inside and delete the folder; returns when all is gone."""
        reaper, self._reaper = self._reaper, None
        if reaper is not None:
            reaper.communicate(timeout=_STOP_LIMIT_S)
        shutil.rmtree(self.root, ignore_errors=True)

    def spawn(self, argv: Sequence[str], log: Path) -> int:
        """The process id of a program started inside in the background, its output in a file; it ends with the lab."""
        return int(self._request({"argv": list(argv), "log": str(log)})["pid"])

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The argument list that runs a program inside; its working directory is then /."""
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-n", "--", *argv]

    def run(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> Completed:
        """Run a program inside to its end; RuntimeError with its standard error when it fails and check is set."""
        return run(self.inside(argv), timeout=timeout, check=check)

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request to the reaper and read its reply."""
        if self._reaper is None or self._reaper.stdin is None:
            raise RuntimeError("the lab is not started")
        self._reaper.stdin.write(json.dumps(request).encode() + b"\n")
        self._reaper.stdin.flush()
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        """The reaper's next line."""
        assert self._reaper is not None
        assert self._reaper.stdout is not None
        line = self._reaper.stdout.readline()
        if not line:
            _, errors = self._reaper.communicate(timeout=_STOP_LIMIT_S)
            raise LabUnavailable(f"no private namespaces: {errors.decode(errors='replace').strip()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply


def find_program(name: str) -> str | None:
    """The path of a program, looked for in the sbin folders as well."""
    return shutil.which(name, path=_PATH)


def run(argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> Completed:
    """Run a program to its end with no input; RuntimeError with its standard error when it fails and check is set."""
    done = subprocess.run(
        argv,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
    return done


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def end_process(pid: int, number: signal.Signals, *, timeout: float = 15) -> None:
    """Send a signal and wait until the process is gone; TimeoutError when it stays."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    wait_until(lambda: not is_alive(pid), f"the end of process {pid}", timeout=timeout)


def wait_until(done: Callable[[], bool], what: str, *, timeout: float = 30) -> None:
    """Ask every 10 ms until done() is true; TimeoutError naming what was waited for."""
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(0.01)
