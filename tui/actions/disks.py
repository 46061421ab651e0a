"""Disks of domains: attached, detached, grown, limited; media changed."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
