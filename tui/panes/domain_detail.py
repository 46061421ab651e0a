"""The detail of a domain or an unmanaged QEMU process: one function a tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model import units
from tui.model.text import clean, clean_lines, wrapped
from tui.panes.disk_figures import disk_figures, job_lines
from tui.panes.domain_rows import DomainRow, cpu_cell, detail_of, memory_now_kib, state_cell
from tui.panes.process_detail import PROCESS_TABS
from tui.panes.spec import Tab, View, later
from tui.panes.text import BLANK, heading, line, note, paragraph, table
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.domain_config import Disk, Nic

# The cells of the detail beside the list.
_NARROW = 37
_ADDRESS_WORDS = {"lease": "DHCP lease", "agent": "guest agent", "neighbour": "neighbour table", "arp": "ARP"}

_OLD_S = 15.0
_MISSED = 2.5


def _yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def overview(view: View, row: DomainRow) -> list[SpanLine]:
    """Return what one wants to know first."""
    domain = row.domain
    if domain is None:
        return []
    state = state_cell(row)
    config = domain.config
    lines = [
        line("Name", domain.name, "title"),
        line("State", state.text, state.style),
        *_trouble(view, row),
        *([line("Pending", ""), *paragraph(row.pending, "warn")] if row.pending else []),
        *_age_lines(view, row),
        *([line("Title", config.title)] if config and config.title else []),
        line("UUID", domain.key),
        line("Id", str(domain.id) if domain.id is not None else "-"),
        line("CPU", f"{cpu_cell(row).text or '-'} %  {row.spark}".rstrip()),
        line("vCPUs", f"{config.vcpus} of {config.vcpus_max}" if config else None),
        line("Memory", _memory_words(row)),
        *_address_lines(row),
        line("Autostart", _yes_no(domain.autostart)),
        line("Persistent", _yes_no(domain.persistent)),
        line("Saved state", _yes_no(domain.managed_save)),
        *_machine_lines(domain),
        *_difference_lines(domain),
    ]
    if config and config.description:
        lines += [BLANK, heading("Description"), *(note(text, "") for text in wrapped(config.description, _NARROW))]
    return lines


def _trouble(view: View, row: DomainRow) -> list[SpanLine]:
    if row.monitor is None:
        return []
    since = units.clock(row.monitor.since_ns)
    return [
        note(f"Its monitor is silent since {since}:", "bad"),
        note("no figures; x forces it off", "bad"),
    ]


def _age_lines(view: View, row: DomainRow) -> list[SpanLine]:
    """When the figures were read, where that is long ago: on a busy host not all are read every round."""
    usage = row.usage
    if usage is None:
        return []
    # A driver that is read seldom has old figures by nature; they are told only when readings were missed.
    if view.snapshot.taken_ns - usage.read_ns < max(_OLD_S, _MISSED * view.snapshot.usage_every_s) * 1e9:
        return []
    return [line("Figures", f"as of {units.clock(usage.read_ns)}", "warn")]


def _memory_words(row: DomainRow) -> str | None:
    config = row.domain.config if row.domain else None
    now = memory_now_kib(row)
    if config is None or now is None:
        return None
    used = row.usage.guest_used_kib if row.usage else None
    return f"{units.size(now)} of {units.size(config.memory_max_kib)}" + (f", {units.size(used)} used" if used else "")


def _address_lines(row: DomainRow) -> list[SpanLine]:
    if not row.addresses:
        return []
    first = True
    lines: list[SpanLine] = []
    for address in row.addresses:
        text = address.address + (f"/{address.prefix}" if address.prefix is not None else "")
        words = f"{text} ({_ADDRESS_WORDS.get(address.source, address.source)})"
        lines.append(line("Address" if first else "", words))
        first = False
    return lines


def _machine_lines(domain: Domain) -> list[SpanLine]:
    config = domain.config
    if config is None:
        return [line("Machine", None)]
    agent = (
        "none"
        if config.agent is None
        else {True: "connected", False: "not connected"}.get(config.agent.connected is True, "configured")
    )
    return [
        line("Machine", " ".join(filter(None, (config.virt_type, config.architecture, config.machine)))),
        line("Firmware", config.firmware),
        line("Guest agent", agent if domain.active or config.agent is None else "configured"),
        *(line("Graphics", graphics) for graphics in config.graphics),
    ]


def _difference_lines(domain: Domain) -> list[SpanLine]:
    if not domain.differences:
        return []
    lines: list[SpanLine] = [BLANK, [Span("At the next boot", "warn")]]
    for difference in domain.differences:
        lines.append([
            Span(f"{difference.what}: ", "dim"),
            Span(f"{difference.live or '-'} → {difference.persistent or '-'}", "warn"),
        ])  # fmt: skip
    return lines


def _disk_words(disk: Disk) -> str:
    options = (("cache", disk.cache), ("discard", disk.discard), ("io", disk.io), ("iothread", disk.iothread))
    marks = (("read-only", disk.read_only), ("shareable", disk.shareable), (f"serial={disk.serial}", disk.serial))
    words = (disk.bus, disk.device, disk.format, *(f"{name}={value}" for name, value in options if value))
    return " ".join(filter(None, (*words, *(mark for mark, on in marks if on))))


def disks(view: View, row: DomainRow) -> list[SpanLine]:
    """Return the disks with their rates."""
    config = row.domain.config if row.domain else None
    if config is None:
        return [note("not read yet")]
    used = {disk.target: disk for disk in (row.usage.disks if row.usage else ())}
    lines: list[SpanLine] = []
    for disk in config.disks:
        lines.append([Span(f"{disk.target:<6}", "title"), Span(_disk_words(disk))])
        lines.append([Span("      "), Span(disk.source or "empty", "" if disk.source else "dim")])
        lines += [[Span("      "), Span(f"on {clean(below)}", "dim")] for below in disk.raw_backing]
        lines += job_lines(row, disk)
        if disk.iotune:
            limits = ", ".join(f"{name} {value}" for name, value in disk.iotune)
            lines.append([Span("      "), Span(f"limited: {limits}", "warn")])
        usage = used.get(disk.target)
        if usage is not None:
            figures = f"rd {units.rate(usage.read_bytes_per_s)}/s  wr {units.rate(usage.write_bytes_per_s)}/s"
            if usage.requests_per_s is not None:
                figures += f"  {usage.requests_per_s:.0f} req/s"
            if usage.latency_ns is not None:
                figures += f"  {usage.latency_ns / 1e6:.1f} ms"
            lines.append([Span("      "), Span(figures, "accent")])
            lines += disk_figures(view, row.key, disk.target)
            if usage.capacity_bytes is not None:
                size = f"{units.byte_size(usage.allocation_bytes)} of {units.byte_size(usage.capacity_bytes)} allocated"
                lines.append([Span("      "), Span(size, "dim")])
        lines.append(BLANK)
    return lines or [note("no disks")]


def _is_orphan(view: View, domain: Domain, nic: Nic) -> bool:
    """Whether its tap lost its bridge, since its network was stopped and started under it."""
    networks = view.snapshot.networks
    network = networks.named(nic.raw_source) if networks is not None and nic.kind == "network" and nic.target else None
    if network is None:
        return False
    from tui.model.network_guests import Plugged, is_orphan

    return bool(is_orphan(view.snapshot, network, Plugged(domain, nic, True, True)))


def nics(view: View, row: DomainRow) -> list[SpanLine]:
    """Return the NICs with what they are plugged into, their addresses and rates."""
    domain = row.domain
    config = domain.config if domain else None
    if config is None or domain is None:
        return [note("not read yet")]
    used = {nic.name: nic for nic in (row.traffic.nics if row.traffic else ())}
    lines: list[SpanLine] = []
    for nic in config.nics:
        vlan = nic.vlan and f"VLAN {nic.vlan}"
        where = " ".join(filter(None, (nic.kind, nic.source, nic.portgroup, nic.mode, nic.virtualport, vlan)))
        lines.append(
            [Span(f"{nic.mac}  ", "title"), Span(nic.model), Span("" if nic.link_up else "  link down", "bad")]
        )
        lines.append([Span("      "), Span(where), Span(f"  on {nic.target}" if nic.target else "", "dim")])
        if domain.active and _is_orphan(view, domain, nic):
            lines.append([Span("      "), Span("⚠ its tap has no bridge; r on the network plugs it in", "bad")])
        if nic.bandwidth:
            limits = ", ".join(f"{name} {units.size(kib)}" for name, kib in nic.bandwidth)
            lines.append([Span("      "), Span(f"limited: {limits}", "warn")])
        for address in row.addresses or ():
            if address.mac.lower() == nic.mac.lower():
                words = f"{address.address} ({_ADDRESS_WORDS.get(address.source, address.source)})"
                lines.append([Span("      "), Span(words)])
        usage = used.get(nic.target)
        if usage is not None:
            figures = f"rx {units.rate(usage.rx_bytes_per_s)}/s  tx {units.rate(usage.tx_bytes_per_s)}/s"
            lost = sum(filter(None, (usage.rx_drops, usage.tx_drops, usage.rx_errors, usage.tx_errors)))
            lines.append([Span("      "), Span(figures, "accent"), Span(f"  {lost} lost" if lost else "", "warn")])
        lines.append(BLANK)
    return lines or [note("no NICs")]


def snapshots(view: View, row: DomainRow) -> list[SpanLine]:
    """Return the domain's snapshots, oldest first."""
    detail = detail_of(view, row)
    if detail is None:
        return [note("reading…")]
    if detail.snapshots is None:
        return [note(detail.problem or "cannot be read", "warn")]
    if not detail.snapshots:
        return [note("no snapshots")]
    rows = [
        (
            ("▸ " if snapshot.current else "  ") + snapshot.name,
            units.moment(snapshot.created_s),
            snapshot.state,
            "external" if snapshot.external else "internal",
            snapshot.parent,
        )
        for snapshot in detail.snapshots
    ]
    return table(("  name", "taken", "state", "kind", "parent"), rows)


