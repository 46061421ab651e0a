"""The pin matrix as a widget in a running app: what it draws, what its keys change, what it writes to the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.app import App, ComposeResult

from tests.ui.capture import captured
from tui.model.cpuset import format_cpus
from tui.widgets.pinmatrix import CpuColumn, Cpus, PinMatrix, ThreadRow
from tui.widgets.pinmatrix_lines import Layout


def columns(count: int, groups: int = 2, barred: tuple[int, ...] = (), threads: int = 1) -> list[CpuColumn]:
    return [
        CpuColumn(n, f"node {n * groups // count}", f"core {n // threads}", "is offline" if n in barred else "")
        for n in range(count)
    ]


def rows(count: int) -> list[ThreadRow]:
    return [ThreadRow(f"vcpu {n}", (n,), real=(n,), on_cpu=n, use_percent=5.0, wait_percent=0.0) for n in range(count)]


class MatrixApp(App[None]):
    """One matrix, and how often it said that it was touched."""

    CSS = "PinMatrix { width: 100%; height: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self.matrix = PinMatrix(format_cpus)
        self.touched = 0

    def compose(self) -> ComposeResult:
        yield self.matrix

    def on_pin_matrix_touched(self) -> None:
        self.touched += 1

    def give(self, count: int, cpus: list[CpuColumn], **change: Cpus | None) -> None:
        made = [replace(row, wish=change.get(row.name.replace(" ", ""), row.wish)) for row in rows(count)]
        self.matrix.show(cpus, made, {}, {})


def where(matrix: PinMatrix) -> tuple[str, int | None]:
    assert matrix.cursor_row is not None
    return matrix.cursor_row.name, matrix.cursor_cpu


def press(matrix: PinMatrix, keys: str) -> None:
    for key in keys.split():
        assert matrix.press(key), f"{key} means nothing"


def body(matrix: PinMatrix) -> list[str]:
    return [line[9:].rstrip() for line in matrix.drawn_text() if line.startswith("vcpu")]


async def test_text_of_the_lines_with_siblings_groups_and_claims() -> None:
    app = MatrixApp()
    async with captured(app, size=(30, 10)) as screen:
        cpus = columns(12, barred=(7,), threads=2)
        made = [
            ThreadRow("vcpu 0", (0, 1), real=(0, 1), on_cpu=1),
            ThreadRow("vcpu 1", (2, 3), real=(3, 4), on_cpu=6, drift=True),
            ThreadRow("emulator", None, ((8,),), real=(0,), on_cpu=0),
        ]
        loads = {0: 0.0, 1: 12.4, 2: 12.5, 3: 50.0, 4: 99.0, 5: 100.0, 6: 250.0, 8: -1.0}
        app.matrix.show(cpus, made, loads, {2: 1, 3: 12, 99: 4})
        await screen.settled()
        assert [line.rstrip() for line in app.matrix.drawn_text()] == [
            "         node 0 node 1",
            "CPU                 11",
            "         012345 678901",
            "core     └┘└┘└┘ └┘└┘└┘",
            "load     ▁▁▂▅██ █ ▁???",
            "claims     1+",
            "vcpu 0   ■◆···· ·×····",
            "vcpu 1  !··□■+· ◇×····",
            "emulator≠◆▫▫▫▫▫ ▫×▫▫▫▫",
            "",
        ]
        assert [line.rstrip() for line in screen.terminal.text()] == [line.rstrip() for line in app.matrix.drawn_text()]


async def test_space_toggles_and_the_last_cpu_taken_away_is_no_pin() -> None:
    app = MatrixApp()
    async with captured(app, size=(40, 10)):
        app.give(2, columns(8))
        press(app.matrix, "l space")
        assert app.matrix.changed() == {"vcpu 0": (0, 1)}
        press(app.matrix, "space")
        assert app.matrix.changed() == {}
        press(app.matrix, "h space")
        assert app.matrix.changed() == {"vcpu 0": None}
        assert body(app.matrix)[0].startswith("◆▫▫▫"), "a thread without a pin runs where it may"


async def test_a_range_takes_the_opposite_of_where_it_was_begun() -> None:
    app = MatrixApp()
    async with captured(app, size=(40, 12)):
        app.give(4, columns(8))
        press(app.matrix, "j l l v l l l j space")
        assert app.matrix.changed() == {"vcpu 1": (1, 2, 3, 4, 5), "vcpu 2": (2, 3, 4, 5)}
        assert not app.matrix.in_range
        press(app.matrix, "shift+left shift+left space")
        assert app.matrix.wish("vcpu 2") == (2,)
        press(app.matrix, "minus l minus space")
        assert app.matrix.wish("vcpu 2") == (2, 4), "a range that was dropped leaves its first cell alone"


async def test_all_unpin_and_unpin_all() -> None:
    app = MatrixApp()
    async with captured(app, size=(40, 12)):
        app.give(3, columns(4, barred=(2,)), vcpu1=None)
        press(app.matrix, "a")
        assert app.matrix.changed() == {"vcpu 0": (0, 1, 3)}
        press(app.matrix, "u")
        assert app.matrix.changed() == {"vcpu 0": None}
        press(app.matrix, "U")
        assert app.matrix.changed() == {"vcpu 0": None, "vcpu 2": None}


async def test_a_cpu_that_cannot_be_taken_is_refused_with_the_reason_but_can_be_given_back() -> None:
    app = MatrixApp()
    async with captured(app, size=(40, 12)):
        app.give(2, columns(4, barred=(1, 2)))
        press(app.matrix, "l space")
        assert app.matrix.note == "CPU 1 is offline"
        assert app.matrix.changed() == {}
        press(app.matrix, "h v dollar_sign space")
        assert app.matrix.changed() == {"vcpu 0": None}, "begun on a wish, the range takes away"
        press(app.matrix, "u v home space")
        assert app.matrix.changed() == {"vcpu 0": (0, 3)}
        assert app.matrix.note == "CPU 1 is offline, and 1 more cannot be taken"
        press(app.matrix, "j l")
        assert app.matrix.note == ""
        press(app.matrix, "space")
        assert app.matrix.changed()["vcpu 1"] is None


async def test_what_equals_one_base_alone_is_still_a_change() -> None:
    app = MatrixApp()
    async with captured(app, size=(40, 12)):
        app.matrix.show(columns(4), [ThreadRow("vcpu 0", (0,), ((1,),))], {}, {})
        assert app.matrix.drawn_text()[4].startswith("vcpu 0  ≠")
        press(app.matrix, "l space space")
        assert app.matrix.changed() == {"vcpu 0": (0,)}
        app.matrix.show(columns(4), [ThreadRow("vcpu 0", (0,), ((0,),))], {}, {})
        assert app.matrix.changed() == {}


async def test_edits_and_cursor_stay_with_threads_and_cpus() -> None:
    app = MatrixApp()
    async with captured(app, size=(40, 12)):
        app.give(3, columns(8))
        press(app.matrix, "j j l l l l l space")
        app.matrix.show(columns(8)[2:], [ThreadRow("emulator"), *rows(3)[1:]], {}, {})
        assert where(app.matrix) == ("vcpu 2", 5)
        assert app.matrix.changed() == {"vcpu 2": (2, 5)}
        app.matrix.show(columns(4), rows(1), {}, {})
        assert app.matrix.changed() == {}
        assert app.matrix.cursor_cpu == 3
        app.matrix.show([], [], {}, {})
        assert app.matrix.cursor_row is None
        assert app.matrix.cursor_cpu is None
        assert not app.matrix.press("space")


async def test_it_scrolls_both_ways_and_says_where() -> None:
    app = MatrixApp()
    async with captured(app, size=(40, 12)):
        app.give(20, columns(128, groups=4))
        assert app.matrix.position() == "rows 1-6 of 20 · CPU columns 1-31 of 128"
        assert app.matrix.drawn_text()[0].startswith("         node 0 ──")
        press(app.matrix, "G end")
        assert app.matrix.position() == "rows 15-20 of 20 · CPU columns 98-128 of 128"
        assert [line.split("  ")[0] for line in app.matrix.drawn_text()[-2:]] == ["vcpu 18", "vcpu 19"]
        assert app.matrix.drawn_text()[0][9:12] == "nod"
        assert app.matrix.drawn_text()[3][9:] == "".join(str(cpu % 10) for cpu in range(97, 128))
        press(app.matrix, "left_square_bracket left_square_bracket")
        assert app.matrix.cursor_cpu == 64
        press(app.matrix, "right_square_bracket 0 pageup k")
        assert where(app.matrix) == ("vcpu 12", 0)
        press(app.matrix, "g")
        assert app.matrix.position() == "rows 1-6 of 20 · CPU columns 1-31 of 128"


@pytest.mark.parametrize(("width", "has"), [(30, ()), (45, ("use%",)), (70, ("use%", "may run on", "kernel"))])
async def test_room_that_is_left_tells_more(width: int, has: tuple[str, ...]) -> None:
    app = MatrixApp()
    async with captured(app, size=(width, 8)) as screen:
        app.give(1, columns(16))
        press(app.matrix, "l space")
        await screen.settled()
        text = "\n".join(screen.terminal.text())
        assert [word for word in ("use%", "may run on", "kernel") if word in text] == list(has)
        assert ("0-1" in text) == ("may run on" in has)
        assert all(len(line) == width for line in app.matrix.drawn_text())


async def test_nothing_is_written_when_nothing_that_is_seen_changed() -> None:
    app = MatrixApp()
    async with captured(app, size=(80, 24)) as screen:
        cpus, loads = columns(64), {n: float(n) for n in range(64)}
        app.matrix.show(cpus, rows(8), loads, {3: 1})
        await screen.written()
        app.matrix.show(columns(64), rows(8), {n: n + 0.001 for n in range(64)}, {3: 1})
        assert await screen.written() == ""
        moved = [replace(rows(8)[0], on_cpu=1), *rows(8)[1:]]
        app.matrix.show(cpus, moved, loads, {3: 1})
        data = await screen.written()
        assert "◇" in data
        assert len(data.encode()) < 200
        app.matrix.show(cpus, moved, {**loads, 5: 100.0}, {3: 1})
        data = await screen.written()
        assert "█" in data
        assert len(data.encode()) < 120


async def test_what_is_repainted_in_parts_is_what_is_painted_in_full() -> None:
    app = MatrixApp()
    async with captured(app, size=(50, 12)) as screen:
        app.give(9, columns(128, groups=4))
        for keys in ("l space j v l l l j", "end G space", "g home u", "a right_square_bracket"):
            press(app.matrix, keys)
            await screen.settled()
            assert (await screen.repainted()).all_looks() == screen.terminal.all_looks()


async def test_the_mouse_goes_to_a_cell_and_turns_the_one_it_is_on() -> None:
    app = MatrixApp()
    async with captured(app, size=(40, 12)) as screen:
        app.give(3, columns(8))
        await screen.pilot.click(PinMatrix, offset=(9 + 5, 4 + 2))
        assert where(app.matrix) == ("vcpu 2", 4)
        assert app.matrix.changed() == {}
        await screen.pilot.click(PinMatrix, offset=(9 + 5, 4 + 2))
        assert app.matrix.changed() == {"vcpu 2": (2, 4)}
        await screen.pilot.click(PinMatrix, offset=(9 + 4, 0))
        await screen.pilot.click(PinMatrix, offset=(39, 6))
        assert where(app.matrix) == ("vcpu 2", 4), "no cell is there"
        await screen.pilot.click(PinMatrix, offset=(9 + 4, 6))
        assert where(app.matrix) == ("vcpu 2", 4), "no cell is between the nodes"


def test_the_name_of_a_group_that_is_cut_stays_in_view() -> None:
    layout = Layout(columns(12, groups=3))
    assert "".join(layout.group_cells(0, 14)) == "0─── 1─── 2───"
    assert "".join(layout.group_cells(2, 9)) == "0─ 1───"
    assert "".join(Layout(columns(20)).group_cells(3, 21)) == "node 0  node 1 ───"[:18]
