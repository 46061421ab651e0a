"""Volumes: made, cloned, resized, wiped, carried up and down, removed."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