def events(view: View, row: DomainRow) -> list[SpanLine]:
    """Return what libvirt reported of this domain while we watched, newest first."""
    found = [event for event in view.snapshot.events if event.key == row.key]
    if not found:
        return [note("none since virtdeck was started")]
    return [
        [Span(units.clock(event.at_ns) + "  ", "dim"), Span(event.kind), Span(f" {event.detail}", "dim")]
        for event in reversed(found)
    ]


def xml(view: View, row: DomainRow) -> list[SpanLine]:
    """Return the XML as libvirt gives it, live first."""
    detail = detail_of(view, row)
    if detail is None:
        return [note("reading…")]
    lines: list[SpanLine] = []
    for title, text in (("Live", detail.xml_live), ("Persistent", detail.xml_persistent)):
        if text is not None:
            lines += [heading(title), *(note(part, "") for part in clean_lines(text.rstrip())), BLANK]
    return lines or [note(detail.problem or "cannot be read", "warn")]


def _is_domain(row: DomainRow) -> bool:
    return row.domain is not None


TABS: tuple[Tab[DomainRow], ...] = (
    Tab("overview", "Overview", overview, _is_domain),
    Tab("vcpus", "vCPUs", later("vcpu_detail", "vcpus"), _is_domain),
    Tab("memory", "Memory", later("memory_detail", "memory"), _is_domain),
    Tab("tuning", "Tuning", later("tuning_detail", "tuning"), _is_domain),
    Tab("disks", "Disks", disks, _is_domain),
    Tab("nics", "NICs", nics, _is_domain),
    Tab("snapshots", "Snapshots", snapshots, _is_domain),
    Tab("events", "Events", events, _is_domain),
    Tab("xml", "XML", xml, _is_domain),
    *PROCESS_TABS,
)
