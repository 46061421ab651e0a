"""Image files of domains that are off, looked for where their libvirtd would find them."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from tui.model.health import ImageState

_SOCKETS = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock", "/var/run/libvirt/libvirt-sock")
_SESSION = ("libvirt/virtqemud-sock", "libvirt/libvirt-sock")
_LIMIT_S = 2.0


def daemon_root(uri: str) -> str | None:
    """Return the folder under which the files of the daemon behind a local URI are, "" where they are ours: a daemon
    in a container has its own. None: it cannot be told. Source: SO_PEERCRED of its socket, /proc/PID/root."""
    pid = next((pid for path in _paths(uri) if (pid := _listener(path)) is not None), None)
    if pid is None:
        return None
    try:
        if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
            return ""
        os.listdir(f"/proc/{pid}/root/")
    except OSError:
        return None
    return f"/proc/{pid}/root"


def _paths(uri: str) -> Iterable[str]:
    parts = urlsplit(uri)
    named = parse_qs(parts.query).get("socket")
    if named:
        return named
    if parts.path == "/session" and os.geteuid():
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
        return [f"{runtime}/{name}" for name in _SESSION]
    return _SOCKETS


def _listener(path: str) -> int | None:
    """The process that listens on a socket; systemd where it is to start the daemon, whose files are the same."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as end:
            end.settimeout(_LIMIT_S)
            end.connect(path)
            pid, _uid, _gid = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return None
    return pid if pid > 0 else None


def image_state(root: str, chain: Iterable[str]) -> ImageState | None:
    """Return how the image at the top of a chain of raw paths does: what of it is missing first, and whether the top
    is on a filesystem mounted read-only; None where it cannot be looked at."""
    read_only = False
    for layer, path in enumerate(chain):
        if not path.startswith("/"):
            return None
        try:
            found = os.stat(root + path)
            if layer == 0:
                read_only = bool(os.statvfs(root + path).f_flag & os.ST_RDONLY) and not _is_device(found)
        except (FileNotFoundError, NotADirectoryError):
            # An absolute link leads out of a root that is not ours.
            return None if root and os.path.islink(root + path) else ImageState(True, False, layer)
        except OSError:
            return None
    return ImageState(False, read_only)


def _is_device(found: os.stat_result) -> bool:
    import stat

    return stat.S_ISBLK(found.st_mode)
