"""Facts of the host: from libvirt, and from /proc where the host is this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import libvirt

from tui.model.host import Host
from tui.model.text import clean
from tui.sources.connection import is_local
from tui.sources.errors import is_lost

T = TypeVar("T")
_ALL_CELLS = libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS


def read_host(connection: Any, uri: str) -> Host:
    """Return the host's facts; what the driver does not tell is None (virNodeGetInfo, virConnectGetHostname ...)."""
    info: list[Any] | None = _optional(connection.getInfo)
    local = is_local(uri)
    host = Host(
        name=clean(_optional(connection.getHostname) or "?"),
        driver=clean(_optional(connection.getType) or "?"),
        libvirt_version=_version(_optional(connection.getLibVersion)),
        hypervisor_version=_version(_optional(connection.getVersion)),
        architecture=clean(str(info[0])) if info else "?",
        cpus=int(info[2]) if info else None,
        numa_nodes=int(info[4]) if info else None,
        memory_kib=int(info[1]) * 1024 if info else None,
        local=local,
        boot_time_s=_boot_time_s() if local else None,
    )
    return refresh_host(connection, host)


def refresh_host(connection: Any, host: Host) -> Host:
    """Return `host` with its moving figures read again: free memory in KiB, load."""
    memory: dict[str, int] | None = _optional(lambda: connection.getMemoryStats(_ALL_CELLS))
    free, total = None, host.memory_kib
    if memory is not None and "free" in memory:
        # virNodeGetInfo rounds, and counts less on some hosts; the two figures have to be of one source.
        total = memory.get("total", total)
        free = memory["free"] + memory.get("buffers", 0) + memory.get("cached", 0)
    return replace(
        host,
        memory_kib=total,
        memory_free_kib=free,
        load_1min=os.getloadavg()[0] if host.local else None,
        read_ns=time.time_ns(),
    )


def _optional(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        return None


def _version(number: int | None) -> str:
    if not number:
        return "?"
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _boot_time_s() -> int:
    return int(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
