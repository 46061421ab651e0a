"""Memory devices of domains: DIMMs and virtio-mem, and the slots that they need."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
