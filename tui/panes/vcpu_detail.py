"""The detail of a domain's vCPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model import units
from tui.model.cpuset import format_cpus
from tui.model.unsettled import lost_vcpus, vcpu_threads
from tui.model.vcpu_slots import slots_of
from tui.panes.domain_rows import DomainRow, detail_of
from tui.panes.spec import View
from tui.panes.text import BLANK, heading, line, note, paragraph, table
from tui.widgets.lines import SpanLine

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.domain_config import DomainConfig
    from tui.model.domain_detail import DomainDetail
    from tui.model.tuning import Topology, VcpuSlot

_HEADER = ("#", "state", "on", "use", "wait", "allowed")
_RIGHT = frozenset({2, 3, 4})


def vcpus(view: View, row: DomainRow) -> list[SpanLine]:
    """Return the vCPUs: how many, now and at the next boot, what is pending, what the guest has of them, and of each
    where it runs, may run, how busy it is, and how long it waited for a host CPU."""
    domain = row.domain
    if domain is None or domain.config is None:
        return [note("not read yet")]
    detail = detail_of(view, row)
    return [
        line("vCPUs", _count(domain.config)),
        line("Topology", _topology(domain.config.tuning.topology)),
        *_next_boot(domain),
        line("I/O threads", str(domain.config.iothreads)),
        *(_running(view, row, domain, detail) if row.active else []),
        BLANK,
        *_table(row, domain.config, detail),
        *_pin_lines(domain.config),
    ]


def _count(config: DomainConfig) -> str:
    return f"{config.vcpus} of {config.vcpus_max}"


def _topology(topology: Topology | None) -> str:
    if topology is None:
        return "none set"
    parts = {
        "sockets": topology.sockets,
        "dies": topology.dies,
        "clusters": topology.clusters,
        "cores": topology.cores,
        "threads": topology.threads,
    }
    return " x ".join(f"{number} {word}" for word, number in parts.items() if number > 1) or "1 of each"


def _next_boot(domain: Domain) -> list[SpanLine]:
    """What differs for the next boot."""
    now, later = domain.config, domain.persistent_config
    if now is None or later is None or now is later:
        return []
    lines = []
    if _count(now) != _count(later):
        lines.append(line("Next boot", _count(later), "warn"))
    if now.tuning.topology != later.tuning.topology:
        lines.append(line("Next boot", _topology(later.tuning.topology), "warn"))
    return lines


def _running(view: View, row: DomainRow, domain: Domain, detail: DomainDetail | None) -> list[SpanLine]:
    """What only a running domain has: the guest's view, and what it was asked for and has not done."""
    lines = [line("In the guest", *_guest_words(domain, detail))]
    threads = vcpu_threads(view.snapshot).get(row.key)
    if threads is not None and lost_vcpus(domain, threads):
        lines.append(line("In QEMU", f"{threads[0]} alone", "bad"))
    if row.pending:
        lines += [BLANK, heading("Pending"), *paragraph(row.pending, "warn")]
    return lines


def _guest_words(domain: Domain, detail: DomainDetail | None) -> tuple[str | None, str]:
    agent = domain.config.agent if domain.config else None
    if agent is None or not agent.connected:
        return ("no agent channel" if agent is None else "agent not connected"), "dim"
    guest = detail.guest if detail is not None else None
    if guest is None:
        return None, ""
    words = f"{len(guest.online)} online of {len(guest.there)}"
    fewer = guest.online != guest.there
    return (f"{words}: {format_cpus(guest.online)}" if fewer else words), ("warn" if fewer else "")


def _table(row: DomainRow, config: DomainConfig, detail: DomainDetail | None) -> list[SpanLine]:
    """A line for each vCPU up to the maximum; those that are off say so and nothing else."""
    slots = slots_of(config)
    if not row.active:
        return table(("#", "at boot"), [(_number(slot), "on" if slot.enabled else "off") for slot in slots]) + _LEGEND
    used = {vcpu.number: vcpu for vcpu in (row.usage.vcpus if row.usage else ())}
    places = {place.number: place for place in (detail.placements or () if detail is not None else ())}
    unread = detail is not None and detail.placements is None
    lines = []
    for slot in slots:
        place, usage = places.get(slot.number), used.get(slot.number)
        if not slot.enabled:
            lines.append((_number(slot), "off", "", "", "", ""))
            continue
        lines.append((
            _number(slot),
            place.state if place else "plugged",
            "?" if place is None or place.host_cpu is None else str(place.host_cpu),
            units.percent(usage.cpu_percent if usage else None),
            units.percent(usage.delay_percent if usage else None),
            "?" if place is None or place.affinity is None else format_cpus(place.affinity),
        ))  # fmt: skip
    problem = paragraph(detail.problem, "warn") if detail is not None and unread else []
    return [*table(_HEADER, lines, _RIGHT), *_LEGEND, note("on: CPU; allowed: CPUs; use, wait: %"), *problem]


def _number(slot: VcpuSlot) -> str:
    return f"{slot.number}h" if slot.enabled and slot.hotpluggable else str(slot.number)


_LEGEND = [note("h: hotpluggable, can be unplugged")]


def _pin_lines(config: DomainConfig) -> list[SpanLine]:
    pins = config.vcpu_pins
    return [BLANK, heading("Pinned"), *(line(thread, cpus) for thread, cpus in pins)] if pins else []
