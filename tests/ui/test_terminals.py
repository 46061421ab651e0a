"""The real program in terminals of all kinds: small, large, without colours, without Unicode, dumb, resized, none."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from textual.widget import Widget
from textual.widgets import Input

from tests.terminal import Terminal
from tests.ui.conftest import OpenDeck
from tests.ui.strict import taken_apart
from tests.ui.words import Deck
from tui.actions import ACTIONS
from tui.actions.base import Action, FieldError, make_plan
from tui.model.kind import Kind

Environment = dict[str, str | None]
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def environment(home: Path) -> Environment:
    """What the program is started with: folders of the test's own, and a locale of UTF-8."""
    return {
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": str(CHECKOUT),
        "LC_ALL": "C.UTF-8",
        "LANG": None,
        "LC_CTYPE": None,
    }


def demo_in(environment: Environment, columns: int = 80, rows: int = 24) -> Terminal:
    """The program on the demo host."""
    return Terminal([sys.executable, "-m", "tui", "--demo"], columns, rows, env=environment, cwd="/")


def shows_figures(term: Terminal) -> bool:
    """Whether the list is there with the CPU figures of all that runs."""
    lines = [line for line in term.lines() if "running " in line and "/" in line]
    return len(lines) > 5 and not any(" ? " in line for line in lines)


# Size


async def test_80_by_24_shows_all_that_matters(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        lines = deck.lines()
        assert lines[0].rstrip().endswith("● live")
        assert lines[1].rstrip().endswith("1-20/48")
        assert lines[2].split() == ["Name", "State", "CPU%", "vCPU", "Memory", "Address", "Flags"]
        assert lines[-1].rstrip().endswith("? help")
        assert "[@click=app.qui… ● running" in lines[6]


async def test_what_is_told_at_the_start_lies_over_nothing(demo: OpenDeck) -> None:
    why = "demo host, because qemu:///system does not answer: no socket /var/run/libvirt/libvirt-sock: No such file"
    async with demo(size=(80, 24), notice=why) as deck:
        assert " ".join(" ".join(deck.lines()[2:4]).split()) == why
        assert deck.lines()[4].split()[:2] == ["Name", "State"]
        assert deck.toasts() == []
        deck.app.call_later(deck.app._end_notice)
        await deck.until(lambda: not deck.app._notice, "it is taken away")
        await deck.settle()
        assert deck.lines()[2].split()[:2] == ["Name", "State"]


@pytest.mark.parametrize("size", [(80, 24), (60, 15)])
async def test_every_action_is_reached_on_a_small_screen(demo: OpenDeck, size: tuple[int, int]) -> None:
    """By its key or through the palette, each opens its plan, whose go and cancel can be seen."""
    async with demo(size=size) as deck:
        for action in ACTIONS:
            if action.kind not in (Kind.DOMAIN, Kind.HOST) or action.id in _ELSEWHERE:
                continue
            name = _one_that_can(deck, action)
            await deck.focus(name)
            await deck.press(":")
            deck.app.screen.query_one(Input).value = action.id
            await deck.press("enter")
            await deck.expect_popup(action.title)
            assert "esc cancel" in deck.text(), action.id
            can_go = "enter go" in deck.text() or "yes, do it" in deck.text()
            assert can_go or _wants_text(deck, action, name), action.id
            asked = action.asked(deck.app.changes.context(deck.snapshot), [deck.domain(name)])
            # A form longer than the screen scrolls.
            for field in asked[: size[1] - 7]:
                assert field.label[:20] in deck.text(), action.id
            await deck.press("escape")


_ELSEWHERE = {
    "domain.pin": "a screen of its own, tried in test_pins_editor.py",
    "domain.monitor": "the test driver has none",
    "domain.iothread-del": "all I/O threads here are used",
    "domain.disk-commit": "no disk here lies on another image",
    "domain.disk-pull": "no disk here lies on another image",
    "domain.disk-job": "no block job is under way here",
    "domain.ports": "no machine here has root ports",
    "domain.memory-attach": "no domain here has slots",
    "domain.memory-detach": "nor a memory device",
    "domain.memory-resize": "nor a memory device",
}


def _one_that_can(deck: Deck, action: Action) -> str:
    """A domain on which the action can be carried out."""
    context = deck.app.changes.context(deck.snapshot)
    plain = (one.name for one in deck.snapshot.domains.values() if re.fullmatch(r"[\w-]+", one.name, re.ASCII))
    names = ["db-primary", *sorted(plain)]
    if action.kind is Kind.HOST:
        return names[0]
    able = [name for name in names if action.reason(context, deck.domain(name)) is None]
    assert able, f"{action.id}: {action.reason(context, deck.domain(names[0]))}"
    return able[0]


def _wants_text(deck: Deck, action: Action, name: str) -> bool:
    """Whether there is no plan before something was typed."""
    context, target = deck.app.changes.context(deck.snapshot), deck.domain(name)
    try:
        make_plan(action, context, [None if action.kind is Kind.HOST else target], {})
    except FieldError:
        return True
    return False


async def test_the_help_scrolls_to_its_end_on_a_small_screen(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        await deck.press("?")
        assert "Everywhere" in deck.text()
        await deck.press("pagedown")
        assert "Everywhere" not in deck.text()
        await deck.press("G")
        assert "rates are bytes a second" in deck.text()
        assert not any("…" in line for line in re.findall("│(.*)│", deck.text())), "nothing is cut off"
        await deck.press("q")
        assert len(deck.app.screen_stack) == 1


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (40, 10), (200, 60)])
async def test_no_line_is_wider_than_the_screen(demo: OpenDeck, size: tuple[int, int]) -> None:
    async with demo(size=size) as deck:
        for keys in ("", "enter", "escape ?", "escape :", "escape * D", "escape 7", "2 /"):
            await deck.press(*keys.split())
            for widget in deck.app.screen.query("*").results(Widget):
                if widget.display and widget.region.area and widget.styles.dock == "none":
                    assert widget.region.right <= size[0], (keys, widget)
        assert len(deck.lines()) == size[1]


