"""Text from outside made safe to show: names of domains, guests, files and errors are written by strangers."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# One visible stand-in for each class of character that a terminal would obey or that would hide text.
_CONTROL_PICTURES = 0x2400
_DELETE_PICTURE = "␡"
_HIDDEN = "�"
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _visible(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return _DELETE_PICTURE
    if unicodedata.category(char) in _UNSAFE_CATEGORIES or 0xFE00 <= code <= 0xFE0F:
        return _HIDDEN
    return " " if char == "\u00a0" or unicodedata.category(char) == "Zs" else char


@lru_cache(maxsize=16384)
def clean(text: str) -> str:
    """Return `text` as one line of printable characters: C0, C1, DEL, bidi controls, zero-width characters,
    line separators, surrogates and unassigned code points become visible glyphs; combining marks stay only
    behind a base character."""
    if _is_plain(text):
        return text
    out: list[str] = []
    for char in text:
        if unicodedata.combining(char) and not out:
            out.append(_HIDDEN)
        else:
            out.append(_visible(char))
    return "".join(out)


def clean_lines(text: str) -> list[str]:
    """Return `text` split at line feeds, tabs as spaces, each line cleaned."""
    return [clean(line.rstrip("\r").expandtabs(4)) for line in text.split("\n")]


def cells(text: str) -> int:
    """Return how many terminal cells cleaned text takes (East Asian Width of Unicode)."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
