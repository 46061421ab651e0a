"""The triage pane: what is wrong here, worst first, and what mends it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model.kind import Kind
from tui.model.text import clean
from tui.panes.spec import PaneSpec, Tab, View
from tui.panes.text import BLANK, ago, heading, line, paragraph
from tui.widgets.grid_columns import Cell, Column
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.actions.base import Target
    from tui.model.finding import Finding, Remedy
    from tui.widgets.grid_filter import Fact

_SIGNS = {1: ("·", "dim"), 2: ("⚠", "warn"), 3: ("✖", "bad"), 4: ("‼", "bad")}
"""By severity; a muted one has its own."""
_MUTED = ("◌", "dim")
_WORST_TOLD = 2


@dataclass(frozen=True, slots=True, eq=False)
class FindingRow:
    """A finding and its place in the order."""

    finding: Finding
    place: int


class FindingRows:
    """Makes the rows, worst first, keeping those that are the same."""

    def __init__(self) -> None:
        self._found: tuple[Finding, ...] | None = None
        self._rows: dict[str, FindingRow] = {}
        self._ordered: list[FindingRow] = []

    def __call__(self, view: View) -> Sequence[FindingRow]:
        found = view.snapshot.findings or ()
        if found is not self._found:
            rows = {}
            for place, finding in enumerate(found):
                old = self._rows.get(finding.id)
                same = old is not None and old.place == place and old.finding == finding
                rows[finding.id] = old if same and old is not None else FindingRow(finding, place)
            self._found, self._rows, self._ordered = found, rows, list(rows.values())
        return self._ordered


def _severity(row: FindingRow) -> Cell:
    finding = row.finding
    if finding.muted is not None:
        return Cell(f"{_MUTED[0]} muted", _MUTED[1])
    sign, style = _SIGNS[finding.severity]
    return Cell(f"{sign} {finding.severity.word}", style)


def _message(row: FindingRow) -> Cell:
    finding = row.finding
    if finding.muted is not None:
        return Cell(f"{finding.message} [{finding.muted}]", "dim")
    return Cell(finding.message)


def _subject(row: FindingRow) -> Cell:
    finding = row.finding
    return Cell(finding.subject if finding.kind == Kind.HOST else f"{finding.kind} {finding.subject}", "title")


def _since(row: FindingRow) -> Cell:
    from tui.model import units

    since_ns = row.finding.since_ns
    return Cell(units.clock(since_ns) if since_ns is not None else "at start", "" if since_ns is not None else "dim")


def _fact(row: FindingRow, name: str) -> Fact:
    finding = row.finding
    return {
        "severity": finding.severity.word,
        "subject": finding.subject,
        "kind": finding.kind,
        "check": finding.check,
        "muted": "no" if finding.muted is None else "yes",
        "mends": "yes" if finding.mend is not None else "no",
    }.get(name)


def _detail(view: View, row: FindingRow) -> list[SpanLine]:
    finding, width = row.finding, view.detail_width
    severity = _severity(row)
    since_ns = finding.since_ns
    lines = [
        line("What", f"{finding.kind} {finding.subject}" if finding.kind != Kind.HOST else "this host", "title"),
        line("Severity", finding.severity.word, severity.style),
        line("Since", ago(since_ns / 1e9) if since_ns is not None else "the start of virtdeck, or before"),
        BLANK,
        # Not capitalised: it may begin with a name.
        *paragraph(finding.message, severity.style, width),
        BLANK,
        heading("Why it matters"),
        *paragraph(finding.why, width=width),
    ]
    if finding.remedies:
        lines += [BLANK, heading("What mends it")]
    mends = finding.mend
    for remedy in finding.remedies:
        lines += _remedy(remedy, width, key="f" if remedy is mends else "")
    lines += [BLANK, [Span("enter", "key"), Span(" goes there", "dim")]]
    lines += [BLANK, line("Check", finding.check, "dim")]
    if finding.muted is not None:
        lines += [
            BLANK,
            [Span("Muted: ", "title"), Span(finding.muted)],
            [Span("M", "key"), Span(" unmutes it", "dim")],
        ]
    return lines


def _remedy(remedy: Remedy, width: int, key: str) -> list[SpanLine]:
    words = paragraph(remedy.words[:1].upper() + remedy.words[1:], width=width - 2)
    mark = Span(key or "-", "key" if key else "dim")
    lines: list[SpanLine] = [[mark if at == 0 else Span(" "), Span(" "), *part] for at, part in enumerate(words)]
    if remedy.action:
        given = " ".join((remedy.action, *(f"{name}={value}" for name, value in remedy.values)))
        lines += [[Span("  "), *part] for part in paragraph(given, "dim", width - 2)]
    if remedy.command:
        lines += [[Span("  "), *part] for part in paragraph(clean(shlex.join(remedy.command)), "accent", width - 2)]
    return lines


def told(view: View) -> list[Finding]:
    """Return the findings that somebody should look at: neither muted nor mere notes."""
    return [f for f in view.snapshot.findings or () if f.muted is None and f.severity >= _WORST_TOLD]


def _mark(view: View) -> tuple[str, str]:
    """How many there are, in the colour of the worst; nothing while all is well."""
    found = told(view)
    if not found:
        return "", ""
    return f"({len(found)})", _SIGNS[max(finding.severity for finding in found)][1]


def _empty(view: View) -> str:
    seen = view.snapshot
    if seen.findings is None:
        return "looking…" if seen.connection.live else f"{seen.connection.state.value}…"
    unread = f"; not read yet: {', '.join(sorted(seen.unread))}" if seen.unread else ""
    return f"nothing is wrong here, as far as can be seen{unread}"


def _summary(view: View) -> str:
    muted = sum(finding.muted is not None for finding in view.snapshot.findings or ())
    return f"{muted} muted" if muted else ""


def _target(row: FindingRow) -> Target:
    return row.finding


def _place(row: FindingRow) -> tuple[Kind, str] | None:
    """Where enter leads."""
    kind = row.finding.kind
    return (Kind(kind), row.finding.key) if kind in set(Kind) else None


PANE: PaneSpec[FindingRow] = PaneSpec(
    id="triage",
    digit="1",
    title="Triage",
    columns=(
        Column("severity", "Severity", 10, _severity, lambda row: row.place),
        Column("subject", "Subject", 18, _subject, lambda row: row.finding.subject, grow=1),
        Column("message", "What is wrong", 30, _message, lambda row: row.finding.message, grow=4),
        Column("since", "Since", 8, _since, lambda row: row.finding.since_ns or 0, priority=1),
        Column("check", "Check", 20, lambda row: Cell(row.finding.check, "dim"), lambda row: row.finding.check,
               hidden=True, priority=2),
    ),
    key=lambda row: row.finding.id,
    rows=FindingRows,
    fact=_fact,
    facts=("severity", "subject", "kind", "check", "muted", "mends"),
    words=lambda row: f"{row.finding.subject} {row.finding.message}",
    label=lambda row: row.finding.subject,
    tabs=(Tab("finding", "Finding", _detail),),
    empty=_empty,
    kinds=lambda row: () if row is None else (Kind.FINDING,),
    target=_target,
    summary=_summary,
    hints=(("f", "mend"), ("enter", "go there")),
    wants_storage=True,
    wants_links=True,
    wants_networks=True,
    host_actions="finding",
    mark=_mark,
    place=_place,
    first_counts=True,
)  # fmt: skip
