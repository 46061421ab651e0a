"""The full screen: wiring of collector, panes, dialogs and jobs."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.filter import LineFilter
from textual.message import Message

from tui.commands import Commands
from tui.leave import Exit
from tui.model.host import ConnectionState
from tui.model.kind import Kind
from tui.model.text import clean
from tui.panes import FIRST, PANES, chrome
from tui.panes.frame import PaneFrame
from tui.panes.spec import AnyPane, View
from tui.paths import styles_dir
from tui.runtime.desk import Focus
from tui.runtime.store import Store
from tui.themes import THEMES
from tui.widgets.ascii import AsciiFilter, ColourlessFilter, is_unicode_terminal
from tui.widgets.lines import LinesView
from tui.widgets.painting import Steered
from tui.widgets.terminal_input import SleepingApp
from tui.widgets.typeahead import BEHIND_KEYS, TypeAhead

if TYPE_CHECKING:
    from tui.changes import Changes
    from tui.config import Config
    from tui.dialogs.live import LiveScreen
    from tui.model.snapshot import HostSnapshot
    from tui.runtime.collector import Collector
    from tui.runtime.jobs import Job
    from tui.runtime.journal import Journal
    from tui.runtime.mailbox import Mailbox

_WIDE, _HUGE = 110, 170
_WITHOUT_LIST_S, _NOTICE_S = 1.5, 10.0
_NO_CONNECTION = 3
# Thousands of rows live long: going through all of them is for rare occasions, since it stops the screen.
_GC_THRESHOLDS = (10_000, 20, 50)
_LEAVE_KEYS = frozenset({"ctrl+c", "ctrl+q"})


class Mail(Message):
    """A snapshot waits in the mailbox."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Mail)


