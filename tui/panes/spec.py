"""What a pane is: the view of one kind of thing, as columns, rows and detail; the frame draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from tui.actions.base import Action, Target
    from tui.model.journal import Entry
    from tui.model.kind import Kind
    from tui.model.link import LinkUsage
    from tui.model.snapshot import HostSnapshot
    from tui.model.usage import DiskReading
    from tui.panes.frame import PaneFrame
    from tui.widgets.grid_columns import Column
    from tui.widgets.grid_filter import Fact
    from tui.widgets.lines import SpanLine

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class View:
    """What panes draw from: the newest snapshot, the history beside it, and the journal."""

    snapshot: HostSnapshot
    cpu_history: Callable[[str, int], tuple[float | None, ...]]
    """The last readings of a domain's CPU in percent of one host CPU, oldest first."""
    entries: tuple[Entry, ...] = ()
    journal_problem: str = ""
    pending: Mapping[str, str] = field(default_factory=dict)
    """What was asked of a thing and has not come about yet, and what to do about it, by its key."""
    disk_history: Callable[[str, str, int], tuple[DiskReading, ...]] = lambda _key, _target, _length: ()
    """The last readings of a disk of a domain that is looked at, by domain UUID and target, oldest first."""
    link_history: Callable[[str, int], tuple[float | None, ...]] = lambda _key, _length: ()
    """The last readings of a link's traffic, both ways, in bytes/s, by link key, oldest first."""
    first_of_link: Callable[[str], LinkUsage | None] = lambda _key: None
    """The counters of a link as they were when one began to look, by link key."""
    detail_width: int = 37
    """The cells that the detail has for a line."""
    folded: frozenset[str] = frozenset()
    """The keys of the rows whose parts are folded away."""


@dataclass(frozen=True, slots=True)
class Tab(Generic[T]):
    """One page of the detail of a thing."""

    id: str
    title: str
    lines: Callable[[View, T], list[SpanLine]]
    applies: Callable[[T], bool] = lambda _item: True
    reads_image: Callable[[T], str | None] = lambda _item: None
    """The volume whose image this page needs to be read, by its key."""


def later(module: str, name: str) -> Callable[[View, Any], list[SpanLine]]:
    """Return the function of a tab that is imported when the tab is first drawn, which is after the first picture."""

    def lines(view: View, item: Any) -> list[SpanLine]:
        found: list[SpanLine] = getattr(import_module(f"tui.panes.{module}"), name)(view, item)
        return found

    return lines


def list_frame(pane: AnyPane, columns: Sequence[str]) -> PaneFrame:
    """Return what draws a pane that is a list, with these columns, or its own where none are named."""
    from tui.panes.grid_frame import GridFrame

    return GridFrame(pane, columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pane(Generic[T]):
    """One pane, whatever draws it; `T` is the thing under its cursor."""

    id: str
    digit: str
    title: str
    words: Callable[[T], str]
    tabs: tuple[Tab[T], ...]
    kinds: Callable[[T | None], tuple[Kind, ...]]
    """To what kinds of action the thing is open; asked with None when there is none."""
    target: Callable[[T], Target]
    summary: Callable[[View], str] = lambda _view: ""
    """A few words behind the pane's name, e.g. how many run."""
    hints: tuple[tuple[str, str], ...] = ()
    """Keys that only this pane has, for the hint bar."""
    hint_works: Callable[[T | None, str], bool] = lambda _item, _key: True
    """Whether a key of `hints` can do anything for the thing; asked with None when there is none."""
    label: Callable[[T], str] | None = None
    """What the thing is called above its detail; None: by its words."""
    host_actions: str = "domain"
    """Which actions on the host itself belong here: those whose id begins so."""
    first_counts: bool = False
    """Whether the first row is meant until the cursor is moved: what was just done, or is worst. The cursor stands on
    it whenever the pane is opened."""
    journal_id: Callable[[T], str | None] = lambda _item: None
    """The journal entry that the thing is, for panes whose rows can be undone."""
    wants_storage: bool = False
    """Whether pools and volumes are read every few seconds while it is on the screen."""
    wants_networks: bool = False
    """Whether libvirt's networks are read every few seconds while it is on the screen."""
    wants_links: bool = False
    """Whether counters and neighbours of links are read every interval while it is on the screen."""
    watch: Callable[[T], str | None] = lambda _item: None
    """The domain that the detail of this thing needs to be read."""
    watch_link: Callable[[T], str | None] = lambda _item: None
    """The link that the detail of this thing needs to be read (HostSnapshot.link_detail), by its key."""
    place: Callable[[T], tuple[Kind, str] | None] = lambda _item: None
    """The thing, by kind and key, that enter leads to in its own pane, where it is not this pane's own."""
    mark: Callable[[View], tuple[str, str]] = lambda _view: ("", "")
    """What stands behind the pane's name among the panes, and its style; "" for nothing."""
    holds: tuple[Kind, ...] = ()
    """The kinds of thing that are rows here, by their own keys: where a jump to one of them leads."""
    frame: Callable[[AnyPane, Sequence[str]], PaneFrame] = list_frame
    """Makes what draws it, given the chosen columns."""
    columns: tuple[Column[T], ...] = ()
    """The columns that the configuration may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaneSpec(Pane[T]):
    """A pane that is a list; `rows` may keep what it made before, so that unchanged things stay the same objects."""

    columns: tuple[Column[T], ...]
    key: Callable[[T], str]
    rows: Callable[[], Callable[[View], Sequence[T]]]
    """Makes the function that gives the rows of a view; called once per pane on the screen."""
    fact: Callable[[T, str], Fact]
    facts: tuple[str, ...]
    empty: Callable[[View], str]
    """What to say when there are no rows, and why."""
    fold: Callable[[T], str | None] | None = None
    """The key of the row that this row is a part of, its own for one that has parts; None: nothing folds."""


def offers(pane: AnyPane, action: Action, kinds: Sequence[Kind]) -> bool:
    """Return whether a pane offers an action to rows of those kinds."""
    if action.kind.value == "host":
        return action.kind in kinds and action.id.partition(".")[0] == pane.host_actions
    return action.kind in kinds


AnyPane = Pane[Any]
Columns = Mapping[str, tuple[str, ...]]
