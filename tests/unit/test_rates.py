"""Rates between readings, with counters that are missing, reset, or read at the same instant."""

from __future__ import annotations

import pytest

from tui.model.rates import cpu_percent, rate_per_s, ratio, total

S = 1_000_000_000


@pytest.mark.parametrize(
    ("before", "after", "elapsed", "rate"),
    [
        (0, 100, S, 100.0),
        (50, 50, 2 * S, 0.0),
        (0, 100, S // 2, 200.0),
        (None, 100, S, None),
        (0, None, S, None),
        (100, 5, S, None),
        (0, 100, 0, None),
        (0, 100, -S, None),
    ],
)
def test_rates(before: int | None, after: int | None, elapsed: int, rate: float | None) -> None:
    assert rate_per_s(before, after, elapsed) == rate


def test_cpu_is_in_percent_of_one_host_cpu() -> None:
    assert cpu_percent(0, S, S) == 100.0
    assert cpu_percent(0, 3 * S, 2 * S) == 150.0
    assert cpu_percent(S, 0, S) is None


def test_ratios_are_unknown_without_growth() -> None:
    assert ratio(0, 500, 0, 5) == 100.0
    assert ratio(0, 500, 5, 5) is None
    assert ratio(500, 0, 0, 5) is None
    assert ratio(None, 500, 0, 5) is None


def test_totals_are_of_what_is_known() -> None:
    assert total([1.0, None, 2.0]) == 3.0
    assert total([None]) is None
    assert total([]) is None
