"""Storage pools: started, refreshed, built, stopped, deleted, undefined."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions import pool_steps as steps
from tui.actions.base import Action, Context, FieldError, Reason, Target, Values, choice
from tui.actions.define import kept_path
from tui.actions.pool_define import ACTION as DEFINE
from tui.actions.pool_define import CREATE
from tui.actions.pool_steps import as_pool, listed, named, pool_step, users_of
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.storage import Pool, PoolState
from tui.ops import pools as ops

_BUILDS = frozenset({"dir", "fs", "netfs", "logical", "disk", "vstorage", "zfs"})
"""Types with a buildPool in src/storage/storage_backend_*.c; those with a deletePool are all of them but disk."""
_FORMATS = frozenset({"fs", "logical", "disk"})
"""Types whose build takes VIR_STORAGE_POOL_BUILD_NO_OVERWRITE and _OVERWRITE, for they write to a device."""
_READS = ("storage", "processes")


def _start_reason(_context: Context, target: Target) -> Reason:
    state = as_pool(target).state
    return None if state is PoolState.INACTIVE else f"it is {state.value} already"


def _needs_active(_context: Context, target: Target) -> Reason:
    pool = as_pool(target)
    return None if pool.state.active else f"it is {pool.state.value}"


def _start(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    return [steps.start_step(context, named(as_pool(target)))]


def _refresh(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    pool = named(as_pool(target))
    words = ("pool-refresh", pool.word)
    return [pool_step(context, pool, f"refresh {pool.name}", words, ops.RefreshPool(pool.key))]


def _destroy_reason(context: Context, target: Target) -> Reason:
    pool = as_pool(target)
    if pool.state in (PoolState.INACTIVE, PoolState.BUILDING):
        return f"it is {pool.state.value}"
    return steps.users_unread(context.snapshot)


def _destroy(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    return [_stop(context, as_pool(target))]


def _stop(context: Context, pool: Pool) -> Step:
    """Stop it. What is in it stays, but the domains that run from it lose what libvirt does for it."""
    running = users_of(context.snapshot, pool).running
    parts = [] if pool.persistent else ["the pool itself: it is transient"]
    parts += [f"the pool under running domains: {listed(running)}"] if running else []
    again = (_start_again(context, pool),) if pool.persistent else ()
    return steps.stop_step(context, named(pool), again, loses="; ".join(parts) or None, used=bool(running))


def _start_again(context: Context, pool: Pool) -> Step:
    """Start it as it was before; where that is undone in turn, nothing more is offered than libvirt's own stop."""
    it = named(pool)
    return pool_step(context, it, f"start {it.name}", ("pool-start", it.word), ops.StartPool(it.key))


def _destroy_notes(context: Context, target: Target, _values: Values) -> Sequence[str]:
    pool = as_pool(target)
    other = users_of(context.snapshot, pool).other
    notes = [f"{pool.name}: its volumes stay where they are"]
    return [*notes, f"{pool.name}: used at the next boot of {listed(other)}"] if other else notes


def _autostart_reason(_context: Context, target: Target) -> Reason:
    return None if as_pool(target).persistent else "it is transient: libvirt forgets it when it stops"


def _autostart(context: Context, target: Target, values: Values) -> Sequence[Step]:
    pool = as_pool(target)
    on = values["on"] == "on" if values["on"] != "toggle" else not pool.autostart
    undo = (steps.autostart_step(context, named(pool), pool.autostart),)
    return [steps.autostart_step(context, named(pool), on, undo)]


def _build_reason(context: Context, target: Target) -> Reason:
    pool = as_pool(target)
    if pool.kind not in _BUILDS:
        return f"there is nothing to build for a pool of type {pool.kind}"
    return steps.needs_inactive(context, target)


def _build(context: Context, target: Target, values: Values) -> Sequence[Step]:
    pool, overwrite = as_pool(target), values["overwrite"]
    if overwrite != "default" and pool.kind not in _FORMATS:
        raise FieldError("overwrite", f"a pool of type {pool.kind} is a directory: its build formats nothing")
    loses = f"all data on {pool.source or 'its source'}" if overwrite == "overwrite" else None
    return [steps.build_step(context, named(pool), overwrite, loses=loses)]


_MAKES = {
    "fs": "its directory, and with no-overwrite or overwrite a filesystem on its device",
    "logical": "the volume group of its devices",
    "disk": "a partition table on its device",
    "zfs": "the zpool",
}


