"""The detail of a domain's scheduler, limits and I/O threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.tuning import CpuTune, MemTune, Tuning, quota_cpus
from tui.model.tuning_differences import hugepage_words
from tui.panes.domain_rows import DomainRow, detail_of
from tui.panes.spec import View
from tui.panes.text import BLANK, heading, line, note, paragraph, table
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.domain_config import DomainConfig
    from tui.model.domain_detail import Enforced

_Row = tuple[str, Callable[[Tuning], str]]
_NOT_SET = "default"
_NO_LIMIT = "no limit"


def tuning(view: View, row: DomainRow) -> list[SpanLine]:
    """Return what is set of them, live and persistent; and what the kernel holds the running domain to."""
    if row.domain is None or row.domain.config is None:
        return [note("not read yet")]
    sides = _sides(row.domain, row.domain.config)
    detail = detail_of(view, row)
    return [
        *_group("CPU", _cpu_rows(sides), sides),
        *_group("Limits of QEMU's memory", _LIMIT_ROWS, sides),
        *_group("Where its memory lies", _MEMORY_ROWS, sides),
        *_thread_lines(sides),
        *(_enforced_lines(detail.enforced) if detail is not None and detail.enforced is not None else ()),
    ]


_Sides = Sequence[tuple[str, "DomainConfig"]]


def _sides(domain: Domain, config: DomainConfig) -> _Sides:
    """(heading, configuration): one of a domain that is off or transient, else now and at the next boot."""
    if not domain.active or domain.persistent_config is None:
        return [("now" if domain.active else "next boot", config)]
    return [("now", config), ("next boot", domain.persistent_config)]


def _group(title: str, rows: Iterable[_Row], sides: _Sides) -> list[SpanLine]:
    """A heading, and a table of what the rows say of each side."""
    body = [(label, *(words(config.tuning) for _name, config in sides)) for label, words in rows]
    lines = table(("", *(name for name, _config in sides)), body)
    shown = [lines[0], *(_marked(row, cells) for row, cells in zip(lines[1:], body, strict=True))]
    return [heading(title), *shown, BLANK]


def _marked(shown: SpanLine, cells: Sequence[str]) -> SpanLine:
    """What the next boot changes stands out."""
    return [span._replace(style="warn") for span in shown] if len(set(cells[1:])) > 1 else shown


def _shares(side: Tuning) -> str:
    return _number(side.cpu.shares)


def _number(value: int | None) -> str:
    return _NOT_SET if value is None else str(value)


_BANDWIDTHS = (("Each vCPU", ""), ("Emulator", "emulator_"), ("I/O thread", "iothread_"), ("All threads", "global_"))


def _cpu_rows(sides: _Sides) -> list[_Row]:
    """Shares, and each limit that there is on any side; a period without a quota limits nothing."""
    rows: list[_Row] = [("Shares", _shares)]
    for label, prefix in _BANDWIDTHS:
        limit = _limit(prefix)
        if any(limit(config.tuning) != _NO_LIMIT for _name, config in sides):
            rows += [(label, limit), ("  quota µs", _quota(prefix)), ("  period µs", _period(prefix))]
    return rows


def _limit(prefix: str) -> Callable[[Tuning], str]:
    def words(side: Tuning) -> str:
        cpus = quota_cpus(getattr(side.cpu, f"{prefix}quota_us"), getattr(side.cpu, f"{prefix}period_us"))
        return _NO_LIMIT if cpus is None else f"{cpus:.4g} CPU"

    return words


def _quota(prefix: str) -> Callable[[Tuning], str]:
    def words(side: Tuning) -> str:
        value = getattr(side.cpu, f"{prefix}quota_us")
        return "-" if value is None or value < 0 else str(value)

    return words


def _period(prefix: str) -> Callable[[Tuning], str]:
    return lambda side: _number(getattr(side.cpu, f"{prefix}period_us"))


def _of_memory(field: str) -> Callable[[Tuning], str]:
    def words(side: Tuning) -> str:
        return units.size(getattr(side.memory, field), _NO_LIMIT)

    return words


_LIMIT_ROWS: tuple[_Row, ...] = (
    ("Hard", _of_memory("hard_limit_kib")),
    ("Soft", _of_memory("soft_limit_kib")),
    ("With swap", _of_memory("swap_hard_limit_kib")),
)


def _nodes(side: Tuning) -> str:
    return "anywhere" if side.numatune is None else side.numatune.nodes or side.numatune.mode or "by cell"


def _mode(side: Tuning) -> str:
    return "-" if side.numatune is None else side.numatune.mode or "-"


def _cells(side: Tuning) -> str:
    cells = side.numatune.cells if side.numatune else ()
    return " ".join(f"{cell}:{nodes}" for cell, _mode, nodes in cells) or "-"


_MEMORY_ROWS: tuple[_Row, ...] = (
    ("NUMA nodes", _nodes),
    ("NUMA mode", _mode),
    ("cell:nodes", _cells),
    ("Hugepages", lambda side: hugepage_words(side.hugepages_kib)),
    ("Locked", lambda side: "yes" if side.memory_locked else "no"),
)


def _thread_lines(sides: _Sides) -> list[SpanLine]:
    """Each I/O thread with what uses it and its pin; of the next boot alone what is otherwise then."""
    numbers = sorted({number for _name, config in sides for number in config.tuning.iothread_ids})
    lines: list[SpanLine] = [heading("I/O threads")]
    for number in numbers:
        words = [(name, _thread_words(config, number)) for name, config in sides]
        first = words[0][1]
        lines.append([Span(f"{number:<4}", "title"), Span(first or "not there", "" if first else "dim")])
        if words[-1][1] != first:
            lines += [[Span(f"{words[-1][0]}: ", "dim"), Span(words[-1][1] or "gone", "warn")]]
    return [*lines, *([] if numbers else [note("none")]), BLANK]


def _thread_words(config: DomainConfig, number: int) -> str:
    if number not in config.tuning.iothread_ids:
        return ""
    users = [user for used, user in config.tuning.iothread_users if used == number]
    pin = dict(config.vcpu_pins).get(f"iothread {number}")
    return (", ".join(users) or "unused") + (f", on CPU {pin}" if pin else "")


def _enforced_lines(enforced: Enforced) -> list[SpanLine]:
    """What the control groups say, and why they cannot be asked: then live changes fail as well."""
    lines: list[SpanLine] = [heading("In force")]
    lines += _cpu_in_force(enforced.cpu) if enforced.cpu is not None else _refused("CPU", enforced.no_cpu)
    lines += (
        _memory_in_force(enforced.memory) if enforced.memory is not None else _refused("Memory", enforced.no_memory)
    )
    return lines


def _refused(what: str, reason: str) -> list[SpanLine]:
    return [line(what, "cannot be limited now:", "warn"), *paragraph(reason, "warn")]


def _cpu_in_force(cpu: CpuTune) -> list[SpanLine]:
    side = Tuning(cpu=cpu)
    limits = [(label, _limit(prefix)(side)) for label, prefix in _BANDWIDTHS]
    return [line("Shares", _shares(side)), *(line(label, words) for label, words in limits)]


def _memory_in_force(memory: MemTune) -> list[SpanLine]:
    side = Tuning(memory=memory)
    return [line(label, words(side)) for label, words in _LIMIT_ROWS]
