"""The way of a guest's packets, hop by hop, as it is now: mend what is broken and watch it turn good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from tui.dialogs.live import LiveScreen
from tui.model.finding import ON_THE_WIRE, Verdict
from tui.model.text import clean, wrapped
from tui.model.verdict_words import SIGNS, fact_lines, summary, told
from tui.widgets.entry import Entry
from tui.widgets.grid import Cell, Column, Grid
from tui.widgets.lines import FILL, LinesView, Span, SpanLine

if TYPE_CHECKING:
    from tui.model.finding import Hop, Trace
    from tui.model.snapshot import HostSnapshot

_EDGES = 4


@dataclass(frozen=True, slots=True)
class Subject:
    """What is traced: a NIC of a guest by its number, or a link; "" for the other."""

    guest: str
    nics: int
    """How many NICs the guest has."""
    nic: int = 0
    link: str = ""
    to: str = ""
    """An address or the name of a guest; "" for outside."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the topology is to show: a trace, and of what it is."""

    trace: Trace
    subject: Subject


@dataclass(frozen=True, slots=True)
class _Row:
    at: int
    hop: Hop
    cause: bool


Asker = Callable[["HostSnapshot", Subject, bool], None]
"""Has a trace made, proven on the wire or not; what comes of it is given to `show_trace`, on any thread."""


Listener = Callable[["HostSnapshot", str], None]
"""Has a link of that key listened to; what passes it is given to `show_capture`, on any thread."""


