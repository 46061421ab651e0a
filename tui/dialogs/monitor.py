"""A prompt at a domain's QEMU monitor: every command is a plan, its answer scrolls by above the line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from tui.actions.base import FieldError, Target, key_of, name_of
from tui.dialogs.editors import EditorScreen, Opening
from tui.dialogs.monitor_words import Words, common_start
from tui.dialogs.plan import PlanDialog
from tui.model.journal import Entry as JournalEntry
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.model.qemu_monitor import PROTOCOLS, qmp_command, reads_only
from tui.model.text import cells, clean_lines, wrapped
from tui.widgets.entry import Entry
from tui.widgets.lines import FILL, LinesView, Span, SpanLine

MOST_LINES = 4000
"""How much of what was printed is kept."""
_MOST_HISTORY = 200
_SCROLLS = frozenset({"pageup", "pagedown"})
_STYLES = {Status.FAILED: "bad", Status.EXPIRED: "warn", Status.PENDING: "warn", Status.UNKNOWN: "warn"}


@dataclass(slots=True)
class _Session:
    """What all prompts of this session of the program share."""

    history: list[str] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)
    """Domains whose user knows that asking their monitor marks them; by UUID."""
    words: Words = field(default_factory=Words)


_session = _Session()


class MonitorScreen(EditorScreen):
    """Takes commands until esc. What only reads is asked at once when the user has said yes for this domain before."""

    tells_results = True
    BINDINGS: ClassVar = [Binding("tab", "complete", show=False, priority=True)]

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._target: Target = opening.targets[0]
        self._protocol = opening.values["protocol"]
        self._printed: list[tuple[str, str]] = []
        """(line, style) of all that is to be seen, not wrapped."""
        self._wrapped: list[SpanLine] = []
        """The same as it stands in lines of `_width` cells."""
        self._width = 0
        self._waiting = self._answered = ""
        self._told: tuple[str, Status] = ("", Status.RUNNING)
        self._place = len(_session.history)
        self._heading = LinesView()
        self._view = LinesView(classes="grow")
        self._prompt = LinesView(classes="prompt-label")
        self._entry = Entry(id="command", compact=True)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall"):
            yield self._heading
            yield self._view
            with Horizontal(classes="prompt"):
                yield self._prompt
                yield self._entry

    def on_mount(self) -> None:
        self._entry.focus()
        self._draw_edges()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    # Drawing

    def _draw_edges(self) -> None:
        other = PROTOCOLS[1 - PROTOCOLS.index(self._protocol)]
        title = f"QEMU monitor of {name_of(self._target)}"
        keys = [Span("tab", "key"), Span(" complete  "), Span("ctrl+t", "key", "turn"), Span(f" {other}  ", "", "turn")]
        self._heading.set_lines([[Span(title, "title"), FILL, *keys, Span("esc", "key", "close"), Span(" leave")]])
        self._prompt.set_lines([[Span(f"({self._protocol})", "dim")]])

    def _draw(self, new: int = 0) -> None:
        """Show what was printed, of which the last `new` lines were not shown before; in another width all of it is
        wrapped anew."""
        width = max(self._view.size.width, 2)
        if width != self._width:
            self._width, self._wrapped, new = width, [], len(self._printed)
        for text, style in self._printed[len(self._printed) - new :]:
            parts = [text] if cells(text) <= width else wrapped(text, width)
            self._wrapped += [[Span(part, style)] for part in parts[-MOST_LINES:]]
        del self._wrapped[:-MOST_LINES]
        self._view.set_lines(self._wrapped)
        self._view.scroll_to_line(len(self._wrapped))

    def _print(self, text: str, style: str = "") -> None:
        new = [(line, style) for line in clean_lines(_end_of(text))]
        self._printed += new
        del self._printed[:-MOST_LINES]
        self._draw(len(new))

    # A command, from the line to its end

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        command = event.value.strip()
        if not command:
            return
        if self._waiting:
            self._print("the command before has not been answered yet", "warn")
            return
        self._remember(command)
        self._entry.value = ""
        self._print(f"({self._protocol}) {command}", "title")
        self._ask({"command": command, "protocol": self._protocol})

    def _ask(self, values: dict[str, str]) -> None:
        try:
            plan = self.opening.planner(values)
        except FieldError as error:
            self._print(error.reason, "bad")
            return
        if _only_reads(values) and key_of(self._target) in _session.warned:
            self._run(plan)
            return

        def answered(agreed: Plan | None) -> None:
            if agreed is None:
                self._print("not sent", "dim")
                return
            _session.warned.add(key_of(self._target))
            self._run(agreed)

        self.app.push_screen(PlanDialog(plan.title, (), values, self.opening.planner), answered)

    def _run(self, plan: Plan) -> None:
        self._answered = ""
        self._waiting = self.opening.run(plan)

    def show_output(self, ident: str, output: str) -> None:
        """Print an answer, once."""
        if ident != self._waiting or self._answered == ident:
            return
        self._answered = ident
        _session.words.learn(output)
        self._print(_laid_out(output).rstrip())

    def show_entry(self, entry: JournalEntry) -> None:
        """Say what became of the command, where its answer does not say it."""
        if entry.id != self._waiting or (entry.id, entry.status) == self._told or entry.status is Status.RUNNING:
            return
        self._told = (entry.id, entry.status)
        if entry.status is not Status.DONE or self._answered != entry.id or entry.undo:
            self._print("\n".join(entry.results), _STYLES.get(entry.status, "dim"))
        if entry.status.ended:
            self._waiting = ""

    # Keys

    def on_key(self, event: events.Key) -> None:
        match event.key:
            case "escape":
                self.dismiss(None)
            case "up" | "ctrl+p":
                self._recall(-1)
            case "down" | "ctrl+n":
                self._recall(1)
            case "ctrl+t":
                self._turn()
            case key if key in _SCROLLS:
                self._view.press(key)
            case _:
                return
        event.stop()
        event.prevent_default()

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        event.stop()
        self._turn() if event.action == "turn" else self.dismiss(None)

    def _turn(self) -> None:
        self._protocol = PROTOCOLS[1 - PROTOCOLS.index(self._protocol)]
        self._draw_edges()

    def _remember(self, command: str) -> None:
        history = _session.history
        if not history or history[-1] != command:
            history.append(command)
        del history[:-_MOST_HISTORY]
        self._place = len(history)

    def _recall(self, by: int) -> None:
        """Put the command before or after into the line; behind the last one there is an empty line."""
        history = _session.history
        self._place = min(max(self._place + by, 0), len(history))
        self._entry.value = history[self._place] if self._place < len(history) else ""
        self._entry.cursor_position = len(self._entry.value)

    def action_complete(self) -> None:
        """Complete the word before the cursor as far as it is clear, and show what it could become."""
        found = _session.words.candidates(self._entry.value, self._protocol)
        if not found:
            return
        self._entry.value = found[0] + " " if len(found) == 1 else common_start(found)
        self._entry.cursor_position = len(self._entry.value)
        if len(found) > 1:
            self._print("  ".join(text.rpartition(" ")[2] for text in found), "dim")


def _only_reads(values: dict[str, str]) -> bool:
    """Of a command that the planner has taken."""
    command, protocol = values["command"], values["protocol"]
    return reads_only(qmp_command(command) if protocol == "qmp" else command, protocol)


def _laid_out(output: str) -> str:
    """An answer in JSON over several lines, any other as it is."""
    if not output.startswith("{"):
        return output
    try:
        return json.dumps(json.loads(output), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return output


def _end_of(text: str) -> str:
    """The lines of a text that are kept."""
    return "\n".join(text.rsplit("\n", MOST_LINES)[-MOST_LINES:])
