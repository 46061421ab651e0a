"""Files that get their name when they are whole: until then they are PATH.part."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def open_part(path: str) -> int:
    """Return a descriptor of PATH.part, made anew for its owner alone; raises OSError, also when it is there."""
    return os.open(f"{path}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def put_part(path: str, *, overwrite: bool = False) -> None:
    """Give the whole file its name; link() alone refuses one that was taken meanwhile. Raises OSError."""
    if not overwrite:
        try:
            os.link(f"{path}.part", path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # exFAT, VFAT and some servers have no links: there the name is taken first, by an empty file.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        else:
            remove_part(path)
            return
    os.replace(f"{path}.part", path)


def remove_part(path: str) -> None:
    """Take PATH.part away, as far as it can be."""
    with suppress(OSError):
        os.unlink(f"{path}.part")
