"""Figures of the benchmarks: what was measured, what it may be, and how it is told."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `bound` is the largest value that is still good, None where there is only a value."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the value keeps its bound; None without one."""
        return None if self.bound is None else self.value <= self.bound

    def row(self) -> tuple[str, str, str, str, str, str]:
        """Return the cells of the table: name, value, unit, bound, verdict, note."""
        verdict = {None: "", True: "ok", False: "OVER"}[self.ok]
        bound = "" if self.bound is None else f"<= {_number(self.bound)}"
        return self.name, _number(self.value), self.unit, bound, verdict, self.note


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as an aligned table, one line each, values to the right."""
    rows = [("figure", "value", "unit", "bound", "", ""), *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in (1, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of all values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(percent / 100 * len(ranked)) - 1)]
