"""Text from outside made safe to show: names of domains, guests, files and errors are written by strangers."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# One visible stand-in for each class of character that a terminal would obey or that would hide text.
_CONTROL_PICTURES = 0x2400
_DELETE_PICTURE = "␡"
_HIDDEN = "�"
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ZERO_WIDTH_MARKS = frozenset({"Mn", "Me"})
# Terminals do not agree on how wide these are, or show nothing: joiners and variation selectors, conjoining and
# filling Hangul letters, emoji modifiers, spacing combining marks (Mc, below), and signs that Unicode 16 made wide.
_UNSURE_WIDTH = (
    range(0x034F, 0x0350), range(0x115F, 0x1200), range(0x17B4, 0x17B6), range(0x180B, 0x1810), range(0x2630, 0x2638),
    range(0x268A, 0x2690), range(0x3164, 0x3165), range(0x4DC0, 0x4E00), range(0xD7B0, 0xD800), range(0xFE00, 0xFE10),
    range(0xFFA0, 0xFFA1), range(0x16FE0, 0x17000), range(0x1D300, 0x1D380), range(0x1F3FB, 0x1F400),
    range(0xE0100, 0xE01F0),
)  # fmt: skip
_REGIONAL_A, _REGIONAL_Z = 0x1F1E6, 0x1F1FF
_NUMBERS = re.compile(r"(\d+)")


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _visible(char: str) -> str:
    code, category = ord(char), unicodedata.category(char)
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return _DELETE_PICTURE
    if _REGIONAL_A <= code <= _REGIONAL_Z:
        return chr(ord("A") + code - _REGIONAL_A)
    if category in _UNSAFE_CATEGORIES or category == "Mc" or any(code in unsure for unsure in _UNSURE_WIDTH):
        return _HIDDEN
    return " " if category == "Zs" else char


@lru_cache(maxsize=16384)
def clean(text: str) -> str:
    """Return `text` as one line of printable characters: C0, C1, DEL, bidi controls, zero-width characters,
    line separators, surrogates, unassigned code points and characters whose width is not certain become visible
    glyphs, flags their letters; combining marks stay only behind a base character. Cleaning twice is cleaning once."""
    if _is_plain(text):
        return text
    out = "".join(map(_visible, unicodedata.normalize("NFC", text)))
    return _HIDDEN + out[1:] if unicodedata.category(out[0]) in _ZERO_WIDTH_MARKS else out


def clean_lines(text: str) -> list[str]:
    """Return `text` split at line feeds, tabs as spaces, each line cleaned."""
    return [clean(line.rstrip("\r").expandtabs(4)) for line in text.split("\n")]


def cells(text: str) -> int:
    """Return how many terminal cells cleaned text takes (East Asian Width of Unicode)."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def _cells_of(char: str) -> int:
    if unicodedata.category(char) in _ZERO_WIDTH_MARKS:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrapped(text: str, width: int) -> list[str]:
    """Return cleaned text in lines of at most `width` (2 or more) terminal cells, broken at blanks, and within words
    that are longer; at least one line."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        lines += [line] if line else []
        *full, line = _pieces(word, width)
        lines += full
    return [*lines, line]


def _pieces(word: str, width: int) -> list[str]:
    pieces, room = [""], width
    for char in word:
        if _cells_of(char) > room:
            pieces.append("")
            room = width
        pieces[-1] += char
        room -= _cells_of(char)
    return pieces


def natural(name: str) -> tuple[object, ...]:
    """Return a sort key that puts web2 before web10, however long the numbers are."""
    return tuple(map(_part_order, _NUMBERS.split(name.casefold())))


def _part_order(part: str) -> tuple[int, int, str]:
    """Compared as digits: int() refuses a number of more than a few thousand of them."""
    if not part.isdecimal():
        return 1, 0, part
    digits = part if part.isascii() else "".join(str(unicodedata.decimal(digit)) for digit in part)
    digits = digits.lstrip("0")
    return 0, len(digits), digits
