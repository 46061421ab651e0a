"""For terminals that cannot show Unicode: every character that leaves is one they can."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_GLYPHS = {
    "●": "*", "◐": "=", "◔": "~", "○": "o", "◌": ".", "◇": "@", "✖": "x", "⚠": "!", "▸": ">", "▾": "v", "•": "*",
    "…": "~", "·": "-", "→": ">", "←": "<", "↑": "^", "↓": "v", "▲": "^", "▼": "v", "Δ": "d", "▁": "_", "▂": ".",
    "▃": "-",
    "▄": "-", "▅": "=", "▆": "=", "▇": "#", "█": "#", "✓": "+", "“": '"', "”": '"', "’": "'", "×": "x", "║": "|",
    "╱": "/", "╲": "\\", "‹": "<", "–": "-", "—": "-", "\u00a0": " ", "■": "#", "▫": ".", "□": "_", "◆": "&", "≠": "/",
    "⇢": ">", "⇠": "<", "⇒": ">", "▣": "#", "↳": ">",
}  # fmt: skip
_BOX = range(0x2500, 0x2580)
_BLOCKS = range(0x2580, 0x25A0)


_INITIAL_ENVIRONMENT = Path("/proc/self/environ")


_COERCED = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})


def _as_given() -> dict[str, str]:
    """The environment as this process was given it (proc(5)): in the C locale Python sets LC_CTYPE to a UTF-8 one
    (PEP 538), whatever the terminal can show."""
    env = dict(os.environ)
    if env.get("LC_CTYPE") in _COERCED:
        with contextlib.suppress(OSError):
            words = _INITIAL_ENVIRONMENT.read_bytes().split(b"\0")
            given = next((word for word in words if word.startswith(b"LC_CTYPE=")), b"LC_CTYPE=")
            env["LC_CTYPE"] = os.fsdecode(given.partition(b"=")[2])
    return env


def is_unicode_terminal(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the locale of `environment`, or of this process, says that the terminal takes UTF-8 (locale(7): LC_ALL,
    LC_CTYPE, LANG)."""
    env = _as_given() if environment is None else environment
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
