"""The words in which tests drive the full screen: focus a row by name, press keys, expect a line, a toast, a question.

    with open_deck(lab, tmp_path) as deck:
        deck.focus("web1")
        deck.act("p")                        # suspend, and the dialog's go
        deck.expect_row("web1", "paused")
        deck.expect_toast("Suspend web1: done")

What is waited for raises ScreenError with the whole screen when it does not come.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from tests.lab.host import LabHost
from tests.terminal import Terminal

CHECKOUT = Path(__file__).parents[2]
FIRST_ROW = 3
"""The first line of the list: header, panes and the column heads are above it."""
_EDGE = "▏"
_FOLDS = "▾▸· "
_TOAST = "▌"
_QUESTION = "yes, do it"


@contextmanager
def open_deck(
    lab: LabHost,
    home: Path,
    *arguments: str,
    size: tuple[int, int] = (120, 40),
    uri: str | None = None,
    live: bool = True,
    inside: bool = False,
) -> Iterator[Deck]:
    """The real program on the lab's libvirtd in a terminal, its XDG folders below `home`; with `live` it is waited for
    until it shows the host. `inside`: it runs in the lab's namespaces, and so sees its network. It is ended afterwards
    if it still runs."""
    argv = [sys.executable, "-m", "tui", "-c", uri or lab.uri, *arguments]
    if inside:
        argv = lab.namespaces.inside(argv)
    with Terminal(argv, *size, env=xdg(home), cwd=CHECKOUT) as terminal:
        deck = Deck(terminal, home)
        if live:
            deck.expect("● live")
            deck.expect(r"\d+ running")
        yield deck


def xdg(home: Path) -> Mapping[str, str]:
    """The environment that puts configuration and state below `home`."""
    return {
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(CHECKOUT),
        "LC_ALL": "C.UTF-8",
    }


class Deck:
    """The program's screen, in the words of a user."""

    def __init__(self, terminal: Terminal, home: Path) -> None:
        self.terminal = terminal
        self._home = home
        self._filtered = False

    # What is there

    def rows(self) -> list[str]:
        """The lines of the list that is on the screen, left of the detail, without the mark's column."""
        lines = [line.partition(_EDGE)[0][1:].rstrip() for line in self.terminal.lines()[FIRST_ROW:-1]]
        return list(takewhile(bool, lines))

    def row(self, name: str) -> str:
        """The line of the list whose first word is `name`; "" when there is none."""
        return next((row for row in self.rows() if _is_of(row, name)), "")

    def cursor_row(self) -> str:
        """The line of the list under the cursor: the one in bold; "" when the list has no focus."""
        for offset, row in enumerate(self.rows()):
            if row and self.terminal.cell(1, FIRST_ROW + offset).bold:
                return row
        return ""

    def toasts(self) -> str:
        """The texts of the toasts on the screen, in one line."""
        lines = [line.partition(_TOAST)[2] for line in self.terminal.lines()]
        return " ".join(" ".join(lines).split())

    def dialog(self) -> str:
        """The text inside of the dialog, a line each; "" when none is open."""
        found = [re.search(r"│(.*)│", line) for line in self.terminal.lines()]
        return "\n".join(match[1].strip() for match in found if match)

    def hints(self) -> str:
        """The last line: the keys that work here and now."""
        return self.terminal.lines()[-1]

    # What is waited for

    def expect(self, pattern: str, timeout: float = 20) -> float:
        """Wait until the screen holds a regular expression and return the stamp of the bytes that brought it."""
        return self.terminal.wait_for(pattern, timeout)

    def expect_row(self, name: str, pattern: str, timeout: float = 20) -> float:
        """Wait until the row of `name` holds a regular expression."""

        def row(_terminal: Terminal) -> bool:
            line = self.row(name)
            return bool(line) and re.search(pattern, line) is not None

        row.__name__ = f"row {name} with {pattern}"
        return self.terminal.wait_for(row, timeout)

    def expect_no_row(self, name: str, timeout: float = 20) -> float:
        """Wait until no row is called `name`."""

        def no_row(_terminal: Terminal) -> bool:
            return not self.row(name)

        no_row.__name__ = f"no row {name}"
        return self.terminal.wait_for(no_row, timeout)

    def expect_cursor(self, name: str, timeout: float = 12) -> float:
        """Wait until the cursor is on the row of `name`."""

        def cursor(_terminal: Terminal) -> bool:
            return _is_of(self.cursor_row(), name)

        cursor.__name__ = f"cursor on {name}"
        return self.terminal.wait_for(cursor, timeout)

    def expect_toast(self, pattern: str, timeout: float = 20) -> float:
        """Wait until a toast holds a regular expression; its line breaks count as blanks."""

        def toast(_terminal: Terminal) -> bool:
            return re.search(pattern, self.toasts()) is not None

        toast.__name__ = f"toast {pattern}"
        return self.terminal.wait_for(toast, timeout)

    def expect_dialog(self, pattern: str, timeout: float = 12) -> str:
        """Wait until a dialog is open that holds a regular expression, and return its text."""

        def dialog(_terminal: Terminal) -> bool:
            return re.search(pattern, self.dialog()) is not None

        dialog.__name__ = f"dialog {pattern}"
        self.terminal.wait_for(dialog, timeout)
        return self.dialog()

    def expect_no_dialog(self, timeout: float = 12) -> None:
        """Wait until no dialog is open."""
        self.terminal.wait_for(lambda _terminal: not self.dialog(), timeout)

    # What a user does

    def press(self, *keys: str) -> None:
        """Press keys, by Textual's names, as fast as they can be written."""
        self.terminal.press(*keys)

    def focus(self, name: str) -> None:
        """Put the cursor on the row of `name`, by the filter; other rows are hidden then."""
        self.show_only(name)
        self.expect_cursor(name)

    def show_only(self, words: str) -> None:
        """Filter the list by `words`; "" shows everything again."""
        if self._filtered:
            self.press("escape")
            self.expect_no_filter()
        self._filtered = bool(words)
        if words:
            self.press("/")
            self.terminal.type(words)
            self.press("enter")
            self.expect(rf"^ {re.escape(words)}(?: |$|{_EDGE})")

    def expect_no_filter(self) -> None:
        """Wait until the filter and its line are gone."""
        self.terminal.wait_for(lambda term: "hidden by the filter" not in term.line(1))
        self.terminal.wait_quiet(0.12)

    def act(self, key: str, **fields: str) -> str:
        """Press an action's key, fill in its dialog (texts typed over, choices turned to) and go; return what the
        dialog said at the end."""
        self.press(key)
        self.expect_dialog(r"esc cancel")
        self.terminal.wait_quiet(0.1)
        for index, value in enumerate(fields.values()):
            if index:
                self.press("down")
            self._fill(value)
        return self.confirm()

    def _fill(self, value: str) -> None:
        """Choices have their values in one line, so turn to the one; else type over what the field holds."""
        if not self._choices(value):
            self.press("end", "ctrl+u")
            self.terminal.type(value)
            return
        # What was just typed may turn the choice, which is between two pictures then.
        self.terminal.wait_for(lambda _: "•" in self._choices(value))
        line = self._choices(value)
        choices = re.findall(r"\((.)\) ", line)
        at = [match.group(1) for match in re.finditer(r"\(.\) (.*?)(?=\s+\(.\)|$)", line)].index(value)
        self.press(*["right"] * ((at - choices.index("•")) % len(choices)))

    def _choices(self, value: str) -> str:
        """The line of the dialog that has `value` among its choices, or "" where none has."""
        return next((line for line in self.dialog().splitlines() if f") {value}" in line), "")

    def confirm(self) -> str:
        """Say go in the dialog, a yes where it asks for one; return what it said."""
        asked = self.expect_dialog(r"(enter go|y yes, do it) ")
        self.terminal.wait_quiet(0.1)
        said = self.dialog()
        self.press(*(("enter", "y") if _QUESTION in asked else ("enter",)))
        self.expect_no_dialog()
        return said

    def open_pane(self, digit: str, heading: str) -> None:
        """Open a pane by its digit and wait for a heading of its list."""
        self.press(digit)
        self.terminal.wait_for(lambda term: heading in term.line(FIRST_ROW - 1))
        self._filtered = "hidden by the filter" in self.terminal.line(1)

    def read_journal(self) -> str:
        """Open the newest change of the journal in full, return its text, and go back to the domains."""
        self.open_pane("7", "Status")
        self.press("g", "enter")
        self.expect("^What  ")
        text = self.terminal.text()
        self.press("escape")
        self.expect("^ When ")
        self.open_pane("2", "State")
        return text

    def journal(self) -> list[dict[str, Any]]:
        """The changes as the journal's file has them, each in its last form, oldest first."""
        file = self._home / "state" / "virtdeck" / "journal.jsonl"
        entries: dict[str, dict[str, Any]] = {}
        for line in file.read_text().splitlines() if file.exists() else ():
            entry = json.loads(line)
            entries[entry["id"]] = entry
        return list(entries.values())


def _is_of(row: str, name: str) -> bool:
    """Whether a line of the list is that of `name`, which may be cut; a sign of folding may stand before it."""
    word = row.lstrip(_FOLDS).split(" ", 1)[0]
    return word == name or (word.endswith("…") and name.startswith(word[:-1]))
