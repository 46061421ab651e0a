"""The vCPUs as the guest has them, which its agent alone can tell."""

from __future__ import annotations

from typing import Any

import libvirt

from tui.model.cpuset import parse_cpus
from tui.model.domain_detail import GuestVcpus
from tui.sources.errors import is_lost


def read_guest_vcpus(handle: Any) -> GuestVcpus | None:
    """Return what the guest's agent says of its vCPUs (virDomainGetGuestVcpus); None where it does not. May take as
    long as the agent does; raises libvirtError only when the connection is gone."""
    try:
        told = handle.guestVcpus(0)
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        return None
    if not told:
        return None
    there, online, can_go = (_numbers(told.get(name)) for name in ("vcpus", "online", "offlinable"))
    return GuestVcpus(there, online, can_go)


def _numbers(text: object) -> tuple[int, ...]:
    """What the guest says is no more to be trusted than any other text of its."""
    try:
        return parse_cpus(text) if isinstance(text, str) and text else ()
    except ValueError:
        return ()
