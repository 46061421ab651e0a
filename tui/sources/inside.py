"""Work inside another network namespace, on the calling thread: what it opens and starts there stays there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tui.sources.namespaces import HERE_PATH, entered, opened

if TYPE_CHECKING:
    from tui.model.link import Netns


def own_netns() -> str:
    """Return the key of the calling thread's network namespace; raises OSError."""
    return str(os.stat(HERE_PATH).st_ino)


@contextmanager
def inside(netns: Netns) -> Iterator[None]:
    """Be in `netns` until the block ends (setns(2)); raises OSError where it is gone or may not be entered."""
    if netns.key == own_netns():
        yield
        return
    with entered(_way(netns), netns.key):
        yield


def _way(netns: Netns) -> str:
    """A file of the namespace: a name or a process may by now stand for another. Raises OSError."""
    refused: PermissionError | None = None
    for way in (*netns.paths, *([f"/proc/{netns.pid}/ns/net"] if netns.pid is not None else [])):
        try:
            with opened(way, netns.key):
                return way
        except PermissionError as error:
            refused = error
        except OSError:
            continue
    raise refused or FileNotFoundError(errno.ENOENT, "the namespace is gone")