class TraceScreen(LiveScreen["Hop | Drawn | None"]):
    """Shows a trace until esc; enter gives the hop to jump to, o the path to be drawn."""

    wants_links = True

    class News(Message):
        """A trace was made, or could not be: then why."""

        def __init__(self, found: Trace | str) -> None:
            super().__init__()
            self.found = found

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, TraceScreen.News)

    class Heard(Message):
        """What passed the link of a key, a line each, or why it cannot be listened to."""

        def __init__(self, key: str, heard: tuple[str, ...] | str) -> None:
            super().__init__()
            self.key = key
            self.heard = heard

    def __init__(self, snapshot: HostSnapshot, subject: Subject, ask: Asker, listen: Listener) -> None:
        super().__init__()
        self._listen = listen
        self._capture: tuple[str, tuple[str, ...] | str | None] = ("", None)
        """The link that is or was listened to, and what passed it; None: not yet."""
        self._snapshot = snapshot
        self._subject = subject
        self._ask = ask
        self._trace: Trace | None = None
        self._problem = ""
        self._probing = False
        self._heading = LinesView()
        self._cause = LinesView()
        self._facts = LinesView(classes="grow", can_focus=True)
        self._entry = Entry(id="to", compact=True)
        self._prompt = Horizontal(
            LinesView([[Span("to", "dim")]], classes="prompt-label"), self._entry, classes="prompt"
        )
        self.grid: Grid[_Row] = Grid(
            (
                Column("sign", "", 1, lambda row: Cell(*SIGNS[row.hop.verdict])),
                Column("kind", "Hop", 8, lambda row: Cell(row.hop.kind, "dim")),
                Column("name", "Name", 14, lambda row: Cell(row.hop.name, "bad" if row.cause else "")),
                Column("netns", "Netns", 8, lambda row: Cell(row.hop.netns, "dim"), priority=1),
                Column("words", "What was found", 20, lambda row: _words_of(row.hop), grow=1),
            ),
            lambda row: str(row.at),
            empty="tracing ...",
            classes="hops",
        )

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall -trace"):
            yield self._heading
            yield self._cause
            yield self.grid
            yield self._facts
            yield self._prompt

    def on_mount(self) -> None:
        self._prompt.display = False
        self.grid.focus()
        self._draw()
        self._ask(self._snapshot, self._subject, False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    # News

    def show_snapshot(self, snapshot: HostSnapshot) -> None:
        """Trace anew."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._ask(snapshot, self._subject, False)

    def show_trace(self, found: Trace | str) -> None:
        """Take a trace, or why there is none; may be called on any thread."""
        self.post_message(self.News(found))

    def on_trace_screen_news(self, event: News) -> None:
        event.stop()
        if self._probing and (isinstance(event.found, str) or _is_proven(event.found)):
            self._probing = False
            self._draw()
        if isinstance(event.found, str):
            self._problem, self._trace = event.found, None
        elif event.found == self._trace and not self._problem:
            return
        else:
            self._problem, self._trace = "", event.found
        self._show_hops()
        self._draw()

    def show_capture(self, key: str, heard: tuple[str, ...] | str) -> None:
        """Take what passed a link; may be called on any thread."""
        self.post_message(self.Heard(key, heard))

    def on_trace_screen_heard(self, event: Heard) -> None:
        event.stop()
        if event.key == self._capture[0]:
            self._capture = event.key, event.heard
            self._draw_facts()

    def _show_hops(self) -> None:
        trace = self._trace
        cause = trace.cause[0] if trace is not None and trace.cause is not None else None
        before, first = self.grid.cursor_key, self.grid.total == 0
        hops = trace.hops if trace is not None else ()
        self.grid.set_items([_Row(at, hop, at == cause) for at, hop in enumerate(hops)])
        if first and cause is not None:
            self.grid.go_to(str(cause))
        elif before is not None:
            self.grid.go_to(before)

    # Drawing

    def _draw(self) -> None:
        width = max(self._heading.size.width or self.app.size.width - _EDGES, 10)
        self._heading.set_lines([self._title()])
        self._cause.set_lines(self._cause_lines(width))
        self._draw_facts()

    def _title(self) -> SpanLine:
        trace, subject = self._trace, self._subject
        what = f"{trace.source} to {trace.destination}" if trace is not None else "Trace"
        more = [Span("n", "key", "nic"), Span(" next NIC  ", "", "nic")] if subject.nics > 1 else []
        more += [Span("p", "key", "probe"), Span(" probe  ", "", "probe")]
        more += [Span("c", "key", "capture"), Span(" capture  ", "", "capture")]
        more += [Span("o", "key", "draw"), Span(" draw  ", "", "draw")]
        keys = [*more, Span("t", "key", "to"), Span(" to ...  ", "", "to")]
        keys += [Span("?", "key", "help"), Span(" help  ", "", "help"), Span("esc", "key", "close"), Span(" close")]
        return [Span(clean(what), "title"), FILL, *keys]

    def _cause_lines(self, width: int) -> list[SpanLine]:
        trace = self._trace
        if trace is None:
            return [[Span(part, "warn")] for part in wrapped(self._problem, width)] if self._problem else []
        style = SIGNS[trace.verdict][1]
        asking = [[Span("asking on the wire ...", "dim")]] if self._probing else []
        if trace.cause is None:
            proven = ", proven on the wire" if _is_proven(trace) else ""
            return [[Span(f"{summary(trace)}{proven} (for a ping)", style)], *_note_lines(trace, width), *asking]
        return [*([Span(part, style)] for part in wrapped(summary(trace), width)), *asking]

    def _draw_facts(self) -> None:
        row = self.grid.cursor_item
        width = max(self._facts.size.width, 20)
        if row is None:
            self._facts.set_lines([])
            return
        facts = [[Span(*part) for part in line] for line in fact_lines(row.hop.facts, width)]
        self._facts.set_lines([*self._capture_lines(row.hop, width), *facts])

    def _capture_lines(self, hop: Hop, width: int) -> list[SpanLine]:
        key, heard = self._capture
        if not key or key != hop.key:
            return []
        if heard is None:
            return [[Span(f"listening on {hop.name} ...", "dim")]]
        lines = (heard,) if isinstance(heard, str) else heard or ("nothing passed in 5 s",)
        return [[Span(part, "accent")] for line in lines for part in wrapped(line, width)]

    def on_grid_moved(self, event: Grid.Moved) -> None:
        event.stop()
        self._facts.scroll_to_line(0)
        self._draw_facts()

    # Keys

    def on_grid_opened(self, event: Grid.Opened) -> None:
        event.stop()
        row = self.grid.cursor_item
        self.dismiss(row.hop if row is not None else None)

    def on_key(self, event: events.Key) -> None:
        if self._entry.has_focus:
            if event.key == "escape":
                self._close_entry()
                event.stop()
            return
        if event.key in ("escape", "q", "ctrl+t"):
            self.dismiss(None)
        elif event.character == "t":
            self._open_entry()
        elif event.character == "p":
            self._probe()
        elif event.character == "c":
            self._capture_here()
        elif event.character == "o":
            self._draw_path()
        elif event.character == "?":
            self._help()
        elif event.character == "n" and self._subject.nics > 1:
            self._next_nic()
        elif event.key in ("pageup", "pagedown"):
            self._facts.press(event.key)
        else:
            return
        event.stop()
        event.prevent_default()

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        event.stop()
        match event.action:
            case "to":
                self._open_entry()
            case "nic":
                self._next_nic()
            case "probe":
                self._probe()
            case "capture":
                self._capture_here()
            case "draw":
                self._draw_path()
            case "help":
                self._help()
            case _:
                self.dismiss(None)

    def _help(self) -> None:
        from tui.dialogs.text import DIALOG_EDGES, DIALOG_WIDTH, TextDialog
        from tui.dialogs.trace_help import help_lines

        width = min(self.app.size.width, DIALOG_WIDTH) - DIALOG_EDGES
        self.app.push_screen(TextDialog("The trace: keys and signs", help_lines(width)))

    def _next_nic(self) -> None:
        subject = self._subject
        self._look_at(Subject(subject.guest, subject.nics, (subject.nic + 1) % subject.nics, to=subject.to))

    def _open_entry(self) -> None:
        self._prompt.display = True
        self._entry.value = self._subject.to
        self._entry.focus()

    def _close_entry(self) -> None:
        self._prompt.display = False
        self.grid.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        subject = self._subject
        self._close_entry()
        self._look_at(Subject(subject.guest, subject.nics, subject.nic, subject.link, event.value.strip()))

    def _look_at(self, subject: Subject) -> None:
        self._subject = subject
        self._trace, self._problem = None, ""
        self._show_hops()
        self._draw()
        self._ask(self._snapshot, subject, False)

    def _capture_here(self) -> None:
        """Listen on the link of the hop under the cursor for a moment."""
        row = self.grid.cursor_item
        links = self._snapshot.links
        if row is None or links is None or row.hop.key not in links.links:
            return
        self._capture = row.hop.key, None
        self._draw_facts()
        self._listen(self._snapshot, row.hop.key)

    def _draw_path(self) -> None:
        """Leave for the topology, where the path is drawn; not before there is one."""
        if self._trace is not None:
            self.dismiss(Drawn(self._trace, self._subject))

    def _probe(self) -> None:
        """Ask on the wire, once; what was answered stays until the next time."""
        self._probing = True
        self._draw()
        self._ask(self._snapshot, self._subject, True)


def _note_lines(trace: Trace, width: int) -> list[SpanLine]:
    notes = [(SIGNS[fact.verdict], told(hop, fact)) for hop, fact in trace.notes]
    return [[Span(part, style)] for (sign, style), text in notes for part in wrapped(f"{sign} {text}", width)]


def _is_proven(trace: Trace) -> bool:
    return any(fact.source in ON_THE_WIRE for hop in trace.hops for fact in hop.facts)


def _words_of(hop: Hop) -> Cell:
    fact = next((fact for fact in hop.facts if fact.verdict is hop.verdict), None)
    if fact is None:
        return Cell("nothing was found out", "unknown")
    return Cell(fact.words, "" if hop.verdict is Verdict.GOOD else SIGNS[hop.verdict][1])
