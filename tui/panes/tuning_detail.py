"""The detail of a domain's scheduler, limits and I/O threads."""

from __future__ import annotations

from tui.panes.domain_rows import DomainRow
from tui.panes.spec import View
from tui.panes.text import note
from tui.widgets.lines import SpanLine


def tuning(_view: View, _row: DomainRow) -> list[SpanLine]:
    """Return what is set of them, live and persistent."""
    return [note("not read yet")]
