"""What the host has under a pool, in the pool's detail: its filesystem, free space and inodes, disks and schedulers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model import units
from tui.panes.text import BLANK, heading, line, note, paragraph
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.model.pool_host import BlockDevice, PoolHost
    from tui.model.storage import Pool
    from tui.panes.spec import View

_FULL, _FILLING = 95.0, 85.0


def host_lines(view: View, pool: Pool) -> list[SpanLine]:
    """Return the host's side of an active pool; nothing where the host is not this machine."""
    hosts = view.snapshot.pool_hosts
    host = None if hosts is None else hosts.get(pool.key)
    if host is None:
        return []
    lines = [*_filesystem_lines(host), *_device_lines(host)]
    if host.problem:
        lines += paragraph(host.problem, "bad")
    return [BLANK, heading("On the host"), *lines] if lines else []


def _filesystem_lines(host: PoolHost) -> list[SpanLine]:
    if not host.filesystem:
        return []
    lines = [line("Filesystem", host.filesystem + (", read-only" if host.read_only else ""),
                  "warn" if host.read_only else "")]  # fmt: skip
    if host.size_bytes and host.free_bytes is not None:
        style = _style(host.free_bytes, host.size_bytes)
        lines.append(
            line("Free space", f"{units.byte_size(host.free_bytes)} of {units.byte_size(host.size_bytes)}", style)
        )
    if host.inodes and host.free_inodes is not None:
        style = _style(host.free_inodes, host.inodes)
        lines.append(line("Free inodes", f"{host.free_inodes:,} of {host.inodes:,}", style))
    return lines


def _style(free: int, whole: int) -> str:
    used = 100 - 100 * free / whole
    return "bad" if used >= _FULL else "warn" if used >= _FILLING else ""


def _device_lines(host: PoolHost) -> list[SpanLine]:
    """Each device with its schedulers, the one in use first."""
    lines: list[SpanLine] = []
    for device in host.devices:
        lines.append(line("Disk" if device.bottom else "Device", device.name))
        lines.append(_scheduler_line(device))
    return lines or ([note("on no disk of this machine")] if host.filesystem else [])


def _scheduler_line(device: BlockDevice) -> SpanLine:
    others = [name for name in device.schedulers if name != device.scheduler]
    if not device.scheduler and not others:
        return line("  scheduler", "none to choose", "dim")
    also = f"  {' '.join(others)}" if others else ""
    return [*line("  scheduler", device.scheduler or "?", "accent"), Span(also, "dim")]
