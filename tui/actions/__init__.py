"""What a user can do. A new family of actions is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.actions import (
    block_scheduler,
    define,
    disks,
    findings,
    image_chain,
    image_check,
    image_convert,
    lifecycle,
    memory,
    memory_devices,
    monitor,
    networks,
    nics,
    pins,
    pools,
    ports,
    process,
    tuning,
    vcpus,
    volumes,
)

if TYPE_CHECKING:
    from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = (
    *lifecycle.ACTIONS,
    *vcpus.ACTIONS,
    *pins.ACTIONS,
    *memory.ACTIONS,
    *memory_devices.ACTIONS,
    *tuning.ACTIONS,
    *monitor.ACTIONS,
    *disks.ACTIONS,
    *nics.ACTIONS,
    *ports.ACTIONS,
    *pools.ACTIONS,
    *volumes.ACTIONS,
    *image_convert.ACTIONS,
    *image_check.ACTIONS,
    *image_chain.ACTIONS,
    *networks.ACTIONS,
    *block_scheduler.ACTIONS,
    *define.ACTIONS,
    *process.ACTIONS,
    *findings.ACTIONS,
)

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}
