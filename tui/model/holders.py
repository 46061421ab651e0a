"""Who holds an image: domains that have it as a disk or below one, and volumes that lie on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.model.used_by import layers

if TYPE_CHECKING:
    from tui.model.domain_config import DomainConfig
    from tui.model.storage import Storage

Sides = Sequence[tuple[bool, "DomainConfig"]]
"""The configurations of a domain, each with whether it is the one that runs."""

_MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Holder:
    """A domain or volume that an image must not be taken from."""

    name: str
    """Cleaned."""
    target: str
    """The domain's disk, as vda; "" for a volume."""
    running: bool
    writes: bool
    """Whether it may write to the image: the domain's own disk, not read-only and no layer below."""
    raw_path: str = ""
    """Where a volume is on the host."""

    @property
    def words(self) -> str:
        """What it is called: `vm1 (vda, running)`, `overlay.qcow2 (lies on it)`."""
        if not self.target:
            return f"{self.name} (lies on it)"
        return f"{self.name} ({self.target}{', running' if self.running else ''})"


def holders(
    path: str, domains: Iterable[tuple[str, Sides]], storage: Storage | None, real: Callable[[str], str] = str
) -> tuple[Holder, ...]:
    """Return who holds the image at a path of the host, those that run first; `real` makes two names of one file
    alike where they can be told (symbolic links)."""
    below = {} if storage is None else {v.raw_path: v.raw_backing_path for v in storage.volumes.values()}
    wanted = real(path)
    found: dict[tuple[str, str], Holder] = {}
    for name, sides in domains:
        for running, config in sides:
            for disk in config.disks:
                found_at = [layer for layer, image in layers(disk, storage, below) if real(image) == wanted]
                if found_at:
                    writes = found_at[0] == 0 and not disk.read_only and disk.device != "cdrom"
                    old = found.get((name, disk.target))
                    if old is None or (running and not old.running):
                        found[name, disk.target] = Holder(name, disk.target, running, writes)
    for volume in storage.volumes.values() if storage is not None else ():
        if volume.raw_backing_path and real(volume.raw_backing_path) == wanted:
            found[volume.key, ""] = Holder(volume.name, "", False, False, volume.raw_path)
    return tuple(sorted(found.values(), key=lambda holder: not holder.running))


def holders_of_all(
    paths: Sequence[str],
    domains: Sequence[tuple[str, Sides]],
    storage: Storage | None,
    chain: Sequence[str],
    real: Callable[[str], str] = str,
) -> tuple[Holder, ...]:
    """Return who holds any of these images, each once; that an image of `chain` lies on one does not count."""
    own = {real(path) for path in chain}
    found = (holder for path in paths for holder in holders(path, domains, storage, real))
    others = dict.fromkeys(holder for holder in found if holder.target or real(holder.raw_path) not in own)
    return tuple(sorted(others, key=lambda holder: not holder.running))


def without_disk(sides: Sides, own: tuple[str, str] | None, key: str) -> Sides:
    """Return the configurations of the domain `key` without the disk `own` (UUID of its domain, target)."""
    if own is None or own[0] != key:
        return sides
    return [(on, replace(config, disks=tuple(d for d in config.disks if d.target != own[1]))) for on, config in sides]


def held_words(found: Sequence[Holder]) -> str:
    """Return who they are, in one line."""
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(dict.fromkeys(holder.words for holder in found[:_MOST_NAMES])) + more
