"""Figures as block characters: exact width, one scale, unknown ones told apart from zero."""

from __future__ import annotations

import pytest

from tui.widgets.sparkline import sparkline


def test_a_full_scale_uses_every_block() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8, 7) == "▁▂▃▄▅▆▇█"


def test_the_newest_values_stand_at_the_right() -> None:
    assert sparkline([100, 0, 0, 100], 2, 100) == "▁█"
    assert sparkline([100], 4, 100) == "   █"


def test_without_a_maximum_the_greatest_value_shown_is_full() -> None:
    assert sparkline([1000, 5, 10], 2) == "▅█"


def test_values_are_held_within_the_scale() -> None:
    assert sparkline([-3, 250], 2, 100) == "▁█"


def test_any_load_at_all_differs_from_none() -> None:
    assert sparkline([0, 0.01], 2, 100) == "▁▂"


def test_unknown_values_are_not_zero() -> None:
    assert sparkline([None, 0, float("nan"), float("inf"), 1], 5, 1) == "·▁··█"


@pytest.mark.parametrize("values", [[], [None, None], [0, 0]])
def test_nothing_to_scale_by(values: list[float | None]) -> None:
    assert len(sparkline(values, 6)) == 6
    assert "█" not in sparkline(values, 6)


def test_no_width_no_text() -> None:
    assert sparkline([1, 2], 0) == ""
    assert sparkline([1, 2], -1) == ""
