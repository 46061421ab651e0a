"""The interfaces pane: the links of every network namespace of this machine, and what hangs on what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.kind import Kind
from tui.panes import interface_cells as cells
from tui.panes.interface_rows import LinkRow, LinkRows
from tui.panes.spec import PaneSpec, Tab, View, later
from tui.widgets.grid_columns import Cell, Column

if TYPE_CHECKING:
    from tui.actions.base import Target

COLUMNS: tuple[Column[LinkRow], ...] = (
    Column("name", "Name", 18, cells.name_cell, lambda row: row.order, grow=3),
    Column("state", "State", 12, cells.state_cell, lambda row: row.link and cells.state_of(row.link)[1]),
    Column("kind", "Kind", 9, cells.kind_cell, lambda row: row.link and cells.kind_words(row.link), grow=1, priority=3),
    Column("tie", "Hangs on", 12, lambda row: Cell(cells.tie_words(row)), lambda row: cells.tie_words(row) or None,
           grow=2, priority=2),
    Column("user", "Used by", 10, cells.user_cell, lambda row: row.user.words if row.user else None,
           grow=2, priority=4),
    Column("address", "Address", 18, cells.address_cell, lambda row: cells.address_cell(row).text or None,
           grow=1, priority=5),
    Column("rx", "Rx/s", 5, lambda row: cells.rate_cell(row, "rx_bytes_per_s"), lambda row: cells.fact(row, "rx"),
           "right", priority=1, largest_first=True),
    Column("tx", "Tx/s", 5, lambda row: cells.rate_cell(row, "tx_bytes_per_s"), lambda row: cells.fact(row, "tx"),
           "right", priority=1, largest_first=True),
    Column("spark", "Traffic", 8, lambda row: Cell(row.spark, "accent"), priority=8),
    Column("errors", "Err", 5, lambda row: cells.count_cell(row, "errors"), lambda row: row.errors, "right",
           priority=7, largest_first=True),
    Column("drops", "Drop", 5, lambda row: cells.count_cell(row, "drops"), lambda row: row.drops, "right",
           priority=6, largest_first=True),
    Column("netns", "Namespace", 12, lambda row: Cell(row.netns.name, "dim"), lambda row: row.netns.name, priority=9),
    Column("mtu", "MTU", 5, lambda row: Cell(str(row.link.mtu) if row.link else ""),
           lambda row: row.link and row.link.mtu, "right", priority=10),
    Column("mac", "MAC", 17, lambda row: Cell(row.link.mac if row.link else "", "dim"),
           lambda row: row.link and row.link.mac, priority=11),
)  # fmt: skip

TABS: tuple[Tab[LinkRow], ...] = (
    Tab("overview", "Overview", later("interface_detail", "overview")),
    Tab("addresses", "IP", later("interface_detail", "addresses")),
    Tab("bridge", "Bridge", later("interface_bridge", "bridge"), lambda row: row.link is not None),
    Tab("neighbours", "Neighbours", later("interface_detail", "neighbours")),
    Tab("offloads", "Offloads", later("interface_detail", "offloads"), lambda row: row.link is not None),
)


def _kinds(row: LinkRow | None) -> tuple[Kind, ...]:
    return (Kind.HOST,) if row is None or row.link is None else (Kind.LINK, Kind.HOST)


def _target(row: LinkRow) -> Target:
    return row.link


def _empty(view: View) -> str:
    seen = view.snapshot
    if "links" in seen.unread:
        return "reading…"
    limit = next((limit for limit in seen.limits if limit.startswith("links")), "")
    return limit or "no links can be seen here"


def _summary(view: View) -> str:
    links = view.snapshot.links
    if links is None:
        return ""
    words = f"{len(links.links)} links in {len(links.namespaces)} namespaces"
    return f"{words}, limited: {links.limits[0]}" if links.limits else words


PANE: PaneSpec[LinkRow] = PaneSpec(
    id="interfaces",
    digit="5",
    title="Interfaces",
    columns=COLUMNS,
    key=lambda row: row.key,
    rows=LinkRows,
    fact=cells.fact,
    facts=cells.FACTS,
    words=lambda row: row.name,
    tabs=TABS,
    empty=_empty,
    kinds=_kinds,
    target=_target,
    summary=_summary,
    label=lambda row: row.name if row.link is not None else cells.title_of(row.netns),
    host_actions="link",
    wants_links=True,
    watch_link=lambda row: row.link.key if row.link is not None else None,
    holds=(Kind.LINK,),
)
