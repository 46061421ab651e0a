"""The panes. A new one is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.panes import domains, journal

if TYPE_CHECKING:
    from tui.panes.spec import AnyPane

PANES: tuple[AnyPane, ...] = (domains.PANE, journal.PANE)
