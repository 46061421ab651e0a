"""What only a guest's agent knows: addresses, and of the guest that is open the vCPUs; both asked seldom, and only of
guests on the screen that have one.

An agent that hangs blocks the call for as long as libvirt likes, and its time limit is one setting for all clients of
the domain, which is not ours to change. So these calls have a thread and a connection of their own: a hung agent costs
the addresses of the others, for as long as it hangs, and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tui.runtime.threads import run_forever
from tui.sources.connection import ConnectError, close
from tui.sources.errors import LibvirtError
from tui.sources.monitor import MonitorLink

if TYPE_CHECKING:
    from tui.model.domain import Address, Domain
    from tui.model.domain_detail import GuestVcpus
    from tui.runtime.monitors import Targets

_log = logging.getLogger("virtdeck.agents")
_AGAIN_S = 30.0
_LOOK_S = 2.0
# Of vCPUs one that refuses is asked half as often each time, up to this.
_SELDOM_S = 480.0
# An answer older than this many asks that brought none is no longer true.
_MISSES = 2


class AgentReader:
    """What agents said, by domain UUID; read from any thread."""

    def __init__(
        self,
        open_link: Callable[[], Any],
        targets: Callable[[], Targets],
        open_one: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Make a reader; `open_one` says which domain is open in the detail."""
        self._open_link = open_link
        self._open_one = open_one
        self._vcpus: Mapping[str, GuestVcpus] = {}
        self._vcpus_asked_s: dict[str, float] = {}
        self._refusals: dict[str, int] = {}
        self._nudged = False
        self._targets = targets
        self._wake = threading.Event()
        self._stopped = False
        self._asked_s: dict[str, float] = {}
        self._misses: dict[str, int] = {}
        self._found: Mapping[str, tuple[Address, ...]] = {}

    def start(self) -> None:
        """Start the thread."""
        run_forever("agent reader", self._run, lambda _problem: None, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the thread to leave; it does so after the call it is in."""
        self._stopped = True
        self._wake.set()

    def addresses(self) -> Mapping[str, tuple[Address, ...]]:
        """Return the addresses; the same object while nothing changed."""
        return self._found

    def vcpus(self, key: str) -> GuestVcpus | None:
        """Return what the agent of a domain that was open said last of its vCPUs; None when it said nothing."""
        return self._vcpus.get(key)

    def nudge(self) -> None:
        """Ask the one that is open again at once: something of it was changed."""
        self._nudged = True
        self._wake.set()

    def _run(self) -> None:
        link: MonitorLink | None = None
        while not self._stopped:
            try:
                key, vcpus_of = self._due(), self._vcpus_due()
                if vcpus_of is not None or key is not None:
                    link = link or MonitorLink(self._open_link())
                    if key is not None:
                        self._ask(link, key)
                    if vcpus_of is not None:
                        self._ask_vcpus(link, vcpus_of)
                    continue
            except (ConnectError, LibvirtError) as error:
                _log.info("%s", error)
                self._drop(link)
                link = None
            self._wake.wait(_LOOK_S)
            self._wake.clear()
        self._drop(link)

    def _drop(self, link: MonitorLink | None) -> None:
        if link is not None:
            link.forget_all_but(())
            close(link.connection)

    def _due(self) -> str | None:
        """The domain to ask now: on the screen, running, its agent connected, longest not asked."""
        targets = self._targets()
        self._keep_only(targets.domains)
        now = time.monotonic()
        waiting = [
            (self._asked_s.get(key, 0.0), key)
            for key in targets.first
            if _has_agent(targets.domains.get(key)) and now - self._asked_s.get(key, -_AGAIN_S) >= _AGAIN_S
        ]
        return min(waiting)[1] if waiting else None

    def _vcpus_due(self) -> str | None:
        """The domain that is open, when it is time to ask its agent."""
        key = self._open_one()
        if key is None or not _has_agent(self._targets().domains.get(key)):
            return None
        if self._nudged:
            return key
        pause_s = min(_AGAIN_S * 2 ** self._refusals.get(key, 0), _SELDOM_S)
        return None if time.monotonic() - self._vcpus_asked_s.get(key, -pause_s) < pause_s else key

    def _ask_vcpus(self, link: MonitorLink, key: str) -> None:
        self._nudged = False
        self._vcpus_asked_s[key] = time.monotonic()
        found = link.agent_vcpus(key)
        self._refusals[key] = 0 if found is not None else self._refusals.get(key, 0) + 1
        if found is not None:
            self._vcpus = {**self._vcpus, key: found}
        else:
            self._vcpus = {other: kept for other, kept in self._vcpus.items() if other != key}

    def _ask(self, link: MonitorLink, key: str) -> None:
        self._asked_s[key] = time.monotonic()
        found = link.agent_addresses(key)
        self._misses[key] = 0 if found else self._misses.get(key, 0) + 1
        if found and self._found.get(key) != found:
            self._found = {**self._found, key: found}
        elif self._misses[key] >= _MISSES and key in self._found:
            self._found = {other: kept for other, kept in self._found.items() if other != key}

    def _keep_only(self, domains: Mapping[str, Domain]) -> None:
        if any(key not in domains for key in self._found):
            self._found = {key: found for key, found in self._found.items() if key in domains}
        for known in (self._asked_s, self._vcpus_asked_s, self._refusals):
            for key in [key for key in known if not _has_agent(domains.get(key))]:
                del known[key]
        if any(not _has_agent(domains.get(key)) for key in self._vcpus):
            self._vcpus = {key: found for key, found in self._vcpus.items() if _has_agent(domains.get(key))}


def _has_agent(domain: Domain | None) -> bool:
    if domain is None or domain.config is None or domain.config.agent is None:
        return False
    return bool(domain.config.agent.connected)
