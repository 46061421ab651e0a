"""The journal pane: every change made here, its command, its result, its undo."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.journal import Entry, Status
from tui.panes.spec import PaneSpec, Tab, View
from tui.panes.text import BLANK, ago, heading, line, note, paragraph
from tui.widgets.grid_columns import Cell, Column
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.widgets.grid_filter import Fact

_STYLES = {
    Status.RUNNING: ("▸", "accent"),
    Status.PENDING: ("◔", "warn"),
    Status.DONE: ("●", "good"),
    Status.FAILED: ("✖", "bad"),
    Status.CANCELLED: ("■", "warn"),
    Status.EXPIRED: ("◌", "warn"),
    Status.UNKNOWN: ("?", "unknown"),
}
# With the sign before it and the share behind it, the width of the column.
_BAR = 9
_DETAIL_BAR = 24
_WORDS = {Status.EXPIRED: "not confirmed", Status.UNKNOWN: "interrupted"}


@dataclass(frozen=True, slots=True, eq=False)
class JournalRow:
    """An entry and whether it was undone since."""

    entry: Entry
    undone: bool


class JournalRows:
    """Makes the rows, newest first, keeping those whose entry is the same object."""

    def __init__(self) -> None:
        self._rows: dict[str, JournalRow] = {}
        self._entries: tuple[Entry, ...] = ()
        self._ordered: list[JournalRow] = []

    def __call__(self, view: View) -> Sequence[JournalRow]:
        entries = view.entries
        if entries is self._entries:
            return self._ordered
        undone = {entry.undoes for entry in entries if entry.undoes and entry.status is Status.DONE}
        rows = {}
        for entry in entries:
            old = self._rows.get(entry.id)
            same = old is not None and old.entry is entry and old.undone == (entry.id in undone)
            rows[entry.id] = old if same and old else JournalRow(entry, entry.id in undone)
        self._entries, self._rows, self._ordered = entries, rows, list(reversed(rows.values()))
        return self._ordered


def _status(row: JournalRow) -> Cell:
    glyph, style = _STYLES[row.entry.status]
    words = _WORDS.get(row.entry.status, row.entry.status.value)
    if row.entry.work is not None and row.entry.work.share is not None:
        words = f"{row.entry.work.bar(_BAR)}{row.entry.work.percent():>4}"
    return Cell(f"{glyph} {words}", style)


def _change(row: JournalRow) -> Cell:
    """The title, and what came of it where that is one thing."""
    entry = row.entry
    if entry.work is not None:
        return Cell(f"{entry.title}: {entry.work.words()}")
    first = entry.results[0] if len(set(entry.results)) == 1 else ""
    return Cell(f"{entry.title}: {first}" if first and first.casefold() != entry.title.casefold() else entry.title)


def _undo(row: JournalRow) -> Cell:
    if row.undone:
        return Cell("undone", "dim")
    return Cell("u" if row.entry.undo else "-", "key" if row.entry.undo else "dim")


def _command(row: JournalRow) -> Cell:
    # Without the URI, which is the same all over the list and longer than what is worth reading.
    commands = [command.replace(f" -c {shlex.quote(row.entry.uri)}", "", 1) for command in row.entry.commands[:1]]
    more = f"  (+{len(row.entry.commands) - 1})" if len(row.entry.commands) > 1 else ""
    return Cell((commands[0] if commands else "") + more)


def _fact(row: JournalRow, name: str) -> Fact:
    return {
        "action": row.entry.action,
        "status": _WORDS.get(row.entry.status, row.entry.status.value),
        "uri": row.entry.uri,
        "undo": "yes" if row.entry.undo and not row.undone else "no",
        "command": " ".join(row.entry.commands),
    }.get(name)


def _what(view: View, row: JournalRow) -> list[SpanLine]:
    entry, width = row.entry, view.detail_width
    status = _status(row)
    style = status.style if entry.status is Status.FAILED else ""
    lines = [
        line("What", entry.title, "title"),
        line("When", f"{units.moment(entry.at_ns / 1e9)}:{units.clock(entry.at_ns)[-2:]}, {ago(entry.at_ns / 1e9)}"),
        line("Host", entry.uri),
        line("Status", _STYLES[entry.status][0] + " " + _WORDS.get(entry.status, entry.status.value), status.style),
        *_work(entry),
        *([line("Took", f"{(entry.ended_ns - entry.at_ns) / 1e9:.1f} s")] if entry.ended_ns else []),
        BLANK,
        heading("Does the same"),
        *(part for command in entry.commands for part in paragraph(command, width=width)),
        BLANK,
        heading("Result"),
        *(part for result in entry.results for part in paragraph(result, style, width)),
    ]
    if row.undone:
        return [*lines, BLANK, note("undone since")]
    if not entry.undo:
        return [*lines, BLANK, note("cannot be undone")]
    undo = [part for step in entry.undo for part in paragraph(step.command_line(), width=width)]
    return [*lines, BLANK, [Span("u", "key"), Span(" undoes it:", "title")], *undo]


def _work(entry: Entry) -> list[SpanLine]:
    """How far long work has come, and how to end it."""
    work = entry.work
    if work is None:
        return []
    bar = [] if work.share is None else [line("Progress", f"{work.bar(_DETAIL_BAR)} {work.percent()}", "accent")]
    return [*bar, line("", work.words()), [Span("c", "key"), Span(" cancels it", "dim")]]


def _moment(row: JournalRow) -> Cell:
    return Cell(units.moment(row.entry.at_ns / 1e9)[5:] + units.clock(row.entry.at_ns)[-3:])


def _hint_works(row: JournalRow | None, key: str) -> bool:
    if row is None:
        return False
    return not row.entry.status.ended if key == "c" else bool(row.entry.undo) and not row.undone


def _summary(view: View) -> str:
    pending = sum(not entry.status.ended for entry in view.entries)
    return f"{pending} under way" if pending else ""


PANE: PaneSpec[JournalRow] = PaneSpec(
    id="journal",
    digit="7",
    title="Journal",
    columns=(
        Column("when", "When", 14, _moment, lambda row: row.entry.at_ns),
        Column("status", "Status", 15, _status, lambda row: row.entry.status.value),
        Column("what", "What", 20, _change, lambda row: row.entry.title, grow=1),
        Column("undo", "Undo", 6, _undo, lambda row: _undo(row).text),
        Column("command", "Command", 24, _command, lambda row: _command(row).text, grow=2, priority=1),
    ),
    key=lambda row: row.entry.id,
    rows=JournalRows,
    fact=_fact,
    facts=("action", "status", "uri", "undo", "command"),
    label=lambda row: row.entry.title,
    words=lambda row: " ".join((row.entry.title, *row.entry.commands, *row.entry.results)),
    tabs=(Tab("entry", "Change", _what),),
    empty=lambda view: view.journal_problem or "nothing was changed here yet",
    kinds=lambda _row: (),
    target=lambda _row: None,
    summary=_summary,
    journal_id=lambda row: row.entry.id,
    hints=(("u", "undo"), ("c", "cancel")),
    hint_works=_hint_works,
    first_counts=True,
)
