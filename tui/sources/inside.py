"""Work inside another network namespace, on the calling thread: what it opens and starts there stays there."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.link import Netns

_CLONE_NEWNET = 0x40000000
_HERE = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


def own_netns() -> str:
    """Return the key of the calling thread's network namespace; raises OSError."""
    return str(os.stat(_HERE).st_ino)


@contextmanager
def inside(netns: Netns) -> Iterator[None]:
    """Be in `netns` until the block ends (setns(2)); raises OSError where it is gone or may not be entered."""
    if netns.key == own_netns():
        yield
        return
    target, home = _open(netns), os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(target)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(target)
        os.close(home)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _open(netns: Netns) -> int:
    """Open a file of the namespace: a name or a process may by now stand for another."""
    paths = [*netns.paths, *([f"/proc/{netns.pid}/ns/net"] if netns.pid is not None else [])]
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if str(os.fstat(descriptor).st_ino) == netns.key:
            return descriptor
        os.close(descriptor)
    raise FileNotFoundError("the namespace is gone")
