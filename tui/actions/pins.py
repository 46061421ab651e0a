"""Which host CPUs the threads of domains and QEMU processes run on."""

from __future__ import annotations

from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = ()
