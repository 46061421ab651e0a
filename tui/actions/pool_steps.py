"""What the actions on pools share: the pool, its word for virsh, the steps that others undo, and who uses it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.actions.base import Context, Reason, Target
from tui.actions.define import kept_path
from tui.model.plan import Request, Step
from tui.model.storage import Pool, PoolState
from tui.model.storage_xml import HOLDS_ITS_PATH
from tui.model.used_by import used_by
from tui.model.virsh import virsh
from tui.ops import pools as ops

if TYPE_CHECKING:
    from tui.model.snapshot import HostSnapshot

# virsh tries a word of this length as a UUID before it tries it as a name.
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOST_NAMES = 8


def as_pool(target: Target) -> Pool:
    """Return `target` as the pool that a pool action is only ever called with; raises TypeError otherwise."""
    if not isinstance(target, Pool):
        raise TypeError(f"not a pool: {target!r}")
    return target


def plain_name(name: str) -> bool:
    """Whether virsh takes a name as it is: it is no option, and can be typed."""
    return name.isprintable() and name == name.strip() != "" and not name.startswith("-")


def word_of(raw_name: str, key: str) -> str:
    """Return what virsh takes for this pool or network and nothing else: its name, or its UUID where virsh would read
    the name as an option or a UUID."""
    return raw_name if plain_name(raw_name) and not _UUID.fullmatch(raw_name) else key


def pool_word(pool: Pool) -> str:
    """Return what virsh takes for this pool and nothing else."""
    return word_of(pool.raw_name, pool.key)


@dataclass(frozen=True, slots=True)
class Named:
    """A pool or network, for steps: one that is there, or one that an earlier step defines. `word` is what virsh
    takes."""

    key: str
    name: str
    word: str


def named(pool: Pool) -> Named:
    """Return a pool that is there, for steps."""
    return Named(pool.key, pool.name, pool_word(pool))


def pool_step(
    context: Context,
    pool: Named,
    title: str,
    words: Sequence[str],
    request: Request,
    undo: tuple[Step, ...] = (),
    *,
    loses: str | None = None,
    typed: bool = False,
) -> Step:
    """Return a step whose command is `virsh` with `words`."""
    return Step(title, virsh(context.uri, *words), request, pool.key, undo, loses, typed=typed)


def start_step(context: Context, pool: Named) -> Step:
    """Start it; undo stops it, unless a running domain uses it by then."""
    request = ops.StartPool(pool.key)
    undo = (stop_step(context, pool),)
    return pool_step(context, pool, f"start {pool.name}", ("pool-start", pool.word), request, undo)


def stop_step(
    context: Context, pool: Named, undo: tuple[Step, ...] = (), *, loses: str | None = None, used: bool = False
) -> Step:
    """Stop it; while running domains use it only when `used` says so, behind its typed name."""
    request = ops.DestroyPool(pool.key, unused=not used)
    words = ("pool-destroy", pool.word)
    return pool_step(context, pool, f"stop {pool.name}", words, request, undo, loses=loses, typed=used)


def autostart_step(context: Context, pool: Named, on: bool, undo: tuple[Step, ...] = ()) -> Step:
    """Have it start with the host, or not."""
    words = ("pool-autostart", pool.word, *(() if on else ("--disable",)))
    title = f"autostart {pool.name} {'on' if on else 'off'}"
    return pool_step(context, pool, title, words, ops.SetPoolAutostart(pool.key, on), undo)


def build_step(context: Context, pool: Named, overwrite: str = "default", *, loses: str | None = None) -> Step:
    """Build it; what it overwrites is typed."""
    words = ("pool-build", pool.word, *(() if overwrite == "default" else (f"--{overwrite}",)))
    request = ops.BuildPool(pool.key, overwrite)
    return pool_step(context, pool, f"build {pool.name}", words, request, loses=loses, typed=loses is not None)


def define_again_step(context: Context, pool: Named, backup: str, title: str) -> Step:
    """Define it of XML that was kept."""
    request = ops.DefinePool(backup, validate=False)
    return pool_step(context, pool, title, ("pool-define", backup), request)


def undefine_step(context: Context, pool: Named, undo: Sequence[Step] = (), *, loses: str | None = None) -> Step:
    """Undefine it; its XML is kept where the undo that is given may look for it."""
    kept = [step.request.path for step in undo if isinstance(step.request, ops.DefinePool)]
    request = ops.UndefinePool(pool.key, kept[0] if kept else kept_path(context, pool.name))
    words = ("pool-undefine", pool.word)
    return pool_step(context, pool, f"undefine {pool.name}", words, request, tuple(undo), loses=loses)


def needs_inactive(_context: Context, target: Target) -> Reason:
    """Return why the pool cannot be started, built or deleted; None when it is inactive."""
    pool = as_pool(target)
    if pool.state is PoolState.INACTIVE:
        return None
    return "it is being built" if pool.state is PoolState.BUILDING else f"it is {pool.state.value}; stop it first"


def users_unread(snapshot: HostSnapshot) -> Reason:
    """Return why it is not known yet who uses a pool, None when it is."""
    if snapshot.unread & {"domains", "configs"}:
        return "the domains are not read yet, so who uses it is not known"
    return "not all volumes are read yet, so who uses it is not known" if "storage" in snapshot.unread else None


@dataclass(frozen=True, slots=True)
class Users:
    """Who has an image of a pool, as shown: `running` by the live side, `other` by the persistent one alone."""

    running: tuple[str, ...]
    other: tuple[str, ...]


def users_of(snapshot: HostSnapshot, pool: Pool) -> Users:
    """Return the domains and QEMU processes that have an image of the pool, by its volumes and by paths below its
    own, which the pool may not have looked at yet."""
    storage = snapshot.storage
    paths = {volume.raw_path for volume in storage.volumes_of(pool.key)} if storage is not None else set()
    running: dict[str, list[str]] = {}
    other: dict[str, list[str]] = {}
    for path, uses in used_by(snapshot.domains.values(), storage).items():
        if path in paths or _lies_in(pool, path):
            for use in uses:
                targets = (running if use.live else other).setdefault(use.name, [])
                if use.target not in targets:
                    targets.append(use.target)
    for process in snapshot.unmanaged().values():
        if any(drive.raw_path in paths or _lies_in(pool, drive.raw_path) for drive in process.drives):
            running.setdefault(f"{process.name} (pid {process.pid})", [])
    return Users(_said(running), _said({name: targets for name, targets in other.items() if name not in running}))


def _said(found: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(name + (f" ({', '.join(sorted(t))})" if (t := found[name]) else "") for name in sorted(found))


def _lies_in(pool: Pool, path: str) -> bool:
    if path.startswith(f"{pool.raw_name}/"):
        return True
    if pool.kind not in HOLDS_ITS_PATH or not pool.raw_path:
        return False
    return os.path.normpath(path).startswith(os.path.normpath(pool.raw_path).rstrip("/") + "/")


def listed(names: Iterable[str]) -> str:
    """Return names in one line, the first few of many."""
    every = list(names)
    more = f" and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
    return ", ".join(every[:_MOST_NAMES]) + more
