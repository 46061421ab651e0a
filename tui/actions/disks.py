"""Disks of domains: attached, detached, grown, limited; media changed."""

from __future__ import annotations

from tui.actions import disk_attach, disk_detach, disk_media, disk_size, disk_tune
from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = (
    disk_attach.ACTION,
    disk_detach.ACTION,
    disk_media.ACTION,
    disk_size.ACTION,
    disk_tune.ACTION,
)
