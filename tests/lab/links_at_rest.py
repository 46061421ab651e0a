"""Prints what following links costs while nothing happens: snapshots published and CPU seconds, in 3 s. Run by
tests/lab/test_link_events.py, alone in its namespaces."""

from __future__ import annotations

import json
import time

from tests.lab.link_words import Watching
from tests.lab.own_net import own_net

with own_net() as net:
    net.add_netns("a", "b")
    net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1", "netns", "b")
    with Watching() as watching:
        time.sleep(1.5)
        count, before_s = len(watching.snapshots), time.process_time()
        time.sleep(3.0)
        spent_s = time.process_time() - before_s
        print(json.dumps({"published": len(watching.snapshots) - count, "cpu_s": spent_s}))
