"""The detail of a network: one function a tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model import units
from tui.model.network_guests import is_orphan, tap_of
from tui.model.text import clean_lines
from tui.panes.network_rows import NetworkRow, bridge_cell, short_range, state_cell, with_prefix
from tui.panes.text import BLANK, heading, line, note, paragraph, table
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.domain_config import Nic
    from tui.model.network import DhcpHost, Network, NetworkAddress, NetworkConfig
    from tui.model.network_guests import Plugged
    from tui.panes.spec import View

_MODES = {
    "nat": "nat: guests go out by the host's addresses",
    "route": "route: the host forwards, others need a route back",
    "open": "open: the host forwards, libvirt adds no rules",
    "isolated": "isolated: guests and host alone",
    "bridge": "bridge: a bridge of the host",
    "ovs": "Open vSwitch: a bridge of the host",
    "macvtap": "macvtap: guests share a link of the host",
    "hostdev": "hostdev: guests get a device of the host",
}


_TOLD_ABOVE = frozenset({"network.orphans"})
"""What triage says of a network that its rows say by themselves."""


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def overview(view: View, row: NetworkRow) -> list[SpanLine]:
    """Return what one wants to know first."""
    network, config, state = row.network, row.network.config, state_cell(row)
    return [
        line("Name", network.name, "title"),
        line("State", "active" if network.active else "inactive", "good" if network.active else "dim"),
        *_trouble(view, row, state.style),
        *paragraph(_MODES.get(config.words, config.words), width=view.detail_width),
        *([line("Bridge", bridge_cell(row).text)] if config.bridge else []),
        *([line("Link", ", ".join(config.interfaces) or config.device)] if config.device or config.interfaces else []),
        *_address_lines(config),
        *([line("DNS domain", config.domain)] if config.domain else []),
        *([line("VLAN", ", ".join(map(str, config.vlans)))] if config.vlans else []),
        *([line("MTU", str(config.mtu))] if config.mtu else []),
        *([] if config.stp is None else [line("STP", _yes_no(config.stp))]),
        *([line("MAC", config.mac)] if config.mac else []),
        line("UUID", network.key),
        line("Autostart", _yes_no(network.autostart)),
        line("Persistent", _yes_no(network.persistent), "" if network.persistent else "warn"),
        *_count_lines(row),
        *_difference_lines(network),
    ]


def _trouble(view: View, row: NetworkRow, style: str) -> list[SpanLine]:
    """What needs somebody: orphaned taps, and what cannot be read."""
    lines: list[SpanLine] = []
    if row.orphans:
        names = ", ".join(dict.fromkeys(one.domain.name for one in row.orphans))
        text = f"not plugged in: {names}; r plugs them in again"
        lines += paragraph(text, style, view.detail_width)
    if not row.network.active and row.running:
        text = f"stopped under {units.counted(row.running, 'running NIC')}; s starts it, r plugs them in again then"
        lines += paragraph(text, "bad", view.detail_width)
    if row.network.problem:
        lines += paragraph(row.network.problem, "bad", view.detail_width)
    for finding in row.found:
        if finding.check not in _TOLD_ABOVE:
            lines += paragraph(f"⚠ {finding.message} (triage: 1)", style, view.detail_width)
    return lines


def _address_lines(config: NetworkConfig) -> list[SpanLine]:
    lines: list[SpanLine] = []
    for address in config.addresses:
        lines.append(line("Address", with_prefix(address)))
        lines += [line("DHCP", short_range(range_.first, range_.last)) for range_ in address.ranges]
        if not address.ranges:
            lines.append(line("DHCP", "static hosts alone" if address.hosts else "none", "dim"))
    return lines


def _count_lines(row: NetworkRow) -> list[SpanLine]:
    config, leases = row.network.config, row.network.leases
    hosts = sum(len(address.hosts) for address in config.addresses)
    lines = [BLANK, line("Guests", f"{row.running} of {len(row.guests)} NICs run" if row.guests else "none")]
    if row.orphans is None and row.running:
        lines.append([*line("Plugged in", None), Span("  whether their taps have a bridge", "dim")])
    if config.serves_dhcp and row.network.active:
        lines.append(line("Leases", None if leases is None else str(len(leases))))
    if hosts or config.dns_hosts:
        lines.append(line("Static hosts", str(hosts)))
        lines.append(line("DNS names", str(sum(len(host.names) for host in config.dns_hosts))))
    if config.portgroups:
        lines.append(line("Portgroups", str(len(config.portgroups))))
    return lines


def _difference_lines(network: Network) -> list[SpanLine]:
    """What is otherwise from the next start on."""
    later = network.persistent_config
    if not network.active or later is None:
        return []
    now = network.config
    pairs = [
        ("mode", now.words, later.words),
        ("bridge", now.bridge, later.bridge),
        ("link", now.device, later.device),
        ("DNS domain", now.domain, later.domain),
        ("MTU", str(now.mtu or "-"), str(later.mtu or "-")),
        ("STP", str(now.stp), str(later.stp)),
        ("addresses", _addresses(now), _addresses(later)),
        ("DHCP", _ranges(now), _ranges(later)),
        ("static hosts", _hosts(now), _hosts(later)),
        ("DNS names", _names(now), _names(later)),
        ("portgroups", _groups(now), _groups(later)),
    ]
    found = [(what, one, other) for what, one, other in pairs if one != other]
    if not found:
        return []
    lines: list[SpanLine] = [BLANK, [Span("At the next start", "warn")]]
    lines += [[Span(f"{w}: ", "dim"), Span(f"{one or '-'} → {other or '-'}", "warn")] for w, one, other in found]
    return lines


def _addresses(config: NetworkConfig) -> str:
    return ", ".join(with_prefix(address) for address in config.addresses)


def _ranges(config: NetworkConfig) -> str:
    return ", ".join(short_range(r.first, r.last) for address in config.addresses for r in address.ranges)


def _hosts(config: NetworkConfig) -> str:
    return ", ".join(host.address or host.mac for address in config.addresses for host in address.hosts)


def _names(config: NetworkConfig) -> str:
    return ", ".join(f"{','.join(host.names)}={host.address}" for host in config.dns_hosts)


def _groups(config: NetworkConfig) -> str:
    return ", ".join(f"{group.name}={','.join(map(str, group.vlans))}" for group in config.portgroups)


# Guests


def guests(view: View, row: NetworkRow) -> list[SpanLine]:
    """Return each NIC in the network: whose it is, its tap and link, its address."""
    lines: list[SpanLine] = []
    for one in row.guests:
        lines += _guest_lines(view, row.network, one)
    return lines or [note("no guest has a NIC in it")]


def _guest_lines(view: View, network: Network, one: Plugged) -> list[SpanLine]:
    nic = one.nic
    glyph = Span("● ", "good") if one.live else Span("○ ", "dim")
    head = [glyph, Span(one.domain.name, "title"), Span(f"  {nic.mac}  {nic.model}")]
    second = [Span("  "), *_tap_spans(view, network, one)]
    if nic.portgroup:
        second.append(Span(f"  {nic.portgroup}"))
    if nic.vlan:
        second.append(Span(f"  VLAN {nic.vlan}"))
    lines: list[SpanLine] = [head, second]
    lines += [[Span("  "), Span(words)] for words in _addresses_of(view, network, one)]
    if one.live != one.persistent:
        said = "now alone, not at its next boot" if one.live else "from its next boot on"
        if one.domain.active:
            lines.append([Span("  "), Span(said, "warn")])
    return [*lines, BLANK]


def _tap_spans(view: View, network: Network, one: Plugged) -> list[Span]:
    nic = one.nic
    if not one.live:
        return [Span("its domain is off" if not one.domain.active else "not plugged in", "dim")]
    spans = [Span(nic.target or "no tap")]
    if not nic.link_up:
        spans.append(Span("  link down", "bad"))
    if is_orphan(view.snapshot, network, one):
        spans.append(Span("  ⚠ has no bridge; r plugs it in", "bad"))
    tap = tap_of(view.snapshot.links, nic)
    if tap is not None and not tap.up:
        spans.append(Span("  tap is down", "bad"))
    return spans


def _addresses_of(view: View, network: Network, one: Plugged) -> list[str]:
    """Its lease, else an address that is known otherwise."""
    mac = one.nic.mac.lower()
    leases = [lease for lease in network.leases or () if lease.mac == mac]
    if leases:
        return [f"{lease.address}  lease{_until(lease.expires_s)}" for lease in leases]
    told = view.snapshot.addresses.get(one.domain.key, ()) if one.live else ()
    return [f"{address.address}  {address.source}" for address in told if address.mac.lower() == mac]


def _until(expires_s: int | None) -> str:
    return "" if expires_s is None else f" until {units.moment(expires_s)}"


# Leases, static hosts, DNS


def leases(view: View, row: NetworkRow) -> list[SpanLine]:
    """Return the DHCP leases with the guests that have them."""
    network = row.network
    if not network.active:
        return [note("it is inactive")]
    if network.leases is None:
        return [note(network.problem or "this driver does not tell leases", "bad" if network.problem else "dim")]
    if not network.leases:
        return [note("no leases" if network.config.serves_dhcp else "libvirt serves no DHCP in it")]
    owners = {nic.mac.lower(): domain.name for domain in view.snapshot.domains.values() for nic in _nics(domain)}
    rows = [
        (
            lease.address,
            lease.mac or "?",
            owners.get(lease.mac, "-"),
            lease.host or "-",
            "never" if lease.expires_s is None else units.moment(lease.expires_s),
        )
        for lease in sorted(network.leases, key=lambda lease: _sortable(lease.address))
    ]
    return table(("address", "MAC", "guest", "calls itself", "ends"), rows)


def _nics(domain: Domain) -> tuple[Nic, ...]:
    return () if domain.config is None else domain.config.nics


def _sortable(address: str) -> tuple[int, bytes]:
    import ipaddress

    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return 0, address.encode()
    return parsed.version, parsed.packed


def hosts(_view: View, row: NetworkRow) -> list[SpanLine]:
    """Return the static DHCP hosts and the DNS names, and where now and next start differ."""
    network = row.network
    later = network.persistent_config
    lines: list[SpanLine] = [heading("Static DHCP hosts")]
    now = {host.address or host.mac: host for host in _all_hosts(network.config.addresses)}
    then = {host.address or host.mac: host for host in _all_hosts(later.addresses)} if later is not None else now
    both = {**then, **now}
    if both:
        rows = [
            (
                host.address,
                host.mac or host.duid or "-",
                host.name or "-",
                _side_words(network, key in now, key in then),
            )
            for key, host in sorted(both.items(), key=lambda item: _sortable(item[0]))
        ]
        lines += table(("address", "MAC", "name", ""), rows)
    else:
        lines.append(note("none; f adds one" if network.config.addresses else "none"))
    return [*lines, BLANK, heading("DNS names"), *_dns_lines(network)]


def _all_hosts(addresses: tuple[NetworkAddress, ...]) -> list[DhcpHost]:
    return [host for address in addresses for host in address.hosts]


def _side_words(network: Network, now: bool, then: bool) -> str:
    if now == then or not network.active:
        return ""
    return "now alone" if now else "from the next start on"


def _dns_lines(network: Network) -> list[SpanLine]:
    later = network.persistent_config
    now = {(host.address, name) for host in network.config.dns_hosts for name in host.names}
    then = now if later is None else {(host.address, name) for host in later.dns_hosts for name in host.names}
    if not now | then:
        return [note("none; w adds one" if network.config.addresses else "none")]
    rows = [
        (address, name, _side_words(network, (address, name) in now, (address, name) in then))
        for address, name in sorted(now | then, key=lambda pair: (_sortable(pair[0]), pair[1]))
    ]
    return table(("address", "name", ""), rows)


def portgroups(_view: View, row: NetworkRow) -> list[SpanLine]:
    """Return the portgroups with their VLANs and who is in them."""
    config = row.network.config
    if not config.portgroups:
        return [note("it has no portgroups")]
    default = next((group.name for group in config.portgroups if group.default), "")
    used: dict[str, int] = {}
    for one in row.guests:
        name = one.nic.portgroup or default
        used[name] = used.get(name, 0) + 1
    rows = [
        (
            ("▸ " if group.default else "  ") + group.name,
            ("trunk " if group.trunk else "") + (", ".join(map(str, group.vlans)) or "-"),
            str(used.get(group.name, 0)),
        )
        for group in config.portgroups
    ]
    return [*table(("  name", "VLAN", "NICs"), rows, frozenset({2})), BLANK, note("▸ the default one")]


def xml(_view: View, row: NetworkRow) -> list[SpanLine]:
    """Return the XML as libvirt gives it, live first."""
    network = row.network
    sides = [("Live", network.xml if network.active else ""), ("Persistent", network.persistent_xml)]
    lines: list[SpanLine] = []
    for title, text in sides:
        if text:
            lines += [heading(title), *(note(part, "") for part in clean_lines(text.rstrip())), BLANK]
    return lines
