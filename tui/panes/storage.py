"""The storage pane: pools, their volumes, and who uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.kind import Kind
from tui.panes import storage_rows as rows
from tui.panes.spec import PaneSpec, View
from tui.panes.storage_detail import TABS
from tui.panes.storage_rows import StorageRow, StorageRows
from tui.panes.text import nothing_of
from tui.widgets.grid_columns import Cell, Column

if TYPE_CHECKING:
    from tui.actions.base import Target

COLUMNS: tuple[Column[StorageRow], ...] = (
    Column("name", "Name", 18, rows.name_cell, lambda row: row.order, grow=3),
    Column("state", "State/format", 13, rows.state_cell, lambda row: rows.state_cell(row).text),
    Column("kind", "Type", 8, rows.kind_cell, lambda row: rows.kind_cell(row).text or None, priority=5),
    Column(
        "size", "Size", 5, rows.capacity_cell, lambda row: rows.fact(row, "size"), "right", priority=1,
        largest_first=True,
    ),
    Column(
        "used", "Used", 5, rows.allocation_cell, lambda row: rows.fact(row, "used"), "right", priority=2,
        largest_first=True,
    ),
    Column("full", "%", 4, rows.percent_cell, lambda row: row.percent, "right", priority=3, largest_first=True),
    Column(
        "free", "Free", 5, rows.available_cell, lambda row: rows.fact(row, "free"), "right", priority=4,
        largest_first=True,
    ),
    Column(
        "promised", "Up to", 5, rows.promised_cell, lambda row: row.promised_bytes, "right", priority=4,
        largest_first=True,
    ),
    Column("by", "Used by", 16, rows.use_cell, lambda row: rows.use_cell(row).text or None, grow=1, priority=2),
    Column("path", "Path", 24, lambda row: Cell(rows.path_of(row), "dim"), rows.path_of, grow=2, priority=6),
)  # fmt: skip


def _kinds(row: StorageRow | None) -> tuple[Kind, ...]:
    if row is None or (row.pool is None and row.volume is None):
        return (Kind.HOST,)
    return (Kind.POOL, Kind.HOST) if row.is_pool else (Kind.VOLUME, Kind.HOST)


def _target(row: StorageRow) -> Target:
    return row.volume if row.volume is not None else row.pool


def _empty(view: View) -> str:
    seen = view.snapshot
    if "storage" in seen.unread and seen.storage is None:
        return "reading…" if seen.connection.live else f"{seen.connection.state.value}…"
    return "no pools here" if seen.storage is not None else nothing_of(seen.connection, "storage")


def _summary(view: View) -> str:
    storage = view.snapshot.storage
    if storage is None:
        return ""
    active = sum(pool.state.active for pool in storage.pools.values())
    more = "" if "storage" not in view.snapshot.unread else ", reading…"
    return f"{active} of {len(storage.pools)} pools active, {len(storage.volumes)} volumes{more}"


PANE: PaneSpec[StorageRow] = PaneSpec(
    id="storage",
    digit="3",
    title="Storage",
    columns=COLUMNS,
    key=lambda row: row.key,
    rows=StorageRows,
    fact=rows.fact,
    facts=rows.FACTS,
    words=lambda row: row.name,
    tabs=TABS,
    empty=_empty,
    kinds=_kinds,
    target=_target,
    summary=_summary,
    hints=(("-", "fold"),),
    hint_works=lambda row, _key: row is not None,
    fold=rows.fold_of,
    wants_storage=True,
    holds=(Kind.POOL, Kind.VOLUME),
    host_actions="pool",
)
