"""The program on a made-up host of many links, to be run in a terminal: python -m tests.bench.crowded.

Everything is the program's own but the network, which is a script's: 1,000 pairs between 20 bridges and 100 namespaces,
with rates that move every second.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

from tests.net_host import crowd
from tui.app import VirtdeckApp
from tui.cli import leave
from tui.config import Config
from tui.model.domain import Domain
from tui.model.link import LinkUsage
from tui.model.snapshot import HostSnapshot
from tui.ops import request_types
from tui.runtime.collector import Collector
from tui.runtime.journal import Journal
from tui.runtime.mailbox import Mailbox

_MOVING = 0.01
_INTERVAL_S = 1.0


class Crowd:
    """The network: always the same links, and of one in a hundred other rates each time."""

    def __init__(self) -> None:
        seen = crowd().snapshot()
        assert seen.links is not None
        self._parts = {"links": seen.links, "firewalls": {}, "ovs": None, "dnsmasqs": ()}
        self._usage = {key: LinkUsage(0, 0, 0, 0, 0, 0, 0, 0, 1000.0, 1000.0, 1.0, 1.0) for key in seen.links.links}
        self._chosen = random.Random(11)

    def __call__(self, _domains: Mapping[str, Domain], _now: int) -> Mapping[str, Any]:
        usage = dict(self._usage)
        for key in self._chosen.sample(list(usage), int(len(usage) * _MOVING)):
            rate = self._chosen.uniform(1e3, 1e6)
            usage[key] = LinkUsage(1, 1, 1, 1, 0, 0, 0, 0, rate, rate, 10.0, 10.0)
        self._usage = usage
        return {**self._parts, "link_usage": usage}


def main() -> int:
    """Open the screen; returns its exit code."""
    mailbox: Mailbox[HostSnapshot] = Mailbox()
    config = Config(interval_s=_INTERVAL_S)
    collector = Collector(
        "test:///default", read_only=True, interval_s=config.interval_s, publish=mailbox.put, network=Crowd()
    )
    collector.start()
    app = VirtdeckApp(collector, mailbox, Journal(None, request_types), config)
    code = app.run()
    collector.stop()
    return code or 0


if __name__ == "__main__":
    sys.exit(leave(main()))
