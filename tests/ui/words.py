"""The words in which tests drive the screen in this process: focus a row, press keys, expect a popup, confirm it.

    async with deck.of(uri) as deck:
        await deck.focus("web-01")
        await deck.press("p")
        await deck.confirm("Suspend web-01")
        assert deck.domain("web-01").state is DomainState.PAUSED

Nothing sleeps blindly: every word waits until all keys are handled, no job is busy, and the newest snapshot is painted.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.keys import _character_to_key
from textual.widgets import Input

from tests.ui.capture import Screen, captured
from tui.app import VirtdeckApp
from tui.config import Config
from tui.dialogs.plan import PlanDialog
from tui.model.domain import Domain
from tui.model.journal import Entry
from tui.model.plan import Confirm
from tui.model.snapshot import HostSnapshot
from tui.model.text import clean
from tui.ops import request_types
from tui.panes.grid_frame import GridFrame
from tui.panes.topology_frame import TopologyFrame
from tui.paths import journal_file, muted_file
from tui.runtime.collector import Collector
from tui.runtime.journal import Journal
from tui.runtime.made_up import NetworkMaker
from tui.runtime.mailbox import Mailbox
from tui.runtime.monitors import UsageReader
from tui.widgets.grid import Grid
from tui.widgets.lines import FILL

PATIENCE_S = 10.0
_LOOK_S = 0.004


@asynccontextmanager
async def open_deck(
    uri: str,
    *,
    size: tuple[int, int] = (120, 40),
    config: Config | None = None,
    read_only: bool = False,
    figures: UsageReader | None = None,
    prepare: Callable[[Any], None] | None = None,
    network: NetworkMaker | None = None,
    notice: str = "",
    toasts: bool = False,
) -> AsyncIterator[Deck]:
    """The screen on the host of `uri`, read in full, at an interval at which nothing moves by itself unless `config`
    says otherwise; toasts are painted only if they are wanted, since they cover what is below them."""
    config = config or Config(interval_s=30.0)
    mailbox: Mailbox[HostSnapshot] = Mailbox()
    collector = Collector(
        uri,
        read_only=read_only,
        interval_s=config.interval_s,
        publish=mailbox.put,
        one_by_one=figures,
        prepare=prepare,
        network=network,
        muted_file=muted_file(),
    )
    journal = Journal(journal_file(), request_types)
    collector.start()
    app = VirtdeckApp(collector, mailbox, journal, config, demo=True, notice=notice)
    try:
        async with captured(app, size, toasts=toasts) as screen:
            deck = Deck(app, screen)
            # What triage counts stands in the tab line, and moves what is beside it.
            await deck.until(lambda: not deck.snapshot.unread and deck.snapshot.findings is not None, "it is all read")
            yield deck
    finally:
        collector.stop()


class Deck:
    """The screen, in the words of a user."""

    def __init__(self, app: VirtdeckApp, screen: Screen) -> None:
        self.app = app
        self.screen = screen
        self.pilot = screen.pilot

    # What is there

    @property
    def snapshot(self) -> HostSnapshot:
        """What the screen was painted from last."""
        return self.app._store.snapshot or self.app.collector.board.snapshot

    @property
    def grid(self) -> Grid[Any]:
        """The list of the pane on the screen."""
        return self.list_frame.grid

    @property
    def list_frame(self) -> GridFrame:
        """The pane on the screen, which is a list."""
        frame = self.app.frame
        assert isinstance(frame, GridFrame), f"no list but {frame}"
        return frame

    @property
    def current(self) -> str:
        """The name of the row under the cursor."""
        return _name(self.grid.cursor_item) or ""

    def rows(self) -> list[str]:
        """The names of the rows that the filter lets through, in their order."""
        return [self.app.pane.words(item) for item in self.grid.shown_items]

    @property
    def topology(self) -> TopologyFrame:
        """The pane on the screen, which is the topology."""
        frame = self.app.frame
        assert isinstance(frame, TopologyFrame), f"no topology but {frame}"
        return frame

    @property
    def under(self) -> str:
        """The name of the thing under the cursor of the topology."""
        return self.topology.item.node.name if self.topology.item is not None else ""

    async def find(self, text: str) -> None:
        """Search for a text in the topology, and leave the search."""
        await self.press("/")
        await self.type(text)
        await self.press("enter")

    def lines(self) -> list[str]:
        """The lines that a terminal shows."""
        return self.screen.terminal.text()

    def text(self) -> str:
        """The lines that a terminal shows, joined by line feeds."""
        return "\n".join(line.rstrip() for line in self.lines())

    def hints(self) -> str:
        """The last line: the keys that work here and now."""
        return self.lines()[-1].rstrip()

    def detail(self) -> str:
        """The detail in full, whether it fits the screen or not."""
        return "\n".join("".join(span.text for span in line) for line in self.app.frame.detail.lines)

    def tabs(self) -> str:
        """The line of the detail's tabs."""
        return "".join(span.text for line in self.app.frame.tab_line.lines for span in line)

    def toasts(self) -> list[str]:
        """The texts of the toasts, oldest first."""
        return [str(notification.message) for notification in self.app._notifications]

    def domain(self, name: str) -> Domain:
        """The domain of a raw name, as the screen knows it."""
        return next(domain for domain in self.snapshot.domains.values() if domain.raw_name == name)

    def names(self) -> set[str]:
        """The raw names of the domains that the screen knows."""
        return {domain.raw_name for domain in self.snapshot.domains.values()}

    def last_entry(self) -> Entry:
        """The newest change in the journal."""
        return self.app.journal.entries()[-1]

    @property
    def dialog(self) -> PlanDialog:
        """The plan that is on the screen."""
        assert isinstance(self.app.screen, PlanDialog), f"no plan is shown but {self.app.screen}\n{self.text()}"
        return self.app.screen

    def popup(self) -> str:
        """The text of all that the dialog on the screen shows, title first, without line breaks that are only there
        for want of width."""
        return re.sub(r"\n +", " ", "\n".join(self.popup_lines()))

    def popup_lines(self) -> list[str]:
        """The lines that the dialog on the screen has, whether they fit or not."""
        shown = [widget for widget in self.app.screen.walk_children() if widget.display]
        lines = [line for widget in shown for line in getattr(widget, "lines", ())]
        return ["".join(span.text for span in line if span is not FILL) for line in lines]

    # What is waited for

    async def until(self, holds: Callable[[], Any], what: str = "", patience_s: float = PATIENCE_S) -> None:
        """Wait until `holds` and all that led there is painted; fails with the screen when it never does."""
        end = time.monotonic() + patience_s
        while not (holds() and self._is_calm()):
            if time.monotonic() > end:
                raise AssertionError(f"{patience_s:g} s passed: {what or holds}\n{self.text()}")
            await asyncio.sleep(_LOOK_S)
            # What is painted meanwhile is what `holds` may be looking for.
            self.screen.collect()
        await self.screen.handled()

    def rested(self) -> bool:
        """Whether the detail and the hints have followed the cursor."""
        rest = self.app.frame._rest
        return rest is None or rest._task is None or rest._task.done()

    async def settle(self) -> None:
        """Wait until all keys are handled, no job is busy, and the newest snapshot is painted."""
        await self.screen.handled()
        await self.until(lambda: True, "the screen settles")

    def _is_calm(self) -> bool:
        newest = self.app._store.snapshot is self.app.collector.board.snapshot
        dialog = self.app.screen
        planned = not isinstance(dialog, PlanDialog) or dialog.takes_keys
        drawing = isinstance(self.app.frame, TopologyFrame) and self.app.frame.behind
        return (
            newest
            and planned
            and not drawing
            and not self.busy()
            and not self._typing_ahead()
            and not self._unread_news()
        )

    def _unread_news(self) -> bool:
        """Whether the collector has been told of something that it has not read yet."""
        desk = self.app.collector.poller.desk
        return bool(desk._asked or desk.events._dirty) or desk.busy_for_s() > 0

    def _typing_ahead(self) -> bool:
        return self.app._typed.busy

    def busy(self) -> bool:
        """Whether a change is under way."""
        changes = self.app._changes
        return changes is not None and bool(changes.jobs.running())

    # What a user does

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, by character or Textual's name; what they bring about has happened after."""
        for key in keys:
            self.send(key_event(key))
        await self.settle()

    def send(self, event: events.Event) -> None:
        """Give the app an event as its terminal does."""
        assert self.app._driver is not None
        self.app._driver.send_message(event)

    async def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        await self.press(*text)

    async def enter(self, field: str, value: str) -> None:
        """Put a value into a field of the plan on the screen, as typed."""
        widget = self.dialog.query_one(f"#field-{field}", Input)
        widget.focus()
        widget.value = value
        await self.settle()

    async def choose(self, field: str, value: str) -> None:
        """Turn a field of the plan on the screen to a value, by keys."""
        self.dialog.query_one(f"#field-{field}").focus()
        for _ in range(8):
            await self.settle()
            if self.dialog._values[field] == value:
                return
            await self.press("right")
        raise AssertionError(f"{field} cannot be {value}\n{self.text()}")

    async def focus(self, name: str) -> None:
        """Put the cursor on the row of that name."""
        await self.until(lambda: self._key(name) is not None, f"a row {name}")
        key = self._key(name)
        assert key is not None
        assert self.grid.go_to(key), f"{name} is not shown\n{self.text()}"
        await self.until(lambda: self.grid.cursor_key == key)

    async def mark(self, *names: str) -> None:
        """Mark the rows of those names and no others."""
        self.grid.set_marks([key for name in names if (key := self._key(name)) is not None])
        await self.settle()

    def _key(self, name: str) -> str | None:
        shown = clean(name)
        return next((self.list_frame.spec.key(item) for item in self.grid.shown_items if _name(item) == shown), None)

    async def expect_popup(self, title: str) -> str:
        """Wait for a dialog whose text begins with `title`, and return all that it says."""
        await self.until(lambda: len(self.app.screen_stack) > 1 and self.popup().startswith(title), f"popup {title}")
        return self.popup()

    async def expect_toast(self, text: str) -> None:
        """Wait for a toast that holds `text`."""
        await self.until(lambda: any(text in toast for toast in self.toasts()), f"toast {text}: {self.toasts()}")

    async def confirm(self, title: str) -> str:
        """Wait for the plan of that title, say go in the way that it asks for, and wait until its job has ended;
        returns what the plan said."""
        said = await self.expect_popup(title)
        plan = self.dialog._plan
        assert plan is not None, said
        before = len(self.app.journal.entries())
        if plan.confirm is Confirm.TYPE:
            self.dialog.query_one("#phrase", Input).focus()
            await self.settle()
            await self.type(plan.phrase)
        await self.press("y" if plan.confirm is Confirm.ASK and not self._typing() else "enter")
        if len(self.app.screen_stack) > 1:
            await self.press("y")
        await self.until(lambda: len(self.app.journal.entries()) > before, f"{title} is in the journal")
        return said

    def _typing(self) -> bool:
        return isinstance(self.app.focused, Input)

    async def act(self, key: str, title: str) -> str:
        """Press the key of an action and say go to its plan; returns what the plan said."""
        await self.press(key)
        return await self.confirm(title)

    async def undo_last(self) -> None:
        """Undo the newest change in the journal pane and come back."""
        pane = self.app.pane
        await self.press("7")
        self.grid.go_to(self.last_entry().id)
        await self.settle()
        await self.press("u")
        await self.confirm("Undo: ")
        await self.press(pane.digit)

    async def cancel(self) -> None:
        """Leave the dialog on the screen."""
        await self.press("escape")
        assert len(self.app.screen_stack) == 1


_CHARACTERS = {"space": " ", "enter": "\r", "escape": "\x1b", "backspace": "\x7f", "tab": "\t"}


def key_event(key: str) -> events.Key:
    """The event that a terminal's key makes: a character, or one of Textual's names."""
    if len(key) == 1:
        return events.Key(_character_to_key(key), key)
    return events.Key(key, _CHARACTERS.get(key))


def _name(item: Any) -> str | None:
    return getattr(item, "name", None)
