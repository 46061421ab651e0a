"""What domains were asked for and never confirmed: as the journal tells, and as the threads of their QEMUs do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.process import ThreadRole

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.journal import Asked, Entry
    from tui.model.snapshot import HostSnapshot

WAY_OUT = "wait, or shut it down and start it; a guest agent can set vCPUs offline meanwhile"
"""What can be done about a vCPU that is neither there nor gone."""


def unsettled(entries: Iterable[Entry], snapshot: HostSnapshot) -> dict[str, str]:
    """Return, by domain UUID, why no vCPU must be plugged into it now and what to do; domains that may be plugged into
    are absent. To plug one after an unplug that was never confirmed has killed QEMU."""
    left: dict[str, tuple[Asked, int]] = {}
    for entry in entries:
        for asked in entry.asked:
            if asked.kib:
                continue
            if asked.settled:
                left.pop(asked.target, None)
            else:
                left[asked.target] = asked, entry.at_ns
    threads = vcpu_threads(snapshot)
    found: dict[str, str] = {}
    for key in dict.fromkeys([*left, *threads]):
        domain = snapshot.domains.get(key)
        if domain is None:
            continue
        if (lost := lost_vcpus(domain, threads.get(key))) > 0:
            found[key] = (
                f"its QEMU has given up {lost} vCPU that libvirt still counts; to plug one would kill it. {_OFF_AND_ON}"
            )
        elif key in left and _is_open(domain, left[key][0]):
            asked, at_ns = left[key]
            when = units.clock(at_ns)
            found[key] = f"asked at {when} to go down to {asked.vcpus} vCPU, not confirmed; to plug may kill it. {_DO}"
    return found


_OFF_AND_ON = "Shut it down and start it; until then a guest agent can set vCPUs offline"
_DO = WAY_OUT[0].upper() + WAY_OUT[1:]


def _is_open(domain: Domain, asked: Asked) -> bool:
    """Whether the same run of the domain still has more than it was asked to have."""
    if not domain.active or domain.id != asked.run:
        return False
    return domain.config is None or domain.config.vcpus > asked.vcpus


def lost_vcpus(domain: Domain, threads: tuple[int, int] | None) -> int:
    """Return how many vCPUs libvirt counts that QEMU has no thread for; `threads` as vcpu_threads has it."""
    config, read_ns = domain.config, domain.config_read_ns
    if config is None or read_ns is None or threads is None or not domain.active or threads[1] <= read_ns:
        return 0
    return max(0, config.vcpus - threads[0])


def vcpu_threads(snapshot: HostSnapshot) -> dict[str, tuple[int, int]]:
    """Return how many vCPU threads the QEMU of each domain has and when they were counted (wall clock, ns), by UUID;
    absent where no thread says that it is one (/proc/PID/task/TID/comm)."""
    counted: dict[str, tuple[int, int]] = {}
    for process in snapshot.processes.values():
        threads = sum(thread.role is ThreadRole.VCPU for thread in process.threads)
        if process.uuid is not None and threads:
            counted[process.uuid] = threads, process.read_ns
    return counted
