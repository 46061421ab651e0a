"""Strips that reach the terminal in fewer bytes: between two segments only what differs of the style is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

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


@lru_cache(maxsize=1024)
def _codes(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """Return the SGR codes of a style: attributes, ink, ground."""
    ink = style.color.downgrade(system).get_ansi_codes() if style.color else ("39",)
    ground = style.bgcolor.downgrade(system).get_ansi_codes(False) if style.bgcolor else ("49",)
    return Strip.render_ansi(style.without_color, system), ";".join(ink), ";".join(ground)


_PLAIN = ("", "39", "49")


def _render(strip: Strip, system: ColorSystem) -> str:
    out: list[str] = []
    now = _PLAIN
    for text, style, _ in strip:
        new = _codes(style, system) if style else _PLAIN
        if new != now:
            out.append(_change(now, new))
            now = new
        out.append(text)
    if now != _PLAIN:
        out.append(_RESET)
    return "".join(out)


def _change(now: tuple[str, str, str], new: tuple[str, str, str]) -> str:
    """Return the escape sequence that leads from one state of the terminal to another."""
    if new[0] == now[0] or not now[0]:
        codes = [code for code, old in zip(new, now, strict=True) if code != old]
    else:
        codes = ["0", *(code for code, plain in zip(new, _PLAIN, strict=True) if code != plain)]
    return f"\x1b[{';'.join(codes)}m"
