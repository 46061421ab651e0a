"""The one dialog before a change: what is asked, the plan as it would run, what it loses, and the go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.actions.base import Field, FieldError, FieldKind
from tui.dialogs.choice import ChoiceLine
from tui.model.plan import Confirm, Plan
from tui.model.text import cells, clean, wrapped
from tui.widgets.entry import Entry
from tui.widgets.lines import FILL, LinesView, Span, SpanLine

Planner = Callable[[dict[str, str]], Plan]
_MOST_COMMANDS = 12
_MOST_NOTES = 8
_WIDTH = 76
_EDGES = 4
# What stands beside a hint: the label as the styles have it, edges, and room for the cursor.
_BESIDE = 22 + _EDGES + 3
_LONGEST_HINT = 90
# The border, the title, and the buttons, with the blank lines above preview and buttons.
_OTHER_LINES = 6
_BLANK_LINES = 2
_log = logging.getLogger("virtdeck.plan")
# Without --log nothing may be written over the screen.
_log.addHandler(logging.NullHandler())


class PlanDialog(ModalScreen[Plan | None]):
    """Asks for the fields, shows the plan that they make, and returns it when the user says go."""

    class Planned(Message):
        """A plan was made, or could not be; newer ones replace older ones by `turn`."""

        def __init__(self, turn: int, plan: Plan | None, problem: str) -> None:
            super().__init__()
            self.turn = turn
            self.plan = plan
            self.problem = problem

    def __init__(self, title: str, fields: Sequence[Field], values: dict[str, str], planner: Planner) -> None:
        super().__init__()
        self._title = title
        self._fields = list(fields)
        self._values = values
        self._planner = planner
        self._turn = self._made = 0
        self._lock = threading.Lock()
        self._wanted: tuple[int, dict[str, str]] | None = None
        self._planning = False
        self._plan: Plan | None = None
        self._problem = ""
        self._touched = False
        """Whether anything was chosen or typed: until then no problem is the user's."""
        self._heading = LinesView([[Span(title, "title")]], classes="heading")
        self._preview = LinesView(classes="preview")
        self._buttons = LinesView(can_focus=True, classes="buttons")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield self._heading
            with VerticalScroll(classes="fields", can_focus=False):
                for field in self._fields:
                    with Horizontal(classes="field"):
                        yield LinesView([[Span(field.label, "dim")]], classes="label")
                        yield self._widget(field)
            yield self._preview
            yield Entry(id="phrase", compact=True, select_on_focus=False, classes="phrase")
            yield self._buttons

    def _widget(self, field: Field) -> ChoiceLine | Input:
        value = self._values[field.name]
        if field.kind in (FieldKind.CHOICE, FieldKind.FLAG):
            choices = ("no", "yes") if field.kind is FieldKind.FLAG else field.choices
            return ChoiceLine(choices, value, id=f"field-{field.name}")
        return Entry(value, placeholder=field.help, id=f"field-{field.name}", compact=True)

    def on_mount(self) -> None:
        self._phrase().display = False
        first = next((self.query_one(f"#field-{field.name}") for field in self._fields), None)
        self.set_focus(first or self._buttons)
        self._make()

    @property
    def takes_keys(self) -> bool:
        """Whether a key would meet the plan of what has been typed so far."""
        return self._made == self._turn > 0

    # The plan, made on a thread: an action may read a file for it

    def _make(self) -> None:
        self._turn += 1
        with self._lock:
            self._wanted = (self._turn, dict(self._values))
            if self._planning:
                return
            self._planning = True
        threading.Thread(target=self._plan_wanted, name="plan", daemon=True).start()

    def _plan_wanted(self) -> None:
        """Plan what was wanted last until nothing newer is: never more than one thread reads files."""
        while (wanted := self._next_wanted()) is not None:
            self.post_message(self._planned(*wanted))

    def _next_wanted(self) -> tuple[int, dict[str, str]] | None:
        with self._lock:
            wanted, self._wanted = self._wanted, None
            self._planning = wanted is not None
            return wanted

    def _planned(self, turn: int, values: dict[str, str]) -> Planned:
        try:
            return self.Planned(turn, self._planner(values), "")
        except FieldError as error:
            return self.Planned(turn, None, clean(f"{self._label(error.field)}: {error.reason}"))
        except Exception as error:  # noqa: BLE001 - a fault of this program; the dialog has to answer all the same
            _log.exception("planning %s", self._title)
            return self.Planned(turn, None, clean(f"virtdeck cannot plan this: {type(error).__name__}: {error}"))

    def _label(self, name: str) -> str:
        """What a field is called on the screen; what is no field of this form is a name already."""
        return next((field.label for field in self._fields if field.name == name), name)

    def on_plan_dialog_planned(self, event: Planned) -> None:
        if event.turn != self._turn:
            return
        self._made = event.turn
        self._plan = event.plan
        plan = event.plan
        self.query_one(".dialog").set_class(plan is not None and plan.confirm is not Confirm.NONE, "-loses")
        self._heading.set_lines([[Span(plan.title if plan else self._title, "title")]])
        self._phrase().display = plan is not None and plan.confirm is Confirm.TYPE
        self._problem = event.problem
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """Wrap the preview to the dialog's width; what does not fit the screen's height can be scrolled to."""
        dialog = self.query_one(".dialog")
        dialog.styles.width = wide = min(self._wanted_width(), self.app.size.width)
        width = wide - _EDGES
        lines = self._hint(wide, width) + (
            _preview(self._plan, width)
            if self._plan
            else _told("", "", self._problem, width, "warn" if self._touched else "dim")
        )
        others = _OTHER_LINES + self._phrase().display
        # A long form scrolls, so that what it comes to and the keys stay on the screen.
        fields = min(len(self._fields), max(1, self.app.size.height - others + _BLANK_LINES - 1))
        self.query_one(".fields").styles.max_height = fields
        spare = self.app.size.height - others - fields
        tight = spare < 1
        dialog.set_class(tight, "-tight")
        room = max(1, spare + _BLANK_LINES if tight else spare)
        self._preview.can_focus = more = len(lines) > room
        self._buttons.set_lines([_button_line(self._plan, more=more)])
        self._preview.styles.max_height = room
        self._preview.set_lines(lines)

    def _wanted_width(self) -> int:
        """Wide enough for what the fields say of themselves."""
        sizes = (cells(field.help) for field in self._fields if field.kind not in (FieldKind.CHOICE, FieldKind.FLAG))
        return max(_WIDTH, _BESIDE + max((size for size in sizes if size <= _LONGEST_HINT), default=0))

    def _hint(self, wide: int, width: int) -> list[SpanLine]:
        """What the field that has the focus says of itself, where it does not fit into it."""
        focused = self.focused
        found = next((field for field in self._fields if focused and focused.id == f"field-{field.name}"), None)
        if found is None or not isinstance(focused, Input) or _BESIDE + cells(found.help) <= wide:
            return []
        return _told("", "", found.help, width, "dim")

    def on_descendant_focus(self) -> None:
        self._fit()

    # Keys

    def on_choice_line_changed(self, event: ChoiceLine.Changed) -> None:
        event.stop()
        self._set(str(event.choice.id), event.choice.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.id != "phrase":
            self._set(str(event.input.id), event.value)

    def _set(self, ident: str, value: str) -> None:
        name = ident.removeprefix("field-")
        if self._values.get(name) != value:
            self._values[name] = value
            self._touched = True
            self._plan = None
            self._make()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._enter()

    def on_key(self, event: events.Key) -> None:
        typing = isinstance(self.focused, Input)
        match event.key:
            case "escape":
                self.dismiss(None)
            case "n" if not typing:
                self.dismiss(None)
            case "y" if not typing:
                self._go()
            case "enter" if not typing:
                self._enter()
            case "down" | "ctrl+n":
                self.focus_next()
            case "up" | "ctrl+p":
                self.focus_previous()
            case digit if digit.isdecimal() and not typing and self._plan and self._plan.confirm is Confirm.TYPE:
                self._phrase().focus()
                self._phrase().insert_text_at_cursor(digit)
            case _:
                return
        event.stop()
        event.prevent_default()

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        event.stop()
        self._go() if event.action == "go" else self.dismiss(None)

    def _phrase(self) -> Input:
        return self.query_one("#phrase", Input)

    def _enter(self) -> None:
        """Enter goes where nothing can be lost; else it leads to the question, which wants a y or the phrase."""
        plan = self._plan
        if plan is None:
            return
        phrase = self._phrase()
        if plan.confirm is Confirm.NONE or (plan.confirm is Confirm.TYPE and phrase.has_focus):
            self._go()
        elif plan.confirm is Confirm.TYPE:
            phrase.focus()
        else:
            self._buttons.focus()

    def _go(self) -> None:
        plan = self._plan
        if plan is None:
            return
        if plan.confirm is Confirm.TYPE and self._phrase().value.strip() != plan.phrase:
            self._phrase().focus()
            return
        self.dismiss(plan)


def _preview(plan: Plan, width: int) -> list[SpanLine]:
    lines = [line for loss in plan.losses() for line in _told("loses ", "bad", loss, width)]
    lines += [line for text in plan.notes[:_MOST_NOTES] for line in _told("note  ", "warn", text, width)]
    if len(plan.notes) > _MOST_NOTES:
        lines.append([Span(f"      and {len(plan.notes) - _MOST_NOTES} more notes", "dim")])
    commands = plan.command_lines()
    lines += [line for command in commands[:_MOST_COMMANDS] for line in _told("$ ", "dim", command, width)]
    if len(commands) > _MOST_COMMANDS:
        lines.append([Span(f"  and {len(commands) - _MOST_COMMANDS} more of the same", "dim")])
    return lines


def _told(word: str, word_style: str, text: str, width: int, style: str = "") -> list[SpanLine]:
    """Return a text behind a word, wrapped, its further lines indented."""
    first, *more = wrapped(text, width - len(word))
    return [[Span(word, word_style), Span(first, style)], *([Span(" " * len(word) + line, style)] for line in more)]


def _button_line(plan: Plan | None, *, more: bool) -> SpanLine:
    scroll = [Span("↓ ↑", "key"), Span(" more lines", "warn")] if more else []
    cancel = [Span("esc", "key", "cancel"), Span(" cancel", "", "cancel")]
    if plan is None:
        return [*scroll, FILL, *cancel]
    go = {
        Confirm.NONE: [Span("enter", "key", "go"), Span(" go    ", "", "go")],
        Confirm.ASK: [Span("y", "key", "go"), Span(" yes, do it    ", "bad", "go")],
        Confirm.TYPE: [Span(f"type {plan.phrase} and press ", "warn"), Span("enter", "key", "go"), Span("    ")],
    }[plan.confirm]
    return [*scroll, FILL, *go, *cancel]
