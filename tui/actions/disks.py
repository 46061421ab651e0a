"""Disks of domains: attached, detached, grown, limited; media changed; images
laid over each other, committed, pulled, copied and moved."""

from __future__ import annotations

from tui.actions import (
    disk_attach,
    disk_commit,
    disk_copy,
    disk_detach,
    disk_job,
    disk_media,
    disk_move,
    disk_pull,
    disk_size,
    disk_snapshot,
    disk_tune,
)
from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = (
    disk_attach.ACTION,
    disk_detach.ACTION,
    disk_media.ACTION,
    disk_size.ACTION,
    disk_tune.ACTION,
    disk_move.ACTION,
    disk_copy.ACTION,
    disk_snapshot.ACTION,
    disk_commit.ACTION,
    disk_pull.ACTION,
    disk_job.ACTION,
)
