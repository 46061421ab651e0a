"""How the pin matrix looks: where its columns stand, its head, and the cells of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from tui.widgets.painting import Run, fit
from tui.widgets.sparkline import BLOCKS

Cpus = tuple[int, ...]
"""CPU numbers, ascending."""

WISHED, NOT_WISHED, BARRED = "■", "·", "×"
ANYWHERE = "▫"
"""Of a row without a pin: it may run there as well as everywhere else."""
RUNS_INSIDE, RUNS_OUTSIDE = "◆", "◇"
REAL_ALONE, WISH_ALONE = "+", "□"
"""Of a row that drifted: where the kernel lets it run although it should not, and the other way about."""

_WARN_PERCENT, _BAD_PERCENT = 80.0, 95.0
_MOST_CLAIMS = 9
_MIN_LABEL, _MAX_LABEL = 8, 16
_FIGURES = 13
_MIN_WORDS, _MAX_WORDS = 12, 32


@dataclass(frozen=True, slots=True)
class CpuColumn:
    """One CPU of the host."""

    number: int
    group: str = ""
    """What is written above it and its neighbours of the same group, as in "node 0"; cleaned already."""
    core: str = ""
    """The same for the hardware threads of a core; "" when its core is not known."""
    barred: str = ""
    """Why no thread can be bound to it, as in "is offline"; "" when it can."""


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """One thread; of `wish` None stands for no pin of its own, of other fields for not known."""

    name: str
    wish: Cpus | None = None
    others: tuple[Cpus | None, ...] = ()
    """What else holds where the wish will go: on the other side, for other guests."""
    real: Cpus | None = None
    on_cpu: int | None = None
    use_percent: float | None = None
    wait_percent: float | None = None
    drift: bool = False
    """Whether `real` is not what the wish says."""
    there: bool = True
    """Whether the thread is there now."""


class Frame(NamedTuple):
    """How the width is shared out, and which cells are in view."""

    label: int
    left: int
    room: int
    words: int
    """Cells of each of the two lists at the right; 0: there is no room for them."""
    figures: bool


class RowLook(NamedTuple):
    """All that a row's cells are drawn from."""

    row: ThreadRow
    wish: Cpus | None
    """The wish to show: an edit, or the row's own."""
    edited: bool
    current: bool
    """Whether the cursor is in it."""
    active: range
    """The columns of the cursor or the range."""


