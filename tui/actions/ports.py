"""Free PCIe root ports of domains, and more of them for the next boot."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
