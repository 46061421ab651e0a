"""The packets that pass a link, on request only (packet(7))."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from tui.model.packet import describe
from tui.model.text import clean
from tui.sources.inside import inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.model.link import Link, Netns

_ALL = 0x0003
"""ETH_P_ALL."""
_OUTGOING = 4
"""PACKET_OUTGOING."""
MOST = 20
SECONDS = 5.0
_SNAP = 256


def capture(netns: Netns, link: Link, *, stopped: Callable[[], bool] = lambda: False) -> tuple[str, ...]:
    """Return the next packets that a link sends (→) or hears (←), a line each, MOST at most, from SECONDS at most.
    Raises OSError where the link is gone or may not be listened to."""
    with inside(netns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as raw:
        raw.bind((link.raw_name, _ALL))
        return tuple(_listened(raw, stopped))


def _listened(raw: socket.socket, stopped: Callable[[], bool]) -> list[str]:
    found: list[str] = []
    end = time.monotonic() + SECONDS
    while len(found) < MOST and (left := end - time.monotonic()) > 0 and not stopped():
        if select.select([raw], [], [], min(left, 0.2))[0]:
            frame, address = raw.recvfrom(_SNAP)
            found.append(f"{'→' if address[2] == _OUTGOING else '←'} {clean(describe(frame))}")
    return found
