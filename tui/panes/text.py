"""Lines of detail: labels and values in columns, tables, headings."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

from tui.model.host import Connection, ConnectionState
from tui.model.text import cells
from tui.widgets.lines import Span, SpanLine

LABEL = 13
_PARAGRAPH = 37
UNKNOWN = Span("?", "unknown")


def nothing_of(connection: Connection, what: str) -> str:
    """Return why there is nothing of a part of libvirt to list: it is not asked, or its driver has none."""
    absent = connection.state is ConnectionState.ABSENT
    return f"{what}: needs libvirt, which is not asked" if absent else f"this driver has no {what}"


def line(label: str, value: str | None, style: str = "") -> SpanLine:
    """Return a labelled value; None is shown as unknown."""
    return [Span(label.ljust(LABEL), "dim"), UNKNOWN if value is None else Span(value, style)]


def heading(text: str) -> SpanLine:
    """Return a heading of a group of lines."""
    return [Span(text, "title")]


def ago(at_s: float) -> str:
    """Return how long ago an instant (seconds since the epoch) was, in words: `2 hours ago`; `?` for no instant."""
    # Imported where it is needed: 9 ms that the first picture can do without.
    from humanize import naturaltime

    try:
        return naturaltime(timedelta(seconds=time.time() - at_s))
    except (OverflowError, ValueError):
        return "?"


def note(text: str, style: str = "dim") -> SpanLine:
    """Return a line of plain words."""
    return [Span(text, style)]


def paragraph(text: str, style: str = "", width: int = _PARAGRAPH) -> list[SpanLine]:
    """Return sentences broken into lines of `width` cells; if not given, those of the narrow detail beside the list."""
    # Imported when it is needed: 3 ms that the first picture can do without.
    import textwrap

    return [note(part, style) for part in textwrap.wrap(text, max(1, width)) or [""]]


BLANK: SpanLine = [Span("")]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> list[SpanLine]:
    """Return a table whose columns are as wide as their widest cell; columns in `right` are aligned right."""
    body = [list(row) for row in rows]
    widths = [max(cells(row[index]) for row in [list(header), *body]) for index in range(len(header))]

    def padded(row: Sequence[str]) -> str:
        parts = []
        for index, text in enumerate(row):
            blank = " " * (widths[index] - cells(text))
            parts.append(blank + text if index in right else text + blank)
        return "  ".join(parts).rstrip()

    return [[Span(padded(header), "dim")], *([Span(padded(row))] for row in body)]
