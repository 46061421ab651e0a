"""The arithmetic and the table of the benchmarks."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figure, percentile, table


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentiles_by_nearest_rank(percent: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == value


@pytest.mark.parametrize(("value", "ok"), [(9.9, True), (10, True), (10.1, False)])
def test_a_bound_is_kept_up_to_its_very_value(value: float, ok: bool) -> None:
    assert Figure("x", value, "ms", 10).ok is ok


def test_a_figure_without_a_bound_has_no_verdict() -> None:
    assert Figure("x", 1e9, "ms").ok is None


def test_what_is_over_stands_out_in_the_table() -> None:
    rows = table([Figure("quick", 1.234, "ms", 2), Figure("slow", 12345, "ms", 2, "why")]).splitlines()
    assert rows[1].split() == ["quick", "1.23", "ms", "<=", "2", "ok"]
    assert rows[2].split() == ["slow", "12,345", "ms", "<=", "2", "OVER", "why"]
