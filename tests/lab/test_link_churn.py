"""Ten seconds of chance, after which what is published is what is there."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import pytest

from tests.lab.link_churn import Churn
from tests.lab.link_words import Watching, our_rows, read_once, rows_of_pyroute2, settle
from tests.lab.own_net import OwnNet
from tui.model.link import Link, Links

T = TypeVar("T")
_SECONDS = 10.0


@pytest.mark.parametrize(("seed", "event_buffer"), [(1, None), (2, 4096)])
def test_after_churn_the_picture_is_that_of_a_fresh_reading_and_of_pyroute2(
    net: OwnNet, caplog: pytest.LogCaptureFixture, seed: int, event_buffer: int | None
) -> None:
    caplog.set_level(logging.WARNING, "virtdeck")
    with Watching(event_buffer=event_buffer) as watching:
        watching.look(True)
        churn = Churn(net, seed)
        churn.run(_SECONDS)
        names = ("", *sorted(os.listdir("/run/netns")))
        keys = {net.key(name) for name in names}
        # The kernel takes its time to end what was deleted last, and with it the other ends of its pairs.
        settle(lambda: all(len(ends) == 2 for ends in _pairs(read_once(), keys)), "the end of what was deleted")
        settle(lambda: our_rows(watching.links, keys) == rows_of_pyroute2(net, names), "the same links as pyroute2")
        settle(
            lambda: _part(watching.links, keys, aliases=False) == _part(read_once(), keys, aliases=False),
            "the same as a fresh reading",
        )
        # The kernel tells nothing of the alias of a link that is down; such things are read again now and then.
        watching.watcher.nudge()
        settle(lambda: _part(watching.links, keys) == _part(read_once(), keys), "the aliases as well")
        links = watching.links
        published = len(watching.snapshots)
    assert churn.done > 300
    assert published > 50
    assert not [record for record in caplog.records if "failed" in record.message]
    assert any("events were lost" in record.message for record in caplog.records) is (event_buffer is not None)
    # What the churn made has no namespace left but those that are there.
    assert {netns.raw_name for netns in links.namespaces.values() if netns.raw_name.startswith("ns")} == set(names) - {
        ""
    }
    pairs = _pairs(links, keys)
    assert any(first.netns != second.netns for first, second in pairs)
    for first, second in pairs:
        assert (first.peer, second.peer) == (second.key, first.key)


def _part(links: Links, keys: set[str], *, aliases: bool = True) -> dict[str, object]:
    """All of a picture that is of some namespaces; what is counted or learned apart."""

    def ours(mapping: Mapping[str, T]) -> dict[str, T]:
        return {key: value for key, value in mapping.items() if key.partition(":")[0] in keys}

    return {
        "links": {key: link if aliases else replace(link, alias="") for key, link in ours(links.links).items()},
        "addresses": ours(links.addresses),
        "routes": ours(links.routes),
        "rules": ours(links.rules),
        "namespaces": {key: (one.name, one.paths, one.settings) for key, one in ours(links.namespaces).items()},
    }


def _pairs(links: Links, keys: set[str]) -> list[list[Link]]:
    """Which links belong together, by the aliases that they were given at birth."""
    pairs: dict[str, list[Link]] = defaultdict(list)
    for link in links.links.values():
        if link.netns in keys and link.alias.startswith("pair-"):
            pairs[link.alias].append(link)
    return list(pairs.values())
