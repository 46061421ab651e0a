"""Everything that writes. `execute` is the only way in, and the one place that refuses when reading only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tui.ops import (
    block_jobs,
    block_scheduler,
    define,
    disk_moves,
    disk_snapshots,
    disks,
    findings,
    image_chain,
    image_check,
    image_convert,
    lifecycle,
    memory,
    memory_devices,
    monitor,
    networks,
    nics,
    pins,
    pools,
    ports,
    process,
    tuning,
    vcpus,
    volumes,
)
from tui.ops.base import OpContext, OpError, Outcome, ReadOnlyError

if TYPE_CHECKING:
    from tui.model.plan import Request

FAMILIES = (
    lifecycle.OPS,
    vcpus.OPS,
    pins.OPS,
    memory.OPS,
    memory_devices.OPS,
    tuning.OPS,
    monitor.OPS,
    disks.OPS,
    block_jobs.OPS,
    disk_moves.OPS,
    disk_snapshots.OPS,
    nics.OPS,
    ports.OPS,
    pools.OPS,
    volumes.OPS,
    image_check.OPS,
    image_convert.OPS,
    image_chain.OPS,
    networks.OPS,
    block_scheduler.OPS,
    define.OPS,
    process.OPS,
    findings.OPS,
)

_OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    kind: op for family in FAMILIES for kind, op in family.items()
}


def request_types() -> dict[str, type[Request]]:
    """Return all request types by name, as the journal stores them."""
    return {kind.__name__: kind for kind in _OPS}


def execute(request: Request, context: OpContext) -> Outcome:
    """Carry out one request on the caller's thread; raises OpError, and ReadOnlyError for any request at all when
    the program was started with --read-only."""
    name = type(request).__name__
    if context.read_only:
        raise ReadOnlyError("refuse", name, "virtdeck was started with --read-only")
    op = _OPS.get(type(request))
    if op is None:
        raise OpError("execute", name, "no op knows this request")
    return op(request, context)
