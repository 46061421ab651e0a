"""Screens over the panes that show the host as it is now, for as long as they are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from textual.screen import ModalScreen

if TYPE_CHECKING:
    from tui.model.snapshot import HostSnapshot

T = TypeVar("T")


class LiveScreen(ModalScreen[T]):
    """Base of the screens that are told of every snapshot; `watched` and the `wants_` are what they need read."""

    watched: str | None = None
    """The UUID of the domain whose detail has to be read."""
    wants_host = False
    """Whether the host's CPUs and memory have to be read."""

    wants_links = False
    """Whether links, firewalls and what else belongs to the network have to be read."""

    def show_snapshot(self, snapshot: HostSnapshot) -> None:
        """Take news of the host."""
