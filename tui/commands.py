"""The frame's own keys, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tui.model.kind import Kind
from tui.panes import PANES

if TYPE_CHECKING:
    from tui.app import VirtdeckApp
    from tui.panes.frame import PaneFrame

COMMANDS: Mapping[str, str] = {
    "/": "filter",
    "escape": "back",
    "v": "side",
    "]": "next_tab",
    "[": "previous_tab",
    "f5": "redraw",
    "ctrl+l": "redraw",
    "?": "help",
    "q": "quit",
    ":": "palette",
    "ctrl+p": "palette",
    "u": "undo",
    "H": "host",
    "ctrl+t": "trace",
    ".": "jump",
}
"""Command of the frame by the character typed or Textual's name of the key."""

_TOPOLOGY, _TRIAGE = "topology", "triage"
MEND = "f"
"""The key of the triage pane alone: it carries out the remedy of the finding under the cursor."""
_DRAWN = frozenset({Kind.DOMAIN, Kind.PROCESS, Kind.NETWORK, Kind.LINK})

CANCEL = "c"
"""The key of a pane of changes alone: it ends the one under the cursor early."""

FOLDS: Mapping[str, Callable[[PaneFrame], bool]] = {
    "-": lambda frame: frame.fold(on=True),
    "+": lambda frame: frame.fold(on=False),
    "_": lambda frame: frame.fold_all(),
}
"""What folds in panes whose rows have parts; elsewhere these keys are free for actions."""


class Commands:
    """What keys mean that neither the grid nor the detail took."""

    def __init__(self, app: VirtdeckApp) -> None:
        self._app = app
        self._do: dict[str, Callable[[], bool]] = {
            "filter": self._filter,
            "back": self._back,
            "side": self._side,
            "next_tab": lambda: self._turn_tab(1),
            "previous_tab": lambda: self._turn_tab(-1),
            "redraw": self._redraw,
            "help": self._help,
            "quit": self._quit,
            "palette": self._palette,
            "undo": self._undo,
            "host": self._host,
            "trace": self._trace,
            "jump": self._jump,
        }

    def press(self, name: str, key: str) -> bool:
        """Do what a key means, given the character it types and Textual's name of it; False when it means nothing."""
        command = COMMANDS.get(name) or COMMANDS.get(key)
        if command is not None:
            return self._do[command]()
        pane = next((pane for pane in PANES if pane.digit == name), None)
        if pane is not None:
            self._app.open_pane(pane)
            return True
        if name.isdecimal():
            self._app.frame.main.begin_count(name)
            return True
        if self._in_triage(name):
            return True
        if name == CANCEL and self._app.changes.cancel(self._app.frame.journal_id()):
            return True
        if (fold := FOLDS.get(name)) is not None and fold(self._app.frame):
            return True
        return self._app.changes.key(name)

    def _undo(self) -> bool:
        self._app.changes.undo(self._app.frame.journal_id())
        return True

    def _in_triage(self, name: str) -> bool:
        """Mend what a finding tells of, or go there from its detail."""
        app = self._app
        if name == "enter":
            return app.frame.zoomed and app.frame.go_there()
        if name != MEND or app.pane.id != _TRIAGE:
            return False
        app.changes.mend(app.frame.targets(Kind.FINDING))
        return True

    def click(self, kind: str, what: str) -> None:
        """Do what a click on a pane's tab or a hint means."""
        if kind == "pane":
            self._app.open_pane(next(pane for pane in PANES if pane.id == what))
        elif kind == "action":
            self._app.changes.run_by_id(what)
        elif kind == "key" and not self._app.frame.main.press(what):
            self.press(what, what)

    def jump(self, kind: Kind, key: str) -> None:
        """Show a thing in the pane that has it as a row."""
        if kind is Kind.HOST:
            self._host()
            return
        pane = next((pane for pane in PANES if kind in pane.holds), None)
        if pane is None and kind in _DRAWN:
            pane = next(pane for pane in PANES if pane.id == _TOPOLOGY)
        if pane is None:
            self._app.toast(f"no pane lists {kind.plural}", "warning")
            return
        self._app.open_pane(pane)
        if not self._app.frame.reveal(kind, key):
            self._app.toast(f"this {kind.value} is not listed there", "warning")

    def _jump(self) -> bool:
        """From a row to its place in the topology, and from there to its row."""
        app, frame = self._app, self._app.frame
        if app.pane.id == _TOPOLOGY:
            frame.main.press("enter")
            return True
        things = [(kind, target) for kind, target in frame.things() if kind in _DRAWN]
        if not things:
            app.toast("what is selected is no part of the network", "warning")
            return True
        app.open_pane(next(pane for pane in PANES if pane.id == _TOPOLOGY))
        kind, target = things[0]
        if target is not None and not app.frame.reveal(kind, target.key):
            app.toast(f"{target.name} is not plugged into anything", "warning")
        return True

    def _filter(self) -> bool:
        self._app.frame.open_filter()
        return True

    def _back(self) -> bool:
        """Close the detail, else leave the filter line and drop the filter; what was told has been read then."""
        self._app.clear_notifications()
        frame = self._app.frame
        if frame.zoomed:
            frame.zoom(False)
            return True
        return frame.close_filter(clear=True)

    def _side(self) -> bool:
        self._app.frame.toggle_side()
        return True

    def _turn_tab(self, by: int) -> bool:
        self._app.frame.turn_tab(by)
        return True

    def _redraw(self) -> bool:
        self._app.collector.reread()
        self._app.refresh(repaint=True, layout=True)
        return True

    def _help(self) -> bool:
        from tui.dialogs.text import DIALOG_EDGES, DIALOG_WIDTH, TextDialog, help_lines

        lines = help_lines(self._app.changes.keys, min(self._app.size.width, DIALOG_WIDTH) - DIALOG_EDGES)
        self._app.push_screen(TextDialog("virtdeck: keys and signs", lines))
        return True

    def _host(self) -> bool:
        from tui.dialogs.host import HostDialog

        app, snapshot = self._app, self._app.snapshot
        if snapshot is None:
            return False
        dialog = HostDialog(snapshot)
        app.push_screen(dialog, lambda _none: app.keep_live(None))
        app.keep_live(dialog)
        return True

    def _trace(self) -> bool:
        """Follow the packets of the guest under the cursor."""
        from tui.tracer import open_trace

        open_trace(self._app)
        return True

    def _quit(self) -> bool:
        self._app.action_leave()
        return True

    def _palette(self) -> bool:
        self._app.changes.open_palette()
        return True