def _build_notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    pool = as_pool(target)
    return (f"{pool.name}: makes {_MAKES.get(pool.kind, f'the directory {pool.path}')}",)


def _delete_reason(context: Context, target: Target) -> Reason:
    pool = as_pool(target)
    if pool.kind not in _BUILDS - {"disk"}:
        return f"libvirt cannot delete what is behind a pool of type {pool.kind}"
    return steps.needs_inactive(context, target) or steps.users_unread(context.snapshot)


def _delete(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    pool = as_pool(target)
    users = users_of(context.snapshot, pool)
    if names := (*users.running, *users.other):
        raise FieldError(_DELETE, f"{pool.name} is used by {listed(names)}")
    it = named(pool)
    folder = pool.kind in ops.DIRECTORIES
    loses = f"the directory {pool.path}" if folder else f"{pool.source or pool.path} with all its volumes"
    undo = (steps.build_step(context, it),) if folder else ()
    title, words = f"delete the storage of {it.name}", ("pool-delete", it.word)
    return [pool_step(context, it, title, words, ops.DeletePool(pool.key), undo, loses=loses, typed=True)]


def _delete_notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    pool = as_pool(target)
    left = [f"{pool.name}: stays defined; undefine it to be rid of it"]
    empty = f"{pool.name}: libvirt removes the directory only when it is empty"
    return [empty, *left] if pool.kind in ops.DIRECTORIES else left


def _undefine_reason(context: Context, target: Target) -> Reason:
    pool = as_pool(target)
    if not pool.persistent:
        return "it is transient: it has no persistent configuration"
    if pool.state is PoolState.BUILDING:
        return "it is being built"
    return steps.users_unread(context.snapshot) if pool.state is not PoolState.INACTIVE else None


def _undefine(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    """Undefine it; libvirt wants one that is active stopped before."""
    pool = as_pool(target)
    it, backup = named(pool), kept_path(context, pool.raw_name)
    undo = [steps.define_again_step(context, it, backup, f"define {it.name} again")]
    undo += [steps.autostart_step(context, it, True)] if pool.autostart else []
    loses = "the configuration (its XML is kept for undo)"
    last = steps.undefine_step(context, it, undo, loses=loses)
    return [last] if pool.state is PoolState.INACTIVE else [_stop(context, pool), last]


def _undefine_notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    pool = as_pool(target)
    return (f"{pool.name}: what is in it stays{f', in {pool.path}' if pool.path else ''}",)


_DELETE = "Delete the storage of"

ACTIONS: tuple[Action, ...] = (
    Action(
        "pool.start", "Start", "start", "s", Kind.POOL, "Start the pool, so that its volumes can be used.", _start,
        _start_reason, rank=10, reads=_READS,
    ),
    Action(
        "pool.destroy", "Stop", "stop", "x", Kind.POOL,
        "Stop the pool; its volumes stay. Its name is asked for while running domains use it.", _destroy,
        _destroy_reason, rank=12, reads=_READS, notes=_destroy_notes,
    ),
    Action(
        "pool.refresh", "Refresh", "refresh", "r", Kind.POOL, "Look anew at what is in the pool.", _refresh,
        _needs_active, rank=11, reads=_READS,
    ),
    Action(
        "pool.autostart", "Autostart", "autostart", "a", Kind.POOL, "Start the pool with the host, or not.",
        _autostart, _autostart_reason, (choice("on", "Autostart", ("toggle", "on", "off")),), reads=_READS,
    ),
    Action(
        "pool.build", "Build", "build", "b", Kind.POOL,
        "Make what is behind the pool: its directory, filesystem, volume group or partition table.", _build,
        _build_reason,
        (choice("overwrite", "Format", ("default", "no-overwrite", "overwrite"),
                "no-overwrite formats what is empty, overwrite whatever is there"),),
        bulk=False, reads=_READS, notes=_build_notes,
    ),
    Action(
        "pool.delete", _DELETE, "delete", "K", Kind.POOL,
        "Delete what is behind the pool: its empty directory, or its volume group.", _delete, _delete_reason,
        bulk=False, reads=_READS, notes=_delete_notes,
    ),
    Action(
        "pool.undefine", "Undefine", "undefine", "D", Kind.POOL,
        "Remove the configuration of the pool; what is in it stays.", _undefine, _undefine_reason, reads=_READS,
        notes=_undefine_notes,
    ),
    DEFINE,
    CREATE,
)  # fmt: skip
