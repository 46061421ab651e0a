"""What reads this machine's network, as one: links, firewalls, dnsmasq, Open vSwitch; or who makes one up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.runtime.fabric import FabricReader
from tui.runtime.links import LinkWatcher
from tui.runtime.made_up import MadeUpNetwork, NetworkMaker
from tui.runtime.ovs import OvsWatcher

if TYPE_CHECKING:
    from tui.runtime.board import Board
    from tui.runtime.desk import Focus


class NetworkReaders:
    """The threads that follow the network of this machine; a made-up host has none of these, but one of its own."""

    def __init__(
        self,
        board: Board,
        *,
        local: bool,
        interval_s: float,
        focus: Callable[[], Focus],
        made_up: NetworkMaker | None = None,
    ) -> None:
        self._links = LinkWatcher(board, local=local, interval_s=interval_s, focus=focus)
        self._readers: tuple[LinkWatcher | FabricReader | OvsWatcher | MadeUpNetwork, ...] = (
            self._links,
            FabricReader(board, local=local, watched=lambda: focus().links),
            OvsWatcher(board, local=local),
        )
        if made_up is not None:
            self._readers = (MadeUpNetwork(board, made_up, interval_s=interval_s, watched=lambda: focus().links),)

    def start(self) -> None:
        """Start the threads."""
        for reader in self._readers:
            reader.start()

    def stop(self) -> None:
        """Ask the threads to leave."""
        for reader in self._readers:
            reader.stop()

    def nudge(self) -> None:
        """Read everything again at once."""
        for reader in self._readers:
            reader.nudge()

    def look(self, before: Focus, now: Focus) -> None:
        """Read what is looked at from now on."""
        if now.links and not before.links:
            self.nudge()
        elif (now.links, now.link) != (before.links, before.link):
            self._links.wake()
