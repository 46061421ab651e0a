"""A table of keyed rows on the line API: sorted, filtered, marked, and repainted only where a cell changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

from textual import events

from tui.widgets import grid_messages as told
from tui.widgets.grid_columns import Cell, Column
from tui.widgets.grid_filter import Fact, Matcher, test_of
from tui.widgets.grid_keys import KEYS, MOVES, SORTS
from tui.widgets.grid_lines import GUTTER, GridLines
from tui.widgets.grid_rows import Rows
from tui.widgets.grid_view import View
from tui.widgets.painting import Line, Steered, clip

__all__ = ["KEYS", "Cell", "Column", "Fact", "Grid", "Matcher"]

T = TypeVar("T")

WHEEL_ROWS = 3
COUNT_LIMIT = 1_000_000


class Grid(Steered, Generic[T]):
    """A table of items by key. The cursor, the marks and the place in view stay with the keys, whatever the order.

    Items are taken as immutable: an item that is the same object as before is neither rendered nor sorted again."""

    DEFAULT_CSS = "Grid { height: 1fr; }"

    Moved: TypeAlias = told.Moved
    Opened: TypeAlias = told.Opened
    MarksChanged: TypeAlias = told.MarksChanged
    Sorted: TypeAlias = told.Sorted
    Positioned: TypeAlias = told.Positioned

    can_focus = True

    def __init__(
        self,
        columns: Sequence[Column[T]],
        key: Callable[[T], str],
        *,
        field: Callable[[T, str], Fact] | None = None,
        fields: Sequence[str] = (),
        text: Callable[[T], str] | None = None,
        empty: str = "",
        counts: bool = False,
        keys: Mapping[str, str] = KEYS,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """Make a grid; `field` gives an item's fact by one of the names in `fields`, and `text` what bare words
        search (default: all cells)."""
        super().__init__(id=id, classes=classes)
        self.declared = tuple(columns)
        self.fields = tuple(fields)
        self.counts = counts
        self.pending_count: int | None = None
        self.sort_key: str | None = None
        self.sort_reverse = False
        self._field = field
        self._words = text or self._cell_text
        self._empty = empty
        self._commands = keys
        self._matcher: Matcher | None = None
        self._unfolded: Callable[[T], bool] | None = None
        self._rows: Rows[T] = Rows(key)
        self._place = View()
        self._lines: GridLines[T] = GridLines([column for column in columns if not column.hidden])
        self._told: tuple[str | None, frozenset[str], str] = (None, frozenset(), "")

    # What is there

    @property
    def total(self) -> int:
        """The number of rows, those that the filter hides included."""
        return len(self._rows.items)

    @property
    def shown(self) -> int:
        """The number of rows that the filter lets through."""
        return len(self._rows.frame.shown)

    @property
    def shown_items(self) -> list[T]:
        """The items that are shown, in the order they are shown."""
        items = self._rows.items
        return [items[index] for index in self._rows.frame.shown]

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor, or None without rows."""
        return self._place.key

    @property
    def cursor_item(self) -> T | None:
        """The item under the cursor, or None without rows."""
        key = self._place.key
        return None if key is None else self._rows.items[self._rows.frame.index[key]]

    @property
    def marks(self) -> frozenset[str]:
        """The keys of the marked rows, those that the filter hides included."""
        return self._place.marks

    @property
    def marked_items(self) -> list[T]:
        """The marked items in the order of the rows, those that the filter hides included."""
        keys, items, marks = self._rows.frame.keys, self._rows.items, self._place.marks
        return [items[index] for index in self._rows.ordered() if keys[index] in marks] if marks else []

    @property
    def visible_items(self) -> list[T]:
        """The items of the rows that are in view now."""
        items, place = self._rows.items, self._place
        return [items[index] for index in self._rows.frame.shown[place.top : place.top + place.height]]

    @property
    def position(self) -> str:
        """Where the view is: "12/47", or "12-30/47" when not all rows fit, and how many rows the filter hides."""
        shown, place = self.shown, self._place
        where = str(place.cursor + 1 if shown else 0)
        if shown > place.height > 0:
            where = f"{place.top + 1}-{min(place.top + place.height, shown)}"
        hidden = self.total - shown
        return f"{where}/{shown}" + (f" ({hidden} {self.hidden_by})" if hidden else "")

    @property
    def hidden_by(self) -> str:
        """What became of the rows that are not shown."""
        return "hidden by the filter" if self._matcher is not None else "folded"

    @property
    def columns(self) -> list[Column[T]]:
        """The columns that are drawn at this width, left to right."""
        return [place.column for place in self._lines.layout(self.size.width).placed]

    @property
    def chosen_columns(self) -> tuple[Column[T], ...]:
        """The columns that are turned on, in the user's order, whether or not the width suffices."""
        return self._lines.columns

    @property
    def empty(self) -> str:
        """The text shown when there are no rows."""
        return self._empty

    @empty.setter
    def empty(self, text: str) -> None:
        self._empty = text
        self.paint()

    # What a pane does

    def set_items(self, items: Sequence[T]) -> None:
        """Show `items`, which come in the pane's order; only what differs is rendered, sorted and painted again."""
        self._rows.set_items(items)
        self._follow()

    def set_filter(self, matcher: Matcher | None) -> None:
        """Show only the rows that `matcher` lets through, folded ones too, or all but those."""
        self._matcher = matcher
        self._rows.set_test(test_of(matcher, self._field, self._words) if matcher else self._unfolded)
        self._follow()

    def set_unfolded(self, test: Callable[[T], bool] | None) -> None:
        """Show only the rows that pass `test`, or all; while there is a filter, it alone decides."""
        self._unfolded = test
        self.set_filter(self._matcher)

    def sort_by(self, key: str | None, reverse: bool = False) -> None:
        """Sort by the column of that key; None, or a column that cannot be sorted by: the pane's order."""
        column = next((column for column in self.declared if column.key == key and column.sort), None)
        self.sort_key = column.key if column else None
        self.sort_reverse = reverse and column is not None
        self._rows.set_sort(column.sort if column else None, self.sort_reverse)
        self._follow()
        self.post_message(told.Sorted(self, self.sort_key, self.sort_reverse))

    def set_columns(self, order: Sequence[str] = (), hidden: Collection[str] | None = None) -> None:
        """Show the columns of `order` first, then the rest as declared, without the `hidden` ones (None: those that
        are declared hidden, unless named in `order`); keys that are not there are passed over."""
        if hidden is None:
            hidden = {column.key for column in self.declared if column.hidden} - set(order)
        rank = {key: place for place, key in enumerate(order)}
        ranked = sorted(self.declared, key=lambda column: rank.get(column.key, len(rank)))
        self._lines.set_columns([column for column in ranked if column.key not in hidden])
        self.settle()

    def rerender(self) -> None:
        """Render the cells in view again, for when what they show depends on more than their items."""
        self._lines.forget()
        self.settle()

    def go_to(self, key: str) -> bool:
        """Put the cursor on the row of `key`, scrolled into view; False when it is not shown."""
        position = self._rows.frame.position(key)
        if position is None:
            return False
        self._place.go(position)
        self.settle()
        return True

    def stick(self, on: bool) -> None:
        """Have a cursor that was not moved from the first row stay on the first row, or on its key."""
        self._place.sticks = on

    def go_first(self) -> None:
        """Put the cursor on the first row, as if it had never been moved."""
        self._place.first()
        self.settle()

    def set_marks(self, keys: Collection[str]) -> None:
        """Mark the rows of exactly these keys, as far as they are there."""
        self._place.marks = frozenset(key for key in keys if key in self._rows.frame.index)
        self.settle()

    # Keys

    def begin_count(self, digit: str) -> None:
        """Append a digit to the count that the next movement uses; without `counts` nothing happens."""
        if self.counts and digit.isdecimal():
            self.pending_count = min((self.pending_count or 0) * 10 + int(digit), COUNT_LIMIT)

    def press(self, key: str) -> bool:
        """Do what `key` (its Textual name) means here; False when it means nothing here and now."""
        if self.pending_count is not None and len(key) == 1 and key.isdecimal():
            self.begin_count(key)
            return True
        count, self.pending_count = self.pending_count, None
        command = self._commands.get(key, "")
        if command in MOVES:
            MOVES[command](self._place, count)
        elif command in SORTS:
            return self._sort_command(command)
        elif not self._other_command(command, count):
            return False
        self.settle()
        return True

    def on_key(self, event: events.Key) -> None:
        if self.press(event.key):
            event.stop()
            event.prevent_default()

    def _other_command(self, command: str, count: int | None) -> bool:
        match command:
            case "left" | "right":
                return self._lines.shift(self.size.width, (count or 1) * (-1 if command == "left" else 1))
            case "mark":
                return self._mark(count or 1)
            case "mark_all":
                self._place.toggle(self._rows.frame.shown_keys())
                return self.shown > 0
            case "clear":
                return self._clear(count)
            case "open":
                return self._open()
        return False

    def _mark(self, count: int) -> bool:
        """Toggle the mark under the cursor and move down; a count does so for as many rows."""
        place = self._place
        keys = self._rows.frame.shown_keys()[place.cursor : place.cursor + count] if self.shown else []
        place.toggle(keys)
        place.go(place.cursor + len(keys))
        return bool(keys)

    def _clear(self, count: int | None) -> bool:
        """Clear the pending count, else the marks; False when there is neither."""
        if count is not None or not self.marks:
            return count is not None
        self._place.marks = frozenset()
        return True

    def _open(self) -> bool:
        if self.cursor_key is None:
            return False
        self.post_message(told.Opened(self, self.cursor_key))
        return True

    def _sort_command(self, command: str) -> bool:
        """Reverse the sort, or sort by the next sortable column drawn; between the last and the first: not sorted."""
        if command == "sort_reverse":
            if self.sort_key is None:
                return False
            self.sort_by(self.sort_key, not self.sort_reverse)
            return self.press("home")
        sortable = [column for column in self.columns if column.sort]
        keys = [None, *(column.key for column in sortable)]
        place = keys.index(self.sort_key) if self.sort_key in keys else 0
        place = (place + (1 if command == "sort_right" else -1)) % len(keys)
        self.sort_by(keys[place], place > 0 and sortable[place - 1].largest_first)
        # Whoever sorts wants to see what comes first.
        return self.press("home") and bool(sortable)

    # Mouse

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.stop()
        position = self._place.top + offset.y - 1
        if offset.y == 0:
            self._click_header(offset.x)
        elif position < self.shown:
            self._click_row(position, on_mark=offset.x < GUTTER, double=event.chain == 2)

    def _click_header(self, x: int) -> None:
        place = self._lines.layout(self.size.width).at(x)
        if place is None or place.column.sort is None:
            return
        again = place.column.key == self.sort_key
        self.sort_by(place.column.key, not self.sort_reverse if again else place.column.largest_first)
        self.press("home")

    def _click_row(self, position: int, on_mark: bool, double: bool) -> None:
        """Select the row; a second click opens it only where the first one found the same row."""
        same = self._rows.frame.key_at(position) == self.cursor_key
        self._place.go(position)
        if on_mark:
            self._place.toggle([self._rows.frame.key_at(position)])
        self.settle()
        if double and same and not on_mark:
            self._open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, -WHEEL_ROWS)

    def _wheel(self, event: events.MouseEvent, rows: int) -> None:
        event.stop()
        self._place.scroll(rows)
        self.settle()

    # Drawing

    def watch_has_focus(self, _has_focus: bool) -> None:
        super().watch_has_focus(_has_focus)
        self.paint()

    def draw(self, width: int, height: int) -> list[Line]:
        """Return the header, the rows in view, and blank lines below them."""
        place, lines, marks = self._place, self._lines, self._place.marks
        keys, shown, items = self._rows.frame.keys, self._rows.frame.shown, self._rows.items
        place.resize(max(height - 1, 0))
        out = [lines.header(width, self.sort_key, self.sort_reverse)]
        lines.begin()
        for position in range(place.top, min(place.top + place.height, len(shown))):
            key = keys[shown[position]]
            base = self._base(position, key in marks)
            out.append(lines.row(width, key, items[shown[position]], base, key in marks))
        lines.end()
        if not shown:
            out.append(Line("", clip([(self._empty_text(), "dim")], width)))
        blank = Line("", ((" " * width, ""),))
        return (out + [blank] * (height - len(out)))[:height]

    def _base(self, position: int, marked: bool) -> str:
        if position == self._place.cursor:
            return "cursor" if self.has_focus else "cursor-blurred"
        return "marked" if marked else ""

    def _empty_text(self) -> str:
        return f"no row passes the filter ({self.total} hidden)" if self.total else self._empty

    # Within

    def _follow(self) -> None:
        self._place.follow(self._rows.frame)
        self.settle()

    def settle(self) -> None:
        """Paint, and post what changed for others: the row under the cursor, the marks, the position."""
        self.paint()
        key, marks, position = self._told
        self._told = (self.cursor_key, self.marks, self.position)
        messages: list[told.GridMessage] = []
        if self.cursor_key != key:
            messages.append(told.Moved(self, self.cursor_key))
        if self.marks != marks:
            messages.append(told.MarksChanged(self, self.marks))
        if self._told[2] != position:
            messages.append(told.Positioned(self, self._told[2]))
        for message in messages:
            self.post_message(message)

    def _cell_text(self, item: T) -> str:
        return " ".join(column.render(item).text for column in self.declared)
