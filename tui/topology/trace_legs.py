"""The way across one segment: from link to link until a router, a guest or the cable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.topology.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Leg:
    """The nodes that a frame passes, in its order, as they are plugged or should be."""

    nodes: tuple[str, ...]
    loose: frozenset[str] = frozenset()
    """Those that should be plugged into a bridge and are not."""
    bridge: str = ""
    """That bridge, as a node; "" where nothing tells."""
    apart: bool = False
    """Whether both ends are plugged in, into bridges that nothing joins."""
    arrives: bool = False
    """Whether the last node is whom the frame is for."""


def leg_between(wiring: Wiring, start: str, goal: str, expected: str = "") -> Leg:
    """Return the way from a link to another; `expected` is the bridge that the start should be plugged into."""
    path = wiring.path(start, goal)
    if path is not None:
        return Leg(tuple(path), arrives=True)
    if expected and wiring.master(start) not in (None, expected):
        onward = wiring.path(expected, goal)
        return Leg((start, *(onward or (expected,))), frozenset((start,)), expected)
    here, there = wiring.stem(start), wiring.stem(goal)
    bridges = [stem[-1] for stem in (here, there) if wiring.is_bridge(stem[-1])]
    loose = frozenset(stem[-1] for stem in (here, there) if not wiring.is_bridge(stem[-1]))
    bridge = expected if expected and here[-1] in loose else next(iter(bridges), "")
    middle = [] if bridges or not bridge else [bridge]
    return Leg((*here, *middle, *reversed(there)), loose, bridge, apart=not loose)


def leg_out(wiring: Wiring, start: str, mac: str = "", fdb: dict[str, frozenset[str]] | None = None) -> Leg | None:
    """Return the way from a link out of the host; None where no link leads out."""
    path = wiring.way_out(start, mac, fdb)
    return Leg(tuple(path)) if path is not None else None


def leg_as_far(wiring: Wiring, start: str) -> Leg:
    """Return the way from a link as far as it is plain: to the bridge that it is plugged into."""
    stem = wiring.stem(start)
    return Leg(tuple(stem), frozenset() if wiring.is_bridge(stem[-1]) else frozenset(stem[-1:]))
