"""Domains whose images must not be asked about now.

QEMU 7.2 ends with a segmentation fault when it is asked about a domain's images (query-named-block-nodes, as libvirt
does for the statistics of disks and for virDomainGetBlockInfo) in the moment in which a pull comes to its end. So no
such thing is asked while a pull is under way; asking for the job itself is harmless, as are all other figures."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.sources.monitor import MonitorLink


class Pulls:
    """Who has a pull under way, by this program's own doing or anybody else's; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: Counter[str] = Counter()

    @contextmanager
    def own(self, key: str) -> Iterator[None]:
        """While inside, this program pulls a disk of that domain."""
        with self._lock:
            self._own[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._own[key] -= 1

    def possible(self, domain: Domain) -> bool:
        """Whether a disk of it can be pulled: it lies on another image as far as is known, or is pulled by us."""
        config = domain.config
        return self._is_own(domain) or (config is not None and any(disk.raw_backing for disk in config.disks))

    def none_on(self, link: MonitorLink, domains: Sequence[Domain]) -> bool:
        """Whether none of them is being pulled: asked of those where it is possible. Raises libvirtError."""
        for domain in domains:
            if self._is_own(domain):
                return False
            if self.possible(domain) and any(job.kind == "pull" for job in link.block_jobs(domain)):
                return False
        return True

    def _is_own(self, domain: Domain) -> bool:
        return self._own[domain.key] > 0
