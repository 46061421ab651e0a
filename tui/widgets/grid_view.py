"""Where the user is in a grid: the row under the cursor, the part in view, and the marks, all kept by key."""

from __future__ import annotations

from tui.widgets.grid_rows import Frame


class View:
    """The cursor, the viewport and the marks over the rows of a Frame."""

    def __init__(self) -> None:
        self.frame = Frame()
        self.key: str | None = None
        """The key of the row under the cursor."""
        self.cursor = 0
        """The position of that row among those shown."""
        self.top = 0
        """The position of the first row in view."""
        self.height = 0
        """How many rows fit in view."""
        self.marks: frozenset[str] = frozenset()
        self.sticks = False
        """Whether a cursor that stands on the first row without having been moved stays there, whatever row that is."""
        self._moved = False
        self._wanted: str | None = None

    def resize(self, height: int) -> None:
        """Take how many rows fit; the cursor stays in view if it was."""
        seen = self.height == 0 or self.in_view()
        self.height = height
        self._clamp()
        if seen:
            self.reveal()

    def in_view(self) -> bool:
        """Return whether the row under the cursor is within the viewport."""
        return self.top <= self.cursor < self.top + self.height

    def reveal(self) -> None:
        """Scroll as little as needed to have the cursor in view."""
        if self.height > 0:
            self.top = min(max(self.top, self.cursor - self.height + 1), self.cursor)
            self._clamp()

    def scroll(self, rows: int) -> None:
        """Move the viewport, not the cursor."""
        self.top += rows
        self._clamp()

    def go(self, position: int) -> None:
        """Put the cursor on the row at `position`, or on the nearest there is."""
        shown = len(self.frame.shown)
        self.cursor = max(0, min(position, shown - 1))
        self.key = self.frame.key_at(self.cursor) if shown else None
        self._wanted = None
        self._moved = True
        self.reveal()

    def first(self) -> None:
        """Put the cursor on the first row, as if it had never been moved."""
        self.go(0)
        self._moved = False

    def page(self, rows: int) -> None:
        """Move cursor and viewport together by `rows`."""
        self.top += rows
        self._clamp()
        self.go(self.cursor + rows)

    def toggle(self, keys: list[str]) -> None:
        """Mark the rows of `keys`, or take the marks away when all of them have one."""
        chosen = frozenset(keys)
        self.marks = self.marks - chosen if chosen <= self.marks else self.marks | chosen

    def follow(self, new: Frame) -> None:
        """Go over to the rows of `new`: the cursor stays on its key, or goes to the row that took its place; what is
        in view stays in place when rows above it come or go; marks of vanished rows are dropped."""
        old, seen = self.frame, self.height == 0 or self.in_view()
        if new is old:
            return
        self.frame = new
        if new.keys is not old.keys and self.marks:
            self.marks = frozenset(key for key in self.marks if key in new.index)
        self._keep_viewport(old, new)
        self._keep_cursor(old, new)
        self._clamp()
        if seen:
            self.reveal()

    def _keep_cursor(self, old: Frame, new: Frame) -> None:
        if self.sticks and not self._moved and self.cursor == 0:
            self.key = self._wanted = None
        position = new.position(self.key or self._wanted)
        if position is None and new.shown:
            last = len(new.shown) - 1
            position = min(self.cursor, last) if self.key is None else _successor(old, self.cursor, new)
        if position is None:
            self._wanted, self.key = self.key or self._wanted, None
            return
        self.cursor = position
        self.key = new.key_at(position)
        self._wanted = None

    def _keep_viewport(self, old: Frame, new: Frame) -> None:
        """Shift the viewport by the rows that came above it less those that vanished there."""
        if self.top == 0 or (new.keys is old.keys and len(new.shown) == len(old.shown)):
            return
        was, now = old.shown_set(), new.shown_set()
        gone = {old.index[key] for key in was - now}
        came = {new.index[key] for key in now - was}
        if gone:
            self.top -= sum(index in gone for index in old.shown[: self.top])
        if came:
            for position, index in enumerate(new.shown):
                if position >= self.top:
                    break
                self.top += index in came

    def _clamp(self) -> None:
        self.top = max(0, min(self.top, len(self.frame.shown) - self.height))


def _successor(old: Frame, position: int, new: Frame) -> int:
    """Return where the nearest row that is left stands: of the rows behind `position` the first, else of those
    before it the last, else the same place."""
    places = {new.keys[index]: place for place, index in enumerate(new.shown)}
    behind = (old.key_at(i) for i in range(position + 1, len(old.shown)))
    before = (old.key_at(i) for i in range(min(position, len(old.shown)) - 1, -1, -1))
    for keys in (behind, before):
        for key in keys:
            if key in places:
                return places[key]
    return min(position, len(new.shown) - 1)