async def test_200_by_60_uses_the_room(demo: OpenDeck) -> None:
    async with demo(size=(200, 60)) as deck:
        heads = deck.lines()[2].partition("▏")[0].split()
        assert {"Name", "State", "CPU%", "vCPU", "Memory", "Used", "Disk", "Net", "Address", "Flags"} <= set(heads)
        assert "Overview vCPUs Memory Tuning Disks NICs Snapshots Events XML" in deck.lines()[2]
        assert sum("running" in line for line in deck.lines()[3:]) >= 29


def test_it_follows_the_terminal_when_it_is_resized(environment: Environment) -> None:
    with demo_in(environment, 80, 24) as term:
        term.wait_for("gitlab")
        for columns, rows in ((200, 60), (60, 15), (120, 40)):
            term.resize(columns, rows)
            term.wait_for(lambda term, rows=rows: "? help" in term.lines()[rows - 1])  # type: ignore[misc]
        term.wait_for("Overview")
        term.press("x")
        term.wait_for("esc cancel|it is shut off")
        term.resize(40, 10)
        term.resize(80, 24)
        term.wait_for(lambda term: "? help" in term.lines()[23])
        term.wait_quiet()
        term.press("escape", "q")
        taken_apart(term.bytes_since())


# Colours


def test_without_colours_cursor_and_marks_can_be_told(environment: Environment) -> None:
    with demo_in(environment | {"NO_COLOR": "1"}) as term:
        term.wait_for("gitlab")
        term.press("j", "space")
        term.wait_for(r"^•")
        term.wait_quiet()
        rows = [y for y in range(3, 20) if term.cell(1, y).reverse]
        assert rows == [5], "the cursor's row is reversed"
        assert term.line(4).startswith("•")
        assert term.cell(*term.find("2 Domains")).reverse, "the open pane"
        term.press("s")
        term.wait_for("esc cancel|it is")
        term.press("?")
        term.wait_quiet()
        written = taken_apart(term.bytes_since())
        assert written.colours == []
        assert len(written.styles) > 50


def test_with_colours_there_are_some(environment: Environment) -> None:
    with demo_in(environment) as term:
        term.wait_for("gitlab")
        # Bytes that are taken while some are on their way may end within a sequence.
        term.wait_quiet(0.5)
        assert len(taken_apart(term.bytes_since()).colours) > 50


# Characters


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": None, "LANG": "C"},
        {"LC_ALL": None, "LANG": None},
        {"LC_ALL": None, "LANG": "en_US.ISO-8859-1"},
        {"LC_ALL": None, "LC_CTYPE": "de_DE.ISO-8859-15@euro", "LANG": "de_DE.UTF-8"},
    ],
)
def test_in_other_locales_only_ascii_leaves(environment: Environment, locale: Environment) -> None:
    with demo_in(environment | locale) as term:
        term.wait_for("gitlab")
        term.press("space", "*", "D")
        term.wait_for("type 46 and press enter")
        term.wait_quiet()
        term.press("escape")
        term.wait_for(r"\? help$")
        term.press("?")
        term.wait_for("Everywhere")
        term.wait_quiet()
        data = term.bytes_since()
    assert data.isascii(), sorted({byte for byte in data if byte > 127})
    text = taken_apart(data).text
    for sign in ("* running", "o shut off", "= paused", "x crashed"):
        assert sign in text or sign in ("= paused", "x crashed")
    assert "csi?31mred?2J" in text


