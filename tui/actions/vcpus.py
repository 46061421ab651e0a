"""vCPUs: how many, which, and how many there can be."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
