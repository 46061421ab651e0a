"""Ten seconds of chance, after which what is published is what is there."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.lab.link_churn import Churn
from tests.lab.link_words import Row, Watching, our_rows, read_once, rows_of_pyroute2, settle, settle_equal
from tests.lab.own_net import OwnNet
from tui.model.link import Link, Links

_SECONDS = 10.0
_LOST = "netlink events were lost: everything is read again"


@pytest.mark.parametrize(("seed", "event_buffer"), [(1, None), (2, 4096)])
def test_after_churn_the_picture_is_that_of_a_fresh_reading_and_of_pyroute2(
    net: OwnNet, caplog: pytest.LogCaptureFixture, seed: int, event_buffer: int | None
) -> None:
    caplog.set_level(logging.WARNING, "virtdeck")
    with Watching(event_buffer=event_buffer) as watching:
        watching.look(True)
        churn = Churn(net, seed)
        churn.run(_SECONDS)
        # At the end some that stay, both ends in namespaces of their own.
        net.add_netns("last-a", "last-b")
        for pair in ("one", "two"):
            net.ip(
                "link", "add", f"{pair}-a", "netns", "last-a", "type", "veth", "peer", f"{pair}-b", "netns", "last-b"
            )
            net.ip("link", "set", f"{pair}-a", "alias", f"pair-{pair}", netns="last-a")
            net.ip("link", "set", f"{pair}-b", "alias", f"pair-{pair}", netns="last-b")
        names = ("", *sorted(os.listdir("/run/netns")))
        keys = {net.key(name) for name in names}
        # The kernel takes its time to end what was deleted last, and with it the other ends of its pairs.
        settle(lambda: all(len(ends) == 2 for ends in _pairs(read_once(), keys)), "the end of what was deleted")
        settle_equal(lambda: our_rows(watching.links, keys), lambda: rows_of_pyroute2(net, names))
        settle_equal(
            lambda: _part(watching.links, keys, aliases=False), lambda: _part(read_once(), keys, aliases=False)
        )
        settle(lambda: watching.links.namespaces.keys() <= read_once().namespaces.keys(), "no namespace that is gone")
        # The kernel tells nothing of the alias of a link that is down; such things are read again now and then.
        watching.watcher.nudge()
        settle_equal(lambda: _part(watching.links, keys), lambda: _part(read_once(), keys))
        links = watching.links
        published = len(watching.snapshots)
    assert churn.done > 100
    assert published > 20
    # Other namespaces of this machine may vanish while they are read.
    told = {record.message for record in caplog.records if not record.message.startswith("network namespace ")}
    assert told == ({_LOST} if event_buffer is not None else set())
    assert {links.namespaces[key].raw_name for key in keys} == {*names, "host"} - {""}
    pairs = _pairs(links, keys)
    assert any(first.netns != second.netns for first, second in pairs)
    for first, second in pairs:
        assert (first.peer, second.peer) == (second.key, first.key)


def _part(links: Links, keys: set[str], *, aliases: bool = True) -> set[Row]:
    """All of a picture that is of some namespaces, as rows; what is counted or learned apart."""

    def rows(name: str) -> Iterable[Row]:
        return ((name, key, one) for key, one in getattr(links, name).items() if key.partition(":")[0] in keys)

    plain = ((name, key, one if aliases else replace(one, alias="")) for name, key, one in rows("links"))
    spaces = ((name, key, one.name, one.paths, one.settings) for name, key, one in rows("namespaces"))
    return {*plain, *spaces, *rows("addresses"), *rows("routes"), *rows("rules")}


def _pairs(links: Links, keys: set[str]) -> list[list[Link]]:
    """Which links belong together, by the aliases that they were given at birth."""
    pairs: dict[str, list[Link]] = defaultdict(list)
    for link in links.links.values():
        if link.netns in keys and link.alias.startswith("pair-"):
            pairs[link.alias].append(link)
    return list(pairs.values())
