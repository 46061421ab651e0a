"""Requests and latency of a domain's disk as they went, one sparkline each, and what QEMU does on its images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.model.text import clean
from tui.model.work import Work
from tui.widgets.lines import Span, SpanLine
from tui.widgets.sparkline import sparkline

if TYPE_CHECKING:
    from tui.model.domain_config import Disk
    from tui.panes.domain_rows import DomainRow
    from tui.panes.spec import View

WIDTH = 16
"""The cells of a sparkline: two and their figures fit the narrow detail."""


def disk_figures(view: View, key: str, target: str) -> list[SpanLine]:
    """Return requests per second and mean time per request of one disk, newest last, as lines of the Disks tab;
    nothing before there are two readings. A reading in which nothing was asked of the disk has no latency."""
    history = view.disk_history(key, target, WIDTH)
    if all(reading.requests_per_s is None for reading in history):
        return []
    requests = [reading.requests_per_s for reading in history]
    latency = [None if reading.latency_ns is None else reading.latency_ns / 1e6 for reading in history]
    lines = [_line(requests, "req/s", lambda value: f"{value:.0f}")]
    return lines if all(value is None for value in latency) else [*lines, _line(latency, "ms", _milliseconds)]


def job_lines(row: DomainRow, disk: Disk) -> list[SpanLine]:
    """Return the block job of a disk, whoever began it, and where it writes to."""
    jobs = row.usage.block_jobs if row.usage is not None else None
    lines: list[SpanLine] = [
        [
            Span("      "),
            Span(Work(job.done_bytes, job.total_bytes).bar(WIDTH), "accent"),
            Span(f" {job.words}", "warn"),
        ]
        for job in jobs or ()
        if job.target == disk.target
    ]
    if any(job.target == disk.target and job.kind == "pull" for job in jobs or ()):
        lines.append([Span("      "), Span("no figures until it has ended", "dim")])
    return lines + ([[Span("      "), Span(f"to {clean(disk.raw_mirror)}", "warn")]] if disk.raw_mirror else [])


def _milliseconds(value: float) -> str:
    """Two digits at least: fast disks answer in some hundredths."""
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


def _line(values: list[float | None], unit: str, words: Callable[[float], str]) -> SpanLine:
    """The sparkline, what the newest value is, and what a full block stands for."""
    now, most = values[-1], max(value for value in values if value is not None)
    return [
        Span("      "), Span(sparkline(values, WIDTH), "accent"), Span(f" {'-' if now is None else words(now)} {unit}"),
        Span(f", most {words(most)}", "dim"),
    ]  # fmt: skip
