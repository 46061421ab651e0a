"""One question to a QEMU monitor that nobody else uses: which thread is which."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping
from time import monotonic
from typing import Any

from tui.model.process import ThreadRole

Roles = Mapping[int, tuple[ThreadRole, int | None]]
"""Thread id → role, and the number of the vCPU or I/O thread."""

DEADLINE_S = 0.2
_CONNECTED = "03"


class MonitorSilent(Exception):
    """The monitor did not answer in time, or what answered is not this QEMU's."""


def read_roles(pid: int, path: str, deadline_s: float = DEADLINE_S) -> Roles:
    """Return the roles of the vCPU and I/O threads of QEMU `pid` from its QMP socket `path` (query-cpus-fast,
    query-iothreads). Raises OSError when nothing listens there and MonitorSilent when it is taken or does not answer
    within `deadline_s`; a monitor that has a client is left alone."""
    if _is_taken(pid, path):
        raise MonitorSilent("another client is connected")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(deadline_s)
        try:
            _connect(connection, pid, path)
        except (BlockingIOError, TimeoutError) as error:
            raise MonitorSilent("too many clients wait for the monitor") from error
        if _peer(connection) != pid:
            raise MonitorSilent("the socket belongs to another process")
        monitor = _Monitor(connection, monotonic() + deadline_s)
        monitor.greet()
        return _roles(monitor.ask("query-cpus-fast"), monitor.ask("query-iothreads"))


def number_of(identifier: str) -> int | None:
    """Return the number that an I/O thread's id ends in: 1 for "iothread1"."""
    digits = identifier[len(identifier.rstrip("0123456789")) :]
    return int(digits) if digits and digits.isascii() else None


class _Monitor:
    """A QMP conversation with a deadline for the whole of it."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = b""

    def greet(self) -> None:
        """Wait for the greeting, which a monitor with another client does not send, and leave negotiation."""
        if "QMP" not in self._receive():
            raise MonitorSilent("no QMP greeting")
        self.ask("qmp_capabilities")

    def ask(self, command: str) -> Any:
        """Return what `command` returns; events in between are passed over."""
        self._connection.sendall(json.dumps({"execute": command}).encode() + b"\n")
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise MonitorSilent(f"{command} was refused")

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            left = self._deadline - monotonic()
            if left <= 0:
                raise MonitorSilent("no answer in time")
            self._connection.settimeout(left)
            self._buffer += self._chunk()
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise MonitorSilent("not a QMP answer") from error
        return answer if isinstance(answer, dict) else {}

    def _chunk(self) -> bytes:
        try:
            data = self._connection.recv(65536)
        except TimeoutError as error:
            raise MonitorSilent("no answer in time") from error
        if not data:
            raise MonitorSilent("the monitor hung up")
        return data


def _roles(vcpus: Any, iothreads: Any) -> dict[int, tuple[ThreadRole, int | None]]:
    roles: dict[int, tuple[ThreadRole, int | None]] = {}
    try:
        for vcpu in vcpus:
            roles[int(vcpu["thread-id"])] = (ThreadRole.VCPU, int(vcpu["cpu-index"]))
        for iothread in iothreads:
            roles[int(iothread["thread-id"])] = (ThreadRole.IOTHREAD, number_of(str(iothread["id"])))
    except (KeyError, TypeError, ValueError) as error:
        raise MonitorSilent("not the answer of a QEMU") from error
    return roles


def _connect(connection: socket.socket, pid: int, path: str) -> None:
    """Connect through the root or working directory of `pid`, which may be in another mount namespace; paths there
    may be longer than an address holds (unix(7)), hence the descriptor."""
    base = f"/proc/{pid}/root" if path.startswith("/") else f"/proc/{pid}/cwd/"
    try:
        folder = os.open(base + os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        connection.connect(path)
        return
    try:
        connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


def _peer(connection: socket.socket) -> int:
    """Return the pid of the process that listens; source: SO_PEERCRED, unix(7)."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


def _is_taken(pid: int, path: str) -> bool:
    """Return whether a client is connected to the socket; source: /proc/PID/net/unix."""
    try:
        with open(f"/proc/{pid}/net/unix", "rb") as table:
            rows = [line.split(maxsplit=7) for line in table]
    except OSError:
        return False
    wanted = os.fsencode(path)
    return any(len(row) == 8 and row[7].rstrip(b"\n") == wanted and row[5] == _CONNECTED.encode() for row in rows)
