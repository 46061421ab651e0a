"""The host itself: CPUs and their load, NUMA cells, huge pages, and how its kernel manages memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical

from tui.dialogs.live import LiveScreen
from tui.model import units
from tui.model.cpuset import format_cpus
from tui.model.host import Host
from tui.model.host_cpus import HostCell, HostCpu, HostCpus, HugepagePool, KernelMemory
from tui.model.snapshot import HostSnapshot
from tui.model.text import wrapped
from tui.widgets.lines import FILL, LinesView, Span, SpanLine
from tui.widgets.sparkline import sparkline

_CLOSE = frozenset({"escape", "q", "enter", "H"})
_LABEL = 13
_GROUP = 8
_OFFLINE = "-"
_KSM = ("off", "on", "off and unmerged")
# The border and the padding of the dialog.
_EDGES = 4


class HostDialog(LiveScreen[None]):
    """Shows the host as it is now; esc closes."""

    wants_host = True

    def __init__(self, snapshot: HostSnapshot) -> None:
        super().__init__()
        self._snapshot = snapshot
        self._view = LinesView(can_focus=True, classes="grow")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall"):
            yield LinesView([[Span("Host", "title"), FILL, Span("esc", "key", "close"), Span(" close")]])
            yield self._view

    def on_mount(self) -> None:
        self._view.focus()
        self._draw()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def show_snapshot(self, snapshot: HostSnapshot) -> None:
        """Draw what changed."""
        self._snapshot = snapshot
        self._draw()

    def _draw(self) -> None:
        width = self._view.size.width or self.app.size.width - _EDGES
        self._view.set_lines(host_lines(self._snapshot, width))

    def on_key(self, event: events.Key) -> None:
        if event.key in _CLOSE or event.character in _CLOSE:
            event.stop()
            self.dismiss(None)

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        event.stop()
        self.dismiss(None)


def host_lines(snapshot: HostSnapshot, width: int) -> list[SpanLine]:
    """Return all that is known of the host in lines of at most `width` cells."""
    host, cpus, loads = snapshot.host, snapshot.cpus, snapshot.cpu_loads
    lines = _facts(host, width) if host is not None else []
    if cpus is None:
        return [*lines, [Span("its CPUs and memory are not read yet", "dim")]]
    lines += _cpu_lines(cpus, loads, width)
    known = {cpu.number: cpu for cpu in cpus.cpus}
    for cell in cpus.cells:
        lines += [[], *_cell_lines(cell, known, loads, width)]
    placed = {number for cell in cpus.cells for number in cell.cpus}
    if lone := [number for number in known if number not in placed]:
        lines += [[], _line("On no node", f"CPUs {format_cpus(lone)}"), *_strip(lone, known, loads, width)]
    return [*lines, [], *_kernel_lines(cpus.kernel)]


def _line(label: str, value: str, style: str = "") -> SpanLine:
    return [Span(label.ljust(_LABEL), "dim"), Span(value, style)]


def _told(label: str, text: str, width: int) -> list[SpanLine]:
    first, *more = wrapped(text, max(width - _LABEL, 2))
    return [_line(label, first), *(_line("", line) for line in more)]


def _facts(host: Host, width: int) -> list[SpanLine]:
    versions = f"{host.driver} {host.hypervisor_version}, libvirt {host.libvirt_version}, {host.architecture}"
    lines = [*_told("Name", host.name, width), *_told("Driver", versions, width)]
    if host.memory_kib is not None:
        words = f"{units.size(host.memory_free_kib)} free or cache of {units.size(host.memory_kib)}"
        lines.append(_line("Memory", words))
    if host.load_1min is not None:
        lines.append(_line("Load average", f"{host.load_1min:.2f} in the last minute"))
    return lines


def _free_of(free_kib: int | None, total_kib: int | None) -> str:
    return f"{units.size(free_kib)} free of {units.size(total_kib)}"


def _cpu_lines(cpus: HostCpus, loads: Mapping[int, float], width: int) -> list[SpanLine]:
    if not cpus.cpus:
        return [_line("CPUs", "the driver does not tell", "warn")]
    lines = _told("CPUs", _counts(cpus.cpus), width)
    if offline := [cpu.number for cpu in cpus.cpus if not cpu.online]:
        lines += _told("Offline", f"CPUs {format_cpus(offline)}", width)
    if loads:
        busiest = max(loads, key=lambda number: loads[number])
        mean = units.percent(sum(loads.values()) / len(loads))
        lines.append(_line("Load", f"{mean} % of all; the busiest is CPU {busiest}: {units.percent(loads[busiest])} %"))
    return lines


def _counts(cpus: Sequence[HostCpu]) -> str:
    """How many CPUs, sockets, cores; threads only where every core has as many."""
    placed = [cpu for cpu in cpus if cpu.socket is not None]
    if not placed:
        return str(len(cpus))
    sockets = len({cpu.socket for cpu in placed})
    cores = {cpu.siblings for cpu in placed}
    threads = {len(siblings) for siblings in cores}
    parts = [_many(sockets, "socket"), _many(len(cores), "core")]
    parts += [f"{_many(threads.pop(), 'thread')} a core"] if len(threads) == 1 else []
    return f"{len(cpus)}: {', '.join(parts)}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _cell_lines(cell: HostCell, known: Mapping[int, HostCpu], loads: Mapping[int, float], width: int) -> list[SpanLine]:
    cpus = f"CPUs {format_cpus(cell.cpus)}" if cell.cpus else "no CPUs"
    first, *more = wrapped(cpus, max(width - _LABEL, 2))
    lines: list[SpanLine] = [[Span(f"Node {cell.number}".ljust(_LABEL), "title"), Span(first)]]
    lines += [_line("", text) for text in more]
    lines += _strip(cell.cpus, known, loads, width)
    if cell.memory_kib is not None or cell.free_kib is not None:
        lines.append(_line("  memory", _free_of(cell.free_kib, cell.memory_kib)))
    lines += _pool_lines(cell.hugepages)
    if len(cell.distances) > 1:
        lines += _told("  distances", " ".join(map(str, cell.distances)), width)
    return lines


def _strip(
    numbers: Sequence[int], known: Mapping[int, HostCpu], loads: Mapping[int, float], width: int
) -> list[SpanLine]:
    """The load of each CPU as one block, in groups of eight, in as many lines as it takes."""
    if not any(number in loads for number in numbers):
        return []
    groups = max((width - _LABEL) // (_GROUP + 1), 1)
    lines = []
    for start in range(0, len(numbers), groups * _GROUP):
        row = numbers[start : start + groups * _GROUP]
        blocks = [_block(number, known, loads) for number in row]
        words = ["".join(blocks[index : index + _GROUP]) for index in range(0, len(blocks), _GROUP)]
        lines.append(_line("  load" if start == 0 else f"  from {row[0]}", " ".join(words)))
    return lines


def _block(number: int, known: Mapping[int, HostCpu], loads: Mapping[int, float]) -> str:
    cpu = known.get(number)
    if cpu is not None and not cpu.online:
        return _OFFLINE
    return sparkline([loads.get(number)], 1, 100.0)


def _pool_lines(pools: Sequence[HugepagePool]) -> list[SpanLine]:
    if not pools:
        return []
    used = [pool for pool in pools if pool.total]
    if not used:
        return [_line("  huge pages", "none reserved")]
    return [_pool_line(pool) for pool in used]


def _pool_line(pool: HugepagePool) -> SpanLine:
    free = "?" if pool.free is None else str(pool.free)
    whole = units.size(pool.total * pool.size_kib)
    style = "warn" if pool.free == 0 else ""
    return _line(f"  {_page(pool.size_kib)} pages", f"{free} free of {pool.total} ({whole})", style)


def _page(size_kib: int) -> str:
    """A page's size as people call it: 2M, 1G."""
    if size_kib % 1024**2 == 0:
        return f"{size_kib // 1024**2}G"
    return f"{size_kib // 1024}M" if size_kib % 1024 == 0 else f"{size_kib}K"


def _kernel_lines(kernel: KernelMemory | None) -> list[SpanLine]:
    if kernel is None:
        return [[Span("THP, KSM and swap cannot be seen: the host is not this machine", "dim")]]
    lines = [
        _line("THP", kernel.transparent_hugepages or "this kernel has none"),
        _line("KSM", _ksm(kernel)),
    ]
    if kernel.swap_total_kib == 0:
        return [*lines, _line("Swap", "none")]
    return [*lines, _line("Swap", _free_of(kernel.swap_free_kib, kernel.swap_total_kib))]


def _ksm(kernel: KernelMemory) -> str:
    run = kernel.ksm_run
    if run is None:
        return "this kernel has none"
    word = _KSM[run] if run < len(_KSM) else str(run)
    if not kernel.ksm_sharing_kib:
        return f"{word}, saves nothing"
    return f"{word}: saves {units.size(kernel.ksm_sharing_kib)}, in {units.size(kernel.ksm_shared_kib)} that is shared"
