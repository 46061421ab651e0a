"""Storage pools: defined, built, started, refreshed, stopped, removed."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
