"""Prints what following links costs while nothing happens, snapshots published and CPU seconds in 3 s; and which tables
are the same objects after one link changed. Run by tests/lab/test_link_events.py, alone in its namespaces."""

from __future__ import annotations

import json
import time

from tests.lab.link_words import Watching
from tests.lab.own_net import own_net

_TABLES = ("namespaces", "links", "addresses", "routes", "rules", "neighbours", "fdb", "owners")

with own_net() as net:
    net.add_netns("a", "b")
    net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1", "netns", "b")
    with Watching() as watching:
        time.sleep(1.5)
        count, before_s = len(watching.snapshots), time.process_time()
        time.sleep(3.0)
        spent_s = time.process_time() - before_s
        published, before = len(watching.snapshots) - count, watching.links
        net.ip("link", "set", "v1", "mtu", "1400", netns="b")
        watching.link("v1", net.key("b"), lambda link: link.mtu == 1400)
        same = [name for name in _TABLES if getattr(watching.links, name) is getattr(before, name)]
        print(json.dumps({"published": published, "cpu_s": spent_s, "same": same}))
