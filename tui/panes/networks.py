"""The networks pane: libvirt's networks, their leases, and who is plugged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.kind import Kind
from tui.model.text import natural
from tui.panes import network_rows as rows
from tui.panes.network_rows import NetworkRow, NetworkRows
from tui.panes.spec import PaneSpec, Tab, View, later
from tui.panes.text import nothing_of
from tui.widgets.grid_columns import Cell, Column

if TYPE_CHECKING:
    from tui.actions.base import Target

COLUMNS: tuple[Column[NetworkRow], ...] = (
    Column("name", "Name", 14, lambda row: Cell(row.name, "title"), lambda row: row.order, grow=3),
    Column("state", "State", 13, rows.state_cell, lambda row: rows.state_cell(row).text),
    Column("mode", "Mode", 8, rows.mode_cell, lambda row: rows.mode_cell(row).text, priority=1),
    Column("bridge", "Bridge", 10, rows.bridge_cell, lambda row: rows.bridge_cell(row).text or None, priority=2,
           grow=1),
    Column("address", "Address", 18, rows.address_cell, lambda row: natural_address(row), priority=3, grow=1),
    Column("guests", "Guests", 6, rows.guests_cell, lambda row: row.running, "right", priority=1, largest_first=True),
    Column("leases", "Leases", 6, rows.leases_cell, lambda row: rows.fact(row, "leases"), "right", priority=4,
           largest_first=True),
    Column("dhcp", "DHCP range", 20, rows.dhcp_cell, lambda row: rows.dhcp_cell(row).text or None, priority=6, grow=1),
    Column("auto", "Auto", 9, rows.auto_cell, lambda row: rows.auto_cell(row).text, priority=5),
    Column("domain", "DNS domain", 16, lambda row: Cell(row.network.config.domain),
           lambda row: row.network.config.domain or None, hidden=True, priority=8),
    Column("uuid", "UUID", 36, lambda row: Cell(row.key), lambda row: row.key, hidden=True, priority=9),
)  # fmt: skip


def natural_address(row: NetworkRow) -> tuple[object, ...] | None:
    """Return what addresses are sorted by; None for none."""
    text = rows.address_cell(row).text
    return natural(text) if text else None


def _kinds(row: NetworkRow | None) -> tuple[Kind, ...]:
    return (Kind.HOST,) if row is None else (Kind.NETWORK, Kind.HOST)


def _target(row: NetworkRow) -> Target:
    return row.network


def _empty(view: View) -> str:
    seen = view.snapshot
    if "networks" in seen.unread:
        return "reading…" if seen.connection.live else f"{seen.connection.state.value}…"
    return "no networks here; n defines one" if seen.networks is not None else nothing_of(seen.connection, "networks")


def _summary(view: View) -> str:
    networks = view.snapshot.networks
    if networks is None:
        return ""
    active = sum(network.active for network in networks.networks.values())
    return f"{active} of {len(networks.networks)} active"


TABS: tuple[Tab[NetworkRow], ...] = tuple(
    Tab(ident, title, later("network_detail", ident))
    for ident, title in (
        ("overview", "Overview"),
        ("guests", "Guests"),
        ("leases", "Leases"),
        ("hosts", "Hosts and DNS"),
        ("portgroups", "Portgroups"),
        ("xml", "XML"),
    )
)

PANE: PaneSpec[NetworkRow] = PaneSpec(
    id="networks",
    digit="4",
    title="Networks",
    columns=COLUMNS,
    key=lambda row: row.key,
    rows=NetworkRows,
    fact=rows.fact,
    facts=rows.FACTS,
    words=lambda row: row.name,
    tabs=TABS,
    empty=_empty,
    kinds=_kinds,
    target=_target,
    summary=_summary,
    wants_networks=True,
    host_actions="network",
    holds=(Kind.NETWORK,),
)
