"""Pins as people type them, and the placements that are offered by one key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.pin_table import PinTable

Pins = Mapping[str, tuple[int, ...] | None]
"""CPUs by thread (`vcpu 0`, `emulator`, `iothread 1`); None takes the pin away."""


def parse_pins(text: str) -> dict[str, tuple[int, ...] | None]:
    """Return what `vcpu 0=0-3,8; vcpu 1-2=4; emulator=all` means; raises ValueError with a sentence for the user."""
    raise NotImplementedError


def format_pins(pins: Pins) -> str:
    """Return `pins` as parse_pins takes them."""
    raise NotImplementedError


def spread(table: PinTable) -> dict[str, tuple[int, ...] | None]:
    """Return pins that give each vCPU a host CPU of its own: cores before hardware threads, one node before the next,
    unclaimed before claimed; the emulator and I/O threads share what is left."""
    raise NotImplementedError


def compact(table: PinTable, node: int) -> dict[str, tuple[int, ...] | None]:
    """Return pins that bind every thread to all online CPUs of a NUMA node; raises ValueError when it has none."""
    raise NotImplementedError


def follow_memory(table: PinTable) -> dict[str, tuple[int, ...] | None]:
    """Return pins that bind every thread to the nodes its memory is bound to; raises ValueError when it is bound to
    none."""
    raise NotImplementedError
