"""The panes. A new one is one file and one line here."""

from __future__ import annotations

from tui.panes import domains, journal
from tui.panes.spec import AnyPane

PANES: tuple[AnyPane, ...] = (domains.PANE, journal.PANE)
