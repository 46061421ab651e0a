"""The detail of a pool, a volume, or an image outside any pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model import units
from tui.model.text import wrapped
from tui.panes.pool_host import host_lines
from tui.panes.spec import Tab, View, later
from tui.panes.storage_rows import StorageRow, state_cell
from tui.panes.text import BLANK, heading, line, note, paragraph
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.model.storage import Pool, Storage, Volume
    from tui.model.used_by import Use

_BAR, _NARROW = 30, 37
_MOST_LAYERS = 100


def overview(view: View, row: StorageRow) -> list[SpanLine]:
    """Return what one wants to know first."""
    width = max(view.detail_width, _NARROW)
    if row.volume is not None:
        return _volume_lines(view.snapshot.storage, row, row.volume, width)
    if row.pool is not None:
        return [*_pool_lines(row, row.pool, width), *host_lines(view, row.pool)]
    return [
        *_long("Image", row.image, width, "title"),
        line("Pool", "none", "warn"),
        note("libvirt does not manage it"),
        *_use_lines(row.uses),
    ]


def _pool_lines(row: StorageRow, pool: Pool, width: int) -> list[SpanLine]:
    state = state_cell(row)
    lines = [
        line("Name", pool.name, "title"),
        line("State", state.text, state.style),
        *_problem_lines(row, pool, width),
        line("Type", pool.kind),
        *_long("Path", pool.path, width),
        *(_long("Source", pool.source, width) if pool.source else []),
        line("UUID", pool.key),
        line("Autostart", "yes" if pool.autostart else "no"),
        line("Persistent", "yes" if pool.persistent else "no"),
    ]
    if not pool.state.active:
        return [*lines, BLANK, note("it is not active: its volumes are not known", "warn")]
    lines += [
        BLANK,
        _bar(row.percent),
        line("Capacity", units.byte_size(pool.capacity_bytes)),
        line("Allocated", units.byte_size(pool.allocation_bytes)),
        line("Available", units.byte_size(pool.available_bytes)),
        line("Volumes", str(row.volumes)),
    ]
    return [*lines, *_promise_lines(row, pool, width)]


def _problem_lines(row: StorageRow, pool: Pool, width: int) -> list[SpanLine]:
    """What libvirt said when its volumes were listed, and what helps."""
    if not pool.problem:
        return []
    advice = "A refresh (r) has libvirt look anew, and forget files that are gone."
    return [*paragraph(pool.problem, "bad", width), *(paragraph(advice, "", width) if row.volumes else [])]


def _promise_lines(row: StorageRow, pool: Pool, width: int) -> list[SpanLine]:
    """What thin volumes may grow to, against what there is."""
    if row.promised_bytes is None:
        return []
    lines = [line("Up to", f"{units.byte_size(row.promised_bytes)} if all fill up")]
    if pool.capacity_bytes and row.overcommitted:
        share = row.promised_bytes / pool.capacity_bytes
        lines += paragraph(f"its volumes may grow to {share:.1f} times what the pool holds", "warn", width)
    return lines


def _bar(percent: float | None) -> SpanLine:
    if percent is None:
        return note("how full it is, is not known")
    full = min(_BAR, round(percent * _BAR / 100))
    style = "bad" if percent >= 95 else "warn" if percent >= 85 else "good"
    return [Span("█" * full, style), Span("░" * (_BAR - full), "dim"), Span(f" {percent:.0f} %", style)]


def _volume_lines(storage: Storage | None, row: StorageRow, volume: Volume, width: int) -> list[SpanLine]:
    return [
        line("Name", volume.name, "title"),
        line("Pool", row.pool.name if row.pool is not None else None),
        *_long("Path", volume.path, width),
        line("Format", volume.format or None),
        line("Kind", volume.kind),
        line("Capacity", units.byte_size(volume.capacity_bytes)),
        line("Allocated", units.byte_size(volume.allocation_bytes)),
        *([line("On disk", units.byte_size(volume.physical_bytes))] if volume.physical_bytes is not None else []),
        *_chain_lines(storage, volume, width),
        *_use_lines(row.uses),
    ]


def _chain_lines(storage: Storage | None, volume: Volume, width: int) -> list[SpanLine]:
    """The images below this one, as far as volumes are known."""
    lines: list[SpanLine] = []
    current: Volume | None = volume
    seen = {volume.raw_path}
    while current is not None and current.backing_path and len(lines) < _MOST_LAYERS:
        found = storage.at(current.raw_backing_path) if storage is not None else None
        words = current.backing_format + ("" if found else " (in no active pool)")
        first, *more = wrapped(current.backing_path, width - 5) or [""]
        lines += [[Span("  on "), Span(first)], *([Span("     "), Span(part)] for part in more)]
        lines.append([Span("     "), Span(words.strip(), "dim" if found else "warn")])
        if found is not None and found.raw_path in seen:
            lines.append(note("     the chain runs in a circle", "bad"))
            break
        current = found
        seen |= {found.raw_path} if found else set()
    return [BLANK, heading("Backing chain"), *lines] if lines else []


def _use_lines(uses: tuple[Use, ...]) -> list[SpanLine]:
    if not uses:
        return [BLANK, note("no domain uses it")]
    lines: list[SpanLine] = [BLANK, heading("Used by")]
    for use in sorted(uses, key=lambda use: (not use.running, use.name, use.target)):
        sides = "now and at the next boot" if use.live and use.persistent else "now" if use.live else "at the next boot"
        sides = "when it starts" if not use.running else sides
        words = [sides, "read-only" if use.read_only else "", "shareable" if use.shareable else ""]
        words.append(f"layer {use.layer} below" if use.layer else "")
        lines.append([Span("● " if use.running else "○ ", "good" if use.running else "dim"), Span(use.name, "title"),
                      Span(f"  {use.target}")])  # fmt: skip
        lines.append([Span("  "), Span(", ".join(filter(None, words)), "dim")])
    return lines


def _long(label: str, value: str, width: int, style: str = "") -> list[SpanLine]:
    """A labelled value that may be longer than a line of the detail."""
    first, *more = wrapped(value, width - 13) or [""]
    return [line(label, first, style), *(line("", part, style) for part in more)]


TABS: tuple[Tab[StorageRow], ...] = (
    Tab("overview", "Overview", overview),
    Tab(
        "image", "Image", later("image_detail", "image"), lambda row: row.volume is not None,
        reads_image=lambda row: None if row.volume is None else row.volume.key,
    ),
)  # fmt: skip
