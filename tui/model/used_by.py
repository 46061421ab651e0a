"""Who uses an image: an index over the live and persistent disks of all domains, and over backing chains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.domain_config import Disk, DomainConfig
    from tui.model.storage import Storage

_MOST_LAYERS = 200


@dataclass(frozen=True, slots=True)
class Use:
    """One use of an image by a domain."""

    domain: str
    """The UUID."""
    name: str
    target: str
    """The disk, as vda."""
    live: bool
    persistent: bool
    """On which sides of the domain it is."""
    running: bool
    read_only: bool
    """Whether the domain cannot write to it: a read-only disk, or a layer below another image."""
    shareable: bool
    layer: int
    """0 for the disk's own image, 1 for the image below it, and so on."""


def used_by(domains: Iterable[Domain], storage: Storage | None) -> Mapping[str, tuple[Use, ...]]:
    """Return the uses of every image by its path on the host. Chains are followed by what the volumes' headers say and
    by what libvirt tells of running domains; a path that neither knows ends a chain."""
    below = {} if storage is None else {v.raw_path: v.raw_backing_path for v in storage.volumes.values()}
    found: dict[str, list[Use]] = {}
    for domain in domains:
        for path, use in _uses(domain, storage, below):
            found.setdefault(path, []).append(use)
    return {path: tuple(uses) for path, uses in found.items()}


def _uses(domain: Domain, storage: Storage | None, below: Mapping[str, str]) -> Iterator[tuple[str, Use]]:
    live = _images(domain.config, storage, below) if domain.active else {}
    later = _images(domain.persistent_config, storage, below)
    for (path, target), (disk, layer) in {**later, **live}.items():
        yield (
            path,
            Use(
                domain=domain.key,
                name=domain.name,
                target=target,
                live=(path, target) in live,
                persistent=(path, target) in later,
                running=domain.active,
                read_only=disk.read_only or disk.device == "cdrom" or layer > 0,
                shareable=disk.shareable,
                layer=layer,
            ),
        )


def _images(
    config: DomainConfig | None, storage: Storage | None, below: Mapping[str, str]
) -> dict[tuple[str, str], tuple[Disk, int]]:
    """(path, target) → (disk, layer) of all images that the disks of one side reach."""
    found: dict[tuple[str, str], tuple[Disk, int]] = {}
    for disk in config.disks if config is not None else ():
        for layer, path in layers(disk, storage, below):
            found.setdefault((path, disk.target), (disk, layer))
    return found


def layers(disk: Disk, storage: Storage | None, below: Mapping[str, str]) -> list[tuple[int, str]]:
    """Return the raw paths of all images that a disk reaches, each with its layer: 0 for its own, and for the one that
    a copy or commit of it is being written to."""
    written = [(0, disk.raw_mirror)] if disk.raw_mirror else []
    return written + [(n, path) for n, path in enumerate(chain(disk, storage, below)) if path != disk.raw_mirror]


def chain(disk: Disk, storage: Storage | None, below: Mapping[str, str]) -> list[str]:
    """Return the raw paths of a disk's image and of those below it, top first; () for an empty drive."""
    path = image_of(disk, storage)
    known = [path, *disk.raw_backing] if path else []
    while known and len(known) < _MOST_LAYERS:
        lower = below.get(known[-1], "")
        if not lower or lower in known:
            break
        known.append(lower)
    return known


def image_of(disk: Disk, storage: Storage | None) -> str:
    """Return the raw path of a disk's own image: of a volume (`pool/volume`) the volume's, where the pool is active;
    "" for an empty drive."""
    if disk.source_kind != "volume" or storage is None:
        return disk.raw_source
    pool, _, name = disk.raw_source.partition("/")
    wanted = next((p.key for p in storage.pools.values() if p.raw_name == pool), "")
    volume = storage.volumes.get(f"{wanted}/{name}")
    return disk.raw_source if volume is None else volume.raw_path