class Layout:
    """Where the columns stand: a cell each, a blank between groups."""

    def __init__(self, columns: Sequence[CpuColumn]) -> None:
        self.columns = tuple(columns)
        self.at: dict[int, int] = {}
        """The cell of a CPU, by its number."""
        self.groups: list[tuple[str, int, int]] = []
        """The groups with the cells [start, end) that they take."""
        self.glyphs: list[str] = []
        self.tokens: list[str] = []
        """The cells of a row without a wish, and their inks."""
        for label, members in groupby(self.columns, lambda column: column.group):
            self._add(label, list(members))
        self.width = len(self.glyphs)
        self.barred = {self.at[column.number] for column in self.columns if column.barred}
        self.digits = len(str(max(self.at, default=0)))
        cores = [column.core for column in self.columns if column.core]
        self.has_siblings = len(cores) > len(set(cores))
        self.digit_cells = self._digit_cells()
        """The lines of the CPU numbers, written downwards."""
        self.core_cells = self._core_cells()
        """The line that joins the hardware threads of each core."""

    def _add(self, label: str, members: Sequence[CpuColumn]) -> None:
        if self.glyphs:
            self.glyphs.append(" ")
        start = len(self.glyphs)
        self.at.update((column.number, start + index) for index, column in enumerate(members))
        self.glyphs += [BARRED if column.barred else NOT_WISHED for column in members]
        self.groups.append((label, start, len(self.glyphs)))
        self.tokens = ["dim"] * len(self.glyphs)

    def column_at(self, cell: int) -> int | None:
        """Return the index of the column at a cell, None between groups and beyond them."""
        return next((i for i, column in enumerate(self.columns) if self.at[column.number] == cell), None)

    # The head: a list of cells for each of its lines

    def group_cells(self, left: int, right: int) -> list[str]:
        """Return the cells [left, right) of the line of groups; a name stands where its group comes into view."""
        cells = [" "] * max(0, right - left)
        for label, first, last in self.groups:
            start, end = max(first, left), min(last, right)
            room = end - start
            if room <= 0:
                continue
            name = next((text for text in (f"{label} ", label, label.rpartition(" ")[2]) if len(text) <= room), "")
            cells[start - left : end - left] = name.ljust(room, "─") if label else " " * room
        return cells

    def _digit_cells(self) -> list[list[str]]:
        lines = [[" "] * self.width for _ in range(self.digits)]
        for number, cell in self.at.items():
            for line, digit in zip(lines, str(number).rjust(self.digits), strict=True):
                line[cell] = digit
        return lines

    def _core_cells(self) -> list[str]:
        cells = [" "] * self.width
        for core, members in groupby(self.columns, lambda column: (column.group, column.core)):
            where = [self.at[column.number] for column in members]
            if core[1] and len(where) > 1:
                cells[where[0] : where[-1] + 1] = "└" + "┴" * (len(where) - 2) + "┘"
        return cells

    def load_cells(self, loads: Mapping[int, float]) -> tuple[list[str], list[str]]:
        """Return the line of loads, given in percent, and its inks."""
        cells, tokens = [" "] * self.width, [""] * self.width
        for column in self.columns:
            cell, load = self.at[column.number], loads.get(column.number)
            if load is not None:
                cells[cell] = BLOCKS[min(len(BLOCKS) - 1, max(0, int(load * len(BLOCKS) / 100)))]
                tokens[cell] = "bad" if load > _BAD_PERCENT else "warn" if load > _WARN_PERCENT else ""
            elif cell not in self.barred:
                cells[cell], tokens[cell] = "?", "unknown"
        return cells, tokens

    def claim_cells(self, claims: Mapping[int, int]) -> list[str]:
        """Return the line that says how many others claim each CPU: a digit, "+" above 9, blank for none."""
        cells = [" "] * self.width
        for number, count in claims.items():
            if count and (cell := self.at.get(number)) is not None:
                cells[cell] = str(count) if count <= _MOST_CLAIMS else "+"
        return cells


def row_cells(layout: Layout, row: ThreadRow, wish: Cpus | None, edited: bool) -> tuple[list[str], list[str]]:
    """Return the cells of a row that shows `wish`, and their inks. What the kernel does is held against a wish that
    was `edited` no more: it cannot have followed yet."""
    glyphs, tokens = layout.glyphs.copy(), layout.tokens.copy()
    wished = {cell for cpu in wish or () if (cell := layout.at.get(cpu)) is not None}
    if wish is None and not row.drift:
        glyphs = [ANYWHERE if glyph == NOT_WISHED else glyph for glyph in glyphs]
    for cell in wished:
        if cell in layout.barred:
            tokens[cell] = "bad"
        else:
            glyphs[cell], tokens[cell] = WISHED, ""
    if edited:
        for cpu in set(wish or ()) ^ set(row.wish or ()):
            if (cell := layout.at.get(cpu)) is not None:
                tokens[cell] = "key"
    elif row.drift and row.real is not None:
        real = {cell for cpu in row.real if (cell := layout.at.get(cpu)) is not None}
        for cell in real - wished:
            glyphs[cell], tokens[cell] = REAL_ALONE, "warn"
        for cell in wished - real - layout.barred:
            glyphs[cell], tokens[cell] = WISH_ALONE, "warn"
    if row.on_cpu is not None and (cell := layout.at.get(row.on_cpu)) is not None:
        inside = wish is None or row.on_cpu in wish
        glyphs[cell] = RUNS_INSIDE if inside else RUNS_OUTSIDE
        if tokens[cell] != "key":
            tokens[cell] = "good" if inside else "warn"
    return glyphs, tokens


