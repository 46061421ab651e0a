"""Who holds an image: domains that have it as a disk or below one, and volumes that lie on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from tui.model.used_by import layers

if TYPE_CHECKING:
    from tui.model.domain_config import Disk, DomainConfig
    from tui.model.storage import Storage

Sides = Sequence[tuple[bool, "DomainConfig"]]
"""The configurations of a domain, each with whether it is the one that runs."""

_MOST_NAMES = 8
_NONE: Mapping[str, str] = MappingProxyType({})


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
    form: str = ""
    """As what the domain reads it; "" where it lies below the domain's disk, or the domain does not say."""
    fixed: bool = False
    """Whether the domain's own XML names what lies below, whatever the images' headers say."""
    raw_path: str = ""
    """Of a volume, where it is."""

    @property
    def words(self) -> str:
        """What it is called: `vm1 (vda, running)`, `overlay.qcow2 (lies on it)`."""
        if not self.target:
            return f"{self.name} (lies on it)"
        return f"{self.name} ({self.target}{', running' if self.running else ''})"


Index = Mapping[str, tuple[Holder, ...]]
"""Who holds each image, by its path; those that run first."""


def index_of(
    domains: Iterable[tuple[str, Sides]],
    storage: Storage | None,
    real: Callable[[str], str] = str,
    headers: Mapping[str, str] = _NONE,
) -> Index:
    """Return who holds every image that anybody holds, by what `real` makes of its path: alike for two names of one
    file where they can be told (symbolic links). `headers` says what lies below images that are no volumes."""
    volumes = () if storage is None else storage.volumes.values()
    below = {**headers, **{volume.raw_path: volume.raw_backing_path for volume in volumes}}
    found: dict[str, dict[tuple[str, str], Holder]] = {}
    for name, sides in domains:
        for running, config in sides:
            for disk in config.disks:
                # From below, so that the uppermost place of an image that is there twice is the one that stays.
                for layer, image in reversed(layers(disk, storage, below)):
                    held = found.setdefault(real(image), {})
                    old = held.get((name, disk.target))
                    if old is None or running or not old.running:
                        held[name, disk.target] = _holder(name, disk, layer, running, image)
    for volume in volumes:
        if volume.raw_backing_path:
            lies = Holder(volume.name, "", False, False, raw_path=volume.raw_path)
            found.setdefault(real(volume.raw_backing_path), {})[volume.key, ""] = lies
    return {path: tuple(sorted(held.values(), key=lambda holder: not holder.running)) for path, held in found.items()}


def _holder(name: str, disk: Disk, layer: int, running: bool, image: str) -> Holder:
    return Holder(
        name,
        disk.target,
        running,
        writes=layer == 0 and not disk.read_only and disk.device != "cdrom",
        form=disk.format if layer == 0 and image != disk.raw_mirror else "",
        fixed=not running and bool(disk.raw_backing),
    )


def others_of(
    index: Index, paths: Iterable[str], chain: Iterable[str], real: Callable[[str], str] = str
) -> tuple[Holder, ...]:
    """Return who holds any of these images, each once; that an image of `chain` lies on one does not count."""
    own = {real(path) for path in chain}
    found = (holder for path in paths for holder in index.get(real(path), ()))
    others = dict.fromkeys(holder for holder in found if holder.target or real(holder.raw_path) not in own)
    return tuple(sorted(others, key=lambda holder: not holder.running))


def besides(found: Iterable[Holder], own: Iterable[Holder], is_own: Callable[[str], bool]) -> list[Holder]:
    """Return who of `found` holds an image other than through the one above it, whose holders are `own` and of whose
    path `is_own` says yes. Only disks are told by their names; two volumes may be called the same."""
    disks = {(holder.name, holder.target) for holder in own if holder.target}
    return [h for h in found if ((h.name, h.target) not in disks if h.target else not is_own(h.raw_path))]


def without_disk(sides: Sides, own: tuple[str, str] | None, key: str) -> Sides:
    """Return the configurations of the domain `key` without the disk `own` (UUID of its domain, target)."""
    if own is None or own[0] != key:
        return sides
    return [(on, replace(config, disks=tuple(d for d in config.disks if d.target != own[1]))) for on, config in sides]


def held_words(found: Sequence[Holder]) -> str:
    """Return who they are, in one line."""
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(dict.fromkeys(holder.words for holder in found[:_MOST_NAMES])) + more


def misread_words(found: Iterable[Holder], form: str) -> str:
    """Return that a domain reads an image as another format than its header says, "" when nobody does: a guest may have
    written that header, and what it names would be read with the host's rights."""
    wrong = next((h for h in found if h.form and h.form != form and "qcow2" in (h.form, form)), None)
    return f"its header says {form}, but {wrong.name} reads it as {wrong.form}" if wrong is not None else ""
