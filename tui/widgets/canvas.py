"""A drawing of styled lines with places in it that the cursor goes to; only what changed of it is repainted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.message import Message

from tui.widgets.painting import Line, Run, Steered, clip

WHEEL_LINES = 3


class Patch(NamedTuple):
    """A text, cleaned already, and its style token (see inks.TOKEN_INKS)."""

    text: str
    style: str = ""
    live: str = ""
    """What `live` is asked for at every picture, so that a text may change without a new drawing; "" for none."""


class Place(NamedTuple):
    """Something the cursor can be on: cells [x, end) of line y, and what is there. Several may show the same thing."""

    y: int
    x: int
    end: int
    id: str


KEYS: Mapping[str, str] = MappingProxyType(
    {
        "up": "up", "k": "up", "down": "down", "j": "down", "left": "left", "h": "left", "right": "right", "l": "right",
        "pageup": "page_up", "ctrl+b": "page_up", "pagedown": "page_down", "ctrl+f": "page_down",
        "ctrl+u": "half_up", "ctrl+d": "half_down", "home": "first", "g": "first", "end": "last", "G": "last",
        "upper_g": "last", "enter": "open",
    }
)  # fmt: skip
"""Movement by Textual's name of the key."""


class Canvas(Steered, can_focus=True):
    """Shows lines, moves a cursor between their places by keys and mouse, and posts where it is."""

    DEFAULT_CSS = "Canvas { height: 1fr; }"

    class Moved(Message):
        """The cursor is on another place, or the drawing has others."""

    class Opened(Message):
        """Enter, or a double click, on a place."""

    class Positioned(Message):
        """The position text changed."""

    class Resized(Message):
        """It has another width, which the drawing is not made for."""

    def __init__(self, *, commands: Mapping[str, Callable[[], bool]] | None = None, classes: str | None = None) -> None:
        """`commands` has what further keys do, by Textual's name; one that returns False had nothing to do here."""
        super().__init__(classes=classes)
        self._commands = commands or {}
        self._lines: Sequence[Sequence[Patch]] = ()
        self._places: Sequence[Place] = ()
        self._rows: list[int] = []
        """The line of each place."""
        self._live: Callable[[str], Run] = lambda _key: ("", "")
        self._at = 0
        self._x = 0
        """The column that moving up and down keeps to."""
        self._top = 0
        self._count = ""
        self._told = ""
        self._width = 0

    # What is shown

    def set_drawing(
        self, lines: Sequence[Sequence[Patch]], places: Sequence[Place], live: Callable[[str], Run]
    ) -> None:
        """Show another drawing; `places` are in reading order. The cursor stays on what it is on, at the place nearest
        to where it was, and that line where it is on the screen."""
        before = self.place
        self._lines, self._places, self._live = lines, places, live
        self._rows = [place.y for place in places]
        if before is not None:
            self._follow(before)
        self._at = max(0, min(self._at, len(places) - 1))
        self.settle()
        if self.place != before:
            self.post_message(self.Moved())

    def _follow(self, before: Place) -> None:
        same = [index for index, place in enumerate(self._places) if place.id == before.id]
        if same:
            self._at = min(same, key=lambda index: abs(self._places[index].y - before.y))
            self._top += self._places[self._at].y - before.y
        elif self._places:
            self._at = min(bisect_left(self._rows, before.y), len(self._places) - 1)

    def refresh_live(self) -> None:
        """Ask for the texts that move by themselves again."""
        self.paint()

    @property
    def places(self) -> Sequence[Place]:
        """All places."""
        return self._places

    @property
    def place(self) -> Place | None:
        """The place under the cursor."""
        return self._places[self._at] if self._at < len(self._places) else None

    @property
    def index(self) -> int:
        """The number of that place in reading order."""
        return self._at

    @property
    def position(self) -> str:
        """Which lines are in view, of how many: `1-30/47`."""
        last = min(self._top + self.size.height, len(self._lines))
        return f"{self._top + 1}-{last}/{len(self._lines)}" if self._lines else ""

    def visible_ids(self) -> list[str]:
        """Return what is in view."""
        start, end = bisect_left(self._rows, self._top), bisect_left(self._rows, self._top + self.size.height)
        return list(dict.fromkeys(place.id for place in self._places[start:end]))

    # Moving

    def go_to_index(self, index: int) -> None:
        """Put the cursor on a place by its number in reading order."""
        self._go(index, middle=True)

    def begin_count(self, digit: str) -> None:
        """Take a digit of a count that the next movement repeats itself by."""
        self._count += digit

    def press(self, key: str) -> bool:
        """Do what `key` (its Textual name) means here; False when it means nothing."""
        if self._count and key.isdecimal():
            self.begin_count(key)
            return True
        command = KEYS.get(key)
        count, self._count = self._count, ""
        if command is None:
            return key in self._commands and self._commands[key]()
        if command == "open":
            if self.place is not None:
                self.post_message(self.Opened())
        elif self._places:
            self._move(command, int(count) if count else None)
        return True

    def _move(self, command: str, count: int | None) -> None:
        height, times = max(self.size.height, 1), count or 1
        steps = {"up": -1, "down": 1, "page_up": -height, "page_down": height,
                 "half_up": -height // 2, "half_down": height // 2}  # fmt: skip
        if command in ("left", "right"):
            self._sideways(times if command == "right" else -times)
        elif command == "first":
            self._go(0 if count is None else self._line_place(count - 1))
        elif command == "last":
            self._go(len(self._places) - 1 if count is None else self._line_place(count - 1))
        elif abs(steps[command]) == 1:
            self._by_lines(steps[command] * times)
        else:
            self._top += steps[command] * times
            self._go(self._nearest(self._places[self._at].y + steps[command] * times), keep_x=True)

    def _sideways(self, by: int) -> None:
        y = self._places[self._at].y
        start, end = bisect_left(self._rows, y), bisect_left(self._rows, y + 1)
        self._go(max(start, min(self._at + by, end - 1)))

    def _by_lines(self, by: int) -> None:
        """Go to the next line that has a place, so many times."""
        at, step = self._at, 1 if by > 0 else -1
        for _ in range(abs(by)):
            y = self._places[at].y
            index = bisect_left(self._rows, y + 1) if step > 0 else bisect_left(self._rows, y) - 1
            if not 0 <= index < len(self._places):
                break
            at = self._nearest(self._places[index].y)
        self._go(at, keep_x=True)

    def _line_place(self, y: int) -> int:
        return min(bisect_left(self._rows, y), len(self._places) - 1)

    def _nearest(self, y: int) -> int:
        """The place on line y, or on the next one that has any, that is nearest to the column kept to."""
        index = min(bisect_left(self._rows, max(y, 0)), len(self._places) - 1)
        row = self._places[index].y
        start, end = bisect_left(self._rows, row), bisect_left(self._rows, row + 1)
        return min(range(start, end), key=lambda index: self._distance(self._places[index]))

    def _distance(self, place: Place) -> int:
        return max(place.x - self._x, self._x - place.end + 1, 0)

    def _go(self, index: int, *, keep_x: bool = False, middle: bool = False) -> None:
        moved = index != self._at
        self._at = index
        place = self._places[index]
        if not keep_x:
            self._x = place.x
        height = self.size.height
        if middle and not self._top <= place.y < self._top + height:
            self._top = place.y - height // 2
        self._top = max(min(self._top, place.y), place.y - height + 1)
        self.settle()
        if moved:
            self.post_message(self.Moved())

    # Events

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
        self._top += lines
        self.settle()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.stop()
        x, y = offset.x, offset.y + self._top
        for index, place in enumerate(self._places):
            if place.y == y and place.x <= x < place.end:
                self._go(index)
                if event.chain > 1:
                    self.post_message(self.Opened())

    def watch_has_focus(self, _has_focus: bool) -> None:
        super().watch_has_focus(_has_focus)
        self.paint()

    # Drawing

    def settle(self) -> None:
        """Paint, and say so when other lines are in view."""
        self._top = max(0, min(self._top, len(self._lines) - max(self.size.height, 1)))
        self.paint()
        if self.position != self._told:
            self._told = self.position
            self.post_message(self.Positioned())

    def draw(self, width: int, height: int) -> list[Line]:
        """Return the lines in view, the place under the cursor marked, and blank ones below them."""
        if width != self._width:
            # Here, not when it is told of a new size: what is on the screen may be drawn before that.
            self._width = width
            self.post_message(self.Resized())
        here = self.place
        out = []
        for y in range(self._top, min(self._top + height, len(self._lines))):
            runs = [self._live(patch.live) if patch.live else (patch.text, patch.style) for patch in self._lines[y]]
            if here is not None and here.y == y:
                runs = _marked(runs, here.x, here.end, "active" if self.has_focus else "blurred")
            out.append(Line("", clip(runs, width)))
        return out + [Line("", ((" " * width, ""),))] * (height - len(out))


def _marked(runs: Sequence[Run], start: int, end: int, token: str) -> list[Run]:
    """The runs with those that begin within cells [start, end) in another style."""
    out, x = [], 0
    for text, style in runs:
        out.append((text, token if start <= x < end else style))
        x += cell_len(text)
    return out
