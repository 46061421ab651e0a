"""Who holds an image: domains that have it as a disk or below one, and volumes that lie on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from tui.model.used_by import chain

if TYPE_CHECKING:
    from tui.model.domain_config import DomainConfig
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


def holders(
    path: str,
    domains: Iterable[tuple[str, Sides]],
    storage: Storage | None,
    real: Callable[[str], str] = str,
    headers: Mapping[str, str] = _NONE,
) -> tuple[Holder, ...]:
    """Return who holds the image at a path of the host, those that run first; `real` makes two names of one file
    alike where they can be told (symbolic links), `headers` says what lies below images that are no volumes."""
    volumes = {} if storage is None else {v.raw_path: v.raw_backing_path for v in storage.volumes.values()}
    below = {**headers, **volumes}
    wanted = real(path)
    found: dict[tuple[str, str], Holder] = {}
    for name, sides in domains:
        for running, config in sides:
            for disk in config.disks:
                layers = [layer for layer, image in enumerate(chain(disk, storage, below)) if real(image) == wanted]
                if layers:
                    writes = layers[0] == 0 and not disk.read_only and disk.device != "cdrom"
                    old = found.get((name, disk.target))
                    if old is None or (running and not old.running):
                        form = disk.format if layers[0] == 0 else ""
                        fixed = not running and bool(disk.raw_backing)
                        found[name, disk.target] = Holder(name, disk.target, running, writes, form, fixed)
    for volume in storage.volumes.values() if storage is not None else ():
        if volume.raw_backing_path and real(volume.raw_backing_path) == wanted:
            found[volume.key, ""] = Holder(volume.name, "", False, False, raw_path=volume.raw_path)
    return tuple(sorted(found.values(), key=lambda holder: not holder.running))


def held_words(found: Sequence[Holder]) -> str:
    """Return who they are, in one line."""
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(dict.fromkeys(holder.words for holder in found[:_MOST_NAMES])) + more


def misread_words(found: Iterable[Holder], form: str) -> str:
    """Return that a domain reads an image as another format than its header says, "" when nobody does: a guest may have
    written that header, and what it names would be read with the host's rights."""
    wrong = next((h for h in found if h.form and h.form != form and "qcow2" in (h.form, form)), None)
    return f"its header says {form}, but {wrong.name} reads it as {wrong.form}" if wrong is not None else ""
