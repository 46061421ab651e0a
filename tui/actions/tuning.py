"""Scheduler, limits and I/O threads of domains."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
