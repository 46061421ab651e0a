"""A terminal's screen drawn from bytes: pyte, with what it lacks for today's full-screen programs."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

import pyte

_FRAME_BEGIN = "\x1b[?2026h"
_FRAME_END = "\x1b[?2026l"
_ALTERNATE = re.compile(r"(\x1b\[\?1049[hl])")
_PRIVATE_MODE = re.compile(r"\x1b\[\?([0-9;]+)([hl])")
# What pyte would print or misread: CSI with < = > (kitty keys), mode queries, CSI with intermediates (cursor shape),
# DCS, APC, OSC, and window operations.
_UNKNOWN_TO_PYTE = re.compile(
    r"\x1b\[[<>=][0-9;]*[A-Za-z]|\x1b\[\?[0-9;]*\$p|\x1b\[[0-9;?]*[ !\"'*]+[@-~]"
    r"|\x1bP[^\x1b]*\x1b\\|\x1b_[^\x1b]*\x1b\\|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;]*t"
)
_COLON_COLOUR = re.compile(r"\x1b\[([0-9;:]*:[0-9;:]*)m")
_REPEAT = re.compile(r"(.)\x1b\[(\d*)b", re.DOTALL)
_PARTIAL = re.compile(r"\x1b(?:\[[0-9;:?<>=!\"$' ]*|\][^\x07\x1b]*\x1b?|[P_][^\x1b]*\x1b?|[()]?)?\Z")
_LONGEST_PARTIAL = 4096


@dataclass(frozen=True, slots=True)
class Cell:
    """One character cell; colours are names (`red`, `default`) or six hex digits, as pyte gives them."""

    char: str
    fg: str
    bg: str
    bold: bool
    italic: bool
    underline: bool
    reverse: bool


class Emulator:
    """A terminal's screen, drawn from bytes: main and alternate buffer, synchronized frames never half drawn."""

    def __init__(self, columns: int, rows: int) -> None:
        self._screens = {"l": pyte.Screen(columns, rows), "h": pyte.Screen(columns, rows)}
        self._streams = {key: pyte.Stream(screen) for key, screen in self._screens.items()}
        self._active = "l"
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self.private_modes: set[int] = {7, 25}
        """DEC private modes that are set now: 25 cursor, 1000/1003 mouse, 1049 alternate screen, 2004 paste."""

    def feed(self, data: bytes) -> bool:
        """Draw `data` and return whether anything could have changed on the screen."""
        self._pending += self._decoder.decode(data)
        drawn = False
        while run := self._take():
            self._draw(run)
            drawn = True
        return drawn

    def flush(self) -> None:
        """Draw what is held back because its frame or escape sequence never ended."""
        run, self._pending = self._pending, ""
        self._draw(run)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of both buffers."""
        for screen in self._screens.values():
            screen.resize(rows, columns)

    def lines(self) -> list[str]:
        """Return the rows from the top, without trailing blanks."""
        return [row.rstrip() for row in self._screens[self._active].display]

    def cell(self, x: int, y: int) -> Cell:
        """Return the cell in column `x` of row `y`, both from 0."""
        char = self._screens[self._active].buffer[y][x]
        return Cell(char.data, char.fg, char.bg, char.bold, char.italics, char.underscore, char.reverse)

    def signature(self) -> tuple[int, ...]:
        """Return one hash a row of its text and attributes, to see whether and where the screen changed."""
        screen = self._screens[self._active]
        return tuple(hash(tuple(screen.buffer[y][x] for x in range(screen.columns))) for y in range(screen.lines))

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor, from 0."""
        cursor = self._screens[self._active].cursor
        return cursor.x, cursor.y

    def _take(self) -> str:
        """Return what may be drawn now: never half an escape sequence, never half a synchronized frame."""
        begin = self._pending.find(_FRAME_BEGIN)
        if begin == 0:
            end = self._pending.find(_FRAME_END)
            size = end + len(_FRAME_END) if end >= 0 else 0
        elif begin > 0:
            size = begin
        else:
            partial = _PARTIAL.search(self._pending, max(0, len(self._pending) - _LONGEST_PARTIAL))
            size = partial.start() if partial else len(self._pending)
        run, self._pending = self._pending[:size], self._pending[size:]
        return run

    def _draw(self, text: str) -> None:
        for numbers, letter in _PRIVATE_MODE.findall(text):
            modes = {int(number) for number in numbers.split(";") if number}
            self.private_modes = self.private_modes | modes if letter == "h" else self.private_modes - modes
        for piece in _ALTERNATE.split(text):
            if _ALTERNATE.fullmatch(piece):
                self._active = piece[-1]
                self._screens["h"].reset()
            elif piece:
                self._streams[self._active].feed(_plain(piece))


def _plain(text: str) -> str:
    """Return `text` in the sequences that pyte understands."""
    text = _UNKNOWN_TO_PYTE.sub("", text)
    text = _COLON_COLOUR.sub(lambda match: "\x1b[" + re.sub(r":+", ";", match[1]) + "m", text)
    return _REPEAT.sub(lambda match: match[1] * (1 + int(match[2] or 1)), text)
