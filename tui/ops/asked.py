"""What requests leave open until the guest has done it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.journal import Asked
from tui.ops import vcpus
from tui.ops.memory import SetMemory
from tui.ops.monitor import MonitorCommand

if TYPE_CHECKING:
    from tui.model.plan import Request


def asked_of(request: Request) -> Asked | None:
    """Return what a running guest is asked for by a request, and what settles then: vCPUs, as vcpus.asked_of has it,
    or a size of its memory. None: neither."""
    if isinstance(request, SetMemory) and request.live:
        return Asked(request.key, -1, 0, settled=False, kib=request.kib)
    if isinstance(request, MonitorCommand) and request.balloon_kib is not None:
        return Asked(request.key, -1, 0, settled=False, kib=request.balloon_kib)
    return vcpus.asked_of(request)
