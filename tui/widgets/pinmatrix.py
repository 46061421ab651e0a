"""Threads by host CPUs, a cell each: what is wished, changed by keys, and what the kernel does with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from textual import events
from textual.message import Message

from tui.widgets import pinmatrix_lines as lines
from tui.widgets.painting import Line, Painted, Run, clip
from tui.widgets.pinmatrix_lines import CpuColumn, Cpus, Frame, Layout, RowLook, ThreadRow, frame_of

__all__ = ["CpuColumn", "Cpus", "PinMatrix", "ThreadRow"]

WHEEL_ROWS = 3
_STEPS = {"up": (-1, 0), "k": (-1, 0), "down": (1, 0), "j": (1, 0), "left": (0, -1), "h": (0, -1), "right": (0, 1),
          "l": (0, 1)}  # fmt: skip
_EXTENDING = {"shift+up": "up", "shift+down": "down", "shift+left": "left", "shift+right": "right"}


class PinMatrix(Painted):
    """The matrix. The cursor stays with its thread and its CPU, edits with their threads, whatever comes in; it posts
    `Touched` when a key changed any of that. Names are cleaned already."""

    DEFAULT_CSS = "PinMatrix { height: 1fr; }"

    can_focus = True

    class Touched(Message):
        """The cursor, a wish, or the place in view is another one."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PinMatrix.Touched)

    def __init__(
        self,
        words: Callable[[Cpus], str],
        *,
        first: Callable[[str], bool] = lambda _key: False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """Make a matrix without rows; `words` writes a list of CPUs, `first` is offered each key before the matrix
        and says whether it took it."""
        super().__init__(id=id, classes=classes)
        self._first = first
        self.note = ""
        """Why the last key did not do all that it was asked."""
        self._words = words
        self._layout = Layout(())
        self._rows: tuple[ThreadRow, ...] = ()
        self._by_name: dict[str, ThreadRow] = {}
        self._loads: Mapping[int, float] = {}
        self._claims: Mapping[int, int] = {}
        self._edits: dict[str, Cpus | None] = {}
        self._row = self._column = 0
        self._anchor: tuple[int, int] | None = None
        self._top = self._left = 0
        self._cells: dict[str, tuple[tuple[object, ...], tuple[Run, ...]]] = {}
        self._heads: tuple[tuple[object, ...], list[Line]] = ((), [])
        self._commands = self._keys()

    # What is shown

    def show(
        self,
        columns: Sequence[CpuColumn],
        rows: Sequence[ThreadRow],
        loads: Mapping[int, float],
        claims: Mapping[int, int],
    ) -> None:
        """Show these from now on: `loads` in percent and `claims` as counts by CPU. Edits stay, except of rows that
        are gone."""
        row, cpu = self.cursor_row, self.cursor_cpu
        if tuple(columns) != self._layout.columns:
            self._layout = Layout(columns)
            self._cells.clear()
            self._anchor = None
        if [one.name for one in rows] != [one.name for one in self._rows]:
            self._anchor = None
        self._rows, self._loads, self._claims = tuple(rows), loads, claims
        self._by_name = {one.name: one for one in rows}
        names = [one.name for one in rows]
        numbers = [column.number for column in self._layout.columns]
        self._edits = {name: wish for name, wish in self._edits.items() if name in names}
        self._row = names.index(row.name) if row and row.name in names else min(self._row, max(0, len(names) - 1))
        self._column = numbers.index(cpu) if cpu in numbers else min(self._column, max(0, len(numbers) - 1))
        self.paint()

    @property
    def cursor_row(self) -> ThreadRow | None:
        """The row under the cursor, None without rows."""
        return self._rows[self._row] if self._row < len(self._rows) else None

    @property
    def cursor_cpu(self) -> int | None:
        """The CPU under the cursor, None without columns."""
        columns = self._layout.columns
        return columns[self._column].number if self._column < len(columns) else None

    @property
    def in_range(self) -> bool:
        """Whether a range was begun."""
        return self._anchor is not None

    def wish(self, name: str) -> Cpus | None:
        """Return what the row of that name shows: the edit, else the wish it came with; None: no pin."""
        return self._edits[name] if name in self._edits else self._by_name[name].wish

    def is_edited(self, name: str) -> bool:
        """Whether the row shows an edit that changes anything: a wish, or that a row which drifted keeps to its own."""
        if name not in self._edits:
            return False
        row = self._by_name[name]
        return row.drift or any(base != self._edits[name] for base in (row.wish, *row.others))

    def changed(self) -> dict[str, Cpus | None]:
        """Return the edits that change anything, by thread, in the order of the rows."""
        return {row.name: self._edits[row.name] for row in self._rows if self.is_edited(row.name)}

    def set_wishes(self, wishes: Mapping[str, Cpus | None]) -> None:
        """Edit the rows of those names, as far as there are such."""
        self._edits.update({name: wish or None for name, wish in wishes.items() if name in self._by_name})
        self.note = ""
        self._touched()

    def position(self) -> str:
        """Return which rows and CPUs are in view; "" when all are."""
        parts = []
        shown, columns = self._height(), self._layout.columns
        if 0 < shown < len(self._rows):
            parts.append(f"rows {self._top + 1}-{min(len(self._rows), self._top + shown)} of {len(self._rows)}")
        frame = self._frame(self.size.width)
        if frame.room < self._layout.width:
            cells = [self._layout.at[column.number] - frame.left for column in columns]
            inside = [index + 1 for index, cell in enumerate(cells) if 0 <= cell < frame.room]
            parts += [f"CPU columns {inside[0]}-{inside[-1]} of {len(columns)}"] if inside else []
        return " · ".join(parts)

    # Keys

    def press(self, key: str) -> bool:
        """Do what `key` (its Textual name) means; False when it means nothing here."""
        command = self._commands.get(key)
        if command is None or not self._rows or not self._layout.columns:
            return False
        self.note = ""
        command()
        self._touched()
        return True

    def _keys(self) -> dict[str, Callable[[], None]]:
        last = 1_000_000
        commands: dict[str, Callable[[], None]] = {
            "space": self._toggle,
            "a": lambda: self._each(lambda row: self._edit(row, tuple(sorted(self._free())))),
            "u": lambda: self._each(lambda row: self._edit(row, None)),
            "U": self._unpin_all,
            "v": self._begin_or_drop,
            "minus": self._begin_or_drop,
            "0": lambda: self._move(0, -last),
            "home": lambda: self._move(0, -last),
            "dollar_sign": lambda: self._move(0, last),
            "end": lambda: self._move(0, last),
            "g": lambda: self._move(-last, 0),
            "G": lambda: self._move(last, 0),
            "pageup": lambda: self._move(-max(1, self._height()), 0),
            "pagedown": lambda: self._move(max(1, self._height()), 0),
            "left_square_bracket": lambda: self._jump(-1),
            "right_square_bracket": lambda: self._jump(1),
        }
        commands |= {key: partial(self._move, *step) for key, step in _STEPS.items()}
        commands |= {key: partial(self._extend, *_STEPS[plain]) for key, plain in _EXTENDING.items()}
        return {**commands, "upper_u": commands["U"], "upper_g": commands["G"]}

    def drop_range(self) -> None:
        """Forget the range that was begun."""
        self._anchor = None
        self._touched()

    def _move(self, rows: int, columns: int) -> None:
        self._row = max(0, min(len(self._rows) - 1, self._row + rows))
        self._column = max(0, min(len(self._layout.columns) - 1, self._column + columns))

    def _extend(self, rows: int, columns: int) -> None:
        self._anchor = self._anchor or (self._row, self._column)
        self._move(rows, columns)

    def _jump(self, step: int) -> None:
        """Go to the first CPU of the next group, or to that of this group or the one before."""
        starts = [self._layout.column_at(start) or 0 for _, start, _ in self._layout.groups]
        beyond = [at for at in starts if (at > self._column if step > 0 else at < self._column)]
        if beyond:
            self._column = beyond[0] if step > 0 else beyond[-1]

    def _begin_or_drop(self) -> None:
        self._anchor = None if self._anchor else (self._row, self._column)

    def _spans(self) -> tuple[range, range]:
        """Return the rows and the columns of the range, those of the cursor without one."""
        row, column = self._anchor or (self._row, self._column)
        rows, columns = sorted((row, self._row)), sorted((column, self._column))
        return range(rows[0], rows[1] + 1), range(columns[0], columns[1] + 1)

    def _each(self, change: Callable[[ThreadRow], None]) -> None:
        for index in self._spans()[0]:
            change(self._rows[index])
        self._anchor = None

    def _unpin_all(self) -> None:
        for row in self._rows:
            self._edit(row, None)
        self._anchor = None

    def _toggle(self) -> None:
        """Turn the cell, or the range into the opposite of where it was begun."""
        at = self._anchor or (self._row, self._column)
        columns = [self._layout.columns[index] for index in self._spans()[1]]
        first = self._layout.columns[at[1]].number
        adds = first not in (self.wish(self._rows[at[0]].name) or ())
        chosen = {column.number for column in columns if not adds or not column.barred}
        barred = [column for column in columns if adds and column.barred]

        def change(row: ThreadRow) -> None:
            wish = set(self.wish(row.name) or ())
            self._edit(row, tuple(sorted(wish | chosen if adds else wish - chosen)))

        if chosen:
            self._each(change)
        if barred:
            more = f", and {len(barred) - 1} more cannot be taken" if len(barred) > 1 else ""
            self.note = f"CPU {barred[0].number} {barred[0].barred}{more}"

    def _free(self) -> set[int]:
        return {column.number for column in self._layout.columns if not column.barred}

    def _edit(self, row: ThreadRow, wish: Cpus | None) -> None:
        self._edits[row.name] = wish or None

    def _touched(self) -> None:
        self.paint()
        self.post_message(self.Touched())

    def settle(self) -> None:
        self._touched()

    def on_key(self, event: events.Key) -> None:
        if self._first(event.key) or self.press(event.key):
            event.stop()
            event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        """Go to the cell; a click on the cell under the cursor turns it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        frame = self._frame(self.size.width)
        row = self._top + offset.y - self._head_height()
        cell = offset.x - frame.label
        column = self._layout.column_at(cell + frame.left) if 0 <= cell < frame.room else None
        if column is None or not self._top <= row < len(self._rows):
            return
        event.stop()
        if (row, column) == (self._row, self._column):
            self.press("space")
        else:
            self._row, self._column, self.note = row, column, ""
            self._touched()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, -WHEEL_ROWS)

    def _wheel(self, event: events.MouseEvent, rows: int) -> None:
        event.stop()
        if self._rows:
            self._move(rows, 0)
            self._touched()

    # Drawing

    def draw(self, width: int, height: int) -> list[Line]:
        """Return the head, and as many rows as fit below it, the cursor among them."""
        self._follow(width, height)
        frame = self._frame(width)
        out = self._head(frame, width)[:height]
        for index in range(self._top, min(len(self._rows), self._top + height - len(out))):
            out.append(Line("", self._row_runs(index, frame, width)))
        return out + [Line("", ((" " * width, ""),))] * (height - len(out))

    def _head_height(self) -> int:
        return 3 + self._layout.digits + self._layout.has_siblings

    def _height(self) -> int:
        """Return how many rows fit."""
        return max(0, self.size.height - self._head_height())

    def _follow(self, width: int, height: int) -> None:
        """Scroll as far as the cursor makes it needful."""
        shown = max(1, height - self._head_height())
        self._top = max(0, min(self._top, self._row, len(self._rows) - shown), self._row - shown + 1)
        cpu = self.cursor_cpu
        room = self._frame(width).room
        if cpu is None or room <= 0:
            return
        cell, margin = self._layout.at[cpu], min(4, room // 3)
        self._left = min(self._left, cell - margin)
        self._left = max(self._left, cell + margin - room + 1)
        self._left = max(0, min(self._left, self._layout.width - room))

    def _frame(self, width: int) -> Frame:
        return frame_of([row.name for row in self._rows], self._layout, width, self._left)

    def _head(self, frame: Frame, width: int) -> list[Line]:
        key = (self._layout, frame, width, self._column, self._loads, self._claims)
        if self._heads[0] != key:
            runs = lines.head_runs(self._layout, frame, self.cursor_cpu, self._loads, self._claims)
            self._heads = (key, [Line("", clip(line, width)) for line in runs])
        return list(self._heads[1])

    def _row_runs(self, index: int, frame: Frame, width: int) -> tuple[Run, ...]:
        row = self._rows[index]
        rows, columns = self._spans()
        active = columns if index in rows else range(0)
        look = RowLook(row, self.wish(row.name), self.is_edited(row.name), index == self._row, active)
        key = (look, frame, width)
        known = self._cells.get(row.name)
        if known is None or known[0] != key:
            known = self._cells[row.name] = (key, clip(lines.row_runs(self._layout, frame, look, self._words), width))
        return known[1]
