"""Strips that reach the terminal in fewer bytes: between two segments only what differs of the style is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}

_RESET = "\x1b[0m"

_OFF = {
    "1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "6": "25", "7": "27", "8": "28", "9": "29", "21": "24",
    "51": "54", "52": "54", "53": "55",
}  # fmt: skip
"""The SGR code that ends each attribute (ECMA-48, 8.3.117)."""


class LeanStrip(Strip):
    """A Strip whose colours are sent once, not once per segment; it looks the same."""

    __slots__ = ("_sent",)

    def __init__(self, segments: Iterable[Segment], cell_length: int | None = None) -> None:
        super().__init__(segments, cell_length)
        self._sent: tuple[str | None, str] | None = None

    def crop(self, start: int, end: int | None = None) -> Strip:
        """Return the cells from `start` to `end`."""
        return lean(super().crop(start, end))

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """Return the strip in pieces that end at `cuts`."""
        return [lean(strip) for strip in super().divide(cuts)]

    def render(self, console: Console) -> str:
        """Return what to write to the terminal, ending with all attributes off."""
        system = console.color_system
        if self._sent is None or self._sent[0] != system:
            self._sent = (system, _render(self, _SYSTEMS.get(system or "", ColorSystem.TRUECOLOR)))
        return self._sent[1]


def lean(strip: Strip) -> Strip:
    """Return `strip` as a LeanStrip; one with links as it is."""
    if isinstance(strip, LeanStrip) or any(segment.style and segment.style.link for segment in strip):
        return strip
    return LeanStrip(strip, strip.cell_length)


class _State(NamedTuple):
    """The SGR codes in force: of attributes, ink and ground."""

    attributes: frozenset[str]
    ink: str
    ground: str


_PLAIN = _State(frozenset(), "39", "49")


@lru_cache(maxsize=1024)
def _state(style: Style, system: ColorSystem) -> _State:
    ink = ";".join(style.color.downgrade(system).get_ansi_codes()) if style.color else "39"
    ground = ";".join(style.bgcolor.downgrade(system).get_ansi_codes(False)) if style.bgcolor else "49"
    attributes = Strip.render_ansi(style.without_color, system)
    return _State(frozenset(attributes.split(";")) - {""}, ink, ground)


def _render(strip: Strip, system: ColorSystem) -> str:
    out: list[str] = []
    now = _PLAIN
    for text, style, _ in strip:
        new = _state(style, system) if style else _PLAIN
        if new != now:
            out.append(_change(now, new))
            now = new
        out.append(text)
    if now != _PLAIN:
        out.append(_RESET)
    return "".join(out)


@lru_cache(maxsize=4096)
def _change(now: _State, new: _State) -> str:
    """Return the escape sequence that leads from one state of the terminal to another."""
    off = {_OFF[code] for code in now.attributes - new.attributes}
    # One code may end two attributes (22: bold and dim): the one that stays is switched on again.
    on = {code for code in new.attributes if code not in now.attributes or _OFF[code] in off}
    codes = [*sorted(off), *sorted(on)]
    codes += [code for code, old in ((new.ink, now.ink), (new.ground, now.ground)) if code != old]
    return f"\x1b[{';'.join(codes)}m"
