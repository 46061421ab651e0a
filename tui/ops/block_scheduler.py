"""The I/O scheduler of a disk of this machine (/sys/block/NAME/queue/scheduler, block/elevator.c)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome

_WHAT = "set the I/O scheduler of"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.!:-]*")


@dataclass(frozen=True, slots=True)
class SetIoScheduler(Request):
    """Have a block device of this machine use another I/O scheduler, until the host boots."""

    device: str
    scheduler: str


def scheduler_path(device: str) -> str:
    """Return where the scheduler of a block device is read and written. Raises ValueError for what is no name of a
    device."""
    if not _NAME.fullmatch(device):
        raise ValueError(f"{device!r} is no block device")
    return f"/sys/block/{device}/queue/scheduler"


def _set(request: SetIoScheduler, _context: OpContext) -> Outcome:
    """The kernel takes a word or refuses it whole; what it then uses is read again."""
    try:
        path = scheduler_path(request.device)
        # Not created where there is no such device, as a plain open for writing would try.
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, request.scheduler.encode())
        finally:
            os.close(descriptor)
        now = Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        raise OpError(_WHAT, request.device, _words(error), advice=_advice(error)) from error
    if f"[{request.scheduler}]" not in now.split() and now != request.scheduler:
        raise OpError(_WHAT, request.device, f"the kernel still says {clean(now)}")
    return Outcome(f"{request.device} uses {request.scheduler}")


def _words(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _advice(error: OSError | ValueError) -> str:
    if isinstance(error, PermissionError):
        return "Run as root."
    if isinstance(error, FileNotFoundError):
        return "The device is gone."
    return "Its kernel does not offer that one; a module may have to be loaded." if isinstance(error, OSError) else ""


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {SetIoScheduler: _set}
