"""The detail of a domain's memory."""

from __future__ import annotations

from tui.model import units
from tui.panes.domain_rows import DomainRow
from tui.panes.spec import View
from tui.panes.text import BLANK, heading, line, note
from tui.widgets.lines import SpanLine

_STALE_REPORT_NS = 90_000_000_000


def memory(_view: View, row: DomainRow) -> list[SpanLine]:
    """Return memory as the host gives it and as the guest uses it."""
    config = row.domain.config if row.domain else None
    if config is None:
        return [note("not read yet")]
    lines = [line("Maximum", units.size(config.memory_max_kib)), line("Configured", units.size(config.memory_kib)),
             line("Balloon", config.balloon or "none")]  # fmt: skip
    usage = row.usage
    if usage is None:
        return lines if not row.active else [*lines, line("Actual", None)]
    lines += [
        line("Actual", units.size(usage.balloon_current_kib)),
        line("On the host", units.size(usage.rss_kib)),
        BLANK,
        heading("Inside the guest"),
        line("Total", units.size(usage.available_kib)),
        line("Used", units.size(usage.guest_used_kib)),
        line("Unused", units.size(usage.unused_kib)),
        line("Usable", units.size(usage.usable_kib)),
        line("Swapped in", units.size(usage.swap_in_kib)),
        line("Swapped out", units.size(usage.swap_out_kib)),
        line("Major faults", None if usage.major_faults is None else str(usage.major_faults)),
    ]
    if usage.balloon_updated_s is None:
        return [*lines, note("the guest's balloon driver has not reported: figures are unknown", "warn")]
    stale = usage.read_ns - usage.balloon_updated_s * 1_000_000_000 > _STALE_REPORT_NS
    lines.append(line("Reported", units.moment(usage.balloon_updated_s), "warn" if stale else ""))
    return [*lines, note("the guest's balloon driver reports no more", "warn")] if stale else lines
