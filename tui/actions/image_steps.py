"""What the actions that run qemu-img share: whether it can be run on a volume, and what lies below that."""

from __future__ import annotations

from collections.abc import Iterator

from tui.actions.base import Context, Reason
from tui.actions.disk_images import is_local
from tui.actions.pool_steps import pool_word
from tui.model.image_info import form_of
from tui.model.plan import Step
from tui.model.storage import Pool, Storage, Volume
from tui.model.virsh import virsh
from tui.ops.pools import RefreshPool
from tui.ops.qemu_img import ELSEWHERE

_MOST_LAYERS = 200


def image_reason(context: Context, volume: Volume) -> Reason:
    """Return why qemu-img cannot be run on a volume from here; None when it can."""
    if not is_local(context):
        return ELSEWHERE
    if volume.kind != "file":
        return f"it is a {volume.kind}; qemu-img is run on files alone"
    return None if form_of(volume.format) else f"it is {volume.format or 'of no known format'}"


def qcow2_reason(context: Context, volume: Volume) -> Reason:
    """Return why a volume is no qcow2 image that qemu-img can be run on from here; None when it is."""
    if reason := image_reason(context, volume):
        return reason
    return None if volume.format == "qcow2" else f"it is {volume.format}; only qcow2 lies on another image here"


def layers(storage: Storage, volume: Volume) -> Iterator[Volume]:
    """Yield a volume and the volumes below it, as far as they are known."""
    current: Volume | None = volume
    seen: set[str] = set()
    while current is not None and current.raw_path not in seen and len(seen) < _MOST_LAYERS:
        yield current
        seen.add(current.raw_path)
        current = storage.at(current.raw_backing_path) if current.raw_backing_path else None


def held_bytes(storage: Storage, volume: Volume) -> int:
    """Return about how much a whole copy of a volume takes: what it and those below it take, its capacity at most."""
    held = sum(layer.allocation_bytes or 0 for layer in layers(storage, volume))
    return held if volume.capacity_bytes is None else min(held, volume.capacity_bytes)


def refresh_step(context: Context, pool: Pool, volume: Volume) -> Step:
    """Have libvirt read a pool anew after qemu-img changed what it had read of headers. It belongs to the volume's own
    steps: after one that failed it is not begun, but it is when the user cancelled just as that was done, so that
    nobody goes by the old chain."""
    command = virsh(context.uri, "pool-refresh", pool_word(pool))
    return Step(f"refresh {pool.name}", command, RefreshPool(pool.key), volume.key, finishes=True)
