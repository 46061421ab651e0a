"""Memory of domains: balloon, maximum, statistics."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
