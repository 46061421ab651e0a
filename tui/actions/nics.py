"""NICs of domains: attached, detached, plugged in elsewhere, unplugged, limited."""

from __future__ import annotations

from tui.actions import nic_attach, nic_detach, nic_limits, nic_link, nic_plug
from tui.actions.base import Action

ACTIONS: tuple[Action, ...] = (
    nic_attach.ACTION,
    nic_detach.ACTION,
    nic_plug.ACTION,
    nic_link.ACTION,
    nic_limits.ACTION,
)
