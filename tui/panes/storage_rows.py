"""Rows of the storage pane: pools, each with its volumes below it, and images that lie in no pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.text import clean, natural
from tui.widgets.grid_columns import Cell

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.storage import Pool, Storage, Volume
    from tui.model.used_by import Use
    from tui.panes.spec import View
    from tui.widgets.grid_filter import Fact

_FULL, _FILLING = 95, 85
_OUTSIDE = "outside any pool"
_LAST = "￿"


@dataclass(frozen=True, slots=True, eq=False)
class StorageRow:
    """A pool, a volume, or an image of a domain outside any pool; the same object while nothing changed."""

    key: str
    name: str
    pool: Pool | None
    volume: Volume | None
    image: str
    """The path of an image outside any pool, cleaned; "" for pools and volumes."""
    uses: tuple[Use, ...]
    order: tuple[object, ...]
    volumes: int = 0
    """How many volumes the pool has."""
    promised_bytes: int | None = None
    """What the volumes of the pool may grow to, all together."""
    folded: bool = False
    """Whether the volumes of the pool are folded away."""
    reading: bool = False
    """Whether its volumes are yet to be read."""

    @property
    def is_pool(self) -> bool:
        """Whether it is a pool rather than something in one."""
        return self.volume is None and not self.image

    @property
    def raw_path(self) -> str:
        """Its path on the host."""
        if self.volume is not None:
            return self.volume.raw_path
        return self.pool.raw_path if self.pool is not None else self.key

    @property
    def overcommitted(self) -> bool:
        """Whether the volumes of a pool may grow to more than it holds."""
        capacity = self.pool.capacity_bytes if self.pool is not None else None
        return bool(capacity and self.promised_bytes and self.promised_bytes > capacity)

    @property
    def percent(self) -> float | None:
        """How full a pool is, or how much of a volume is allocated; None: not known."""
        thing = self.volume or self.pool
        if thing is None or not thing.capacity_bytes or thing.allocation_bytes is None:
            return None
        return thing.allocation_bytes * 100 / thing.capacity_bytes


class StorageRows:
    """Makes the rows of a view; what did not change is not made again."""

    def __init__(self) -> None:
        self._made_of: tuple[object, ...] = ()
        self._rows: tuple[StorageRow, ...] = ()

    def __call__(self, view: View) -> Sequence[StorageRow]:
        """Return pools by name, each followed by its volumes, then images outside any pool."""
        seen = view.snapshot
        parts = (seen.storage, seen.domains, seen.unread, view.folded)
        if len(self._made_of) == len(parts) and all(a is b for a, b in zip(parts, self._made_of, strict=True)):
            return self._rows
        self._made_of = parts
        before = {row.key: row for row in self._rows}
        # Until all volumes are read it is not known which images lie in no pool.
        whole = "storage" not in seen.unread
        self._rows = tuple(_rows(seen.storage, seen.domains, before, view.folded, whole=whole))
        return self._rows


def _rows(
    storage: Storage | None,
    domains: Mapping[str, Domain],
    before: Mapping[str, StorageRow],
    folded: Set[str],
    *,
    whole: bool,
) -> list[StorageRow]:
    if storage is None:
        return []
    # Imported with the first storage, which is after the first picture.
    from tui.model.used_by import used_by

    uses = used_by(domains.values(), storage)
    of_pool: dict[str, list[Volume]] = {key: [] for key in storage.pools}
    for volume in storage.volumes.values():
        of_pool[volume.pool].append(volume)
    rows: list[StorageRow] = []
    for pool in storage.pools.values():
        volumes, reading = of_pool[pool.key], pool.key in storage.unlisted
        head = _pool_row(before.get(pool.key), pool, volumes, folded=pool.key in folded, reading=reading)
        rows.append(head)
        rows += [_volume_row(before.get(v.key), head, v, uses.get(v.raw_path, ())) for v in volumes]
    if whole:
        known = {volume.raw_path for volume in storage.volumes.values()}
        rows += [_outside_row(before.get(path), path, its) for path, its in uses.items() if path and path not in known]
    return sorted(rows, key=lambda row: row.order)


def _pool_row(
    old: StorageRow | None, pool: Pool, volumes: Sequence[Volume], *, folded: bool, reading: bool
) -> StorageRow:
    promised = sum(volume.capacity_bytes or 0 for volume in volumes) if volumes else None
    parts = (pool, len(volumes), promised, folded, reading)
    if old is not None and (old.pool, old.volumes, old.promised_bytes, old.folded, old.reading) == parts:
        return old
    return StorageRow(pool.key, pool.name, pool, None, "", (), (natural(pool.name), ()), *parts[1:])


def _volume_row(old: StorageRow | None, head: StorageRow, volume: Volume, uses: tuple[Use, ...]) -> StorageRow:
    """The row of a volume below `head`, the row of its pool."""
    if old is not None and old.volume is volume and old.pool is head.pool and old.uses == uses:
        return old
    order = old.order if old is not None else (head.order[0], natural(volume.name))
    return StorageRow(volume.key, volume.name, head.pool, volume, "", uses, order)


def _outside_row(old: StorageRow | None, path: str, uses: tuple[Use, ...]) -> StorageRow:
    if old is not None and old.uses == uses:
        return old
    return StorageRow(path, clean(path), None, None, clean(path), uses, (natural(_LAST), natural(path)))


_STATES = {
    "running": ("●", "good"),
    "building": ("◔", "warn"),
    "degraded": ("⚠", "warn"),
    "inaccessible": ("✖", "bad"),
    "inactive": ("○", "dim"),
}


def name_cell(row: StorageRow) -> Cell:
    """Return the name; what is in a pool stands in from it."""
    if not row.is_pool:
        # Of an image in no pool the end of its path; all of it is in the detail and its own column.
        return Cell("  " + (row.image.rpartition("/")[2] or row.name))
    return Cell(f"{'·' if not row.volumes else '▸' if row.folded else '▾'} {row.name}", "title")


def fold_of(row: StorageRow) -> str | None:
    """Return the key of the pool that a row is, or lies in; None for images outside."""
    return row.pool.key if row.pool is not None else None


def state_cell(row: StorageRow) -> Cell:
    """Return the state of a pool, the format of a volume."""
    if row.volume is not None:
        return Cell(row.volume.format or row.volume.kind or "?", "" if row.volume.format else "unknown")
    if row.pool is None:
        return Cell("outside pools", "warn")
    if row.pool.problem:
        return Cell("⚠ incomplete" if row.volumes else "⚠ cannot be listed", "bad")
    glyph, style = _STATES[row.pool.state.value]
    return Cell(f"{glyph} {row.pool.state.value}", style)


def kind_cell(row: StorageRow) -> Cell:
    """Return the type of a pool; of a volume whether it is an overlay."""
    if row.volume is not None:
        return Cell("overlay" if row.volume.backing_path else "", "dim")
    return Cell(row.pool.kind if row.pool is not None else "")


def capacity_cell(row: StorageRow) -> Cell:
    """Return the size."""
    thing = row.volume or row.pool
    return _size(thing.capacity_bytes if thing is not None else None, row)


def allocation_cell(row: StorageRow) -> Cell:
    """Return what is taken of it."""
    thing = row.volume or row.pool
    return _size(thing.allocation_bytes if thing is not None else None, row)


def available_cell(row: StorageRow) -> Cell:
    """Return what a pool has left."""
    if row.pool is None or row.volume is not None:
        return Cell("")
    return _size(row.pool.available_bytes, row)


def promised_cell(row: StorageRow) -> Cell:
    """Return what the volumes of a pool may grow to, all together; coloured where the pool cannot hold it."""
    if row.promised_bytes is None or row.pool is None:
        return Cell("")
    return Cell(units.byte_size(row.promised_bytes), "warn" if row.overcommitted else "")


def percent_cell(row: StorageRow) -> Cell:
    """Return how full it is; a pool that fills up is coloured."""
    percent = row.percent
    if percent is None:
        return Cell("")
    if not row.is_pool:
        return Cell(units.percent(percent), "dim")
    return Cell(units.percent(percent), "bad" if percent >= _FULL else "warn" if percent >= _FILLING else "")


def _size(count: int | None, row: StorageRow) -> Cell:
    if count is not None:
        return Cell(units.byte_size(count))
    inactive = row.pool is not None and not row.pool.state.active
    return Cell("") if inactive or row.image else Cell("?", "unknown")


def use_cell(row: StorageRow) -> Cell:
    """Return who uses it: running domains first; of a pool the number of its volumes."""
    if row.is_pool:
        if row.reading:
            return Cell("reading…", "dim")
        return Cell(f"{row.volumes} volume{'s' if row.volumes > 1 else ''}" if row.volumes else "", "dim")
    if not row.uses:
        return Cell("")
    names = dict.fromkeys(use.name for use in sorted(row.uses, key=lambda use: not use.running))
    first, more = next(iter(names)), len(names) - 1
    return Cell(first + (f" +{more}" if more else ""), "good" if any(use.running for use in row.uses) else "")


def path_of(row: StorageRow) -> str:
    """Return the path, cleaned."""
    if row.volume is not None:
        return row.volume.path
    return row.pool.path if row.pool is not None else row.image


FACTS = (
    "name",
    "pool",
    "kind",
    "state",
    "format",
    "size",
    "used",
    "free",
    "full",
    "promised",
    "by",
    "path",
    "backing",
    "autostart",
)


def fact(row: StorageRow, name: str) -> Fact:
    """Return what the filter language calls `name`: sizes in bytes, shares in percent, None for unknown."""
    texts = {
        "name": row.name,
        "path": path_of(row),
        "pool": row.pool.name if row.pool is not None else _OUTSIDE,
        "by": " ".join(dict.fromkeys(use.name for use in row.uses)),
    }
    if name in texts:
        return texts[name]
    if name == "full":
        return row.percent
    if name == "promised":
        return row.promised_bytes
    if row.volume is not None:
        return _volume_fact(row.volume, name)
    return _pool_fact(row.pool, name) if row.pool is not None else None


def _pool_fact(pool: Pool, name: str) -> Fact:
    facts: dict[str, Fact] = {
        "kind": pool.kind,
        "state": pool.state.value,
        "size": pool.capacity_bytes,
        "used": pool.allocation_bytes,
        "free": pool.available_bytes,
        "autostart": "yes" if pool.autostart else "no",
    }
    return facts.get(name)


def _volume_fact(volume: Volume, name: str) -> Fact:
    facts: dict[str, Fact] = {
        "kind": "volume",
        "format": volume.format,
        "size": volume.capacity_bytes,
        "used": volume.allocation_bytes,
        "backing": volume.backing_path,
    }
    return facts.get(name)
