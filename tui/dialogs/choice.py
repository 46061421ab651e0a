"""A field with a few values on one line, turned with left, right and space."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from textual import events
from textual.message import Message

from tui.model.text import cells
from tui.widgets.lines import LinesView, Span


class ChoiceLine(LinesView):
    """Shows all values, the chosen one marked; posts Changed when another one is chosen."""

    class Changed(Message):
        """Another value was chosen."""

        def __init__(self, choice: ChoiceLine) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, values: Sequence[str], value: str, *, id: str) -> None:
        super().__init__(can_focus=True, id=id, classes="choice")
        self._values = tuple(values)
        self.value = value
        self._draw()

    def _draw(self) -> None:
        spans: list[Span] = []
        for value in self._values:
            on = value == self.value
            spans.append(Span("  " if spans else ""))
            spans.append(Span(f"({'•' if on else ' '}) {value}", "title" if on else "dim", value))
        self.set_lines([spans])
        self._reveal()

    def _reveal(self) -> None:
        """Scroll sideways so far that the chosen value is in view: not all values fit into a narrow dialog."""
        ends = list(accumulate(cells(value) + 6 for value in self._values))
        # One cell more where others follow: the sign that there are more stands in the last one.
        end = min(ends[self._values.index(self.value)] - 1, ends[-1] - 2)
        self.scroll_to_line(0, max(0, end - self.size.width))

    def on_resize(self) -> None:
        self._reveal()

    def choose(self, value: str) -> None:
        """Choose `value`."""
        if value != self.value:
            self.value = value
            self._draw()
            self.post_message(self.Changed(self))

    def on_key(self, event: events.Key) -> None:
        step = {"right": 1, "l": 1, "space": 1, "left": -1, "h": -1}.get(event.key)
        if step is None:
            return
        event.stop()
        event.prevent_default()
        self.choose(self._values[(self._values.index(self.value) + step) % len(self._values)])

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        event.stop()
        self.focus()
        self.choose(event.action)
