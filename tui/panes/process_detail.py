"""The detail of a QEMU process that libvirt does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model import units
from tui.model.cpuset import format_cpus
from tui.panes.domain_rows import DomainRow, cpu_cell
from tui.panes.spec import Tab, View
from tui.panes.text import BLANK, heading, line, note, table
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.model.process import QemuProcess


def _process(row: DomainRow) -> QemuProcess:
    if row.process is None:
        raise TypeError("the row is a domain")
    return row.process


def overview(_view: View, row: DomainRow) -> list[SpanLine]:
    """Return what one wants to know first."""
    process = _process(row)
    owner = "started by hand, or by another libvirt" if process.libvirt_name else "started by hand"
    return [
        line("Name", process.name, "title"),
        line("State", f"unmanaged, {process.state}", "accent"),
        line("Owner", owner),
        line("Pid", f"{process.pid} of {process.user}"),
        line("Started", units.moment(process.started_ns / 1e9)),
        line("Program", process.executable),
        line("Machine", " ".join(filter(None, (process.accelerator, process.architecture, process.machine)))),
        line("CPU", f"{cpu_cell(row).text or '?'} %"),
        line("vCPUs", f"{process.vcpus} of {process.vcpus_max}"),
        line("Memory", f"{units.size(process.memory_kib)}, {units.size(process.rss_kib)} resident"),
        *(line("QMP", socket) for socket in process.qmp_sockets),
    ]


def threads(_view: View, row: DomainRow) -> list[SpanLine]:
    """Return the threads with their roles and CPUs."""
    rows = [
        (
            str(thread.tid),
            thread.role.value + ("" if thread.index is None else f" {thread.index}"),
            "?" if thread.last_cpu is None else str(thread.last_cpu),
            "?" if thread.affinity is None else format_cpus(thread.affinity),
            thread.name,
        )
        for thread in _process(row).threads
    ]
    return table(("tid", "role", "on CPU", "may run on", "name"), rows, frozenset({0, 2}))


def disks(_view: View, row: DomainRow) -> list[SpanLine]:
    """Return the disk images named in the arguments."""
    lines: list[SpanLine] = []
    for drive in _process(row).drives:
        words = filter(None, (drive.interface, drive.media, drive.format, "read-only" if drive.read_only else ""))
        lines += [[Span(drive.path or "empty", "title")], [Span("  "), Span(" ".join(words), "dim")]]
    return lines or [note("no disks")]


def nics(_view: View, row: DomainRow) -> list[SpanLine]:
    """Return the NIC backends, with the taps that the process has open."""
    lines: list[SpanLine] = []
    for nic in _process(row).nics:
        lines.append([Span(nic.ifname or nic.kind, "title"), Span(f"  {nic.model or ''} {nic.mac or ''}".rstrip())])
        lines.append([Span("  "), Span(" ".join(filter(None, (nic.kind, nic.bridge, nic.id))), "dim")])
    return lines or [note("no NICs")]


def arguments(_view: View, row: DomainRow) -> list[SpanLine]:
    """Return the argument list, an option a line."""
    lines: list[SpanLine] = [heading("Arguments"), BLANK]
    for word in _process(row).args:
        if word.startswith("-") or len(lines) == 2:
            lines.append([Span(word, "accent")])
        else:
            lines[-1] = [*lines[-1], Span(" " + word)]
    return lines


def _is_process(row: DomainRow) -> bool:
    return row.process is not None


PROCESS_TABS: tuple[Tab[DomainRow], ...] = (
    Tab("process", "Overview", overview, _is_process),
    Tab("threads", "Threads", threads, _is_process),
    Tab("drives", "Disks", disks, _is_process),
    Tab("backends", "NICs", nics, _is_process),
    Tab("arguments", "Arguments", arguments, _is_process),
)
