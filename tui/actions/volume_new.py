"""A volume that is to be made: by an action on its pool, or on a domain that is to have it."""

from __future__ import annotations

from dataclasses import dataclass

from tui.actions.base import Context, Reason
from tui.actions.pool_steps import plain_name, pool_word
from tui.actions.volume_steps import volume_words
from tui.model import units
from tui.model.plan import Step
from tui.model.storage import Pool
from tui.model.text import clean
from tui.model.virsh import virsh
from tui.model.volume_xml import new_volume_xml
from tui.ops import volumes as ops

FILE_POOLS = frozenset({"dir", "fs", "netfs", "vstorage", "gluster"})
"""Types of pool whose volumes are files, and so may have a format; the others make raw ones alone."""
FIXED_POOLS = frozenset({"iscsi", "iscsi-direct", "scsi", "mpath"})
"""Types of pool without a createVol or buildVol (src/storage/storage_backend_*.c)."""


@dataclass(frozen=True, slots=True)
class NewVolume:
    """The volume asked for; sizes in bytes, no backing file: ""."""

    name: str
    form: str
    capacity: int
    allocation: int = 0
    metadata: bool = False
    backing_path: str = ""
    backing_format: str = ""


def none_made(pool: Pool) -> Reason:
    """Return why no volume can be made in a pool, None when one can."""
    if not pool.state.active:
        return f"it is {pool.state.value}; start it first"
    return f"libvirt makes no volumes in a pool of type {pool.kind}" if pool.kind in FIXED_POOLS else None


def path_in(pool: Pool, name: str) -> str:
    """Return where a new volume of a pool will be on the host; "" where its volumes have no paths."""
    return f"{pool.raw_path.rstrip('/')}/{name}" if pool.kind in (*FILE_POOLS, "logical") and pool.raw_path else ""


def create_step(context: Context, pool: Pool, new: NewVolume) -> Step:
    """Return the step that makes a volume; it has no undo."""
    name = [new.name] if plain_name(new.name) else ["--name", new.name]
    words = ["vol-create-as", pool_word(pool), *name, str(new.capacity)]
    words += ["--allocation", str(new.allocation), "--format", new.form]
    below = new.backing_path, new.backing_format
    words += ["--backing-vol", below[0], "--backing-vol-format", below[1]] if below[0] else []
    words += ["--prealloc-metadata"] if new.metadata else []
    xml = new_volume_xml(new.name, new.capacity, new.allocation, new.form, *below)
    request = ops.CreateVolume(pool.key, new.name, xml, new.allocation, new.metadata, below[0])
    title = f"create {clean(new.name)} ({new.form}, {units.byte_size(new.capacity)}) in {pool.name}"
    return Step(title, virsh(context.uri, *words), request, pool.key)


def delete_again(context: Context, pool: Pool, name: str, *, loses: bool = True) -> Step:
    """Return the step that removes what was made, unless somebody uses it by then."""
    command = virsh(context.uri, *volume_words("vol-delete", pool, name))
    request = ops.DeleteVolume(pool.key, name)
    lost = f"{clean(name)}, with what was written to it since" if loses else None
    return Step(f"delete {clean(name)} of {pool.name}", command, request, pool.key, loses=lost)
