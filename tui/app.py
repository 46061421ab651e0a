"""The full screen: wiring of collector, panes, dialogs and jobs."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.filter import LineFilter
from textual.message import Message

from tui import keymap
from tui.actions import ACTIONS, BY_ID
from tui.actions.base import Action, Context, Kind, Target, make_plan
from tui.config import Config
from tui.model.host import LinkState
from tui.model.journal import Status
from tui.model.plan import Confirm, Plan
from tui.model.snapshot import HostSnapshot
from tui.model.text import clean
from tui.panes import PANES, chrome
from tui.panes.frame import PaneFrame
from tui.panes.spec import AnyPane, View
from tui.paths import kept_dir, styles_dir
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus
from tui.runtime.jobs import Job, Jobs
from tui.runtime.journal import Journal
from tui.runtime.mailbox import Mailbox
from tui.runtime.store import Store
from tui.themes import THEMES
from tui.widgets.ascii import AsciiFilter, ColourlessFilter, is_unicode_terminal
from tui.widgets.grid import Grid
from tui.widgets.lines import LinesView
from tui.widgets.typeahead import TypeAhead

_WIDE, _HUGE = 110, 170
_NO_CONNECTION = 3
_LEAVE_S = 0.8
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


class VirtdeckApp(App[int]):
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
        self.collector = collector
        self.journal = journal
        self.jobs = Jobs(collector, journal, collector.uri, collector.nudge, self._job_reported)
        self._mailbox = mailbox
        self._config = config
        self._demo = demo
        self._notice = notice
        self._store = Store()
        self._keys = keymap.keys_of(config.keymap)
        self._slow_started = False
        self._told: dict[str, Status] = {}
        self._header = LinesView(id="header")
        self._tab_line = LinesView(id="tabs")
        self._banner = LinesView(id="banner")
        self._hints = LinesView(id="hints")
        self._body = Container(id="body")
        self.frames: dict[str, PaneFrame] = {}
        self.pane: AnyPane = PANES[0]
        self._filters_plus: list[LineFilter] = [] if is_unicode_terminal() else [AsciiFilter()]
        # Textual's own answer to NO_COLOR is shades of grey.
        self._filters_plus += [ColourlessFilter()] if self.no_color else []
        self._typed = TypeAhead(self, self._takes_keys, self._key_at_once, super().on_event)

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
        frame = self.frames[pane.id] = PaneFrame(pane, self._config.columns.get(pane.id, ()))
        return frame

    @property
    def frame(self) -> PaneFrame:
        """The pane on the screen."""
        return self.frames[self.pane.id]

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        if self._config.theme in self.available_themes:
            self.theme = self._config.theme
        else:
            self.toast(f"no theme {self._config.theme}", "warning")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number)
        self._mailbox.on_mail(self._mail_came)
        self.journal.on_change = self._mail_came
        self._apply(self._mailbox.take() or self.collector.board.snapshot)
        self.frame.grid.focus()
        if self._notice:
            self.toast(self._notice)

    def on_resize(self, event: events.Resize) -> None:
        for frame in self.frames.values():
            frame.set_class(event.size.width >= _WIDE, "-wide")
            frame.set_class(event.size.width >= _HUGE, "-huge")
        self.call_after_refresh(self._after_resize)

    def _after_resize(self) -> None:
        self.frame.draw_detail()
        self._look()

    # Data

    def _mail_came(self) -> None:
        self.post_message(Mail())

    def on_mail(self) -> None:
        self._apply(self._mailbox.take() or self._store.snapshot or self.collector.board.snapshot)

    def _apply(self, snapshot: HostSnapshot) -> None:
        if snapshot.connection.state is LinkState.REFUSED:
            self.exit(_NO_CONNECTION)
            return
        self._store.apply(snapshot)
        self._draw()
        if not self._slow_started and snapshot.domains_read_ns is not None:
            self._slow_started = True
            self.call_after_refresh(self.collector.start_slow)

    def _view(self, snapshot: HostSnapshot) -> View:
        return View(snapshot, self._store.cpu_history, self.journal.entries(), self.journal.problem)

    def _draw(self) -> None:
        snapshot = self._store.snapshot
        if snapshot is None:
            return
        view = self._view(snapshot)
        self._header.set_lines([chrome.header(snapshot, demo=self._demo)])
        banner = chrome.banner(snapshot)
        self._banner.set_class(banner is not None, "-shown")
        self._banner.set_lines([banner] if banner is not None else [])
        self.frame.show(view)
        self._draw_edges(view)

    def _draw_edges(self, view: View) -> None:
        frame = self.frame
        self._tab_line.set_lines([chrome.tabs(PANES, self.pane, view, frame.grid.position)])
        kinds = frame.kinds()
        targets = [target for kind in kinds if kind is not Kind.HOST for target in frame.targets(kind)]
        context = self._action_context(view.snapshot)
        self._hints.set_lines([chrome.hints(context, self.pane, kinds, targets, self._keys, self.size.width)])

    def on_pane_frame_positioned(self) -> None:
        if self._store.snapshot is not None:
            self._draw_edges(self._view(self._store.snapshot))

    def on_pane_frame_looked(self) -> None:
        self._look()
        if self._store.snapshot is not None:
            self._draw_edges(self._view(self._store.snapshot))

    def _look(self) -> None:
        visible, detail = self.frame.looked_at()
        self.collector.focus(Focus(visible, detail))

    def on_pane_frame_filter_error(self, event: PaneFrame.FilterError) -> None:
        self.toast(event.text, "warning")

    # Keys

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key) or event.is_forwarded or event.key in _LEAVE_KEYS:
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
        view = self.focused or self.frame.grid
        if len(self.screen_stack) > 1 or not isinstance(view, (Grid, LinesView)):
            return False
        return view.press(event.key) or self.press(_name_of(event), event.key)

    def on_key(self, event: events.Key) -> None:
        """Take the keys that a field of the pane has no use for."""
        if len(self.screen_stack) == 1 and self.press(_name_of(event), event.key):
            event.stop()
            event.prevent_default()

    def press(self, name: str, key: str) -> bool:
        """Do what a key means here that neither the grid nor the detail took; False when it means nothing."""
        command = keymap.COMMANDS.get(name) or keymap.COMMANDS.get(key)
        if command is not None:
            return bool(getattr(self, f"do_{command}")())
        pane = next((pane for pane in PANES if pane.digit == name), None)
        if pane is not None:
            self.open_pane(pane)
            return True
        if name.isdecimal():
            self.frame.grid.begin_count(name)
            return True
        return self._action_key(name)

    def _action_key(self, name: str) -> bool:
        """Run the first action of this key that can run here; else say why the first one cannot."""
        snapshot = self._store.snapshot
        kinds = self.frame.kinds()
        found = [action for action in ACTIONS if self._keys[action.id] == name and action.kind in kinds]
        if not found or snapshot is None:
            return False
        context = self._action_context(snapshot)
        able = (action for action in found if self._reason(action, context) is None)
        self.run_action_on(next(able, found[0]))
        return True

    def _reason(self, action: Action, context: Context) -> str | None:
        targets: list[Target] = [None] if action.kind is Kind.HOST else self.frame.targets(action.kind)
        if not targets:
            return f"no {action.kind.value} is selected"
        reasons = [action.reason(context, target) for target in targets]
        return None if None in reasons else reasons[0]

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        kind, _, what = event.action.partition(":")
        if kind == "pane":
            self.open_pane(next(pane for pane in PANES if pane.id == what))
        elif kind == "action":
            self.run_action_on(BY_ID[what])
        elif kind == "key" and not self.frame.grid.press(what):
            self.press(what, what)

    def open_pane(self, pane: AnyPane) -> None:
        """Put another pane on the screen."""
        if pane is self.pane:
            self.frame.zoom(False)
            return
        self.frame.display = False
        self.pane = pane
        if pane.id not in self.frames:
            frame = self._frame(pane)
            frame.set_class(self.size.width >= _WIDE, "-wide")
            frame.set_class(self.size.width >= _HUGE, "-huge")
            self._body.mount(frame)
            self.call_after_refresh(frame.zoom, False)
        else:
            self.frame.display = True
            self.frame.zoom(False)
        self._draw()

    def do_filter(self) -> bool:
        self.frame.open_filter()
        return True

    def do_back(self) -> bool:
        """Escape: close the detail, then leave the filter line, then drop the filter."""
        frame = self.frame
        if frame.zoomed:
            frame.zoom(False)
            return True
        return frame.close_filter(clear=True)

    def do_side(self) -> bool:
        self.frame.toggle_side()
        return True

    def do_next_tab(self) -> bool:
        self.frame.turn_tab(1)
        return True

    def do_previous_tab(self) -> bool:
        self.frame.turn_tab(-1)
        return True

    def do_redraw(self) -> bool:
        self.collector.nudge(set(self.collector.board.snapshot.domains))
        self.refresh(repaint=True, layout=True)
        return True

    def do_help(self) -> bool:
        from tui.dialogs.text import TextDialog, help_lines

        self.push_screen(TextDialog("virtdeck: keys and signs", help_lines(self._keys)))
        return True

    def do_quit(self) -> bool:
        self.action_leave()
        return True

    def do_palette(self) -> bool:
        from tui.dialogs.palette import Offer, Palette

        snapshot = self._store.snapshot
        if snapshot is None:
            return True
        context = self._action_context(snapshot)
        offers = [Offer(a.id, a.title, self._keys[a.id], self._reason(a, context) or "") for a in ACTIONS]
        offers.sort(key=lambda offer: bool(offer.reason))
        self.push_screen(Palette(offers), lambda ident: self.run_action_on(BY_ID[ident]) if ident else None)
        return True

    # Changes

    def _action_context(self, snapshot: HostSnapshot) -> Context:
        return Context(snapshot, kept_dir())

    def run_action_on(self, action: Action) -> None:
        """Ask what the action asks, show its plan, and carry it out when the user says go."""
        snapshot = self._store.snapshot
        if snapshot is None:
            return
        context = self._action_context(snapshot)
        if (reason := self._reason(action, context)) is not None:
            self.toast(f"{action.title}: {reason}", "warning")
            return
        targets: list[Target] = [None] if action.kind is Kind.HOST else self.frame.targets(action.kind)
        able = [target for target in targets if action.reason(context, target) is None]
        fields, values = action.asked(context, able), action.defaults(context, able)
        self._ask(action.title, fields, values, lambda given: make_plan(action, context, targets, given))

    def _ask(
        self, title: str, fields: Sequence[object], values: dict[str, str], planner: object, undoes: str = ""
    ) -> None:
        from tui.dialogs.plan import PlanDialog

        dialog = PlanDialog(title, fields, values, planner)  # type: ignore[arg-type]
        self.push_screen(dialog, lambda plan: self._run_plan(plan, undoes))

    def do_undo(self) -> bool:
        """Undo the change under the cursor of the journal."""
        ident = self.frame.journal_id()
        entry = self.journal.get(ident) if ident else None
        if entry is None:
            return False
        if not entry.undo or self.journal.undone(entry.id):
            self.toast("it was undone already" if entry.undo else "this change cannot be undone", "warning")
        elif entry.uri != self.collector.uri:
            self.toast(f"this change was made on {entry.uri}", "warning")
        else:
            confirm = Confirm.ASK if any(step.loses for step in entry.undo) else Confirm.NONE
            plan = Plan("undo", f"Undo: {entry.title}", entry.undo, confirm)
            self._ask(plan.title, [], {}, lambda _values: plan, entry.id)
        return True

    def _run_plan(self, plan: Plan | None, undoes: str = "") -> None:
        if plan is not None:
            self.jobs.run(plan, undoes)

    def _job_reported(self, job: Job) -> None:
        self.post_message(JobMoved(job))

    def on_job_moved(self, event: JobMoved) -> None:
        job = event.job
        if self._told.get(job.entry.id) is job.status:
            return
        self._told[job.entry.id] = job.status
        text, severity = keymap.job_words(job)
        if text:
            self.toast(text, severity, timeout=12 if severity != "information" else 5)

    def toast(self, text: str, severity: str = "information", timeout: float = 5) -> None:
        """Show a message for a while; its text is never markup."""
        self.notify(clean(text), severity=severity, timeout=timeout, markup=False)  # type: ignore[arg-type]

    # Leaving

    def action_leave(self) -> None:
        """Leave at once, asking first while requests of ours have not all been made."""
        running = [job for job in self.jobs.running() if job.status is Status.RUNNING]
        if running and time.monotonic() - self._asked_leave_s > 5:
            self._asked_leave_s = time.monotonic()
            self.toast(f"{len(running)} changes are still being made; press q again to leave them", "warning")
            return
        self._depart(0)

    _asked_leave_s = -60.0

    def _on_signal(self, number: int) -> None:
        self._depart(128 + number)

    def _depart(self, code: int) -> None:
        """End the app; should the terminal not take the goodbye, end the process all the same."""
        self._mailbox.on_mail(None)
        self.journal.on_change = None
        self.jobs.stop()
        timer = threading.Timer(_LEAVE_S, os._exit, (code,))
        timer.daemon = True
        timer.start()
        self.exit(code)


def _name_of(event: events.Key) -> str:
    """Return the character that a key types, else Textual's name of the key."""
    return event.character if event.character and event.is_printable else event.key
