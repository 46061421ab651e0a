"""The domains pane: what runs here, by libvirt or by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.domain import DomainState
from tui.model.host import ConnectionState
from tui.model.kind import Kind
from tui.panes import domain_rows as rows
from tui.panes.domain_detail import TABS
from tui.panes.domain_rows import DomainRow, DomainRows
from tui.panes.spec import PaneSpec, View
from tui.widgets.grid_columns import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tui.actions.base import Target
    from tui.model.domain import Domain


COLUMNS: tuple[Column[DomainRow], ...] = (
    Column("name", "Name", 16, lambda row: Cell(row.name), lambda row: row.order, grow=3),
    Column("state", "State", 15, rows.state_cell, lambda row: rows.state_cell(row).text, grow=1),
    Column("cpu", "CPU%", 4, rows.cpu_cell, lambda row: row.cpu_percent, "right", priority=1, largest_first=True),
    Column("spark", "Load", rows.SPARK_WIDTH, lambda row: Cell(row.spark, "accent"), priority=7),
    Column(
        "vcpu", "vCPU", 5, rows.vcpu_cell, lambda row: rows.fact(row, "vcpu"), "right", priority=3, largest_first=True
    ),
    Column("mem", "Memory", 11, rows.memory_cell, rows.memory_now_kib, "right", priority=2, largest_first=True),
    Column(
        "used", "Used", 5, rows.used_cell, lambda row: rows.fact(row, "used"), "right", priority=5, largest_first=True
    ),
    Column(
        "disk", "Disk rd/wr", 11, rows.disk_cell, lambda row: rows.fact(row, "disk"), "right", priority=8,
        largest_first=True,
    ),
    Column(
        "net", "Net rx/tx", 11, rows.net_cell, lambda row: rows.fact(row, "net"), "right", priority=6,
        largest_first=True,
    ),
    Column("ip", "Address", 17, rows.address_cell, lambda row: rows.address_cell(row).text or None, priority=4),
    Column("flags", "Flags", 5, rows.flags_cell, lambda row: rows.flags_cell(row).text or None, priority=3),
    Column("id", "Id", 5, lambda row: Cell(str(rows.fact(row, "id") or rows.fact(row, "pid") or "")),
           lambda row: row.domain.id if row.domain else row.process.pid if row.process else None, "right",
           hidden=True),
    Column("title", "Title", 20, lambda row: Cell(str(rows.fact(row, "title") or "")),
           lambda row: rows.fact(row, "title") or None, grow=2, hidden=True, priority=9),
    Column("uuid", "UUID", 36, lambda row: Cell(str(rows.fact(row, "uuid") or "")),
           lambda row: rows.fact(row, "uuid"), hidden=True, priority=10),
)  # fmt: skip


def _kinds(row: DomainRow | None) -> tuple[Kind, ...]:
    if row is None:
        return (Kind.HOST,)
    return (Kind.PROCESS, Kind.HOST) if row.process is not None else (Kind.DOMAIN, Kind.HOST)


def _target(row: DomainRow) -> Target:
    return row.process if row.process is not None else row.domain


def _empty(view: View) -> str:
    if view.snapshot.domains_read_ns is None:
        return "" if view.snapshot.connection.live else f"{view.snapshot.connection.state.value}…"
    if view.snapshot.connection.state is ConnectionState.ABSENT:
        return "no QEMU runs here; libvirt is not asked"
    return "no domains here; n defines one from an XML file"


class _RunningCount:
    """How many domains run; the same thousands are not counted again for every picture."""

    def __init__(self) -> None:
        self._last: tuple[Mapping[str, Domain], int] = {}, 0

    def __call__(self, domains: Mapping[str, Domain]) -> int:
        if self._last[0] is not domains:
            self._last = domains, sum(domain.state is DomainState.RUNNING for domain in domains.values())
        return self._last[1]


_running_count = _RunningCount()


def _summary(view: View) -> str:
    running = _running_count(view.snapshot.domains)
    unmanaged = len(view.snapshot.unmanaged())
    return f"{running} running" + (f", {unmanaged} unmanaged" if unmanaged else "")


PANE: PaneSpec[DomainRow] = PaneSpec(
    id="domains",
    digit="2",
    title="Domains",
    columns=COLUMNS,
    key=lambda row: row.key,
    rows=DomainRows,
    fact=rows.fact,
    facts=rows.FACTS,
    words=lambda row: row.name,
    tabs=TABS,
    empty=_empty,
    kinds=_kinds,
    target=_target,
    summary=_summary,
    watch=lambda row: row.key if row.domain is not None else None,
    holds=(Kind.DOMAIN, Kind.PROCESS),
)
