"""The I/O scheduler of the disks under a storage pool."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.pool_host import BlockDevice, PoolHost
from tui.model.storage import Pool
from tui.ops.block_scheduler import SetIoScheduler, scheduler_path

_DISKS = "disks"
"""The word for all devices at the bottom."""


def _host_of(context: Context, target: Target) -> PoolHost | None:
    hosts = context.snapshot.pool_hosts
    return hosts.get(target.key) if hosts is not None and target is not None else None


def _reason(context: Context, target: Target) -> Reason:
    host = context.snapshot.host
    if host is not None and not host.local:
        return "the host is not this machine"
    if isinstance(target, Pool) and not target.state.active:
        return "it is not active"
    found = _host_of(context, target)
    if found is None:
        return "its disk is not read yet"
    if found.problem:
        return f"its disk cannot be read: {found.problem}"
    if not found.devices:
        return "it is on no disk of this machine" + (f" ({found.filesystem})" if found.filesystem else "")
    if not found.settable:
        return f"{found.devices[-1].name} has no I/O scheduler to choose"
    return None if any(device.writable for device in found.settable) else "only root may set it"


def _steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    host = _host_of(context, target)
    if host is None or target is None:
        raise FieldError("device", "its disk is not read yet")
    wanted = values["scheduler"].strip()
    devices = _devices(host, values["device"].strip())
    for device in devices:
        if wanted not in device.schedulers:
            raise FieldError("scheduler", f"{device.name} has {', '.join(device.schedulers)}")
        if not device.writable:
            raise FieldError("device", f"only root may set that of {device.name}")
    changed = [device for device in devices if device.scheduler != wanted]
    if not changed:
        names = " and ".join(device.name for device in devices)
        raise TargetError("scheduler", f"{names} {'uses' if len(devices) == 1 else 'use'} {wanted} already")
    return [
        _step(target.key, device, wanted, (_step(target.key, device, device.scheduler),) if device.scheduler else ())
        for device in changed
    ]


def _devices(host: PoolHost, word: str) -> list[BlockDevice]:
    """The devices that a word means: all disks at the bottom, or one by its name."""
    if word == _DISKS:
        found = [device for device in host.settable if device.bottom] or list(host.settable[-1:])
    else:
        found = [device for device in host.settable if device.name == word]
    if not found:
        names = ", ".join(device.name for device in host.settable)
        raise FieldError("device", f"must be {_DISKS}, or one of: {names}")
    return found


def _step(key: str, device: BlockDevice, scheduler: str, undo: tuple[Step, ...] = ()) -> Step:
    # No shell, and nothing to redirect into a file but awk's own.
    program = f'BEGIN {{ print "{scheduler}" > "{scheduler_path(device.name)}" }}'
    request = SetIoScheduler(device.name, scheduler)
    return Step(f"use I/O scheduler {scheduler} on {device.name}", ("awk", program), request, key, undo)


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    host = _host_of(context, target)
    names = ", ".join(device.name for device in _devices(host, values["device"].strip())) if host is not None else ""
    return (
        f"all that is on {names} is served by it, not this pool alone",
        "it lasts until the host boots; a udev rule makes it lasting",
    )


def _default_scheduler(context: Context, targets: Sequence[Target]) -> str:
    host = _host_of(context, targets[0]) if targets else None
    bottom = [device for device in host.settable if device.bottom] if host is not None else []
    return bottom[0].scheduler if bottom else ""


ACTIONS: tuple[Action, ...] = (
    Action(
        "pool.scheduler", "Set I/O scheduler of", "scheduler", "f", Kind.POOL,
        "Have the disks under the pool use another I/O scheduler; its detail shows which there are.",
        _steps, _reason,
        (
            Field("scheduler", "Scheduler", FieldKind.TEXT, _default_scheduler, help="such as none or mq-deadline"),
            Field(
                "device", "Device", FieldKind.TEXT, lambda _context, _targets: _DISKS,
                help="disks: all at the bottom; or one by name", optional=True,
            ),
        ),
        notes=_notes,
        rank=85,
        reads=("pool_hosts",),
    ),
)  # fmt: skip
