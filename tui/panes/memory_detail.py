"""The detail of a domain's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model import balloon, units
from tui.model.text import wrapped
from tui.panes.domain_rows import DomainRow
from tui.panes.spec import View
from tui.panes.text import BLANK, heading, line, note
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.domain_config import DomainConfig
    from tui.model.tuning import MemoryDevice, NumaTune
    from tui.model.usage import DomainUsage

_NARROW = 37
"""The cells of the detail beside the list, which it does not tell its tabs."""
_BAR = 36
_LABEL = 10
# Each has a height of its own, so that they differ without colours, and a letter of its own in ASCII.
_USED, _FREE, _COMING, _OUT = ("█", "accent"), ("▅", "good"), ("▃", "warn"), ("▁", "dim")


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the maximum is made of, KiB; together they are the maximum."""

    used: int
    free: int
    coming: int
    """On its way to the guest or back, as it was asked."""
    out: int

    def spread(self) -> list[tuple[tuple[str, str], int]]:
        """The parts in the order in which they are drawn."""
        return [(_USED, self.used), (_FREE, self.free), (_COMING, self.coming), (_OUT, self.out)]


def memory(view: View, row: DomainRow) -> list[SpanLine]:
    """Return memory as the host gives it and as the guest uses it, over its maximum."""
    domain = row.domain
    config = domain.config if domain else None
    if domain is None or config is None:
        return [note("not read yet")]
    target = _target(view, row, config) if row.active else None
    return [
        *_bar_lines(config, row.usage if row.active else None, target),
        BLANK,
        line("Maximum", units.size(config.memory_max_kib)),
        line("Actual" if row.active else "At its boot", units.size(config.memory_kib)),
        *_target_lines(target, config),
        *([line("On the host", units.size(row.usage.rss_kib if row.usage else None))] if row.active else []),
        line("Balloon", config.balloon or "none"),
        *_period_lines(row, config),
        *(_guest_lines(row.usage, config) if row.active and row.usage else []),
        *_place_lines(config),
        *_device_lines(config),
        *_later_lines(domain),
    ]


# The bar


def _target(view: View, row: DomainRow, config: DomainConfig) -> balloon.Target | None:
    seen = view.snapshot
    started = next((p.started_ns for p in seen.processes.values() if p.uuid == row.key), None)
    return balloon.open_target(view.entries, seen.connection.uri, row.key, config, started, seen.taken_ns)


def _parts(config: DomainConfig, usage: DomainUsage | None, target: balloon.Target | None) -> _Parts:
    actual = config.memory_kib
    wanted = actual if target is None else min(target.kib, config.memory_max_kib)
    used = min(balloon.needed_kib(config, usage) or 0, actual)
    stays, most = max(used, min(actual, wanted)), max(actual, wanted)
    return _Parts(used, stays - used, most - stays, max(0, config.memory_max_kib - most))


def _bar_lines(config: DomainConfig, usage: DomainUsage | None, target: balloon.Target | None) -> list[SpanLine]:
    parts = _parts(config, usage, target)
    whole = sum(size for _look, size in parts.spread()) or 1
    bar, done, drawn = [], 0, 0
    for (glyph, style), size in parts.spread():
        done += size
        end = round(_BAR * done / whole)
        bar.append(Span(glyph * (end - drawn), style))
        drawn = end
    coming = "to give" if target is not None and target.kib < config.memory_kib else "to take"
    known = balloon.needed_kib(config, usage) is not None
    used = _legend(_USED, "in use", units.size(parts.used if known else None))
    free = _legend(_FREE, "free" if known else "has", units.size(parts.free))
    legend: list[SpanLine] = [[*used, Span("   "), *free]]
    pair = [_legend(_COMING, coming, units.size(parts.coming))] if parts.coming else []
    pair += [_legend(_OUT, "not given", units.size(parts.out))] if parts.out else []
    if pair:
        legend.append([span for number, part in enumerate(pair) for span in (Span("   " * number), *part)])
    return [[span for span in bar if span.text], *legend]


def _legend(look: tuple[str, str], word: str, size: str) -> list[Span]:
    return [Span(look[0], look[1]), Span(f" {word:<{_LABEL}}", "dim"), Span(f"{size:>5}")]


def _target_lines(target: balloon.Target | None, config: DomainConfig) -> list[SpanLine]:
    if target is None:
        return []
    asked = line("Target", f"{units.size(target.kib)}, asked {units.clock(target.at_ns)}", "warn")
    if target.watched:
        return [asked]
    verb = "give" if target.kib < config.memory_kib else "take"
    return [asked, *_told(f"the guest did not {verb} it", "warn")]


def _told(text: str, style: str) -> list[SpanLine]:
    return [note(part, style) for part in wrapped(text, _NARROW)]


