"""Order, filter, cursor, viewport and marks of a grid, against the plain way to work them out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from tui.widgets.grid_columns import Cell, Column, lay_out
from tui.widgets.grid_rows import Frame, Rows
from tui.widgets.grid_view import View


@dataclass(frozen=True, slots=True)
class Item:
    key: str
    value: int | None = None


def items(text: str) -> list[Item]:
    return [Item(char) for char in text]


def view_of(text: str, height: int = 4) -> tuple[Rows[Item], View]:
    rows: Rows[Item] = Rows(lambda item: item.key)
    view = View()
    view.resize(height)
    rows.set_items(items(text))
    view.follow(rows.frame)
    return rows, view


def in_view(view: View) -> str:
    return "".join(view.frame.shown_keys()[view.top : view.top + view.height])


def naive(rows: Sequence[Item], reverse: bool | None, least: int | None) -> list[str]:
    """Return the keys as a sort and a filter done from scratch give them."""
    out = list(rows)
    if reverse is not None:
        known = [item for item in out if item.value is not None]
        known.sort(key=lambda item: item.value or 0, reverse=reverse)
        out = known + [item for item in out if item.value is None]
    return [item.key for item in out if least is None or (item.value is not None and item.value >= least)]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_equals_what_is_worked_out_anew(seed: int) -> None:
    rng = random.Random(seed)
    rows: Rows[Item] = Rows(lambda item: item.key)
    now = [Item(f"k{i}", rng.choice([None, rng.randrange(20)])) for i in range(60)]
    reverse: bool | None = None
    least: int | None = None

    def sort(item: Item) -> int | None:
        return item.value

    for step in range(300):
        choice = rng.randrange(8)
        if choice == 0:
            rng.shuffle(now)
        elif choice == 1:
            now = [item for item in now if rng.random() > 0.1]
        elif choice == 2:
            now.insert(rng.randrange(len(now) + 1), Item(f"n{step}", rng.randrange(20)))
        elif choice == 3:
            reverse = rng.choice([None, False, True])
            rows.set_sort(None if reverse is None else sort, bool(reverse))
        elif choice == 4:
            least = rng.choice([None, 5, 15])
            limit = least
            rows.set_test(None if limit is None else lambda item, limit=limit: (item.value or -1) >= limit)  # type: ignore[misc]
        else:
            for _ in range(rng.randrange(1, 4)):
                if now:
                    i = rng.randrange(len(now))
                    now[i] = replace(now[i], value=rng.choice([None, rng.randrange(20)]))
        rows.set_items(tuple(now))
        assert rows.frame.shown_keys() == naive(now, reverse, least)


def test_sort_values_are_asked_for_new_objects_only() -> None:
    asked: list[str] = []
    rows: Rows[Item] = Rows(lambda item: item.key)
    now = [Item(f"k{i}", i) for i in range(100)]
    rows.set_items(now)

    def sort(item: Item) -> int | None:
        asked.append(item.key)
        return item.value

    rows.set_sort(sort, False)
    rows.set_sort(sort, True)
    assert len(asked) == 100
    asked.clear()
    now[7] = Item("k7", 1000)
    rows.set_items(now)
    assert asked == ["k7"]
    assert rows.frame.key_at(0) == "k7"
    asked.clear()
    rows.set_items([Item("new", 3), *now[1:]])
    assert asked == ["new"]


def test_the_same_items_keep_the_same_frame() -> None:
    rows, _ = view_of("abc")
    frame = rows.frame
    rows.set_items(tuple(rows.items))
    assert rows.frame is frame


def test_of_two_items_with_one_key_the_last_counts() -> None:
    rows: Rows[Item] = Rows(lambda item: item.key)
    rows.set_items([Item("a", 1), Item("b", 2), Item("a", 3)])
    assert rows.frame.shown_keys() == ["b", "a"]
    assert rows.items[1].value == 3
    rows.set_items([Item("a", 1), Item("b", 2), Item("a", 3)])
    assert rows.frame.shown_keys() == ["b", "a"]


@pytest.mark.parametrize(
    ("before", "cursor", "after", "key"),
    [
        ("abcdef", "c", "xabcdef", "c"),
        ("abcdef", "c", "fedcba", "c"),
        ("abcdef", "c", "abdef", "d"),
        ("abcdef", "c", "def", "d"),
        ("abcdef", "f", "abcde", "e"),
        ("abcdef", "e", "abc", "c"),
        ("abcdef", "c", "xyz", "z"),
        ("abcdef", "a", "xyz", "x"),
        ("abcdef", "c", "", None),
    ],
)
def test_the_cursor_stays_on_its_key_or_goes_to_the_row_that_took_its_place(
    before: str, cursor: str, after: str, key: str | None
) -> None:
    rows, view = view_of(before)
    view.go(before.index(cursor))
    rows.set_items(items(after))
    view.follow(rows.frame)
    assert view.key == key
    if key is not None:
        assert view.frame.key_at(view.cursor) == key


def test_a_cursor_that_sticks_stays_on_the_first_row_until_it_is_moved() -> None:
    rows, view = view_of("abc")
    view.sticks = True

    def after(text: str) -> str | None:
        rows.set_items(items(text))
        view.follow(rows.frame)
        return view.key

    assert [after(text) for text in ("xabc", "", "yxabc")] == ["x", None, "y"]
    view.go(0)
    assert [after(text) for text in ("zyxabc", "yxabc")] == ["y", "y"], "whoever goes there means that row"
    view.first()
    assert after("wyxabc") == "w"
    view.sticks = False
    assert after("vwyxabc") == "w"
    view.sticks = True
    assert after("uvwyxabc") == "w"


def test_the_cursor_comes_back_to_its_row_after_there_were_none() -> None:
    rows, view = view_of("abcdef")
    view.go(3)
    for text in ("", "", "xabcdef"):
        rows.set_items(items(text))
        view.follow(rows.frame)
    assert view.key == "d"


def test_rows_that_come_and_go_above_leave_the_view_in_place() -> None:
    rows, view = view_of("abcdefghijklm")
    view.go(8)
    assert in_view(view) == "fghi"
    for text in ("xyabcdefghijklm", "efghijklm", "abXcdefghijklm"):
        rows.set_items(items(text))
        view.follow(rows.frame)
        assert in_view(view) == "fghi"
        assert view.key == "i"


def test_a_view_that_was_scrolled_away_from_the_cursor_stays_in_place_too() -> None:
    rows, view = view_of("abcdefghijklm")
    view.scroll(6)
    assert (in_view(view), view.key) == ("ghij", "a")
    rows.set_items(items("xyabcdefghijklm"))
    view.follow(rows.frame)
    assert (in_view(view), view.key) == ("ghij", "a")


def test_at_the_top_new_rows_are_seen() -> None:
    rows, view = view_of("abcdef")
    rows.set_items(items("xabcdef"))
    view.follow(rows.frame)
    assert (in_view(view), view.key) == ("xabc", "a")


def test_a_row_that_moves_out_of_view_takes_the_view_along() -> None:
    rows, view = view_of("abcdefghijklm")
    view.go(1)
    rows.set_items(items("acdefghijklbm"))
    view.follow(rows.frame)
    assert view.key == "b"
    assert in_view(view) == "jklb"


def test_fewer_rows_than_lines_start_at_the_top() -> None:
    rows, view = view_of("abcdefghijklm")
    view.go(12)
    rows.set_items(items("jk"))
    view.follow(rows.frame)
    assert (view.top, view.key) == (0, "k")


def test_marks_stay_with_their_keys_and_go_with_their_rows() -> None:
    rows, view = view_of("abcdef")
    view.toggle(["b", "e"])
    rows.set_items(items("fedcxa"))
    view.follow(rows.frame)
    assert view.marks == {"e"}
    rows.set_test(lambda item: item.key != "e")
    view.follow(rows.frame)
    assert view.marks == {"e"}


def test_a_smaller_window_keeps_the_cursor_in_view() -> None:
    _, view = view_of("abcdefghij", 8)
    view.go(7)
    view.resize(3)
    assert in_view(view) == "fgh"


def test_an_unknown_key_has_no_position() -> None:
    assert Frame().position("x") is None
    assert Frame().position(None) is None


def column(key: str, width: int, grow: int = 0, priority: int = 0) -> Column[str]:
    return Column(key, key, width, Cell, grow=grow, priority=priority)


def widths(columns: list[Column[str]], width: int, shift: int = 0) -> list[tuple[str, int, int]]:
    return [(place.column.key, place.x, place.width) for place in lay_out(columns, width, shift, 1).placed]


def test_spare_width_goes_to_the_columns_that_grow() -> None:
    columns = [column("a", 5, grow=2), column("b", 5), column("c", 5, grow=1)]
    assert widths(columns, 18) == [("a", 1, 5), ("b", 7, 5), ("c", 13, 5)]
    assert widths(columns, 28) == [("a", 1, 11), ("b", 13, 5), ("c", 19, 9)]


def test_the_highest_priority_number_is_dropped_first() -> None:
    columns = [column("a", 5), column("b", 5, priority=1), column("c", 5, priority=3), column("d", 5, priority=3)]
    assert [key for key, *_ in widths(columns, 24)] == ["a", "b", "c", "d"]
    assert [key for key, *_ in widths(columns, 23)] == ["a", "b", "c"]
    assert [key for key, *_ in widths(columns, 17)] == ["a", "b"]
    assert [key for key, *_ in widths(columns, 8)] == ["a"]
    assert [c.key for c in lay_out(columns, 8, 0, 1).dropped] == ["b", "c", "d"]


def test_what_cannot_be_dropped_is_shifted_behind_the_first_column() -> None:
    columns = [column(key, 5) for key in "abcd"]
    layout = lay_out(columns, 14, 0, 1)
    assert layout.max_shift == 2
    assert widths(columns, 14) == [("a", 1, 5), ("b", 7, 5), ("c", 13, 1)]
    assert widths(columns, 14, 1) == [("a", 1, 5), ("c", 7, 5), ("d", 13, 1)]
    assert widths(columns, 14, 9) == [("a", 1, 5), ("d", 7, 5)]


@pytest.mark.parametrize("width", range(8))
def test_any_width_can_be_laid_out(width: int) -> None:
    columns = [column("a", 5), column("b", 3)]
    assert all(x + cells <= width for _, x, cells in widths(columns, width))
    assert lay_out([], width).placed == ()