def test_in_a_utf_8_locale_the_signs_are_signs(environment: Environment) -> None:
    with demo_in(environment | {"LC_ALL": None, "LANG": "de_DE.UTF-8"}) as term:
        term.wait_for("gitlab")
        assert "● running" in term.text()


# Kinds of terminals


@pytest.mark.parametrize("kind", ["dumb", "xterm", "linux", "screen-256color", "no-such-terminal", "", None])
def test_any_terminal_type_will_do(environment: Environment, kind: str | None) -> None:
    with demo_in(environment | {"TERM": kind, "COLORTERM": None}) as term:
        term.wait_for("gitlab")
        term.press("j", "enter")
        term.wait_for("Overview")
        term.press("q")
        assert term.exit() == 0
        taken_apart(term.bytes_since())
        assert 1049 not in term.emulator.private_modes, "the screen is given back"


def test_a_field_does_not_blink(environment: Environment) -> None:
    # What moves behind a dialog draws it anew.
    argv = [sys.executable, "-m", "tui", "--demo", "--interval", "60"]
    with Terminal(argv, 80, 24, env=environment, cwd="/") as term:
        term.wait_for(r"Tri\(\d+\)")
        term.press(":")
        term.wait_for("esc closes")
        term.wait_quiet(0.4)
        mark = term.mark()
        time.sleep(1.2)
        written = taken_apart(term.bytes_since(mark)).text
        assert "esc closes" not in written


def test_what_comes_in_pieces_is_put_together_and_escape_alone_is_escape(environment: Environment) -> None:
    """A slow link cuts characters and the sequences of keys anywhere."""
    with demo_in(environment) as term:
        term.wait_for("gitlab")
        term.press("/")
        for byte in "ñ-中".encode():
            term.send(bytes([byte]))
            term.wait_quiet(0.02)
        term.wait_for(r"^ ?ñ-中")
        for piece in (b"\x1b", b"[", b"D", b"\x1b[D", b"x"):
            term.send(piece)
            time.sleep(0.01)
        term.wait_for(r"^ ?ñx-中")
        term.press("escape")
        term.wait_for(lambda term: "ñx" not in term.text())
        assert "gitlab" in term.text()


def test_nothing_is_left_behind(environment: Environment, home: Path) -> None:
    (home / "tmp").mkdir()
    with demo_in(environment | {"TMPDIR": str(home / "tmp")}) as term:
        before = set(term.emulator.private_modes)
        term.wait_for("gitlab")
        assert 1049 in term.emulator.private_modes
        term.press("ctrl+c")
        assert term.exit() == 0
        assert term.emulator.private_modes == before
        assert term.text().strip() == ""
        assert list((home / "tmp").iterdir()) == []


_STUCK = """
import time
from tui import app, cli
app.VirtdeckApp.exit = lambda *_: time.sleep(30)
cli.leave(cli.run(["--demo"]))
"""


def test_nothing_is_left_behind_by_one_that_hangs_when_it_is_to_leave(environment: Environment, home: Path) -> None:
    (home / "tmp").mkdir()
    environment |= {"TMPDIR": str(home / "tmp")}
    with Terminal([sys.executable, "-c", _STUCK], 80, 24, env=environment, cwd="/") as term:
        before = set(term.emulator.private_modes)
        term.wait_for("gitlab")
        term.press("ctrl+c")
        assert term.exit() == 0
        assert term.emulator.private_modes == before
        assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[keymap]\n"domain.start" = "x"', "keymap: domain.start = 'x': domain.destroy has that key"),
        ('[columns]\ndomains = ["nope"]', "columns.domains: no column 'nope'; there are: name"),
    ],
)
def test_a_mistake_in_the_configuration_opens_no_screen(
    environment: Environment, home: Path, text: str, said: str
) -> None:
    (home / "x.toml").write_text(text)
    argv = [sys.executable, "-m", "tui", "--demo", "--config", str(home / "x.toml")]
    with Terminal(argv, 100, 24, env=environment, cwd="/") as term:
        assert term.exit() == 2
        assert said in " ".join(term.lines())
        assert b"1049" not in term.bytes_since()


def test_without_a_terminal_it_says_so(environment: Environment) -> None:
    env = {name: value for name, value in environment.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-m", "tui", "--demo"], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"virtdeck: the screen needs a terminal; see: virtdeck domains, .*\n", done.stderr)
