"""Calls that may have to ask a QEMU monitor or a guest agent, and so may block without limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import libvirt

from tui.sources.addresses import read_agent_addresses
from tui.sources.block_jobs import read_block_jobs
from tui.sources.errors import is_gone
from tui.sources.stats import MONITOR_GROUPS, usage_one_by_one

if TYPE_CHECKING:
    from tui.model.block_job import BlockJob
    from tui.model.domain import Address, Domain
    from tui.model.domain_detail import GuestVcpus
    from tui.model.usage import DomainUsage

_OCCUPIED = (libvirt.VIR_DOMAIN_CONTROL_OCCUPIED, libvirt.VIR_DOMAIN_CONTROL_JOB)
_OCCUPIED_MS = 1000


class MonitorLink:
    """A connection for such calls, with the handles of the domains on it, each looked up once."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        active = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
        self._handles = {handle.UUIDString(): handle for handle in connection.listAllDomains(active)}
        # The test driver of libvirt 9.0 crashes the whole process when asked for addresses on some networks.
        self._has_agents = connection.getType() == "QEMU"

    def handle(self, key: str) -> Any | None:
        """Return the handle of a domain on this connection; None when it is gone."""
        if key not in self._handles:
            try:
                self._handles[key] = self.connection.lookupByUUIDString(key)
            except libvirt.libvirtError as error:
                if not is_gone(error):
                    raise
        return self._handles.get(key)

    def forget_all_but(self, keys: Iterable[str]) -> None:
        """Drop the handles of domains that stopped; a connection with handles cannot be closed."""
        kept = set(keys)
        for key in [key for key in self._handles if key not in kept]:
            del self._handles[key]

    def statistics(self, handles: list[Any], *, images: bool = True) -> dict[str, Mapping[str, Any]]:
        """Return the monitor groups of those domains by UUID (virDomainListGetStats), that of their images or not."""
        groups = MONITOR_GROUPS if images else MONITOR_GROUPS & ~libvirt.VIR_DOMAIN_STATS_BLOCK
        records = self.connection.domainListGetStats(handles, groups, 0)
        return {handle.UUIDString(): values for handle, values in records}

    def block_jobs(
        self, domain: Domain, before: tuple[BlockJob, ...] = (), elapsed_ns: int = 0
    ) -> tuple[BlockJob, ...]:
        """Return the block jobs of a domain's disks, with rates against those of a reading before; safe at any time."""
        handle = self.handle(domain.key)
        targets = [disk.target for disk in domain.config.disks] if domain.config is not None else []
        return () if handle is None else read_block_jobs(handle, targets, before, elapsed_ns)

    def agent_addresses(self, key: str) -> tuple[Address, ...]:
        """Return what the guest's agent says its addresses are; () without one. Blocks as long as it does."""
        handle = self.handle(key) if self._has_agents else None
        if handle is None:
            return ()
        return read_agent_addresses(handle)

    def agent_vcpus(self, key: str) -> GuestVcpus | None:
        """Return what the guest's agent says of its vCPUs; None without one. Blocks as long as it does."""
        handle = self.handle(key) if self._has_agents else None
        if handle is None:
            return None
        # Its models take 15 ms to import, which the first picture need not wait for.
        from tui.sources.guest_vcpus import read_guest_vcpus

        return read_guest_vcpus(handle)


def is_occupied(state: tuple[int, int] | None) -> bool:
    """Whether a control state (virDomainGetControlInfo: state, ms) says that a call has the monitor and waits."""
    return state is not None and state[0] in _OCCUPIED and state[1] >= _OCCUPIED_MS


def single_calls(handle: Any, domain: Domain, before: DomainUsage | None, now_ns: int) -> DomainUsage:
    """Return usage by single calls, for drivers without the bulk groups."""
    targets = [disk.target for disk in domain.config.disks] if domain.config else []
    return usage_one_by_one(handle, targets, before, now_ns)
