"""Figures that only a QEMU monitor can give, read where a hung QEMU can stop nobody but itself.

A call that asks a monitor can block without limit. So these calls have a thread and a connection of their own, in
small batches; when a batch overruns its deadline, the domains whose monitor is busy are put in quarantine, thread
and connection are given up, and the rest goes on with new ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from tui.model.domain import Domain, MonitorState
from tui.model.usage import DomainUsage
from tui.runtime.pulls import Pulls
from tui.runtime.quarantine import ControlInfo, Quarantine
from tui.runtime.threads import run_forever
from tui.sources.connection import ConnectError, close
from tui.sources.errors import LibvirtError
from tui.sources.monitor import MonitorLink, single_calls
from tui.sources.stats import usage_of

DEADLINE_S = 3.0
_PROBE_DEADLINE_S = 1.5
_SHARE_OF_INTERVAL = 0.5
_FIRST_COST_S = 0.005
# CPU time is counted in steps of 10 ms: over less than this a rate is noise.
_SHORTEST_NS = 500_000_000
# Three calls a domain cost a hundred times what the bulk calls do, for figures that the test driver makes up anyway.
_SINGLY_EVERY = 8
_FAST_ROUNDS = 10
_SOON_S = 0.1
_LONGEST_BATCH_S = 0.25
_LOOK_S = 0.01
UsageReader = Callable[[Any, Domain, DomainUsage | None, int], DomainUsage]


@dataclass(frozen=True, slots=True)
class Targets:
    """Whom to ask: the domains on the screen, who get every round, and all the running ones."""

    first: tuple[str, ...]
    domains: Mapping[str, Domain]
    open_one: str | None = None
    """The one that is open in the detail, whose block jobs are read too."""


@dataclass(slots=True)
class _Crew:
    """One reading thread; `abandoned` tells it to leave as soon as libvirt lets it go."""

    batch: tuple[str, ...] = ()
    started_s: float | None = None
    abandoned: bool = False
    wake: threading.Event = field(default_factory=threading.Event)


class MonitorReader:
    """Keeps usage of the running domains fresh, staggered so that no round takes longer than its interval."""

    def __init__(
        self,
        open_link: Callable[[], Any],
        *,
        owns_link: bool,
        interval_s: float,
        targets: Callable[[], Targets],
        publish: Callable[[Mapping[str, DomainUsage]], None],
        one_by_one: UsageReader | None = None,
        failed: Callable[[str], None] = lambda _problem: None,
    ) -> None:
        """Make a reader; `failed` is told why reading broke off when that was nobody's intention."""
        self._failed = failed
        self._open_link = open_link
        self._owns_link = owns_link
        self._interval_s = interval_s
        self._targets = targets
        self._publish = publish
        self._one_by_one = one_by_one or single_calls
        self._cheap = one_by_one is not None
        self._lock = threading.Lock()
        self._crew: _Crew | None = None
        self._usage: dict[str, DomainUsage] = {}
        self._bases: dict[str, DomainUsage] = {}
        self._with_jobs: tuple[str, DomainUsage] | None = None
        """The last reading that has block jobs, and whose it is."""
        self._quarantine = Quarantine()
        self._pulls = Pulls()
        self._cost_s = _FIRST_COST_S
        self._bulk = True
        """Whether the driver has the bulk groups; the test driver has not."""
        self._single_rounds = 0
        self._told = False
        """Whether anything was published yet: until then it is tried again soon."""
        self.longest_round_s = 0.0
        """The longest time one round of calls took, for the benchmarks."""

    def start(self) -> None:
        """Start reading on a fresh thread; whoever read before is abandoned."""
        with self._lock:
            if self._crew is not None:
                self._crew.abandoned = True
                self._crew.wake.set()
            crew = self._crew = _Crew()
        run_forever("monitor reader", lambda: self._work(crew), self._failed, lambda: crew.abandoned)

    def stop(self) -> None:
        """End reading; a thread inside a blocked call ends when that call does."""
        with self._lock:
            if self._crew is not None:
                self._crew.abandoned = True
                self._crew.wake.set()
            self._crew = None

    def nudge(self) -> None:
        """Read the next round at once."""
        with self._lock:
            if self._crew is not None:
                self._crew.wake.set()

    @contextmanager
    def leave_images(self, key: str) -> Iterator[None]:
        """While inside, a domain is not asked about its images: what is being asked when it begins is waited for."""
        with self._pulls.own(key):
            end = time.monotonic() + DEADLINE_S
            while self._asks(key) and time.monotonic() < end:
                time.sleep(_LOOK_S)
            yield

    def _asks(self, key: str) -> bool:
        with self._lock:
            crew = self._crew
        return crew is not None and crew.started_s is not None and key in crew.batch

    @property
    def probing(self) -> bool:
        """Whether there are domains whose monitor may be stuck, so that supervision should come soon."""
        return self._quarantine.probing

    def stuck(self) -> Mapping[str, MonitorState]:
        """Return the domains in quarantine; the same object while there is no change."""
        return self._quarantine.stuck

    def supervise(self, control_info: ControlInfo) -> None:
        """Look for a batch that overran and for quarantined monitors that answer again; called by the poller, which
        asks virDomainGetControlInfo (state, ms) on its own connection; None: the domain is gone."""
        self._quarantine.release(control_info)
        with self._lock:
            crew = self._crew
        started = crew.started_s if crew is not None else None
        if crew is None or started is None:
            return
        batch, taken_s = crew.batch, time.monotonic() - started
        if taken_s < (_PROBE_DEADLINE_S if all(map(self._quarantine.is_suspect, batch)) else DEADLINE_S):
            return
        self._forget(self._quarantine.condemn(batch, time.time_ns() - int(taken_s * 1e9), control_info))
        self.start()

    def _forget(self, keys: Iterable[str]) -> None:
        """Publish figures without those of `keys`, which are not known any more."""
        with self._lock:
            for key in keys:
                self._usage.pop(key, None)
                self._bases.pop(key, None)
            usage = dict(self._usage)
        self._publish(usage)

    def _work(self, crew: _Crew) -> None:
        link: MonitorLink | None = None
        while not crew.abandoned:
            try:
                if link is None:
                    link = MonitorLink(self._open_link())
                started = time.monotonic()
                self._round(crew, link)
                self.longest_round_s = max(self.longest_round_s, time.monotonic() - started)
            except (ConnectError, LibvirtError):
                # The poller notices a lost connection and says so; here it only means to open another next round.
                self._drop(link)
                link = None
            crew.started_s = None
            crew.wake.wait(self._pause_s())
            crew.wake.clear()
        self._drop(link)

    @property
    def every_s(self) -> float:
        """How often the domains on the screen are read, in seconds: without bulk figures seldom."""
        return self._interval_s * (1 if self._bulk or self._cheap else _SINGLY_EVERY)

    def _pause_s(self) -> float:
        """As often as is meant; without bulk figures fast until there is a history to look at."""
        if not self._told:
            return _SOON_S
        if self._bulk or self._cheap:
            return self.every_s
        self._single_rounds += 1
        return self._interval_s * 0.5 if self._single_rounds <= _FAST_ROUNDS else self.every_s

    def _drop(self, link: MonitorLink | None) -> None:
        if link is not None and self._owns_link:
            link.forget_all_but(())
            close(link.connection)

    def _round(self, crew: _Crew, link: MonitorLink) -> None:
        targets = self._targets()
        queue = self._queue(targets) if self._bulk else []
        end = time.monotonic() + self._interval_s * _SHARE_OF_INTERVAL
        while queue and self._bulk and not crew.abandoned and time.monotonic() < end:
            batch = self._next_batch(queue, targets)
            queue = queue[len(batch) :]
            self._read(crew, link, batch, targets)
        if not self._bulk:
            self._read_singly(crew, link, targets)
        elif targets.open_one is not None and targets.open_one in targets.domains:
            self._read_block_jobs(crew, link, targets.domains[targets.open_one])
        if not crew.abandoned:
            link.forget_all_but(targets.domains)
            self._finish(targets)

    def _queue(self, targets: Targets) -> list[str]:
        """The domains on the screen, then the others, longest not read first."""
        with self._lock:
            read_ns = {key: usage.read_ns for key, usage in self._usage.items()}
        first = [key for key in targets.first if key in targets.domains]
        ready = sorted(targets.domains, key=lambda key: read_ns.get(key, 0))
        return self._quarantine.admit(dict.fromkeys([*first, *ready]))

    def _next_batch(self, queue: list[str], targets: Targets) -> list[str]:
        """As many as one call may take, of those that are not suspected; else one that is, alone. One that may have a
        pull is alone too."""
        size = max(1, int(_LONGEST_BATCH_S / self._cost_s))
        sound = [key for key in queue[:size] if not self._quarantine.is_suspect(key)]
        plain = list(takewhile(lambda key: not self._pulls.possible(targets.domains[key]), sound))
        return plain or queue[:1]

    def _read(self, crew: _Crew, link: MonitorLink, batch: list[str], targets: Targets) -> None:
        handles = [handle for key in batch if (handle := link.handle(key)) is not None]
        if not handles:
            return
        started = time.monotonic()
        crew.batch, crew.started_s = tuple(batch), started
        fresh = link.statistics(handles, images=self._pulls.none_on(link, [targets.domains[key] for key in batch]))
        crew.started_s = None
        self._quarantine.clear(batch)
        now = time.time_ns()
        self._cost_s = max(1e-5, 0.7 * self._cost_s + 0.3 * (time.monotonic() - started) / len(handles))
        if fresh and not any(len(values) > 0 for values in fresh.values()):
            self._bulk = not any(handle.isActive() for handle in handles)
            return
        with self._lock:
            for key, values in fresh.items():
                self._usage[key] = usage_of(values, self._base(key, now), now)

    def _read_block_jobs(self, crew: _Crew, link: MonitorLink, domain: Domain) -> None:
        """Of the open domain alone: libvirt has no bulk call for them, and answers those of disks without a job
        itself, once it has the domain to itself."""
        key, usage = domain.key, self._usage.get(domain.key)
        if usage is None or crew.abandoned or not self._quarantine.admit((key,)):
            return
        crew.batch, crew.started_s = (key,), time.monotonic()
        before = self._with_jobs[1] if self._with_jobs is not None and self._with_jobs[0] == key else usage
        jobs = link.block_jobs(domain, before.block_jobs or (), usage.read_ns - before.read_ns)
        crew.started_s = None
        told = replace(usage, block_jobs=jobs)
        self._quarantine.clear((key,))
        with self._lock:
            self._usage[key] = told
        self._with_jobs = (key, told)

    def _base(self, key: str, now_ns: int) -> DomainUsage | None:
        """The reading that rates are counted from: the last one, but the one before when the last is so young."""
        last = self._usage.get(key)
        if last is not None and now_ns - last.read_ns >= _SHORTEST_NS:
            self._bases[key] = last
        return self._bases.get(key)

    def _read_singly(self, crew: _Crew, link: MonitorLink, targets: Targets) -> None:
        """For drivers that have no such groups, and no block jobs either: single calls, for the domains on the screen
        alone; what to ask for is in their configuration, so that comes first."""
        for key in targets.first:
            domain = targets.domains.get(key)
            handle = link.handle(key) if domain is not None and domain.config_read_ns is not None else None
            if handle is not None and not crew.abandoned:
                now = time.time_ns()
                fresh = self._one_by_one(handle, targets.domains[key], self._base(key, now), now)
                self._usage[key] = replace(fresh, block_jobs=())

    def _finish(self, targets: Targets) -> None:
        looked_at = [targets.domains[key] for key in targets.first if key in targets.domains]
        if not self._bulk and any(domain.config_read_ns is None for domain in looked_at):
            return
        self._quarantine.keep_only(targets.domains)
        with self._lock:
            for key in [key for key in self._usage if key not in targets.domains]:
                del self._usage[key]
                self._bases.pop(key, None)
            usage = dict(self._usage)
        self._told = True
        self._publish(usage)
