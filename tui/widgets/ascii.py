"""For terminals that cannot show Unicode: every character that leaves is one they can."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_GLYPHS = {
    "●": "*", "◐": "=", "◔": "~", "○": "o", "◌": ".", "◇": "@", "✖": "x", "⚠": "!", "▸": ">", "•": "*", "…": "~",
    "·": "-", "→": ">", "←": "<", "↑": "^", "↓": "v", "▲": "^", "▼": "v", "Δ": "d", "▁": "_", "▂": ".", "▃": "-",
    "▄": "-", "▅": "=", "▆": "=", "▇": "#", "█": "#", "✓": "+", "“": '"', "”": '"', "’": "'", "×": "x", "║": "|",
    "╱": "/", "╲": "\\", "–": "-", "—": "-", "\u00a0": " ",
}  # fmt: skip
_BOX = range(0x2500, 0x2580)
_BLOCKS = range(0x2580, 0x25A0)


_INITIAL_ENVIRONMENT = Path("/proc/self/environ")


def given_environment() -> dict[str, str]:
    """Return the environment that this process was started with (proc(5)): in the C locale Python replaces LC_CTYPE
    by C.UTF-8 (PEP 538), whatever the terminal can show. Where /proc cannot be read, the environment as it is now."""
    try:
        words = _INITIAL_ENVIRONMENT.read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in (word.partition(b"=") for word in words)}


def is_unicode_terminal(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the locale of `environment` says that the terminal takes UTF-8 (locale(7): LC_ALL, LC_CTYPE, LANG);
    without one, that of the environment that this process was started with."""
    env = given_environment() if environment is None else environment
    name = next((env[key] for key in ("LC_ALL", "LC_CTYPE", "LANG") if env.get(key)), "")
    return "utf-8" in name.lower() or "utf8" in name.lower()


def plain(char: str) -> str:
    """Return ASCII of the same width in cells for any character."""
    if char.isascii():
        return char
    if char in _GLYPHS:
        return _GLYPHS[char]
    code = ord(char)
    if code in _BOX:
        return "-" if char in "─━┄┅┈┉╌╍═╴╶╸╺" else "|" if char in "│┃┆┇┊┋╎╏║╵╷╹╻" else "+"
    return "#" if code in _BLOCKS else "?" * get_character_cell_size(char)


class ColourlessFilter(LineFilter):
    """Takes the colours from what is about to be written (https://no-color.org); bold, underlined, reversed stay."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return `segments` without ink and ground."""
        return [segment._replace(style=segment.style and segment.style.without_color) for segment in segments]


class AsciiFilter(LineFilter):
    """Replaces everything that is not ASCII in what is about to be written."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return `segments` with the same widths and styles in ASCII."""
        return [
            segment if segment.text.isascii() else segment._replace(text="".join(map(plain, segment.text)))
            for segment in segments
        ]