# The guest's own figures


def _period_lines(row: DomainRow, config: DomainConfig) -> list[SpanLine]:
    if not balloon.has_balloon(config):
        return []
    period = config.tuning.balloon_period_s
    if period or not row.active:
        return [line("Statistics", f"every {period} s" if period else "off")]
    return [line("Statistics", "off", "warn"), *_told("no fresh figures; S switches them on", "warn")]


def _guest_lines(usage: DomainUsage, config: DomainConfig) -> list[SpanLine]:
    return [
        BLANK,
        heading("Inside the guest"),
        *_kernel_lines(usage, config),
        line("Total", units.size(usage.available_kib)),
        line("Used", units.size(usage.guest_used_kib)),
        line("Unused", units.size(usage.unused_kib)),
        line("Usable", units.size(usage.usable_kib)),
        line("Swapped in", units.size(usage.swap_in_kib)),
        line("Swapped out", units.size(usage.swap_out_kib)),
        line("Major faults", None if usage.major_faults is None else str(usage.major_faults)),
        *_report_lines(usage, config),
    ]


def _kernel_lines(usage: DomainUsage, config: DomainConfig) -> list[SpanLine]:
    """What its kernel never tells of as memory: its own code and tables; with "Used" it makes what is in use."""
    if usage.balloon_current_kib is None or usage.available_kib is None:
        return []
    fresh = balloon.is_fresh(usage, config.tuning.balloon_period_s)
    return [line("Kernel's own", units.size(max(0, usage.balloon_current_kib - usage.available_kib)))] if fresh else []


def _report_lines(usage: DomainUsage, config: DomainConfig) -> list[SpanLine]:
    """When the driver reported last; in full only where that is long ago, so that nothing moves while all is well."""
    period = config.tuning.balloon_period_s
    if usage.balloon_updated_s is None:
        return _told("its balloon driver has not reported: these figures are not known", "warn")
    if balloon.is_fresh(usage, period):
        return [line("Reported", "just now")]
    age_s = max(0.0, usage.read_ns / 1e9 - usage.balloon_updated_s)
    lines = [line("Reported", f"{units.span(age_s - age_s % (10 if age_s < 60 else 60))} ago", "warn")]
    return [*lines, *_told("its balloon driver reports no more: these figures are old", "warn")] if period else lines


# Where it lies, what was plugged, what comes


def _place_lines(config: DomainConfig) -> list[SpanLine]:
    tuning = config.tuning
    lines = _numa_lines(tuning.numatune) if tuning.numatune else []
    if tuning.hugepages_kib:
        pages = ", ".join(units.size(page) if page else "the host's size" for page in tuning.hugepages_kib)
        lines.append(line("Huge pages", pages))
    if tuning.memory_locked:
        lines.append(line("Locked", "yes"))
    return [BLANK, heading("On the host"), *lines] if lines else []


def _numa_lines(numatune: NumaTune) -> list[SpanLine]:
    lines = [line("NUMA", f"{numatune.mode} {numatune.nodes}")] if numatune.nodes else []
    return lines + [line(f"Guest node {cell}", f"{mode} {nodes}") for cell, mode, nodes in numatune.cells]


def _device_lines(config: DomainConfig) -> list[SpanLine]:
    tuning = config.tuning
    if tuning.memory_ceiling_kib is None:
        return []
    slots = f"{len(tuning.memory_devices)} of {tuning.slots}, to {units.size(tuning.memory_ceiling_kib)}"
    return [BLANK, heading("Memory devices"), line("Slots", slots), *map(_device_line, tuning.memory_devices)]


def _device_line(device: MemoryDevice) -> SpanLine:
    held = "" if device.requested_kib is None else f"{units.size(device.requested_kib)}/"
    if device.current_kib is not None and device.current_kib != device.requested_kib:
        held = f"{units.size(device.current_kib)}→{held}"
    node = "" if device.node is None else f" node {device.node}"
    return line(device.model, f"{held}{units.size(device.size_kib)}{node}", "warn" if "→" in held else "")


def _later_lines(domain: Domain) -> list[SpanLine]:
    """What of all this is otherwise from the next boot on."""
    live, later = domain.config, domain.persistent_config
    if live is None or later is None or later is live:
        return []
    now, then = _facts(live), _facts(later)
    changed = [line(what, value, "warn") for what, value in then.items() if now[what] != value]
    return [BLANK, [Span("At the next boot", "warn")], *changed] if changed else []


def _facts(config: DomainConfig) -> dict[str, str]:
    period = config.tuning.balloon_period_s
    return {
        "Maximum": units.size(config.memory_max_kib),
        "Memory": units.size(config.memory_kib),
        "Balloon": config.balloon or "none",
        "Statistics": f"every {period} s" if period else "off",
    }
