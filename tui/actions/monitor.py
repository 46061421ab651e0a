"""Questions to a domain's QEMU monitor."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
