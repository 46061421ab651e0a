"""Text to read: help, and errors in full."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui.actions import ACTIONS
from tui.actions.keys import GENERAL
from tui.widgets.lines import FILL, LinesView, Span, SpanLine

_CLOSE = frozenset({"escape", "q", "enter", "question_mark"})


class TextDialog(ModalScreen[None]):
    """Shows lines that can be scrolled; esc closes."""

    def __init__(self, title: str, lines: Sequence[SpanLine]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall"):
            yield LinesView([[Span(self._title, "title"), FILL, Span("esc", "key", "close"), Span(" close")]])
            yield LinesView(self._lines, can_focus=True, classes="grow")

    def on_mount(self) -> None:
        self.query_one(".grow").focus()

    def on_key(self, event: events.Key) -> None:
        if event.key in _CLOSE:
            event.stop()
            self.dismiss(None)

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        event.stop()
        self.dismiss(None)


def help_lines(keys: dict[str, str]) -> list[SpanLine]:
    """Return the help: every key, and what the signs mean."""
    lines: list[SpanLine] = [[Span("Everywhere", "title")]]
    lines += [[Span(f"  {key:<26}", "key"), Span(what)] for key, what in GENERAL]
    for kind in dict.fromkeys(action.kind for action in ACTIONS):
        lines += [[], [Span(f"On a {kind.value}", "title")]]
        lines += [
            [Span(f"  {keys[action.id]:<4}", "key"), Span(f"{action.title:<27}"), Span(action.help, "dim")]
            for action in ACTIONS
            if action.kind is kind
        ]
    return [*lines, [], *_SIGNS]


_SIGNS: list[SpanLine] = [
    [Span("Signs", "title")],
    [Span("  ● running  ◐ paused  ○ off  ✖ crashed  ◇ QEMU that libvirt does not know  ⚠ needs you")],
    [Span("  ?  not known: not read yet, or it cannot be read")],
    [Span("  Flags: A autostart  T transient  S saved state  N has snapshots  Δ2 two things change at the next boot")],
    [Span("  Address: L DHCP lease  A guest agent  N neighbour table")],
    [Span("  CPU% is of one host CPU; sizes are binary (1K = 1024); rates are bytes a second")],
]