class JobMoved(Message):
    """A job was reported by its thread."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


class VirtdeckApp(SleepingApp):
    """virtdeck's full screen for one host."""

    CSS_PATH: ClassVar = [styles_dir() / name for name in ("base.tcss", "panes.tcss", "dialogs.tcss")]
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]

    def __init__(
        self,
        collector: Collector,
        mailbox: Mailbox[HostSnapshot],
        journal: Journal,
        config: Config,
        *,
        demo: bool = False,
        notice: str = "",
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        for theme in THEMES:
            self.register_theme(theme)
        # Set before the first style is resolved: a change of theme resolves them all once more.
        self.set_reactive(App.theme, config.theme if config.theme in self.available_themes else THEMES[0].name)
        self.stylesheet.set_variables(self.get_css_variables())
        self.set_class(self.current_theme.dark, "-dark-mode", update=False)
        self.set_class(not self.current_theme.dark, "-light-mode", update=False)
        self.collector = collector
        self.journal = journal
        self._mailbox = mailbox
        self._config = config
        self._demo = demo
        self._notice = notice
        self._store = Store()
        self._painted = False
        self._pending: dict[str, str] = {}
        self._changes: Changes | None = None
        self._live: LiveScreen[Any] | None = None
        self._header = LinesView(id="header")
        self._tab_line = LinesView(id="tabs")
        self._banner = LinesView(id="banner")
        self._hints = LinesView(id="hints")
        self._body = Container(id="body")
        self.frames: dict[str, PaneFrame] = {}
        self.pane: AnyPane = FIRST
        self._filters_plus: list[LineFilter] = [] if is_unicode_terminal() else [AsciiFilter()]
        # Textual's own answer to NO_COLOR is shades of grey.
        self._filters_plus += [ColourlessFilter()] if self.no_color else []
        self.commands = Commands(self)
        self._way_out = Exit()
        self._typed = TypeAhead(self, self._takes_keys, self._key_at_once, super().on_event)

    @property
    def demo(self) -> bool:
        """Whether this is the demo host."""
        return self._demo

    # Frame

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return Textual's filters, and ours for terminals without Unicode or colours."""
        return [*super().get_line_filters(), *self._filters_plus]

    def compose(self) -> ComposeResult:
        yield self._header
        yield self._tab_line
        yield self._banner
        with self._body:
            yield self._frame(self.pane)
        yield self._hints

    def _frame(self, pane: AnyPane) -> PaneFrame:
        frame = self.frames[pane.id] = pane.frame(pane, self._config.columns.get(pane.id, ()))
        self._fit(frame, self.size.width)
        return frame

    @staticmethod
    def _fit(frame: PaneFrame, width: int) -> None:
        frame.set_class(width >= _WIDE, "-wide")
        frame.set_class(width >= _HUGE, "-huge")

    @property
    def frame(self) -> PaneFrame:
        """The pane on the screen."""
        return self.frames[self.pane.id]

    def on_mount(self) -> None:
        if self._config.theme not in self.available_themes:
            self.toast(f"no theme {self._config.theme}", "warning")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._depart, 128 + number)
        self._mailbox.on_mail(self._mail_came)
        self.journal.on_change = self._mail_came
        self._apply(self._mailbox.take() or self.collector.board.snapshot)
        self.frame.main.focus()
        # A host that does not answer has unmanaged QEMUs and an earlier journal all the same.
        self.set_timer(_WITHOUT_LIST_S, self._start_slow)
        self.set_timer(_NOTICE_S, self._end_notice)

    def on_resize(self, event: events.Resize) -> None:
        for frame in self.frames.values():
            self._fit(frame, event.size.width)
        self.call_after_refresh(self._after_resize)

    def _after_resize(self) -> None:
        self.frame.draw_detail()
        self.look()

    # Data

    def _mail_came(self) -> None:
        self.post_message(Mail())

    def on_mail(self) -> None:
        self._apply(self._mailbox.take() or self._store.snapshot or self.collector.board.snapshot)

    def _apply(self, snapshot: HostSnapshot) -> None:
        if snapshot.connection.state is ConnectionState.REFUSED:
            self.exit(_NO_CONNECTION)
            return
        self._store.apply(snapshot)
        self._draw()
        if not self._painted and snapshot.domains_read_ns is not None:
            self.call_after_refresh(self._start_slow)

    def _start_slow(self) -> None:
        """What the first picture can do without: the rest of the reading, the actions, earlier changes."""
        if self._painted:
            return
        self._painted = True
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        gc.enable()
        self.collector.start_slow()
        threading.Thread(target=self.journal.load, name="journal", daemon=True).start()
        self._draw()

    @property
    def snapshot(self) -> HostSnapshot | None:
        """What the screen shows."""
        return self._store.snapshot

    @property
    def changes(self) -> Changes:
        """The actions as this screen offers them."""
        if self._changes is None:
            from tui.changes import Changes

            self._changes = Changes(self, self._config.keymap, self._config.preview, self._job_reported)
        return self._changes

    def _view(self, snapshot: HostSnapshot) -> View:
        pending = self._changes.pending() if self._changes is not None else {}
        if pending != self._pending:
            self._pending = pending
        entries, problem = self.journal.entries(), self.journal.problem
        store = self._store
        return View(
            snapshot,
            store.cpu_history,
            entries,
            problem,
            self._pending,
            store.disk_history,
            store.link_history,
            store.first_of_link,
        )

    def _draw(self) -> None:
        snapshot = self._store.snapshot
        if snapshot is None:
            return
        view = self._view(snapshot)
        self._header.set_lines([chrome.header(snapshot, demo=self._demo)])
        trouble = chrome.banner(snapshot)
        # Trouble of the connection comes before what is under way on it.
        banner = trouble or chrome.under_way(view.entries)
        lines = [banner] if banner is not None else chrome.notice(self._notice, self.size.width)
        self._banner.set_class(bool(lines), "-shown")
        self._banner.set_class(trouble is None, "-calm")
        self._banner.set_lines(lines)
        self.frame.show(view)
        self._draw_edges(view)
        if self._live is not None:
            self._live.show_snapshot(snapshot)

    def _end_notice(self) -> None:
        self._notice = ""
        self._draw()

    def _draw_edges(self, view: View) -> None:
        frame = self.frame
        self._tab_line.set_lines([chrome.tabs(PANES, self.pane, view, frame.main.position, self.size.width)])
        if not self._painted:
            return
        kinds = frame.kinds()
        targets = [target for kind in kinds if kind is not Kind.HOST for target in frame.targets(kind)]
        context = self.changes.context(view.snapshot)
        self._hints.set_lines([chrome.hints(context, frame, kinds, targets, self.changes.keys, self.size.width)])

    def on_pane_frame_positioned(self) -> None:
        if self._store.snapshot is not None:
            self._draw_edges(self._view(self._store.snapshot))

    def on_pane_frame_looked(self) -> None:
        self.look()
        self.on_pane_frame_positioned()

    def look(self) -> None:
        """Tell the collector what is looked at."""
        visible, detail = self.frame.looked_at()
        live = self._live
        watched, host = (live.watched, live.wants_host) if live is not None else (None, False)
        self._store.look_at((*visible, *((detail,) if detail else ())))
        frame, pane = self.frame, self.pane
        links = pane.wants_links or (live is not None and live.wants_links)
        self.collector.focus(
            Focus(
                visible, watched or detail, host, frame.keys_in_view() if pane.wants_storage else None,
                links=links, networks=pane.wants_networks, link=frame.open_link(), image=frame.image_looked_at(),
            )
        )  # fmt: skip

    def keep_live(self, screen: LiveScreen[Any] | None) -> None:
        """From now on tell this screen of every snapshot, and read what it needs; None: no screen any more."""
        self._live = screen
        self.look()

    def on_pane_frame_told(self, event: PaneFrame.Told) -> None:
        self.toast(event.text, "warning")

    def on_pane_frame_jump(self, event: PaneFrame.Jump) -> None:
        self.commands.jump(event.kind, event.key)

    # Keys

    async def on_event(self, event: events.Event) -> None:
        typed = isinstance(event, events.Key) and event.key not in _LEAVE_KEYS
        behind = isinstance(event, BEHIND_KEYS) and self._typed.busy
        if event.is_forwarded or not (typed or behind):
            await super().on_event(event)
            return
        self.app_focus = True
        await self._typed.take(event)

    def _takes_keys(self) -> bool:
        """Whether what is on the screen is ready for a key: a pane or a dialog that just opened may not be yet."""
        if len(self.screen_stack) > 1:
            return self.focused is not None and bool(getattr(self.screen, "takes_keys", True))
        return self.focused is not None and self.frame in self.focused.ancestors

    def _key_at_once(self, event: events.Key) -> bool:
        """Do what a key means to the pane; False in dialogs and in fields, and for keys that mean nothing here."""
        view = self.focused or self.frame.main
        # Enter opens by a message, which the next key must not overtake.
        if len(self.screen_stack) > 1 or not isinstance(view, (Steered, LinesView)) or event.key == "enter":
            return False
        return view.press(event.key) or self.commands.press(_name_of(event), event.key)

    def on_key(self, event: events.Key) -> None:
        """Take the keys that a field of the pane has no use for."""
        if len(self.screen_stack) == 1 and self.commands.press(_name_of(event), event.key):
            event.stop()
            event.prevent_default()

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        kind, _, what = event.action.partition(":")
        self.commands.click(kind, what)

    def open_pane(self, pane: AnyPane) -> None:
        """Put another pane on the screen."""
        if pane is self.pane:
            self.frame.zoom(False)
            return
        self.frame.display = False
        self.pane = pane
        if pane.id not in self.frames:
            frame = self._frame(pane)
            self._body.mount(frame)
            self.call_after_refresh(frame.zoom, False)
        else:
            self.frame.display = True
            self.frame.zoom(False)
        self._draw()
        self.frame.begin()

    # Changes

    def _job_reported(self, job: Job) -> None:
        self.post_message(JobMoved(job))

    def on_job_moved(self, event: JobMoved) -> None:
        self.changes.tell(event.job)

    def toast(self, text: str, severity: str = "information", timeout: float = 5) -> None:
        """Show a message for a while; its text is never markup."""
        self.notify(clean(text), severity=severity, timeout=timeout, markup=False)  # type: ignore[arg-type]

    # Leaving

    def action_leave(self) -> None:
        """Leave at once, asking first while requests of ours have not all been made."""
        running = self._changes.running() if self._changes is not None else 0
        if running and time.monotonic() - self._asked_leave_s > 5:
            self._asked_leave_s = time.monotonic()
            self.toast(f"{running} changes are still being made; press q again to leave them", "warning")
            return
        self._depart(0)

    _asked_leave_s = -60.0

    def _depart(self, code: int) -> None:
        """End the app; should the terminal not take the goodbye, end the process all the same."""
        self._mailbox.on_mail(None)
        self.journal.on_change = None
        if self._changes is not None:
            self._changes.jobs.stop()
        self._way_out.soon(code)
        self.exit(code)


def _name_of(event: events.Key) -> str:
    """Return the character that a key types, else Textual's name of the key."""
    return event.character if event.character and event.is_printable else event.key
