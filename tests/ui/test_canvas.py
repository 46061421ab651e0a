"""A canvas in a running app: moving from place to place, keeping the cursor on what it is on, and silence."""

from __future__ import annotations

import asyncio

from textual import events
from textual.app import App, ComposeResult

from tests.ui.capture import captured
from tui.widgets.canvas import Canvas, Patch, Place
from tui.widgets.painting import Run


class CanvasApp(App[None]):
    """Nothing but a canvas."""

    def __init__(self) -> None:
        super().__init__()
        self.canvas = Canvas(commands={"x": self.say_x, "n": lambda: False})
        self.said: list[str] = []
        self.numbers: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield self.canvas

    def say_x(self) -> bool:
        self.said.append("x")
        return True

    def on_mount(self) -> None:
        self.canvas.focus()

    def on_canvas_moved(self) -> None:
        self.said.append(f"at {self.canvas.place.id if self.canvas.place else None}")

    def on_canvas_opened(self) -> None:
        self.said.append("opened")

    def live(self, key: str) -> Run:
        return self.numbers.get(key, "    "), "dim"

    def draw(self, *rows: str) -> None:
        """Every word is a place; the word `#` is a number that moves by itself."""
        lines, places = [], []
        for y, row in enumerate(rows):
            patches: list[Patch] = []
            for word in row.split():
                x = sum(len(patch.text) for patch in patches)
                if word == "#":
                    patches.append(Patch("    ", "dim", live=str(y)))
                else:
                    patches.append(Patch(word))
                    places.append(Place(y, x, x + len(word), word))
                patches.append(Patch(" "))
            lines.append(patches)
        self.canvas.set_drawing(lines, places, self.live)


def here(app: CanvasApp) -> str:
    return app.canvas.place.id if app.canvas.place else ""


async def test_moves_go_from_place_to_place() -> None:
    app = CanvasApp()
    async with captured(app, size=(30, 8)):
        app.draw("a bb ccc", "", "d", "eeeeeeee f g", "h")
        steps = [
            *[("l", "bb"), ("l", "ccc"), ("l", "ccc"), ("j", "d"), ("j", "eeeeeeee"), ("right", "f"), ("k", "d")],
            *[("G", "h"), ("g", "a"), ("h", "a"), ("down", "d"), ("up", "a"), ("end", "h"), ("home", "a")],
        ]
        for key, place in steps:
            assert app.canvas.press(key)
            assert here(app) == place, key


async def test_moving_up_and_down_keeps_to_the_column() -> None:
    app = CanvasApp()
    async with captured(app, size=(30, 8)):
        app.draw("aaaa bbbb cccc", "x", "dddd eeee ffff")
        app.canvas.press("l")
        app.canvas.press("l")
        app.canvas.press("j")
        assert here(app) == "x"
        app.canvas.press("j")
        assert here(app) == "ffff"


async def test_counts_pages_and_commands() -> None:
    app = CanvasApp()
    async with captured(app, size=(30, 10)):
        app.draw(*(f"w{number}" for number in range(50)))
        app.canvas.begin_count("1")
        assert app.canvas.press("2")
        app.canvas.press("j")
        assert here(app) == "w12"
        app.canvas.press("pagedown")
        assert here(app) == "w22"
        assert app.canvas.position == "14-23/50"
        app.canvas.press("ctrl+u")
        assert here(app) == "w17"
        app.canvas.begin_count("5")
        app.canvas.press("G")
        assert here(app) == "w4", "the fifth line"
        assert app.canvas.press("x")
        assert app.said[-1] == "x"
        assert not app.canvas.press("n"), "a command that had nothing to do leaves the key to others"
        assert not app.canvas.press("q")


async def test_the_cursor_stays_on_its_thing_and_the_line_in_its_place() -> None:
    app = CanvasApp()
    async with captured(app, size=(30, 10)):
        app.draw(*(f"w{number}" for number in range(50)))
        for _ in range(20):
            app.canvas.press("j")
        line = app.canvas.drawn_text().index("w20".ljust(30))
        app.draw(*(f"new{number}" for number in range(7)), *(f"w{number}" for number in range(50)))
        assert here(app) == "w20"
        assert app.canvas.drawn_text().index("w20".ljust(30)) == line
        app.draw("other", "things")
        assert here(app) == "things", "the nearest that is left"
        app.draw()
        assert app.canvas.place is None
        assert app.canvas.press("j"), "nothing to move to, but the key is the canvas's"


async def test_only_what_moved_is_written() -> None:
    app = CanvasApp()
    async with captured(app, size=(60, 20)) as screen:
        app.draw(*(f"w{number} #" for number in range(50)))
        await screen.written()
        app.canvas.refresh_live()
        assert await screen.written() == ""
        app.numbers["40"] = "1.2M"
        app.canvas.refresh_live()
        assert await screen.written() == "", "out of view"
        app.numbers["3"] = "1.2M"
        app.canvas.refresh_live()
        assert 0 < len(await screen.written()) < 80
        assert "w3 1.2M" in "\n".join(screen.terminal.text())
        app.canvas.press("j")
        assert 0 < len(await screen.written()) < 250
        app.draw(*(f"w{number} #" for number in range(50)))
        assert await screen.written() == "", "an equal drawing"
        assert (await screen.repainted()).all_looks() == screen.terminal.all_looks()


async def test_mouse() -> None:
    app = CanvasApp()
    async with captured(app, size=(30, 8)) as screen:
        app.draw(*(f"w{number} z{number}" for number in range(30)))
        await screen.pilot.click(Canvas, offset=(4, 2))
        assert here(app) == "z2"
        await screen.pilot.click(Canvas, offset=(29, 5))
        assert here(app) == "z2", "there is nothing"
        await screen.pilot.click(Canvas, offset=(4, 2), times=2)
        assert "opened" in app.said
        app.canvas.post_message(events.MouseScrollDown(app.canvas, 1, 1, 0, 0, 0, False, False, False))
        await asyncio.sleep(0)
        await screen.settled()
        assert app.canvas.position == "4-11/30"
        assert here(app) == "z2", "the wheel moves the view alone"
