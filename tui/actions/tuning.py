"""Scheduler, limits and I/O threads of domains."""

from __future__ import annotations

from tui.actions.base import Action
from tui.actions.iothreads import ADD, DELETE
from tui.actions.memtune import MEMTUNE
from tui.actions.scheduler import SCHEDULER

ACTIONS: tuple[Action, ...] = (SCHEDULER, MEMTUNE, ADD, DELETE)