def runs_of(glyphs: Sequence[str], tokens: Sequence[str]) -> list[Run]:
    """Return the cells as runs of one ink each."""
    out: list[Run] = []
    start = 0
    for token, group in groupby(tokens):
        end = start + sum(1 for _ in group)
        out.append(("".join(glyphs[start:end]), token))
        start = end
    return out


def frame_of(names: Sequence[str], layout: Layout, width: int, left: int) -> Frame:
    """Return how `width` cells are shared out: first the names and the CPUs, then figures, then lists."""
    label = min(_MAX_LABEL, max([_MIN_LABEL, *map(len, names)])) + 1
    spare = width - label - layout.width
    words = min(_MAX_WORDS, (spare - _FIGURES) // 2 - 2)
    return Frame(
        label=label,
        left=left,
        room=max(0, width - label) if spare < 0 else layout.width,
        words=words if words >= _MIN_WORDS else 0,
        figures=spare >= _FIGURES,
    )


def head_runs(
    layout: Layout, frame: Frame, cursor: int | None, loads: Mapping[int, float], claims: Mapping[int, int]
) -> list[list[Run]]:
    """Return the lines above the rows; the number of the CPU under the cursor stands out."""
    left, right = frame.left, frame.left + frame.room
    numbers = ["dim"] * layout.width
    if cursor is not None:
        numbers[layout.at[cursor]] = "key"
    body: list[tuple[str, list[str], list[str]]] = [
        ("" if index else "CPU", cells, numbers) for index, cells in enumerate(layout.digit_cells)
    ]
    if layout.has_siblings:
        body.append(("core", layout.core_cells, ["dim"] * layout.width))
    body.append(("load", *layout.load_cells(loads)))
    body.append(("claims", layout.claim_cells(claims), ["warn"] * layout.width))
    out: list[list[Run]] = [[(" " * frame.label + "".join(layout.group_cells(left, right)), "")]]
    for label, cells, tokens in body:
        tail = _tail_titles(frame) if label == "claims" else ""
        out.append([(fit(label, frame.label), "dim"), *runs_of(cells[left:right], tokens[left:right]), (tail, "dim")])
    return out


def row_runs(layout: Layout, frame: Frame, look: RowLook, words: Callable[[Cpus], str]) -> list[Run]:
    """Return a row: its thread, a mark ("*" edited, "!" drifted, "≠" the wish is not the same everywhere), its cells,
    and as much in words as there is room for."""
    row = look.row
    glyphs, tokens = row_cells(layout, row, look.wish, look.edited)
    for column in layout.columns[look.active.start : look.active.stop]:
        tokens[layout.at[column.number]] = "active"
    right = frame.left + frame.room
    body = runs_of(glyphs[frame.left : right], tokens[frame.left : right])
    name = (fit(row.name, frame.label - 1), "title" if look.current else "" if row.there else "dim")
    return [name, _mark(look), *body, *_tail(look, frame, words)]


def _mark(look: RowLook) -> Run:
    if look.edited:
        return "*", "key"
    if look.row.drift:
        return "!", "bad"
    return ("≠", "warn") if any(other != look.row.wish for other in look.row.others) else (" ", "")


def _tail(look: RowLook, frame: Frame, words: Callable[[Cpus], str]) -> list[Run]:
    row = look.row
    if not frame.figures:
        return []
    unknown = "?" if row.there else "-"
    figures = (row.use_percent, row.wait_percent)
    out = [("".join(f"{unknown:>6}" if figure is None else f"{figure:6.1f}" for figure in figures) + " ", "")]
    if frame.words:
        wish = words(look.wish) if look.wish else "not pinned"
        real = words(row.real) if row.real else unknown
        out.append(("  " + fit(wish, frame.words) + "  ", "key" if look.edited else ""))
        out.append((fit(real, frame.words), "warn" if row.drift else "dim"))
    return out


def _tail_titles(frame: Frame) -> str:
    if not frame.figures:
        return ""
    words = f"  {fit('may run on', frame.words)}  {fit('kernel', frame.words)}" if frame.words else ""
    return f"  use% wait% {words}"
