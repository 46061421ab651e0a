"""What the tests of links share: the watcher under test, and the same links as others see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import pyroute2

from tests.lab.namespaces import wait_until
from tests.lab.own_net import OwnNet
from tui.model.link import Link, Links, Netns
from tui.model.snapshot import HostSnapshot
from tui.runtime.board import Board
from tui.runtime.desk import Focus
from tui.runtime.links import LinkWatcher
from tui.sources.netlink.events import Dirty
from tui.sources.netlink.picture import Picture

WAIT_S = 15.0


class Watching:
    """A LinkWatcher with a board of its own, running; `looking` and `open_link` are what it is told of
    what is looked at."""

    def __init__(self, *, interval_s: float = 0.5, event_buffer: int | None = None) -> None:
        self.looking = False
        self.open_link: str | None = None
        self.snapshots: list[HostSnapshot] = []
        self.board = Board("qemu:///system", read_only=True, publish=self.snapshots.append)
        self.watcher = LinkWatcher(
            self.board,
            local=True,
            interval_s=interval_s,
            focus=lambda: Focus(links=self.looking, link=self.open_link),
            event_buffer=event_buffer,
        )

    def __enter__(self) -> Watching:
        self.watcher.start()
        if not self.board.wait(lambda seen: "links" not in seen.unread, WAIT_S):
            self.watcher.stop()
            raise TimeoutError(f"no links after {WAIT_S:g} s: {self.board.snapshot.problems}")
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.watcher.stop()

    @property
    def links(self) -> Links:
        """What is published now."""
        found = self.board.snapshot.links
        assert found is not None
        return found

    def look(self, looking: bool, link: str | None = None) -> None:
        """Begin or cease to look, at all links and at one."""
        self.looking, self.open_link = looking, link
        self.watcher.wake()

    def until(self, ready: Callable[[Links], bool], what: str, timeout_s: float = WAIT_S) -> Links:
        """Return what is published as soon as it is as wanted."""
        if not self.board.wait(lambda seen: seen.links is not None and ready(seen.links), timeout_s):
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        return self.links

    def link(self, name: str, netns: str, what: Callable[[Link], bool] = lambda _link: True) -> Link:
        """Return the link of that name in the namespace with that key as soon as it is there and as wanted."""

        def found(links: Links) -> Link | None:
            return next((one for one in _named(links, name, netns) if what(one)), None)

        link = found(self.until(lambda links: found(links) is not None, f"link {name}"))
        assert link is not None
        return link

    def gone(self, name: str, netns: str) -> None:
        """Wait until there is no such link any more."""
        self.until(lambda links: not _named(links, name, netns), f"the end of link {name}")


def _named(links: Links, name: str, netns: str) -> list[Link]:
    return [one for one in links.links.values() if one.raw_name == name and one.netns == netns]


def read_once() -> Links:
    """What a first reading finds."""
    picture = Picture()
    try:
        picture.refresh(Dirty(everything=True))
        return picture.links()
    finally:
        picture.close()


def link_of(links: Links, name: str, netns: str) -> Link:
    """The link of that name in the namespace with that key."""
    (found,) = _named(links, name, netns)
    return found


def netns_named(links: Links, name: str) -> Netns:
    """The one namespace of that name."""
    (found,) = (one for one in links.namespaces.values() if one.raw_name == name)
    return found


Row = tuple[Any, ...]


def our_rows(links: Links, keys: Iterable[str]) -> set[Row]:
    """The links of some namespaces as rows that can be compared with those of others."""
    wanted = set(keys)
    return {
        (link.netns, link.index, link.raw_name, link.mac, link.mtu, link.up, link.master)
        for link in links.links.values()
        if link.netns in wanted
    }


def rows_of_pyroute2(net: OwnNet, names: Iterable[str]) -> set[Row]:
    """The same rows, "" for home, as pyroute2 reads them."""
    rows = set()
    for name in names:
        key = net.key(name)
        with pyroute2.IPRoute(netns=name) if name else pyroute2.IPRoute() as route:
            for one in route.get_links():
                master = one.get_attr("IFLA_MASTER")
                rows.add(
                    (
                        key,
                        one["index"],
                        one.get_attr("IFLA_IFNAME"),
                        one.get_attr("IFLA_ADDRESS"),
                        one.get_attr("IFLA_MTU"),
                        bool(one["flags"] & 1),
                        f"{key}:{master}" if master else None,
                    )
                )
    return rows


def settle(ready: Callable[[], bool], what: str) -> None:
    """Wait until it holds, and goes on to hold for a moment."""
    wait_until(ready, what, timeout=WAIT_S)
    time.sleep(0.1)
    wait_until(ready, what, timeout=WAIT_S)


def settle_equal(ours: Callable[[], set[Row]], theirs: Callable[[], set[Row]]) -> None:
    """Wait until both are the same, and go on to be for a moment; AssertionError with what differs."""
    try:
        settle(lambda: ours() == theirs(), "the same")
    except TimeoutError:
        mine, other = ours(), theirs()
        if mine != other:
            raise AssertionError(f"ours alone: {mine - other}\ntheirs alone: {other - mine}") from None
