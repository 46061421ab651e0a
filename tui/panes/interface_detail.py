"""The detail of a link or a namespace: what it is, its addresses and routes, its neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.model import units
from tui.panes.interface_cells import kind_words, state_of, tie_words, title_of
from tui.panes.text import BLANK, heading, line, note, paragraph, table
from tui.widgets.lines import SpanLine

if TYPE_CHECKING:
    from tui.model.link import Link, Links, Netns, NetSettings, Route
    from tui.panes.interface_rows import LinkRow
    from tui.panes.spec import View

_RP_FILTER = {0: "off", 1: "strict", 2: "loose"}
_MAIN_TABLE = 254


def overview(view: View, row: LinkRow) -> list[SpanLine]:
    """Return what one wants to know first."""
    links = view.snapshot.links
    if links is None:
        return []
    if row.link is None:
        return _namespace_lines(links, row.netns)
    link = row.link
    glyph, word, style = state_of(link)
    lines = [
        line("Name", link.name, "title"),
        *([line("Also called", ", ".join(link.altnames))] if link.altnames else []),
        *([line("Alias", link.alias)] if link.alias else []),
        line("State", f"{glyph} {word}", style),
        line("Kind", kind_words(link)),
        line("Namespace", row.netns.name),
        *([line("Port of", row.around[0].name)] if row.around[0] is not None else []),
        *([line("Hangs on", tie_words(row))] if tie_words(row) else []),
        *_user_lines(row),
        *([line("Address", f"{a.address}/{a.prefix}") for a in row.addresses[:1]]),
        line("MAC", link.mac or "none"),
        line("MTU", str(link.mtu)),
        *_speed_lines(link),
    ]
    return [*lines, *_particulars(links, link), *_figure_lines(view, row)]


def _user_lines(row: LinkRow) -> list[SpanLine]:
    user = row.user
    if user is None:
        return []
    nic = [line("Its NIC", user.detail)] if user.detail and user.kind is not None else []
    return [line("Used by", user.words), *nic]


def _speed_lines(link: Link) -> list[SpanLine]:
    if link.speed_mbit is None:
        return []
    speed = f"{link.speed_mbit / 1000:g} Gbit/s" if link.speed_mbit >= 1000 else f"{link.speed_mbit} Mbit/s"
    return [line("Speed", f"{speed} {link.duplex}".strip())]


def _particulars(links: Links, link: Link) -> list[SpanLine]:
    """What only links of its kind have."""
    lines: list[SpanLine] = []
    if link.vlan_id is not None:
        lines.append(line("VLAN", f"{link.vlan_id} ({link.vlan_protocol or '802.1Q'})"))
    if link.tunnel is not None:
        far = link.tunnel.remote or ("set from outside" if link.tunnel.collect_metadata else "any")
        port = f" port {link.tunnel.port}" if link.tunnel.port else ""
        lines += [line("Far end", far + port), line("Near end", link.tunnel.local or "any")]
    if link.bond is not None:
        active = links.links.get(link.bond.active or "")
        lines += [line("Mode", link.bond.mode), *([line("Active slave", active.name)] if active else [])]
    if link.slave is not None:
        style = "good" if link.slave.up else "bad"
        word = ("active" if link.slave.active else "backup") + ("" if link.slave.up else ", down")
        lines.append(line("In its bond", f"{word}, {units.counted(link.slave.failures, 'failure')}", style))
    if link.tap is not None:
        queues = ", several queues" if link.tap.multi_queue else ""
        lines.append(line("Persistent", ("yes" if link.tap.persistent else "no") + queues))
    if link.promiscuous:
        lines.append(line("Promiscuous", "yes"))
    if link.forwarding is not None:
        lines.append(line("Forwarding", "on" if link.forwarding else "off"))
    if link.rp_filter is not None:
        lines.append(line("rp_filter", _RP_FILTER.get(link.rp_filter, str(link.rp_filter))))
    return lines


def _figure_lines(view: View, row: LinkRow) -> list[SpanLine]:
    usage = row.usage
    if usage is None:
        return [BLANK, note("its counters are not read yet")]
    header = ("", "received", "sent")
    rows = [
        ("bytes/s", units.rate(usage.rx_bytes_per_s), units.rate(usage.tx_bytes_per_s)),
        ("packets/s", _count(usage.rx_packets_per_s), _count(usage.tx_packets_per_s)),
        ("bytes", units.byte_size(usage.rx_bytes), units.byte_size(usage.tx_bytes)),
        ("packets", str(usage.rx_packets), str(usage.tx_packets)),
        ("errors", str(usage.rx_errors), str(usage.tx_errors)),
        ("dropped", str(usage.rx_dropped), str(usage.tx_dropped)),
    ]
    lines = [BLANK, *table(header, rows, right=frozenset({1, 2}))]
    if row.errors or row.drops:
        new = f"{units.counted(row.errors or 0, 'error')} and {units.counted(row.drops or 0, 'drop')}"
        lines += paragraph(f"{new} more since you look", "warn", view.detail_width)
    return lines


def _count(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:.0f}"


def _namespace_lines(links: Links, netns: Netns) -> list[SpanLine]:
    lines = [
        line("Name", title_of(netns), "title"),
        *([line("Cannot be read", netns.problem, "bad")] if netns.problem else []),
        line("Inode", netns.key),
        *([line("Process", str(netns.pid))] if netns.pid is not None and not netns.home else []),
        line("Links", str(sum(link.netns == netns.key for link in links.links.values()))),
        *_setting_lines(netns.settings),
    ]
    rules = links.rules.get(netns.key, ())
    if rules:
        lines += [BLANK, heading("Policy routing")]
        lines += [note(f"{rule.priority}: {rule.text}", "") for rule in rules]
    return [*lines, *_route_lines(links, links.routes.get(netns.key, ()))]


def _setting_lines(settings: NetSettings) -> list[SpanLine]:
    def word(value: bool | None) -> str | None:
        return None if value is None else "on" if value else "off"

    rp_filter = settings.rp_filter
    return [
        line("IPv4 forward", word(settings.ipv4_forwarding)),
        line("IPv6 forward", word(settings.ipv6_forwarding)),
        line("rp_filter", None if rp_filter is None else _RP_FILTER.get(rp_filter, str(rp_filter))),
        line("Bridge calls", None if settings.bridge_nf_iptables is None else _bridge_calls(settings)),
    ]


def _bridge_calls(settings: NetSettings) -> str:
    switches = (
        ("iptables", settings.bridge_nf_iptables),
        ("ip6tables", settings.bridge_nf_ip6tables),
        ("arptables", settings.bridge_nf_arptables),
    )
    return ", ".join(name for name, on in switches if on) or "no filter"


def addresses(view: View, row: LinkRow) -> list[SpanLine]:
    """Return the addresses of a link and the routes that leave by it; of a namespace all routes."""
    links = view.snapshot.links
    if links is None:
        return []
    routes = links.routes.get(row.netns.key, ())
    if row.link is None:
        return _route_lines(links, routes) or [note("no routes")]
    key = row.link.key
    lines: list[SpanLine] = [heading("Addresses")]
    lines += [
        note(" ".join(filter(None, (f"{a.address}/{a.prefix}", a.peer and f"peer {a.peer}", a.scope, *a.flags))), "")
        for a in row.addresses
    ] or [note("none")]
    return [*lines, *_route_lines(links, [route for route in routes if any(hop.link == key for hop in route.hops)])]


def _route_lines(links: Links, routes: Iterable[Route]) -> list[SpanLine]:
    # Every link that has IPv6 has this one; it says nothing.
    found = [note(_route_words(links, route), "") for route in routes if route.destination != "fe80::/64"]
    return [BLANK, heading("Routes"), *found] if found else []


def _route_words(links: Links, route: Route) -> str:
    """As `ip route` would write it."""
    words = [] if route.kind == "unicast" else [route.kind]
    words.append(route.destination)
    for hop in route.hops:
        link = links.links.get(hop.link or "")
        words += ["via", hop.gateway] if hop.gateway else []
        words += ["dev", link.name] if link is not None else []
        words += hop.flags
    words += ["src", route.source] if route.source else []
    words += ["metric", str(route.metric)] if route.metric is not None else []
    words += ["table", str(route.table)] if route.table != _MAIN_TABLE else []
    return " ".join(words)


def neighbours(view: View, row: LinkRow) -> list[SpanLine]:
    """Return the neighbours that the kernel knows on a link, or on all of a namespace."""
    links = view.snapshot.links
    if links is None:
        return []
    of = [row.link] if row.link is not None else [k for k in links.links.values() if k.netns == row.netns.key]
    rows = [(n.address, n.mac or "-", n.state, link.name) for link in of for n in links.neighbours.get(link.key, ())]
    return table(("address", "MAC", "state", "on"), rows) if rows else [note("no neighbours")]


def offloads(view: View, row: LinkRow) -> list[SpanLine]:
    """Return what the driver of a link does in place of the kernel, what is on first."""
    detail = view.snapshot.link_detail
    if detail is None or detail.key != row.key:
        return [note("reading…")]
    if detail.problem:
        return paragraph(detail.problem, "warn", view.detail_width)
    shown = sorted(detail.offloads, key=lambda offload: (not offload.on, offload.name))
    rows = [(o.name, "on" if o.on else "off", "" if o.changeable else "fixed") for o in shown]
    driver = [line("Driver", detail.driver), BLANK] if detail.driver else []
    return [*driver, *table(("offload", "", ""), rows)] if rows else [*driver, note("none")]
