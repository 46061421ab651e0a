"""Lines of spans in a running app, and strips that cost few bytes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.strip import Strip

from tests.ui.capture import Terminal, captured
from tui.widgets.lean import LeanStrip, lean
from tui.widgets.lines import FILL, LinesView, Span
from tui.widgets.painting import Line, changed_span, clip, fit


class LinesApp(App[None]):
    """A bar of one line over a view of many."""

    CSS = """
    #bar { height: 1; }
    #view { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar = LinesView([[Span("host", "title"), FILL, Span("12:00", "dim")]], id="bar")
        self.view = LinesView(numbered(30), can_focus=True, id="view")
        self.clicked: list[str] = []
        self.keys: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.bar
        yield self.view

    def on_lines_view_clicked(self, message: LinesView.Clicked) -> None:
        self.clicked.append(message.action)

    def action_boom(self) -> None:
        self.clicked.append("boom")


def numbered(count: int) -> list[list[Span]]:
    return [[Span(f"line {i} "), Span("good", "good")] for i in range(count)]


async def test_the_bar_spreads_to_both_edges() -> None:
    app = LinesApp()
    async with captured(app, size=(20, 6)) as screen:
        assert app.bar.drawn_text() == ["host           12:00"]
        app.bar.set_lines([[Span("a rather long host name"), FILL, Span("12:00")]])
        assert app.bar.drawn_text() == ["a rather long …12:00"]
        app.bar.set_lines([[Span("ab"), Span("日本語日本語日本語"), FILL, Span("12:00")]])
        await screen.settled()
        assert app.bar.drawn_text() == ["ab日本語日本語…12:00"]
        assert screen.terminal.text()[0].replace(" ", "").endswith("12:00")


async def test_equal_lines_write_nothing_and_a_changed_word_little() -> None:
    app = LinesApp()
    async with captured(app, size=(80, 10)) as screen:
        app.view.set_lines(numbered(30))
        app.bar.set_lines([[Span("host", "title"), FILL, Span("12:00", "dim")]])
        assert await screen.written() == ""
        lines = numbered(30)
        lines[20] = [Span("out of view")]
        app.view.set_lines(lines)
        assert await screen.written() == ""
        lines[2] = [Span("line 2 "), Span("evil", "bad")]
        app.view.set_lines(lines)
        data = await screen.written()
        assert "evil" in data
        assert len(data.encode()) < 120


async def test_keys_scroll_and_the_place_is_kept() -> None:
    app = LinesApp()
    async with captured(app, size=(40, 11)) as screen:
        view = app.view
        view.focus()
        await screen.settled()
        for key, top in [
            ("down", 1), ("pagedown", 11), ("end", 20), ("down", 20), ("up", 19), ("pageup", 9), ("home", 0), ("up", 0),
        ]:  # fmt: skip
            view.press(key)
            assert view.top == top, key
        assert not view.press("up")
        assert not view.press("x")
        view.scroll_to_line(12)
        view.set_lines([*numbered(30)[:5], [Span("new")], *numbered(30)[6:]])
        assert view.drawn_text()[0].startswith("line 12 ")
        view.set_lines(numbered(3))
        assert [line.rstrip() for line in view.drawn_text()[:4]] == ["line 0 good", "line 1 good", "line 2 good", ""]


async def test_long_lines_are_cut_and_can_be_shifted() -> None:
    app = LinesApp()
    async with captured(app, size=(10, 4)):
        view = app.view
        view.set_lines([[Span("0123456789")], [Span("01234567"), Span("89abcdefgh", "good")], [Span("日本語日本語日")]])
        assert view.drawn_text() == ["0123456789", "012345678…", "日本語日 …"]
        assert view.press("right")
        assert view.drawn_text() == ["89        ", "89abcdefgh", "本語日    "]
        assert not view.press("right")
        assert view.press("left")
        assert view.drawn_text()[0] == "0123456789"


async def test_markup_is_literal_and_clicks_post_only_actions() -> None:
    app = LinesApp()
    async with captured(app, size=(60, 6)) as screen:
        app.bar.set_lines(
            [[Span("q", "key", "quit"), Span(" "), Span("[@click=app.boom]x[/]"), FILL, Span("日", "key", "day")]]
        )
        await screen.settled()
        assert screen.terminal.text()[0].startswith("q [@click=app.boom]x[/]")
        for x in (0, 1, 12, 40, 58, 59):
            await screen.pilot.click("#bar", offset=(x, 0))
        assert app.clicked == ["quit", "day", "day"]
        app.bar.set_lines([])
        await screen.pilot.click("#bar", offset=(0, 0))
        assert len(app.clicked) == 3


async def test_blanks_beside_a_reversed_span_are_not_reversed() -> None:
    app = LinesApp()
    async with captured(app, size=(20, 6)) as screen:
        app.bar.set_lines([[Span("  "), Span("tab", "active"), Span("  "), Span("more")]])
        await screen.settled()
        assert [look[5] for look in screen.terminal.looks(0)[:8]] == [
            False,
            False,
            True,
            True,
            True,
            False,
            False,
            False,
        ]


