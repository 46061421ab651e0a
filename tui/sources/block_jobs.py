"""Block jobs of a running domain (virDomainGetBlockJobInfo)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import libvirt

from tui.model.block_job import KINDS, BlockJob
from tui.model.rates import rate_per_s
from tui.sources.errors import is_lost


def read_block_jobs(
    handle: Any, targets: Iterable[str], before: tuple[BlockJob, ...] = (), elapsed_ns: int = 0
) -> tuple[BlockJob, ...]:
    """Return the block jobs of those disks, whoever began them, with rates against `before`. A call for each disk,
    which asks the QEMU monitor where there is a job, and so may block without limit. Raises libvirtError when the
    connection is lost."""
    found = []
    for target in targets:
        job = _read(handle, target)
        if job is not None:
            old = next((b for b in before if (b.target, b.kind) == (job.target, job.kind)), None)
            rate = rate_per_s(old.done_bytes, job.done_bytes, elapsed_ns) if old is not None else None
            found.append(replace(job, rate_bytes_per_s=rate))
    return tuple(found)


def _read(handle: Any, target: str) -> BlockJob | None:
    """The job of one disk; None where it has none, is gone or has no such thing."""
    try:
        info = handle.blockJobInfo(target, libvirt.VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        return None
    if not info:
        return None
    kind = int(info["type"])
    name = KINDS[kind] if 0 <= kind < len(KINDS) else KINDS[0]
    return BlockJob(target, name, int(info["cur"]), int(info["end"]), int(info["bandwidth"]))
