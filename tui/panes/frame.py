"""One pane on the screen: what fills it, a field below that, its detail; the same frame for every kind of thing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer

from tui.model.text import cells
from tui.widgets.lines import LinesView, Span, SpanLine
from tui.widgets.painting import Steered

if TYPE_CHECKING:
    from textual.widget import Widget
    from textual.widgets import Input

    from tui.actions.base import Target
    from tui.model.kind import Kind
    from tui.panes.spec import AnyPane, Tab, View

# The detail follows the cursor when it rests, so that holding a key costs two lines a row and no more.
_REST_S = 0.1


class PaneFrame(Horizontal):
    """Shows one pane. The detail stands beside what fills the pane where the screen is wide, or takes its place. What
    fills it, `main`, is up to a subclass."""

    class Looked(Message):
        """Other things are in view, or another one is open in the detail."""

    class Positioned(Message):
        """The position text changed."""

    class Told(Message):
        """Something to tell the user."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Jump(Message):
        """The user wants to see a thing in the pane that has it as a row."""

        def __init__(self, kind: Kind, key: str) -> None:
            super().__init__()
            self.kind = kind
            self.key = key

    def __init__(self, spec: AnyPane) -> None:
        super().__init__(id=f"pane-{spec.id}", classes="pane")
        self.spec = spec
        self._view: View | None = None
        self._tab = ""
        self._rest: Timer | None = None
        self.tab_line = LinesView(classes="tab-line")
        self.detail = LinesView(can_focus=True, classes="detail-lines")

    def compose(self) -> ComposeResult:
        with Vertical(classes="list"):
            yield from self.stack()
        with Vertical(classes="detail"):
            yield self.tab_line
            yield self.detail

    # What a subclass says

    def stack(self) -> tuple[Widget, ...]:
        """Return what stands in the list's place, from the top."""
        return (self.main,)

    @property
    def main(self) -> Steered:
        """What fills the pane."""
        raise NotImplementedError

    def show(self, view: View) -> None:
        """Draw `view`; what did not change costs nothing."""
        raise NotImplementedError

    def begin(self) -> None:
        """Take note that the pane is opened again, when it has been drawn."""

    def hold(self) -> None:
        """Keep the cursor on the thing it is on, which is acted upon now."""

    @property
    def item(self) -> Any | None:
        """The thing under the cursor."""
        raise NotImplementedError

    def reveal(self, kind: Kind, key: str) -> bool:
        """Put the cursor on a thing; False when it is not here."""
        raise NotImplementedError

    def look_for(self, text: str) -> str:
        """Do what is typed into the field below; returns what is wrong with it, "" when nothing is."""
        raise NotImplementedError

    @property
    def placeholder(self) -> str:
        """What the empty field says."""
        raise NotImplementedError

    # What is selected

    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of action that apply to the thing under the cursor."""
        return self.spec.kinds(self.item)

    def targets(self, kind: Kind) -> list[Target]:
        """Return what an action of `kind` applies to."""
        return [self.spec.target(self.item)] if self.item is not None and kind in self.kinds() else []

    def things(self) -> list[tuple[Kind, Target]]:
        """Return the things, by their kinds, that are selected, and the one that what is under the cursor tells of."""
        found = [(kind, target) for kind in self.kinds() for target in self.targets(kind)]
        place = self.spec.place(self.item) if self.item is not None else None
        if place is None or self._view is None:
            return found
        from tui.actions.base import target_of

        return [*found, (place[0], target_of(self._view.snapshot, *place))]

    @property
    def marked(self) -> int:
        """How many things are marked."""
        return 0

    def hidden_marks(self) -> list[str]:
        """Return the words of what is marked and cannot be seen; actions apply to it all the same."""
        return []

    @property
    def hidden_by(self) -> str:
        """What hides marked rows, in a word or two."""
        return ""

    def journal_id(self) -> str | None:
        """Return the journal entry under the cursor, None in panes that show none."""
        return None if self.item is None else self.spec.journal_id(self.item)

    def looked_at(self) -> tuple[tuple[str, ...], str | None]:
        """Return the domains in view, and the one that is open in the detail."""
        return (), self.spec.watch(self.item) if self.item is not None and self.detail_shown else None

    def keys_in_view(self) -> tuple[str, ...]:
        """Return the keys of the rows in view."""
        return ()

    def image_looked_at(self) -> str | None:
        """Return the key of the volume whose image the open page shows."""
        tabs = self._tabs() if self.detail_shown else []
        return self._current(tabs).reads_image(self.item) if tabs else None

    def open_link(self) -> str | None:
        """Return the key of the link that is open in the detail, if it is one's."""
        return self.spec.watch_link(self.item) if self.item is not None and self.detail_shown else None

    def fold(self, *, on: bool) -> bool:
        """Fold the parts of the row under the cursor away, or show them; False where nothing folds."""
        return False

    def fold_all(self) -> bool:
        """Fold all there is, or show all again where all is folded; False where nothing folds."""
        return False

    # Detail

    @property
    def zoomed(self) -> bool:
        """Whether the detail takes the place of the list."""
        return self.has_class("-zoom")

    @property
    def detail_shown(self) -> bool:
        """Whether the detail can be seen."""
        return self.zoomed or (self.has_class("-wide") and not self.has_class("-alone"))

    def zoom(self, on: bool) -> None:
        """Show the detail in full, or the list again."""
        self.set_class(on and self.item is not None, "-zoom")
        # At once, not by focus(), which leaves the keys that come next to what had the focus before.
        self.screen.set_focus(self.detail if self.zoomed else self.main)
        self.draw_detail()
        self.post_message(self.Looked())

    def go_there(self) -> bool:
        """Have the thing shown that the one under the cursor tells of; False where it tells of none."""
        place = self.spec.place(self.item) if self.item is not None else None
        if place is not None:
            self.post_message(self.Jump(*place))
        return place is not None

    def toggle_side(self) -> None:
        """Show or hide the detail beside the list."""
        self.toggle_class("-alone")
        self.draw_detail()
        self.post_message(self.Looked())

    def turn_tab(self, by: int) -> None:
        """Open the next or previous tab of the detail."""
        tabs = self._tabs()
        if not tabs:
            return
        index = [tab.id for tab in tabs].index(self._current(tabs).id)
        self.open_tab(tabs[(index + by) % len(tabs)].id)

    def open_tab(self, ident: str) -> None:
        """Open a tab by its id; opens the detail when it is hidden."""
        self._tab = ident
        if not self.detail_shown:
            self.zoom(True)
        self.draw_detail()
        self.detail.scroll_to_line(0, 0)
        self.post_message(self.Looked())

    def _tabs(self) -> list[Tab[Any]]:
        return [] if self.item is None else [tab for tab in self.spec.tabs if tab.applies(self.item)]

    def _current(self, tabs: list[Tab[Any]]) -> Tab[Any]:
        return next((tab for tab in tabs if tab.id == self._tab), tabs[0])

    def draw_detail(self) -> None:
        """Draw the open tab of the row under the cursor."""
        if self._view is None or not self.detail_shown:
            return
        item, tabs = self.item, self._tabs()
        if item is None or not tabs:
            self.tab_line.set_lines([[]])
            self.detail.set_lines([])
            return
        current = self._current(tabs)
        name: list[Span] = (
            [Span((self.spec.label or self.spec.words)(item)[:40], "title"), Span("  ")] if self.zoomed else []
        )
        room = self.tab_line.size.width - sum(cells(span.text) for span in name)
        line: SpanLine = [*name, *_tab_spans(tabs, current, room)]
        self.tab_line.set_lines([line])
        width = self.detail.size.width or self._view.detail_width
        self.detail.set_lines(current.lines(replace(self._view, detail_width=width), item))

    # The field below

    def open_filter(self) -> None:
        """Open the field below the list: a filter, or a search."""
        self.zoom(False)
        existing = self.query(".filter")
        if existing:
            self.screen.set_focus(existing.first())
            return
        from tui.widgets.entry import Entry

        field = Entry(placeholder=self.placeholder, compact=True, select_on_focus=False, classes="filter")
        self.query_one(".list").mount(field)
        self.screen.set_focus(field)

    def close_filter(self, *, clear: bool) -> bool:
        """Leave the field; with `clear` drop what was typed. False when there was none."""
        if not self.query(".filter"):
            return False
        from textual.widgets import Input

        field = self.query_one(".filter", Input)
        if clear or not field.value.strip():
            self.look_for("")
            field.remove()
        self.screen.set_focus(self.main)
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        problem = self.look_for(event.value)
        # Said when it turns bad, not again with every further letter.
        if problem and not event.input.has_class("-bad"):
            self.post_message(self.Told(problem))
        event.input.set_class(bool(problem), "-bad")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close_filter(clear=False)

    # Messages

    def rest(self) -> None:
        """Draw the detail when the cursor rests."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_REST_S, self._rested)

    def _rested(self) -> None:
        self.draw_detail()
        self.post_message(self.Looked())

    def on_lines_view_clicked(self, event: LinesView.Clicked) -> None:
        kind, _, what = event.action.partition(":")
        if kind == "tab":
            event.stop()
            self.open_tab(what)


def _tab_spans(tabs: list[Tab[Any]], current: Tab[Any], room: int) -> list[Span]:
    """The tabs; where they do not all fit, the first ones give way so that the open one is seen."""
    first, last = 0, tabs.index(current)
    while first < last and sum(cells(tab.title) + 1 for tab in tabs[first : last + 2]) > room - 2:
        first += 1
    spans = [Span("‹ ", "dim", f"tab:{tabs[first - 1].id}")] if first else []
    for tab in tabs[first:]:
        spans += [Span(tab.title, "active" if tab is current else "dim", f"tab:{tab.id}"), Span(" ")]
    return spans
