"""The grid in a running app: what it draws, what it keeps, what it tells, and what it writes to the terminal."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.events import Key, MouseScrollDown

from tests.ui.capture import captured
from tui.model.query import parse
from tui.widgets.grid import Cell, Column, Fact, Grid


@dataclass(frozen=True, slots=True)
class Guest:
    key: str
    name: str
    state: str = "running"
    cpu: float | None = 0.0


STATE_STYLES = {"running": "good", "paused": "warn", "crashed": "bad"}

COLUMNS = (
    Column[Guest]("name", "Name", 10, lambda g: Cell(g.name), sort=lambda g: g.name, grow=1),
    Column[Guest](
        "state", "State", 8, lambda g: Cell(g.state, STATE_STYLES.get(g.state, "dim")), sort=lambda g: g.state
    ),
    Column[Guest](
        "cpu",
        "CPU%",
        6,
        lambda g: Cell("?", "unknown") if g.cpu is None else Cell(f"{g.cpu:.1f}"),
        sort=lambda g: g.cpu,
        align="right",
        largest_first=True,
    ),
    Column[Guest]("key", "Key", 6, lambda g: Cell(g.key, "dim"), priority=1),
    Column[Guest]("note", "Note", 4, lambda g: Cell("n"), hidden=True),
)


def fact(guest: Guest, name: str) -> Fact:
    return {"name": guest.name, "state": guest.state, "cpu": guest.cpu}[name]


class GridApp(App[None]):
    """One grid, and a record of what it posts."""

    CSS = "Grid { width: 100%; height: 100%; }"

    def __init__(self, guests: list[Guest], ansi: bool = False) -> None:
        super().__init__(ansi_color=ansi)
        self.grid: Grid[Guest] = Grid(
            COLUMNS,
            key=lambda g: g.key,
            field=fact,
            fields=("name", "state", "cpu"),
            empty="no [b]guests[/b]",
            counts=True,
        )
        self.told: list[tuple[object, ...]] = []
        self.keys: list[str] = []
        self.booms = 0
        self.grid.set_items(guests)

    def compose(self) -> ComposeResult:
        yield self.grid

    def on_key(self, event: Key) -> None:
        self.keys.append(event.key)

    def action_boom(self) -> None:
        self.booms += 1

    def on_grid_moved(self, message: Grid.Moved) -> None:
        self.told.append(("moved", message.key))

    def on_grid_opened(self, message: Grid.Opened) -> None:
        self.told.append(("opened", message.key))

    def on_grid_marks_changed(self, message: Grid.MarksChanged) -> None:
        self.told.append(("marks", *sorted(message.keys)))

    def on_grid_sorted(self, message: Grid.Sorted) -> None:
        self.told.append(("sorted", message.column, message.reverse))

    def on_grid_positioned(self, message: Grid.Positioned) -> None:
        self.told.append(("position", message.text))


def guests(count: int) -> list[Guest]:
    states = ["running", "shut off", "paused"]
    return [Guest(f"u{i}", f"vm{i:02d}", states[i % 3], None if i % 5 == 0 else i * 1.5) for i in range(count)]


def names(grid: Grid[Guest]) -> list[str]:
    return [line[1:].split("  ")[0].strip() for line in grid.drawn_text()[1:] if line.strip()]


def lines_written(data: str) -> list[int]:
    """Return the screen lines (0: first) that are addressed in `data`, the closing cursor move left out."""
    moves = [int(row) - 1 for row in re.findall(r"\x1b\[(\d+);\d+H", data)]
    return sorted(set(moves[:-1]))


async def test_text_of_the_lines() -> None:
    app = GridApp(guests(4))
    async with captured(app, size=(40, 7)) as screen:
        app.grid.press("space")
        app.grid.sort_by("cpu", reverse=True)
        await screen.settled()
        assert app.grid.drawn_text() == [
            " Name             State     CPU%▼ Key   ",
            " vm03             running     4.5 u3    ",
            " vm02             paused      3.0 u2    ",
            " vm01             shut off    1.5 u1    ",
            "•vm00             running       ? u0    ",
            " " * 40,
            " " * 40,
        ]
        assert screen.terminal.text()[:5] == app.grid.drawn_text()[:5]


async def test_hostile_names_are_shown_as_they_are_and_clicking_them_runs_nothing() -> None:
    hostile = ["[red]x[/]", "[@click=app.boom]y", "a[/]b", "\\[b]", "$primary", "𝔘🙂"]
    app = GridApp([Guest(f"u{i}", name) for i, name in enumerate(hostile)])
    async with captured(app, size=(60, 10)) as screen:
        assert names(app.grid) == hostile
        assert "[@click=app.boom]y" in screen.terminal.text()[2]
        await screen.pilot.click(Grid, offset=(8, 2))
        await screen.settled()
        assert app.booms == 0
        assert app.grid.cursor_key == "u1"
        app.grid.set_items([])
        await screen.settled()
        assert "no [b]guests[/b]" in screen.terminal.text()[1]


async def test_wide_characters_are_measured_in_cells_and_never_cut() -> None:
    app = GridApp([Guest("u0", "日本語のゲスト名前です"), Guest("u1", "e\u0301té"), Guest("u2", "x" * 200)])
    async with captured(app, size=(38, 5)):
        assert app.grid.drawn_text()[1:4] == [
            " 日本語のゲス … running     0.0 u0    ",
            " e\u0301té            running     0.0 u1    ",
            " xxxxxxxxxxxxx… running     0.0 u2    ",
        ]
        assert {cell_len(line) for line in app.grid.drawn_text()} == {38}


async def test_the_cursor_keeps_its_row_and_tells_when_it_cannot() -> None:
    app = GridApp(guests(6))
    async with captured(app, size=(40, 10)) as screen:
        app.grid.go_to("u3")
        await screen.settled()
        app.told.clear()
        moved = list(reversed(guests(6)))
        app.grid.set_items(moved)
        await screen.settled()
        assert (app.grid.cursor_key, app.grid.cursor_item) == ("u3", moved[2])
        assert [told for told in app.told if told[0] == "moved"] == []
        app.grid.set_items([guest for guest in moved if guest.key != "u3"])
        await screen.settled()
        assert ("moved", "u2") in app.told


async def test_the_message_carries_only_the_newest_of_many_moves() -> None:
    app = GridApp(guests(30))
    async with captured(app, size=(40, 10)) as screen:
        app.told.clear()
        for _ in range(20):
            app.grid.press("j")
        await screen.settled()
        moves = [told for told in app.told if told[0] == "moved"]
        assert moves[-1] == ("moved", "u20")
        assert len(moves) < 20


async def test_movement_keys() -> None:
    app = GridApp(guests(50))
    async with captured(app, size=(40, 11)):
        grid = app.grid
        expected = [
            ("j", 1), ("down", 2), ("k", 1), ("up", 0), ("up", 0), ("pagedown", 10), ("ctrl+d", 15), ("ctrl+u", 10),
            ("pageup", 0), ("end", 49), ("j", 49), ("home", 0), ("G", 49), ("g", 0),
        ]  # fmt: skip
        for key, position in expected:
            assert grid.press(key)
            assert grid.cursor_key == f"u{position}", key


async def test_counts_are_taken_once_they_are_begun() -> None:
    app = GridApp(guests(50))
    async with captured(app, size=(40, 11)):
        grid = app.grid
        assert not grid.press("5")
        grid.begin_count("1")
        assert grid.press("2")
        assert grid.pending_count == 12
        assert grid.press("j")
        assert grid.cursor_key == "u12"
        assert grid.pending_count is None
        grid.begin_count("3")
        grid.press("0")
        grid.press("G")
        assert grid.cursor_key == "u29"
        grid.begin_count("9")
        assert grid.press("escape")
        assert grid.pending_count is None
        assert not grid.press("escape")
        grid.begin_count("3")
        grid.press("space")
        assert grid.marks == {"u29", "u30", "u31"}


async def test_keys_without_a_meaning_here_reach_the_app() -> None:
    app = GridApp(guests(3))
    async with captured(app, size=(60, 10)) as screen:
        await screen.pilot.press("5", "j", "escape", "space", "escape", "right", "q")
        assert app.keys == ["5", "escape", "right", "q"]


async def test_marks() -> None:
    app = GridApp(guests(5))
    async with captured(app, size=(40, 10)) as screen:
        grid = app.grid
        await screen.pilot.press("space", "space")
        await screen.settled()
        assert app.told[-1] != ("marks",)
        assert grid.marks == {"u0", "u1"}
        assert ("marks", "u0", "u1") in app.told
        assert [line[0] for line in grid.drawn_text()[1:4]] == ["•", "•", " "]
        grid.sort_by("name", reverse=True)
        assert [guest.key for guest in grid.marked_items] == ["u1", "u0"]
        app.told.clear()
        grid.set_items(guests(5)[1:])
        await screen.settled()
        assert ("marks", "u1") in app.told
        grid.press("asterisk")
        assert grid.marks == {"u1", "u2", "u3", "u4"}
        grid.press("asterisk")
        assert grid.marks == set()
        grid.press("space")
        assert grid.press("escape")
        assert grid.marks == set()
        assert not grid.press("escape")


async def test_a_filter_hides_rows_and_says_how_many() -> None:
    app = GridApp(guests(9))
    async with captured(app, size=(60, 12)) as screen:
        grid = app.grid
        grid.go_to("u1")
        grid.set_marks({"u1", "u3", "gone"})
        assert grid.marks == {"u1", "u3"}
        grid.set_filter(parse("state:running", grid.fields))
        await screen.settled()
        assert names(grid) == ["vm00", "vm03", "vm06"]
        assert (grid.shown, grid.total) == (3, 9)
        assert grid.position == "2/3 (6 hidden by the filter)"
        assert grid.cursor_key == "u3"
        assert [guest.key for guest in grid.marked_items] == ["u1", "u3"]
        assert app.told[-1] == ("position", "2/3 (6 hidden by the filter)")
        grid.set_items([replace(guest, state="paused") if guest.key == "u3" else guest for guest in guests(9)])
        assert [guest.key for guest in grid.shown_items] == ["u0", "u6"]
        grid.set_filter(parse("vm99", grid.fields))
        assert grid.drawn_text()[1].strip() == "no row passes the filter (9 hidden)"
        assert grid.position == "0/0 (9 hidden by the filter)"
        assert grid.cursor_key is None
        assert grid.cursor_item is None
        assert not grid.press("enter")
        grid.set_filter(None)
        assert grid.shown == 9


async def test_position_names_the_range_when_not_all_rows_fit() -> None:
    app = GridApp(guests(47))
    async with captured(app, size=(40, 20)):
        assert app.grid.position == "1-19/47"
        app.grid.press("G")
        assert app.grid.position == "29-47/47"


async def test_sorting_by_keys() -> None:
    app = GridApp(guests(4))
    async with captured(app, size=(60, 8)) as screen:
        grid = app.grid
        for key, column, reverse in [
            ("greater_than_sign", "name", False),
            ("greater_than_sign", "state", False),
            ("greater_than_sign", "cpu", True),
            ("equals_sign", "cpu", False),
            ("greater_than_sign", None, False),
            ("less_than_sign", "cpu", True),
        ]:
            assert grid.press(key)
            assert (grid.sort_key, grid.sort_reverse) == (column, reverse)
        await screen.settled()
        assert ("sorted", "cpu", True) in app.told[-3:]
        assert grid.cursor_key == "u3", "whoever sorts wants to see what comes first"
        assert names(grid) == ["vm03", "vm02", "vm01", "vm00"]
        grid.press("equals_sign")
        assert names(grid) == ["vm01", "vm02", "vm03", "vm00"]
        grid.sort_by("no such column")
        assert grid.sort_key is None
        assert not grid.press("equals_sign")


async def test_the_mouse_selects_opens_marks_and_sorts() -> None:
    app = GridApp(guests(4))
    async with captured(app, size=(60, 8)) as screen:
        await screen.pilot.click(Grid, offset=(5, 3))
        assert app.grid.cursor_key == "u2"
        assert not [told for told in app.told if told[0] == "opened"]
        await screen.pilot.click(Grid, offset=(5, 2), times=2)
        await screen.settled()
        assert ("opened", "u1") in app.told
        await screen.pilot.click(Grid, offset=(0, 4))
        assert app.grid.marks == {"u3"}
        await screen.pilot.click(Grid, offset=(5, 7))
        assert app.grid.cursor_key == "u3"
        cpu = app.grid.drawn_text()[0].index("CPU%")
        for reverse in (True, False):
            await screen.pilot.click(Grid, offset=(cpu, 0))
            assert (app.grid.sort_key, app.grid.sort_reverse) == ("cpu", reverse)


async def test_enter_opens() -> None:
    app = GridApp(guests(2))
    async with captured(app, size=(40, 8)) as screen:
        await screen.pilot.press("j", "enter")
        await screen.settled()
        assert app.told[-1] == ("opened", "u1")


async def test_columns_are_dropped_shifted_and_chosen() -> None:
    app = GridApp(guests(2))
    async with captured(app, size=(29, 6)) as screen:
        grid = app.grid
        assert [column.key for column in grid.columns] == ["name", "state", "cpu"]
        assert not grid.press("right")
        grid.set_columns(["note", "cpu"])
        assert [column.key for column in grid.chosen_columns] == ["note", "cpu", "name", "state", "key"]
        grid.set_columns(["note", "cpu", "nonsense"], hidden=["key", "state"])
        assert grid.drawn_text()[0] == " Note   CPU% Name            "
        grid.set_columns()
        await screen.pilot.resize_terminal(22, 6)
        await screen.settled()
        assert grid.drawn_text()[:2] == [">Name       State    …", " vm00       running  ?"]
        assert grid.press("l")
        assert grid.drawn_text()[:2] == ["<Name             CPU%", " vm00                ?"]
        assert grid.press("h")
        assert grid.drawn_text()[0].startswith(">Name       State")


async def test_nothing_is_written_when_nothing_visible_changed() -> None:
    app = GridApp(guests(200))
    async with captured(app, size=(60, 20)) as screen:
        app.grid.sort_by("name")
        await screen.written()
        same = guests(200)
        app.grid.set_items(same)
        assert await screen.written() == ""
        same[150] = replace(same[150], cpu=99.0)
        app.grid.set_items(list(same))
        assert await screen.written() == ""
        app.grid.set_items([*same, Guest("u999", "zz")])
        assert await screen.written() == ""
        app.grid.press("up")
        app.grid.rerender()
        app.grid.set_filter(parse("vm"))
        assert lines_written(await screen.written()) == []


async def test_only_the_changed_line_is_written_and_only_as_far_as_it_changed() -> None:
    app = GridApp(guests(200))
    async with captured(app, size=(60, 20)) as screen:
        now = guests(200)
        now[4] = replace(now[4], state="crashed")
        app.grid.set_items(now)
        data = await screen.written()
        assert lines_written(data) == [5]
        assert "crashed" in data
        assert "u4" not in data


async def test_moving_the_cursor_writes_two_lines() -> None:
    app = GridApp(guests(200))
    async with captured(app, size=(120, 40)) as screen:
        app.grid.press("j")
        await screen.written()
        app.grid.press("j")
        data = await screen.written()
        assert lines_written(data) == [2, 3]
        assert len(data.encode()) <= 600


async def test_rows_above_the_view_write_nothing() -> None:
    app = GridApp(guests(200))
    async with captured(app, size=(60, 20)) as screen:
        app.grid.press("G")
        await screen.written()
        app.grid.set_items([Guest("new", "aa"), *guests(200)[3:]])
        assert await screen.written() == ""


async def test_changes_piece_by_piece_look_like_a_screen_painted_anew() -> None:
    rng = random.Random(7)
    now = guests(60)
    app = GridApp(list(now))
    texts = ["日本語", "e\u0301", "x" * 30, "web", "[b]", "ab日本"]
    keys = ["j", "k", "space", "pagedown", "pageup", "greater_than_sign", "equals_sign", "G", "g", "asterisk", "right"]
    async with captured(app, size=(50, 14)) as screen:
        for _ in range(24):
            for _ in range(rng.randrange(1, 4)):
                i = rng.randrange(len(now))
                states = ["running", "crashed", "paused", "shut off"]
                now[i] = replace(
                    now[i], name=rng.choice(texts), state=rng.choice(states), cpu=rng.choice([None, 3.5, 80.0])
                )
            if rng.random() < 0.3:
                now.insert(rng.randrange(len(now)), Guest(f"n{rng.random()}", rng.choice(texts)))
                del now[rng.randrange(len(now))]
            app.grid.set_items(list(now))
            app.grid.press(rng.choice(keys))
            await screen.written()
            pieces, fresh = screen.terminal, await screen.repainted()
            assert pieces.text() == fresh.text()
            assert pieces.all_looks() == fresh.all_looks()


async def test_focus_theme_and_size_changes_are_drawn() -> None:
    app = GridApp(guests(60))
    async with captured(app, size=(50, 14)) as screen:
        app.grid.press("G")
        await screen.settled()
        focused = screen.terminal.looks(13)
        assert focused != screen.terminal.looks(12)
        app.screen.set_focus(None)
        await screen.settled()
        assert screen.terminal.looks(13) not in (focused, screen.terminal.looks(12))
        dark = screen.terminal.looks(5)
        app.theme = "textual-light"
        await screen.settled()
        assert {look[2] for look in dark}.isdisjoint(look[2] for look in screen.terminal.looks(5))
        assert screen.terminal.all_looks() == (await screen.repainted()).all_looks()
        await screen.pilot.resize_terminal(50, 8)
        await screen.settled()
        assert app.grid.drawn_text()[-1].startswith(" vm59")
        assert app.grid.position == "54-60/60"


@pytest.mark.parametrize("ansi", [False, True])
async def test_without_colours_the_cursor_and_the_marks_are_still_seen(
    monkeypatch: pytest.MonkeyPatch, ansi: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = GridApp(guests(5), ansi=ansi)
    async with captured(app, size=(50, 8)) as screen:
        app.grid.press("space")
        await screen.settled()
        assert screen.terminal.text()[1].startswith("•")
        reversed_lines = [y for y in range(8) if all(look[5] for look in screen.terminal.looks(y))]
        assert reversed_lines == [2]


async def test_the_cursor_is_seen_in_the_terminals_own_colours() -> None:
    app = GridApp(guests(5))
    async with captured(app, size=(50, 8)) as screen:
        app.theme = "ansi-dark"
        await screen.settled()
        focused, plain = screen.terminal.looks(1), screen.terminal.looks(2)
        assert {look[2] for look in focused} != {look[2] for look in plain}
        app.screen.set_focus(None)
        await screen.settled()
        assert {look[1:] for look in screen.terminal.looks(1)} not in (
            {look[1:] for look in focused},
            {look[1:] for look in plain},
        )


async def test_sorted_rows_follow_their_values() -> None:
    app = GridApp(guests(6))
    async with captured(app, size=(60, 10)):
        app.grid.sort_by("cpu", reverse=True)
        now = guests(6)
        now[1] = replace(now[1], cpu=99.0)
        app.grid.set_items(now)
        assert names(app.grid) == ["vm01", "vm04", "vm03", "vm02", "vm00", "vm05"]


async def test_the_wheel_scrolls_without_moving_the_cursor() -> None:
    app = GridApp(guests(60))
    async with captured(app, size=(60, 10)) as screen:
        app.grid.post_message(_wheel_down(app.grid))
        await screen.settled()
        assert (app.grid.position, app.grid.cursor_key) == ("4-12/60", "u0")
        app.grid.press("j")
        assert (app.grid.position, app.grid.cursor_key) == ("2-10/60", "u1")


def _wheel_down(grid: Grid[Guest]) -> MouseScrollDown:
    return MouseScrollDown(grid, 5, 5, 0, 0, 0, False, False, False, 5, 5)


async def test_a_hidden_grid_writes_nothing_and_is_up_to_date_when_it_is_shown() -> None:
    app = GridApp(guests(5))
    async with captured(app, size=(60, 10)) as screen:
        app.grid.display = False
        await screen.written()
        app.grid.set_items([replace(guest, state="crashed") for guest in guests(8)])
        assert await screen.written() == ""
        app.grid.display = True
        await screen.settled()
        assert [line[22:60].split()[0] for line in screen.terminal.text()[1:9]] == ["crashed"] * 8
