"""Text to read: help, and errors in full."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui.actions import ACTIONS
from tui.actions.keys import GENERAL, PALETTE
from tui.model.text import wrapped
from tui.widgets.lines import FILL, LinesView, Span, SpanLine

DIALOG_WIDTH, DIALOG_EDGES = 96, 4
"""Cells of a text dialog where there is room for them, and of these those of its border and padding."""

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


_KEYS, _TITLE, _SIGN = 26, 27, 11


def help_lines(keys: dict[str, str], width: int) -> list[SpanLine]:
    """Return the help in lines of at most `width` cells: every key, and what the signs mean."""
    lines: list[SpanLine] = [[Span("Everywhere", "title")]]
    for key, what in GENERAL:
        lines += _told([Span(f"  {key:<{_KEYS}}", "key")], what, width)
    for kind in dict.fromkeys(action.kind for action in ACTIONS):
        lines += [[], [Span(f"On a {kind.value}", "title")]]
        for action in ACTIONS:
            if action.kind is kind:
                head = [Span(f"  {keys[action.id] or PALETTE:<4}", "key"), Span(f"{action.title:<{_TITLE}}")]
                lines += _told(head, action.help, width)
    lines += [[], [Span("Signs", "title")]]
    for sign, what in _SIGNS:
        lines += _told([Span(f"  {sign:<{_SIGN}}", "key")], what, width)
    return lines


def _told(head: list[Span], text: str, width: int) -> list[SpanLine]:
    """Return a text behind what it is of, wrapped, its further lines indented."""
    indent = sum(len(span.text) for span in head)
    first, *more = wrapped(text, width - indent)
    return [[*head, Span(first)], *([Span(" " * indent + line)] for line in more)]


_SIGNS: tuple[tuple[str, str], ...] = (
    ("State", "● running  ◐ paused  ◔ in shutdown, or asked for something it has not done yet  ○ off  ✖ crashed  "
              "◇ a QEMU process that libvirt does not know  ⚠ its QEMU does not answer"),
    ("?", "not known: not read yet, or it cannot be read"),
    ("CPU%", "of one host CPU: 200 is two CPUs in full"),
    ("Sizes", "binary, 1K = 1024; rates are bytes a second"),
    ("Address", "L from a DHCP lease  A from the guest agent  N from the neighbour table"),
    ("Flags", "A autostart  T transient  S has a saved state  N has snapshots  Δ2 two settings change at next boot"),
    ("Topology", "● up, forwarding  ◐ listening, learning, blocking  ◌ no carrier  ○ down  ⚠ a problem, in the detail  "
                 "─ plugged in  ═ the two ends of a pair  ⇢ tunnel  ⇒ the way out  ▸ drawn elsewhere  [10] VLAN, tag  "
                 "fwd passes packets on  NAT? its firewall cannot be read"),
    ("Journal", "▸ running  ◔ pending  ● done  ✖ failed  ◌ not confirmed  ? interrupted"),
)  # fmt: skip
