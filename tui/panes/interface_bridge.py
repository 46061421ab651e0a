"""The detail of a bridge, or of a port of one: ports, VLANs, forwarding table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.panes.interface_cells import state_of
from tui.panes.text import BLANK, heading, line, note, table
from tui.widgets.lines import SpanLine

if TYPE_CHECKING:
    from tui.model.link import BridgeFacts, Link, Links, PortFacts, PortVlan
    from tui.panes.interface_rows import LinkRow
    from tui.panes.spec import View

_MOST = 500


def bridge(view: View, row: LinkRow) -> list[SpanLine]:
    """Return the ports and the forwarding table of a bridge, or of a port its part of them."""
    links, link = view.snapshot.links, row.link
    if links is None or link is None:
        return []
    ports = [other for other in links.links.values() if other.master == link.key]
    lines: list[SpanLine] = []
    if link.bridge is not None:
        lines += _bridge_lines(link.bridge)
    if link.port is not None:
        lines += _port_lines(link.port)
    if link.vlans:
        lines += [line("VLANs", vlan_words(link.vlans))]
    if ports:
        lines += [BLANK, heading("Ports"), *_port_table(ports)]
    lines += _fdb_lines(links, [link, *ports])
    return lines or [note("neither a bridge nor a port of one")]


def _on(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"


def _bridge_lines(facts: BridgeFacts) -> list[SpanLine]:
    delay, ageing = facts.forward_delay_s, facts.ageing_s
    return [
        line("STP", _on(facts.stp)),
        line("Forward delay", None if delay is None else f"{delay:g} s"),
        line("Ageing", None if ageing is None else f"{ageing:g} s"),
        line("VLAN filter", _on(facts.vlan_filtering)),
        line("Snooping", _on(facts.multicast_snooping)),
        *([line("Bridge id", facts.bridge_id)] if facts.bridge_id else []),
        *([line("Root id", facts.root_id)] if facts.root_id and facts.root_id != facts.bridge_id else []),
    ]


def _port_lines(facts: PortFacts) -> list[SpanLine]:
    switches = (
        ("hairpin", facts.hairpin), ("isolated", facts.isolated), ("BPDU guard", facts.guard),
        ("does not learn", not facts.learning), ("does not flood", not facts.flooding),
    )  # fmt: skip
    told = ", ".join(name for name, on in switches if on)
    return [
        line("Port", facts.state.value),
        line("Cost", None if facts.cost is None else str(facts.cost)),
        *([line("Set", told)] if told else []),
    ]


def vlan_words(vlans: tuple[PortVlan, ...]) -> str:
    """Return the VLANs of a port: `1 pvid untagged, 10-19`."""
    return ", ".join(
        " ".join(
            filter(
                None,
                (
                    str(vlan.first) if vlan.first == vlan.last else f"{vlan.first}-{vlan.last}",
                    "pvid" if vlan.pvid else "",
                    "untagged" if vlan.untagged else "",
                ),
            )
        )
        for vlan in vlans
    )


def _port_table(ports: list[Link]) -> list[SpanLine]:
    with_vlans = any(port.vlans for port in ports)
    header = ("port", "state", *(("VLANs",) if with_vlans else ()))
    rows = [
        (port.name, " ".join(state_of(port)[:2]), *((vlan_words(port.vlans),) if with_vlans else ())) for port in ports
    ]
    return table(header, rows)


def _fdb_lines(links: Links, of: list[Link]) -> list[SpanLine]:
    rows = [
        (entry.mac, str(entry.vlan or ""), link.name, entry.remote or ("own" if entry.permanent else "learned"))
        for link in of
        for entry in links.fdb.get(link.key, ())
    ]
    if not rows:
        return []
    more = [note(f"and {len(rows) - _MOST} more")] if len(rows) > _MOST else []
    return [BLANK, heading("Forwarding table"), *table(("MAC", "VLAN", "port", ""), rows[:_MOST]), *more]
