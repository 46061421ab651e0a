"""The panes. A new one is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.text import clean
from tui.panes import domains, interfaces, journal, networks, storage, topology, triage

if TYPE_CHECKING:
    from tui.panes.spec import AnyPane, Columns

PANES: tuple[AnyPane, ...] = (
    triage.PANE,
    domains.PANE,
    storage.PANE,
    networks.PANE,
    interfaces.PANE,
    topology.PANE,
    journal.PANE,
)
FIRST: AnyPane = domains.PANE
"""The one that is open first: its list is the first thing that is read."""


def check_columns(chosen: Columns) -> str:
    """Return what is wrong with columns by pane id: a pane or a column that is not there; "" when nothing is."""
    for ident, names in chosen.items():
        pane = next((pane for pane in PANES if pane.id == ident), None)
        if pane is None:
            return f"columns: no pane {clean(ident)!r}; there are: {', '.join(pane.id for pane in PANES)}"
        known = [column.key for column in pane.columns]
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            return f"columns.{ident}: no column {clean(unknown)!r}; there are: {', '.join(known)}"
    return ""
