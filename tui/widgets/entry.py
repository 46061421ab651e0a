"""A line to type into."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from tui.model.text import clean


class Entry(Input):
    """An Input that does not blink, and into which nothing can be pasted that a terminal would obey."""

    def on_mount(self) -> None:
        self.cursor_blink = False

    def on_paste(self, event: events.Paste) -> None:
        # Runs before the handler of Input, which takes the first line of the text.
        event.text = clean(event.text.split("\n", 1)[0].rstrip("\r"))
