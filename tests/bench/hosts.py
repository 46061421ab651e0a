"""Hosts to measure against: a session libvirtd of our own that serves libvirt's test driver over its socket.

Nothing of the system's is touched: as root the daemon runs as nobody, all its folders are temporary ones, and the
kernel ends it when this process goes (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import population
from tui.demo.host import scaled_host

_UNPRIVILEGED = "nobody"
_START_TIMEOUT_S = 10.0
_XDG = {"XDG_RUNTIME_DIR": "run", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data"}


@contextmanager
def session_daemon() -> Iterator[Path]:
    """Run a session libvirtd and give the path of its socket; raises FileNotFoundError without libvirtd and
    TimeoutError when the socket does not appear."""
    program = shutil.which("libvirtd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise FileNotFoundError("libvirtd is not installed")
    with tempfile.TemporaryDirectory(prefix="virtdeck-bench-") as folder:
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": folder}
        os.chmod(folder, 0o755)
        for variable, name in _XDG.items():
            (Path(folder) / name).mkdir(mode=0o700)
            environment[variable] = f"{folder}/{name}"
        log = Path(folder, "log")
        with log.open("wb") as stderr:
            process = subprocess.Popen([*_as_unprivileged(Path(folder)), program], env=environment, stderr=stderr)
        try:
            socket = Path(folder, "run/libvirt/libvirt-sock")
            _wait_for(socket, process, log)
            yield socket
        finally:
            process.terminate()
            process.wait()


def _as_unprivileged(folder: Path) -> list[str]:
    """Return the words before a command that run it as nobody where this is root, and end it with this process."""
    words = ["setpriv", "--pdeathsig", "TERM"]
    if os.geteuid() == 0:
        user = pwd.getpwnam(_UNPRIVILEGED)
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        words += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    return words


def _wait_for(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"libvirtd did not start: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.01)


class PopulatedHost:
    """One host of `count` domains that every connection to `uri` shares."""

    def __init__(self, socket: Path, node: Path, count: int) -> None:
        """Fill the daemon behind `socket` with the `count` domains of a node file."""
        self.count = count
        self.uri = f"test+unix:///default?socket={socket}"
        self._child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", population.__name__, self.uri, node],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.names = frozenset(self._lines())
        if len(self.names) != count:
            raise RuntimeError(f"the host has {len(self.names)} domains instead of {count}")

    def flip(self, count: int) -> None:
        """Suspend or resume `count` running domains over a connection of its own; raises RuntimeError when the child
        could not."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{count}\n")
        self._child.stdin.flush()
        if not int(self._child.stdout.readline() or 0):
            raise RuntimeError("no domain could be changed")

    @contextmanager
    def changing(self, share: float = 0.01, interval: float = 2.0) -> Iterator[None]:
        """Suspend or resume `share` of all domains every `interval` seconds for as long as the context lasts."""
        stop = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                while not stop.wait(interval):
                    self.flip(max(1, round(self.count * share)))
            except (OSError, RuntimeError) as error:
                failed.append(error)

        thread = threading.Thread(target=run, name="flipper", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if failed:
            raise failed[0]

    def close(self) -> None:
        """End the child, and with it the host's last connection."""
        self._child.terminate()
        self._child.communicate()

    def _lines(self) -> Iterator[str]:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if not line.strip():
                return
            yield line.strip()


class Hosts:
    """The hosts of one run, each made when it is first asked for and kept until the end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._hosts: dict[int, PopulatedHost] = {}
        self._from_file: dict[int, str] = {}

    def shared(self, count: int) -> PopulatedHost:
        """Return the host of `count` domains that all connections share."""
        if count not in self._hosts:
            socket, node = self._stack.enter_context(session_daemon()), self._node(count)
            host = PopulatedHost(socket, node, count)
            self._stack.callback(host.close)
            self._hosts[count] = host
        return self._hosts[count]

    def from_file(self, count: int) -> str:
        """Return the URI of the same domains from a node file, which the daemon parses again for every connection."""
        if count not in self._from_file:
            socket = self._stack.enter_context(session_daemon())
            self._from_file[count] = f"test+unix://{self._node(count)}?socket={socket}"
        return self._from_file[count]

    def close(self) -> None:
        """End all hosts and their daemons."""
        self._stack.close()

    def _node(self, count: int) -> Path:
        """Write the node file where the daemon, which is not root, can read it."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="virtdeck-node-")))
        folder.chmod(0o755)
        node = Path(scaled_host(folder, count).removeprefix("test://"))
        node.chmod(0o644)
        return node
