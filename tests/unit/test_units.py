"""Sizes, rates and times are short, of a known width, and never lie about the unknown."""

from __future__ import annotations

import pytest

from tui.model import units


@pytest.mark.parametrize(
    ("kib", "text"),
    [(None, "?"), (0, "0"), (1, "1K"), (999, "999K"), (1000, "1.0M"), (98304, "96.0M"), (131072, "128M"),
     (1048576, "1.0G"), (1572864, "1.5G"), (134217728, "128G"), (10**12, "931T")],
)  # fmt: skip
def test_sizes(kib: int | None, text: str) -> None:
    assert units.size(kib) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(None, "?"), (0.0, "0"), (0.4, "0"), (1, "1B"), (999, "999B"), (1024, "1K"), (5e9, "4.7G")]
)
def test_rates(rate: float | None, text: str) -> None:
    assert units.rate(rate) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "?"), (0.0, "0"), (0.04, "0"), (0.06, "0.1"), (9.94, "9.9"), (9.96, "10"), (1600, "1600")],
)
def test_percents(value: float | None, text: str) -> None:
    assert units.percent(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (59, "59s"), (190, "3m10s"), (18120, "5h02m"), (1047600, "12d3h")]
)
def test_spans(seconds: float, text: str) -> None:
    assert units.span(seconds) == text


def test_no_size_or_rate_is_wider_than_its_column() -> None:
    for exponent in range(61):
        for value in (2**exponent, 2**exponent - 1, 2**exponent * 0.97):
            assert len(units.size(value)) <= 5, value
            assert len(units.byte_size(value)) <= 5, value
