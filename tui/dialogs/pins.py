"""The pin matrix as a screen: the threads of a guest by the host's CPUs, edited and planned with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical

from tui.actions.base import FieldError, Target
from tui.dialogs.editors import EditorScreen, Opening
from tui.dialogs.pin_words import (
    BOTH,
    KEY_LINES,
    LEGEND,
    LIVE,
    PERSISTENT,
    SIDES,
    Wish,
    cpu_line,
    here,
    row_lines,
    side_words,
    state_line,
)  # fmt: skip
from tui.model.cpuset import format_cpus
from tui.model.domain import Domain
from tui.model.host_cpus import HostCpu
from tui.model.pin_table import PinRow, PinTable, pin_table
from tui.model.pins import compact, follow_memory, format_pins, spread
from tui.model.process import QemuProcess
from tui.model.snapshot import HostSnapshot
from tui.model.text import clean
from tui.widgets.lines import FILL, LinesView, Span, SpanLine
from tui.widgets.pinmatrix import CpuColumn, PinMatrix, ThreadRow

Table = Callable[[HostSnapshot, Domain | QemuProcess], PinTable]


class PinsEditor(EditorScreen):
    """Leaves with the field `pins` (the threads that were edited alone) and, where it is asked for, `where`."""

    wants_host = True

    def __init__(self, opening: Opening, table: Table = pin_table) -> None:
        super().__init__(opening)
        self._targets = [target for target in opening.targets if isinstance(target, (Domain, QemuProcess))]
        first = self._targets[0]
        self.watched = first.key if isinstance(first, Domain) else None
        self._plural = opening.action.kind.plural
        self._table_of = table
        snapshot = opening.context().snapshot
        self._table = _plain(table(snapshot, first))
        self._others = [_plain(table(snapshot, target)) for target in self._targets[1:]]
        self._side = opening.values.get("where", BOTH)
        self._made: tuple[tuple[object, ...], tuple[CpuColumn, ...]] = ((), ())
        self._awaits_node = False
        self._leaving = False
        self._gone = ""
        self._note = ""
        self._title = LinesView()
        self._matrix = PinMatrix(format_cpus, first=self._press)
        self._foot = LinesView(classes="foot")

    def compose(self) -> ComposeResult:
        with Vertical(classes="editor"):
            yield self._title
            yield self._matrix
            yield self._foot

    def on_mount(self) -> None:
        self._matrix.focus()
        self._show()

    def show_snapshot(self, snapshot: HostSnapshot) -> None:
        """Show loads, affinities and where threads run as of `snapshot`; the edits stay."""
        tables = [self._table, *self._others]
        found = [_find(snapshot, target) for target in self._targets]
        gone = [target.name for target, there in zip(self._targets, found, strict=True) if there is None]
        self._gone = f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone" if gone else ""
        self._table, *self._others = (
            table if target is None else _plain(self._table_of(snapshot, target))
            for table, target in zip(tables, found, strict=True)
        )
        if self.is_mounted:
            self._show()

    # Drawing

    def _show(self) -> None:
        table = self._table
        claims = {cpu: len(names) for cpu, names in table.claims.items()}
        self._matrix.show(self._columns(), [self._row(row) for row in self._rows()], table.loads, claims)
        self._draw_words()

    def _rows(self) -> list[PinRow]:
        """The threads that all targets have."""
        common = [{row.thread for row in table.rows} for table in self._others]
        return [row for row in self._table.rows if all(row.thread in names for names in common)]

    def _row(self, row: PinRow) -> ThreadRow:
        others = (next(other for other in table.rows if other.thread == row.thread) for table in self._others)
        wish, *rest = self._wishes(self._table, row) or [None]
        for table, other in zip(self._others, others, strict=True):
            rest += self._wishes(table, other)
        return ThreadRow(
            row.thread, wish, tuple(rest), row.real, row.on_cpu, row.use_percent, row.wait_percent,
            row.drift and self._side != PERSISTENT, row.there,
        )  # fmt: skip

    def _wishes(self, table: PinTable, row: PinRow) -> list[Wish]:
        """The pins of a thread on the sides that are edited, live first."""
        return [row.live if side == LIVE else row.persistent for side in here(table, self._side)]

    def _columns(self) -> tuple[CpuColumn, ...]:
        """The host's CPUs as columns; the same object while nothing of them changed."""
        table = self._table
        key = (table.cpus, table.allowed, here(table, self._side))
        if self._made[0] != key:
            self._made = (key, tuple(map(self._column, table.cpus)))
        return self._made[1]

    def _column(self, cpu: HostCpu) -> CpuColumn:
        core = "" if cpu.core is None else f"{cpu.socket} {cpu.core}"
        return CpuColumn(cpu.number, _group(cpu), core, self._barred(cpu))

    def _barred(self, cpu: HostCpu) -> str:
        if not cpu.online:
            return "is offline"
        allowed = self._table.allowed if LIVE in here(self._table, self._side) else None
        return "" if allowed is None or cpu.number in allowed else "is outside the cpuset of its process"

    def _draw_words(self) -> None:
        matrix, table = self._matrix, self._table
        first = self._targets[0].name
        count = len(self._targets)
        title = f"Pins of {first}" if count == 1 else f"Pins of {count} {self._plural}, shown: {first}"
        self._title.set_lines([[Span(title, "title"), FILL, Span(matrix.position(), "dim")]])
        row = next((row for row in table.rows if matrix.cursor_row and row.thread == matrix.cursor_row.name), None)
        cpu = next((cpu for cpu in table.cpus if cpu.number == matrix.cursor_cpu), None)
        hint = "range: move, then space" if matrix.in_range else ""
        note = self._note or matrix.note or self._gone
        thread: Sequence[SpanLine] = ([Span("no threads to pin", "warn")], [])
        if row is not None:
            thread = row_lines(table, row, matrix.wish(row.thread), matrix.is_edited(row.thread), self._side)
        host: SpanLine = [Span("the host's CPUs are not read yet", "warn")]
        if cpu is not None:
            names = table.claims.get(cpu.number, ())
            host = cpu_line(cpu, table.loads.get(cpu.number), names, self._barred(cpu))
        state = state_line(table, self._side, len(matrix.changed()), hint, note)
        self._foot.set_lines([*thread, host, state, LEGEND, *KEY_LINES])

    def on_pin_matrix_touched(self, event: PinMatrix.Touched) -> None:
        event.stop()
        self._note, self._leaving = "", False
        self._draw_words()

    # Keys

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        event.stop()
        if not self._press(event.action):
            self._matrix.press(event.action)

    def _press(self, key: str) -> bool:
        """Do what a key means beyond the matrix, a digit after `c` included; False when it is the matrix's."""
        awaited, self._awaits_node = self._awaits_node, False
        leaving, self._leaving = self._leaving, False
        commands: dict[str, Callable[[], None]] = {
            "c": self._compact_here if awaited else self._ask_node,
            "s": lambda: self._place(lambda: spread(self._table)),
            "m": lambda: self._place(lambda: follow_memory(self._table)),
            "y": self._copy,
            "w": self._turn_side,
            "tab": self._turn_side,
            "enter": self._preview,
            "escape": lambda: self._leave(awaited, leaving),
        }
        if awaited and key.isdecimal():
            commands[key] = lambda: self._compact(int(key))
        if key not in commands:
            return False
        self._matrix.note = ""
        self._note = ""
        commands[key]()
        self._draw_words()
        return True

    def _ask_node(self) -> None:
        self._awaits_node = True
        self._note = "compact on which node? its digit, or c for the node under the cursor"

    def _compact_here(self) -> None:
        cpu = next((cpu for cpu in self._table.cpus if cpu.number == self._matrix.cursor_cpu), None)
        if cpu is None or cpu.node is None:
            self._note = "the node of this CPU is not known"
        else:
            self._compact(cpu.node)

    def _compact(self, node: int) -> None:
        self._place(lambda: compact(self._table, node))

    def _place(self, placement: Callable[[], Mapping[str, Wish]]) -> None:
        try:
            self._matrix.set_wishes(placement())
        except ValueError as error:
            self._note = clean(str(error))

    def _copy(self) -> None:
        row = self._matrix.cursor_row
        if row is not None:
            wish = self._matrix.wish(row.name)
            names = [row.thread for row in self._rows() if row.thread.startswith("vcpu ")]
            self._matrix.set_wishes(dict.fromkeys(names, wish))

    def _turn_side(self) -> None:
        if here(self._table, BOTH) == (LIVE, PERSISTENT):
            self._side = SIDES[(SIDES.index(self._side) + 1) % len(SIDES)]
            self._show()
        else:
            self._side = BOTH
            self._show()
            self._note = f"{self._table.name} has no other side: edits apply {side_words(self._table, BOTH)}"

    def _preview(self) -> None:
        changed = self._matrix.changed()
        if not changed:
            self._note = "nothing changed"
            return
        given = {"pins": format_pins(changed)}
        if "where" in self.opening.values:
            given["where"] = self._side
        try:
            self.opening.planner({**self.opening.values, **given})
        except FieldError as error:
            self._note = clean(error.reason)
            return
        self.opening.ask(given)

    def _leave(self, awaited: bool, leaving: bool) -> None:
        """Drop what was begun, then what was edited, the latter only when asked twice."""
        count = len(self._matrix.changed())
        if awaited:
            return
        if self._matrix.in_range:
            self._matrix.drop_range()
        elif count and not leaving:
            self._leaving = True
            self._note = f"esc again drops the edits of {'1 row' if count == 1 else f'{count} rows'}; enter shows them"
        else:
            self.dismiss(None)


def _plain(table: PinTable) -> PinTable:
    """Return the table without pins that name all CPUs, which libvirt writes when a pin is taken away, and without
    affinities of no CPU at all, which only a driver that has no threads tells of."""
    every = {cpu.number for cpu in table.cpus}

    def plain(pin: Wish) -> Wish:
        return None if pin is not None and len(pin) >= len(every) > 0 and every <= set(pin) else pin

    def cleared(row: PinRow) -> PinRow:
        live, persistent = plain(row.live), plain(row.persistent)
        if live is row.live and persistent is row.persistent and row.real != ():
            return row
        real = row.real or None
        return replace(row, live=live, persistent=persistent, real=real, drift=row.drift and real is not None)

    return replace(table, rows=tuple(map(cleared, table.rows)))


def _group(cpu: HostCpu) -> str:
    return f"node {cpu.node}" if cpu.node is not None else ""


def _find(snapshot: HostSnapshot, target: Target) -> Domain | QemuProcess | None:
    if isinstance(target, Domain):
        return snapshot.domains.get(target.key)
    return snapshot.processes.get(target.key) if target is not None else None
