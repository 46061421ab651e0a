"""Lines of styled spans: headers, hint bars, details; only what changed in a line is repainted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.geometry import Size
from textual.message import Message

from tui.widgets.painting import Line, Painted, Run, clip

WHEEL_LINES = 3
SHIFT_CELLS = 8


class Span(NamedTuple):
    """A text, cleaned already, its style token (see inks.TOKEN_INKS), and the id that a click on it posts."""

    text: str
    style: str = ""
    action: str | None = None


FILL = Span("\0fill")
"""Takes the spare cells of a line: what comes after it stands at the right edge and is cut last."""

SpanLine = Sequence[Span]


class LinesView(Painted):
    """A sequence of lines, each a sequence of spans. It scrolls by keys when it can be focused, keeps its place when
    the lines change, and posts `Clicked` for a click on a span with an action."""

    DEFAULT_CSS = "LinesView { height: auto; }"

    class Clicked(Message):
        """A click on a span that has an action."""

        def __init__(self, view: LinesView, action: str) -> None:
            super().__init__()
            self.view = view
            self.action = action

        @property
        def control(self) -> LinesView:
            """The view that was clicked."""
            return self.view

    def __init__(
        self,
        lines: Sequence[SpanLine] = (),
        *,
        can_focus: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.can_focus = can_focus
        self._lines: tuple[tuple[Span, ...], ...] = tuple(tuple(line) for line in lines)
        self._top = 0
        self._left = 0

    @property
    def lines(self) -> tuple[tuple[Span, ...], ...]:
        """The lines as they were given."""
        return self._lines

    @property
    def top(self) -> int:
        """The index of the first line in view."""
        return self._top

    def set_lines(self, lines: Sequence[SpanLine]) -> None:
        """Show `lines` from now on, scrolled as before as far as there are enough of them."""
        new = tuple(tuple(line) for line in lines)
        if new == self._lines:
            return
        resized = self.styles.auto_dimensions and _extent(new) != _extent(self._lines)
        self._lines = new
        self.paint()
        if resized:
            self.refresh(repaint=False, layout=True)

    def scroll_to_line(self, top: int, left: int | None = None) -> None:
        """Put line `top` first in view, as far as there are enough lines, and skip `left` cells of each."""
        self._top = top
        self._left = self._left if left is None else left
        self.paint()

    def press(self, key: str) -> bool:
        """Scroll as `key` (its Textual name) says; False when it says nothing here and now."""
        page = max(self.size.height, 1)
        moves = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        ends = {"home": 0, "g": 0, "end": len(self._lines), "G": len(self._lines), "upper_g": len(self._lines)}
        sides = {"left": -SHIFT_CELLS, "h": -SHIFT_CELLS, "right": SHIFT_CELLS, "l": SHIFT_CELLS}
        before = (self._top, self._left)
        if key in moves or key in ends:
            self.scroll_to_line(ends.get(key, self._top + moves.get(key, 0)))
        elif key in sides:
            self.scroll_to_line(self._top, self._left + sides[key])
        return before != (self._top, self._left)

    def on_key(self, event: events.Key) -> None:
        if self.press(event.key):
            event.stop()
            event.prevent_default()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, -WHEEL_LINES)

    def _wheel(self, event: events.MouseEvent, lines: int) -> None:
        event.stop()
        self.scroll_to_line(self._top + lines)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        action = self.action_at(offset.x, offset.y)
        if action is not None:
            event.stop()
            self.post_message(self.Clicked(self, action))

    def action_at(self, x: int, y: int) -> str | None:
        """Return the action of the span drawn at a cell of the view, or None."""
        index = self._top + y
        if not 0 <= index < len(self._lines):
            return None
        end = -self._left
        for span in _spread(self._lines[index], self.size.width):
            start, end = end, end + cell_len(span.text)
            if start <= x < end:
                return span.action
        return None

    def draw(self, width: int, height: int) -> list[Line]:
        """Return the lines in view, and blank ones below them."""
        self._top = max(0, min(self._top, len(self._lines) - height))
        self._left = max(0, min(self._left, _extent(self._lines)[0] - width))
        view = self._lines[self._top : self._top + height]
        out = [Line("", clip(_runs(line, width), width, self._left)) for line in view]
        return out + [Line("", ((" " * width, ""),))] * (height - len(out))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Return the cells of the longest line."""
        return _extent(self._lines)[0]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the number of lines."""
        return max(len(self._lines), 1)


def _extent(lines: Sequence[SpanLine]) -> tuple[int, int]:
    """Return the cells of the longest line and the number of lines."""
    return max((_length(line) for line in lines), default=0), len(lines)


def _length(line: SpanLine) -> int:
    return sum(cell_len(span.text) for span in line if span is not FILL)


def _runs(line: SpanLine, width: int) -> list[Run]:
    return [(span.text, span.style) for span in _spread(line, width)]


def _spread(line: SpanLine, width: int) -> list[Span]:
    """Return the spans with blanks for FILL; without room for all, those before FILL are cut."""
    if FILL not in line:
        return list(line)
    index = list(line).index(FILL)
    head, tail = list(line[:index]), [span for span in line[index + 1 :] if span is not FILL]
    room = width - _length(tail)
    if _length(head) <= room:
        return [*head, Span(" " * (room - _length(head))), *tail]
    return [*_cut(head, max(room, 0)), *tail]


def _cut(spans: Sequence[Span], width: int) -> list[Span]:
    """Return the spans cut with "…" to exactly `width` cells, which they exceed."""
    out: list[Span] = []
    for span in spans:
        length = cell_len(span.text)
        if length >= width:
            ((text, _),) = clip([(span.text, ""), ("…", "")], width) or (("", ""),)
            return [*out, span._replace(text=text)]
        out.append(span)
        width -= length
    return out
