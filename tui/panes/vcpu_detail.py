"""The detail of a domain's vCPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model import units
from tui.model.cpuset import format_cpus
from tui.panes.domain_rows import DomainRow, detail_of
from tui.panes.spec import View
from tui.panes.text import BLANK, heading, line, note, table
from tui.widgets.lines import SpanLine

if TYPE_CHECKING:
    from tui.model.domain import Domain


def vcpus(view: View, row: DomainRow) -> list[SpanLine]:
    """Return the vCPUs: where they run, may run, how busy they are, and how long they waited for a host CPU."""
    if row.domain is None or row.domain.config is None:
        return [note("not read yet")]
    config = row.domain.config
    lines = [line("vCPUs", f"{config.vcpus} of {config.vcpus_max}"), line("I/O threads", str(config.iothreads))]
    if not row.active:
        return [*lines, *_pin_lines(row.domain)]
    detail = detail_of(view, row)
    used = {vcpu.number: vcpu for vcpu in (row.usage.vcpus if row.usage else ())}
    rows = []
    for place in detail.placements if detail and detail.placements else ():
        usage = used.get(place.number)
        rows.append([
            str(place.number),
            place.state,
            "?" if place.host_cpu is None else str(place.host_cpu),
            units.percent(usage.cpu_percent if usage else None),
            units.percent(usage.delay_percent if usage else None),
            "?" if place.affinity is None else format_cpus(place.affinity),
        ])  # fmt: skip
    if rows:
        lines += [
            BLANK,
            *table(("vCPU", "state", "on CPU", "use %", "wait %", "may run on"), rows, frozenset({0, 2, 3, 4})),
        ]
    return [*lines, *_pin_lines(row.domain)]


def _pin_lines(domain: Domain) -> list[SpanLine]:
    pins = domain.config.vcpu_pins if domain.config else ()
    return [BLANK, heading("Pinned"), *(line(thread, cpus) for thread, cpus in pins)] if pins else []
