"""What the keys and signs of the trace mean."""

from __future__ import annotations

from tui.model.finding import Verdict
from tui.model.text import wrapped
from tui.model.verdict_words import SIGNS
from tui.widgets.lines import Span, SpanLine

_HELP: tuple[tuple[str, str, str], ...] = (
    ("j k", "key", "walk the hops; what was looked at on the one under the cursor is below, each with its source"),
    ("enter", "key", "go to the hop in its pane"),
    ("n", "key", "trace from the next NIC of the guest, where it has several"),
    ("t", "key", "trace to another address or guest; nothing for what is outside"),
    ("p", "key", "probe: ask on the wire, with ARP and a ping, who answers; nothing is sent without it"),
    ("c", "key", "capture: listen for 5 s on the link under the cursor"),
    ("pgup pgdn", "key", "scroll what was looked at"),
    ("esc q", "key", "close"),
    *((sign, style, what) for (sign, style), what in (
        (SIGNS[Verdict.GOOD], "as it should be"),
        (SIGNS[Verdict.WARNING], "stops some packets, or would elsewhere"),
        (SIGNS[Verdict.BROKEN], "stops the packet or its answer"),
        (SIGNS[Verdict.UNKNOWN], "cannot be told"),
        (SIGNS[Verdict.NOT_SIMULATED], "read and not simulated: rules that are not understood, or about other traffic"),
    )),
    ("ping", "title", "what is traced is a ping and its answer; TCP or UDP may fare otherwise, which is said where "
     "rules are seen that drop it"),
)  # fmt: skip
_HELP_KEYS = 11


def help_lines(width: int) -> list[SpanLine]:
    """Return what the keys and signs of the trace mean, in lines of at most `width` cells."""
    lines: list[SpanLine] = []
    for key, style, what in _HELP:
        first, *rest = wrapped(what, max(width - _HELP_KEYS, 20))
        lines.append([Span(f"{key:<{_HELP_KEYS}}", style), Span(first)])
        lines += [[Span(" " * _HELP_KEYS + part)] for part in rest]
    return lines
