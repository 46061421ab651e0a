"""Widgets drawn line by line, of which only the changed columns of the changed lines are repainted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.inks import resolve
from tui.widgets.lean import lean

ELLIPSIS = "…"

Run = tuple[str, str]
"""A text and the style token it is drawn in."""


class Line(NamedTuple):
    """One line as drawn: the ground under all of it (inks.GROUNDS, "" for the widget's own), and its runs."""

    base: str
    runs: tuple[Run, ...]

    def text(self) -> str:
        """Return the characters of the line without their styles."""
        return "".join(text for text, _ in self.runs)


def fit(text: str, width: int, align: str = "left") -> str:
    """Return `text` padded or truncated with "…" to exactly `width` terminal cells; a wide character is never cut."""
    length = len(text) if text.isascii() else cell_len(text)
    if length < width:
        return " " * (width - length) + text if align == "right" else text + " " * (width - length)
    if length == width:
        return text
    return set_cell_size(text, width - 1) + ELLIPSIS if width > 0 else ""


def merge(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return the runs without empty ones, neighbours of one token joined."""
    out: list[Run] = []
    for text, token in runs:
        if not text:
            continue
        if out and out[-1][1] == token:
            out[-1] = (out[-1][0] + text, token)
        else:
            out.append((text, token))
    return tuple(out)


def clip(runs: Iterable[Run], width: int, skip: int = 0) -> tuple[Run, ...]:
    """Return exactly `width` cells of the runs from cell `skip` on: padded with blanks, or cut with "…"."""
    out: list[Run] = []
    room = width
    rest = list(runs)
    for index, (text, token) in enumerate(rest):
        length = cell_len(text)
        if skip >= length:
            skip -= length
            continue
        if skip:
            text = _without_head(text, skip)
            length -= skip
            skip = 0
        if length > room or (length == room and any(more for more, _ in rest[index + 1 :])):
            out.append((fit(text + ELLIPSIS, room), token))
            return merge(out)
        out.append((text, token))
        room -= length
    out.append((" " * room, ""))
    return merge(out)


def _without_head(text: str, cells: int) -> str:
    """Return `text` without its first `cells` cells; a wide character cut in two leaves a blank."""
    return Segment(text).split_cells(cells)[1].text


def changed_span(old: Line, new: Line, width: int) -> tuple[int, int] | None:
    """Return the cells [start, end) in which two lines of `width` cells differ, or None when they look the same."""
    if old.base != new.base:
        return 0, width
    if old.runs == new.runs:
        return None
    before, after = old.text(), new.text()
    head = _common(old.runs, new.runs, 1)
    tail = min(_common(old.runs, new.runs, -1), len(before) - head, len(after) - head)
    while head and (_is_combining(before, head) or _is_combining(after, head)):
        head -= 1
    while tail and _is_combining(after, len(after) - tail):
        tail -= 1
    start, end = cell_len(after[:head]), width - cell_len(after[len(after) - tail :] if tail else "")
    return (start, end) if end > start else None


def _common(one: Sequence[Run], other: Sequence[Run], step: int) -> int:
    """Return how many characters two lines have in common, from their start (step 1) or from their end (step -1)."""
    count = 0
    for (text, token), (other_text, other_token) in zip(one[::step], other[::step], strict=False):
        if text == other_text and token == other_token:
            count += len(text)
            continue
        if token == other_token:
            pairs = zip(text[::step], other_text[::step], strict=False)
            count += next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(text), len(other_text)))
        break
    return count


def _is_combining(text: str, index: int) -> bool:
    return index < len(text) and get_character_cell_size(text[index]) == 0


@lru_cache(maxsize=256)
def _blank_look(style: Style) -> tuple[object, ...]:
    """Return all that can be seen of a blank drawn in `style`."""
    ground = style.color if style.reverse else style.bgcolor
    return ground, style.underline, style.underline2, style.overline, style.strike, style.reverse


def _segments(styled: Iterable[tuple[str, Style]]) -> list[Segment]:
    """Return as few segments as look the same: blanks join a neighbour of the same background, whatever its ink."""
    out: list[tuple[str, Style]] = []
    for text, style in styled:
        if not out:
            out.append((text, style))
            continue
        last_text, last = out[-1]
        same_ground = style is last or _blank_look(style) == _blank_look(last)
        if style == last or (same_ground and text.isspace()):
            out[-1] = (last_text + text, last)
        elif same_ground and last_text.isspace():
            out[-1] = (last_text + text, style)
        else:
            out.append((text, style))
    return [Segment(text, style) for text, style in out]


class Painted(Widget):
    """Base of the widgets that say what each of their lines shows; it repaints what differs from what is drawn.

    A subclass implements `draw`, and calls `paint` after every change of its state."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Painted { width: 1fr; overflow: hidden hidden; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._drawn: list[Line] = []
        self._drawn_size = Size(0, 0)
        self._strips: dict[Line, Strip] = {}
        self._inks: dict[tuple[str, str], Style] = {}
        self._leaned: list[tuple[Strip, Strip]] = []

    def draw(self, width: int, height: int) -> list[Line]:
        """Return the lines to show, `height` of them, each of exactly `width` cells."""
        raise NotImplementedError

    def paint(self) -> None:
        """Draw again, and ask for a repaint of the changed columns of the changed lines, of nothing where none is."""
        size = self.size
        if not size or not self.is_mounted:
            return
        lines = self.draw(*size)
        if size != self._drawn_size:
            self._accept(lines, size)
            self.refresh()
            return
        regions = [
            Region(span[0], y, span[1] - span[0], 1)
            for y, (old, new) in enumerate(zip(self._drawn, lines, strict=True))
            if old is not new and (span := changed_span(old, new, size.width))
        ]
        self._accept(lines, size)
        if regions:
            self.refresh(*regions)

    def _accept(self, lines: list[Line], size: Size) -> None:
        self._drawn = lines
        self._drawn_size = size
        if len(self._strips) > 4 * len(lines) + 16:
            self._strips = {line: self._strips[line] for line in lines if line in self._strips}

    def drawn_text(self) -> list[str]:
        """Return the lines as they are on the screen, as plain text."""
        return [line.text() for line in self._drawn]

    def settle(self) -> None:
        """Paint; a subclass that tells others what changed does so here."""
        self.paint()

    def on_resize(self) -> None:
        self.settle()

    def notify_style_update(self) -> None:
        """Forget the resolved styles: the theme, the style sheet or a pseudo class changed."""
        super().notify_style_update()
        self._inks.clear()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        """Return line `y` of the content, from the cache when it was drawn before."""
        size = self.size
        if size != self._drawn_size:
            self._accept(self.draw(*size), size)
        if y >= len(self._drawn):
            return Strip.blank(size.width, self.rich_style)
        line = self._drawn[y]
        strip = self._strips.get(line)
        if strip is None:
            styled = [(text, self._ink(line.base, token)) for text, token in line.runs]
            strip = self._strips[line] = Strip(_segments(styled), size.width)
        return strip

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of the widget, borders and padding included, as strips that cost few bytes."""
        known = self._leaned
        self._leaned = [
            known[i] if i < len(known) and known[i][0] is strip else (strip, lean(strip))
            for i, strip in enumerate(super().render_lines(crop))
        ]
        return [strip for _, strip in self._leaned]

    def _ink(self, base: str, token: str) -> Style:
        """Return the style of a token on a line of ground `base`; an unknown token adds nothing."""
        style = self._inks.get((base, token))
        if style is None:
            style = self._inks[base, token] = resolve(self, base, token)
        return style


class Steered(Painted):
    """Base of what fills a pane: it takes keys, counts before them, and says what part of it is in view."""

    @property
    def position(self) -> str:
        """What part of how much is in view, as in `1-30/47`."""
        raise NotImplementedError

    def begin_count(self, digit: str) -> None:
        """Take a digit of a count that the next movement repeats itself by."""
        raise NotImplementedError

    def press(self, key: str) -> bool:
        """Do what `key` (its Textual name) means; False when it means nothing here."""
        raise NotImplementedError
