"""CPU lists: libvirt's syntax in, the shortest list out."""

from __future__ import annotations

import pytest

from tui.model.cpuset import MAX_CPU, format_cpus, parse_cpus


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0", (0,)),
        ("0-3,^2,5", (0, 1, 3, 5)),
        ("0-3,^2,2", (0, 1, 2, 3)),
        ("^2,0-3", (0, 1, 2, 3)),
        (" 1 , 4 - 5 ", (1, 4, 5)),
        ("7,1,1-2", (1, 2, 7)),
        (str(MAX_CPU), (MAX_CPU,)),
    ],
)
def test_a_list_names_its_cpus_in_order(text: str, cpus: tuple[int, ...]) -> None:
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize(
    "text",
    ["", ",", "1,", "a", "-1", "3-1", "1-2-3", "^1-2", "^", "0,^0", "0x3", "1 2", "١", "16384", "0-99999999999", "1_0"],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"CPU|range|exclusion"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("cpus", "text"),
    [((), ""), ((3,), "3"), ((0, 1, 2, 3, 5), "0-3,5"), ((5, 1, 0, 1), "0-1,5"), (range(64), "0-63")],
)
def test_cpus_become_the_shortest_list(cpus: tuple[int, ...], text: str) -> None:
    assert format_cpus(cpus) == text
    if text:
        assert parse_cpus(text) == tuple(sorted(set(cpus)))