async def test_automatic_height_follows_the_number_of_lines() -> None:
    class Auto(App[None]):
        def compose(self) -> ComposeResult:
            with VerticalScroll():
                yield LinesView(numbered(2))

    app = Auto()
    async with captured(app, size=(30, 10)) as screen:
        view = app.query_one(LinesView)
        assert view.size.height == 2
        view.set_lines(numbered(5))
        await screen.settled()
        assert view.size.height == 5
        assert screen.terminal.text()[4].startswith("line 4 good")


@pytest.mark.parametrize("system", ["standard", "256", "truecolor"])
def test_lean_strips_look_like_plain_ones_in_fewer_bytes(system: str) -> None:
    styles = [
        "white on black", "bold red on black", "red on black", "none", "reverse", "dim #abcdef on #123456",
        "italic underline green on #123456", "default on red", "blue on default", "bold",
        "bold dim", "dim", "bold underline", "underline2 italic", "white on black",
    ]  # fmt: skip
    Style.parse.cache_clear()  # a Style remembers the codes of the first colour system it was rendered for
    segments = [Segment(f"t{i} ", Style.parse(style)) for i, style in enumerate(styles)] + [Segment("plain")]
    plain, short = Strip(segments), LeanStrip(segments)
    console = Console(color_system=system, file=io.StringIO(), force_terminal=True)  # type: ignore[arg-type]
    shown = []
    for strip in (plain, short, short.crop(0, short.cell_length), Strip.join(short.divide([7, short.cell_length]))):
        terminal = Terminal((60, 2))
        terminal.feed(strip.render(console) + "after")
        shown.append(terminal.all_looks())
    assert all(looks == shown[0] for looks in shown)
    assert len(short.render(console)) < len(plain.render(console))
    assert short.crop(1, 5).render(console) == LeanStrip(Strip(segments).crop(1, 5)).render(console)


def test_dim_ends_without_ending_bold() -> None:
    strip = LeanStrip([Segment("a", Style(bold=True, dim=True)), Segment("b", Style(bold=True)), Segment("c")])
    console = Console(color_system="truecolor", file=io.StringIO(), force_terminal=True)
    assert strip.render(console) == "\x1b[1;2ma\x1b[22;1mb\x1b[22mc"


def test_a_strip_with_a_link_keeps_it() -> None:
    strip = Strip([Segment("x", Style(link="http://localhost"))])
    assert lean(strip) is strip


@pytest.mark.parametrize(
    ("text", "width", "left", "right"),
    [
        ("ab", 4, "ab  ", "  ab"),
        ("abcd", 4, "abcd", "abcd"),
        ("abcde", 4, "abc…", "abc…"),
        ("日本", 4, "日本", "日本"),
        ("日本語", 5, "日本…", "日本…"),
        ("日本語", 4, "日 …", "日 …"),
        ("e\u0301e", 3, "e\u0301e ", " e\u0301e"),
        ("abc", 1, "…", "…"),
        ("abc", 0, "", ""),
    ],
)
def test_fit(text: str, width: int, left: str, right: str) -> None:
    assert fit(text, width) == left
    assert fit(text, width, "right") == right


def test_clip_marks_what_is_left_out_at_the_right_only() -> None:
    runs = (("abc", ""), ("def", "good"))
    assert clip(runs, 8) == (("abc", ""), ("def", "good"), ("  ", ""))
    assert clip(runs, 6) == runs
    assert clip(runs, 5) == (("abc", ""), ("d…", "good"))
    assert clip(runs, 3) == (("ab…", ""),)
    assert clip(runs, 3, skip=2) == (("c", ""), ("d…", "good"))
    assert clip(runs, 4, skip=4) == (("ef", "good"), ("  ", ""))
    assert clip((("日本", ""),), 3, skip=1) == ((" 本", ""),)
    assert clip((), 2) == (("  ", ""),)


def line(*runs: tuple[str, str], base: str = "") -> Line:
    return Line(base, runs)


@pytest.mark.parametrize(
    ("old", "new", "span"),
    [
        (line(("abcd", "")), line(("abcd", "")), None),
        (line(("abcd", "")), line(("abXd", "")), (2, 3)),
        (line(("abcd", "")), line(("ab", ""), ("cd", "good")), (2, 4)),
        (line(("ab", ""), ("cd", "")), line(("abcd", "")), None),
        (line(("abcd", "")), line(("abcd", ""), base="cursor"), (0, 4)),
        (line(("日本", "")), line(("日x ", "")), (2, 4)),
        (line(("日本", "")), line(("x 本", "")), (0, 2)),
        (line(("abe\u0301d", "")), line(("abed", "")), (2, 3)),
        (line(("abe\u0301d", "")), line(("abx\u0301d", "")), (2, 3)),
        (line(("aaaa", "")), line(("aaba", "")), (2, 3)),
    ],
)
def test_the_changed_span_is_the_smallest(old: Line, new: Line, span: tuple[int, int] | None) -> None:
    assert changed_span(old, new, 4) == span
