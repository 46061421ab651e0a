"""The lines around a pane: header, pane tabs, banner and hints, as spans."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.host import Connection, ConnectionState, Host
from tui.model.kind import Kind
from tui.model.text import cells, clean, wrapped
from tui.panes.spec import offers
from tui.widgets.lines import FILL, Span, SpanLine

if TYPE_CHECKING:
    from tui.actions.base import Action, Context, Target
    from tui.model.journal import Entry
    from tui.model.snapshot import HostSnapshot
    from tui.panes.frame import PaneFrame
    from tui.panes.spec import AnyPane, View

# Work under way is among the newest entries; all of them would be gone through at every picture.
_RECENT = 100
_LETTERS = 3
_NOTICE_LINES = 3
_LINKS = {
    ConnectionState.LIVE: ("● live", "good"),
    ConnectionState.CONNECTING: ("◌ connecting", "warn"),
    ConnectionState.SILENT: ("⚠ not answering", "bad"),
    ConnectionState.LOST: ("⚠ not connected", "bad"),
    ConnectionState.REFUSED: ("⚠ no connection", "bad"),
    ConnectionState.ABSENT: ("○ no libvirt", "dim"),
}


def header(snapshot: HostSnapshot, *, demo: bool) -> SpanLine:
    """Return the first line: which host, how big, how the connection stands."""
    connection, host = snapshot.connection, snapshot.host
    words, style = _LINKS[connection.state]
    line = [Span("virtdeck", "title"), Span(f" · {host.name if host else '…'} · ", ""), Span(_where(connection, demo))]
    line += [Span("  " + part, "dim") for part in _size(host)]
    line += [FILL]
    line += [Span("READ-ONLY  ", "warn")] if connection.read_only else []
    return [*line, Span(" "), Span(words, style)]


def _where(connection: Connection, demo: bool) -> str:
    """The URI without its query: a socket's path says less than the room it takes."""
    if connection.state is ConnectionState.ABSENT:
        return "this machine"
    return "demo host" if demo else clean(connection.uri.partition("?")[0])


def _size(host: Host | None) -> list[str]:
    if host is None:
        return []
    parts = []
    if host.cpus is not None and host.memory_kib is not None:
        parts.append(f"{host.cpus} CPU {units.size(host.memory_kib)}iB")
    if host.memory_free_kib is not None:
        parts.append(f"{units.size(host.memory_free_kib)} free")
    if host.load_1min is not None:
        parts.append(f"load {host.load_1min:.1f}")
    if host.boot_time_s is not None:
        parts.append(f"up {_coarse(time.time() - host.boot_time_s)}")
    return parts


def _coarse(seconds: float) -> str:
    """A span that moves at most once an hour, so that an idle screen stays still."""
    hours = int(seconds // 3600)
    return f"{hours // 24}d" if hours >= 24 else f"{hours}h"


def _room(titles: Sequence[str], width: int) -> int:
    """What the titles, with a blank behind each, leave of a line."""
    return width - sum(map(cells, titles)) - len(titles)


def tabs(panes: Sequence[AnyPane], active: AnyPane, view: View, position: str, width: int) -> SpanLine:
    """Return the line of panes, the open one with its position and summary; where it is narrow, the others have their
    first letters alone."""
    summary = "  ".join(filter(None, (active.summary(view), position)))
    marks = [pane.mark(view) for pane in panes]
    titles = [f" {pane.digit} {pane.title}{mark} " for pane, (mark, _) in zip(panes, marks, strict=True)]
    if _room(titles, width) < cells(summary):
        titles = [
            f" {p.digit} {p.title}{mark} " if p is active else f" {p.digit} {p.title[:_LETTERS]}{mark}"
            for p, (mark, _) in zip(panes, marks, strict=True)
        ]
    if _room(titles, width) < cells(summary):
        summary = position
    line: list[Span] = []
    for pane, title, (_, style) in zip(panes, titles, marks, strict=True):
        line += [Span(title, "active" if pane is active else style, f"pane:{pane.id}"), Span(" ")]
    return [*line, FILL, Span(summary, "dim")]


def banner(snapshot: HostSnapshot) -> SpanLine | None:
    """Return what must not be overlooked: that the data is old and why; None when all is well."""
    connection = snapshot.connection
    if connection.live or connection.state is ConnectionState.ABSENT:
        return [Span(f"⚠ {'; '.join(snapshot.problems)}", "warn")] if snapshot.problems else None
    if connection.state is ConnectionState.CONNECTING:
        return None
    line = [Span(f"⚠ {connection.state.value} since {units.clock(connection.since_ns)}; ", "bad")]
    if snapshot.domains_read_ns is not None:
        line.append(Span(f"what you see is as of {units.clock(snapshot.domains_read_ns)}; ", "warn"))
    # The reason comes last: on a narrow screen it is what can be spared.
    return [*line, Span("reconnecting by itself" + (f": {connection.problem}" if connection.problem else ""), "dim")]


def notice(text: str, width: int) -> list[SpanLine]:
    """Return the lines of what is told at the start, at most 3; none for ""."""
    return [[Span(part, "dim")] for part in wrapped(text, width)[:_NOTICE_LINES]] if text else []


_BAR = 20


def under_way(entries: Sequence[Entry]) -> SpanLine | None:
    """Return the line of long work that is under way: the newest, and how many more there are; None when none is."""
    found = [entry for entry in reversed(entries[-_RECENT:]) if entry.work is not None]
    if not found or (work := found[0].work) is None:
        return None
    bar = [] if work.share is None else [Span(work.bar(_BAR), "accent"), Span(f" {work.percent()}  ", "")]
    more = f"  (+{len(found) - 1} more)" if len(found) > 1 else ""
    return [
        Span("▸ ", "accent"),
        *bar,
        Span(work.words()),
        Span(f"  {found[0].title}{more}"),
        FILL,
        Span(" 7 journal", "dim"),
    ]


# The frame's own keys, in the order in which they give way when the line is short.
_TRACE = ("ctrl+t", "trace")
_GENERAL = (("q", "quit"), ("enter", "detail"), ("space", "mark"), _TRACE, ("/", "filter"), (":", "all"), ("?", "help"))
_ACTION_ROOM = 0.8


def hints(
    context: Context,
    frame: PaneFrame,
    kinds: Sequence[Kind],
    targets: Sequence[Target],
    keys: Mapping[str, str],
    width: int,
) -> SpanLine:
    """Return the keys that work here and now, the most wanted first; those that do not are left out, and keys of one
    word share it. On a short line the frame's own keys give way to the actions."""
    # Imported when first drawn, which is after the first picture.
    from tui.actions import ACTIONS

    pane, item = frame.spec, frame.item
    line: list[Span] = [Span(f"{frame.marked} marked: ", "warn")] if frame.marked > 1 else []
    for key, word in pane.hints:
        if not pane.hint_works(item, key):
            continue
        line += _hint(key, word, f"key:{key}")
    shown: dict[str, list[Action]] = {}
    own = {key for key, _word in pane.hints}
    taken = set(own)
    for action in sorted(ACTIONS, key=lambda action: (action.kind is Kind.HOST, action.rank)):
        key = keys[action.id]
        if key and offers(pane, action, kinds) and key not in taken and _works(action, context, targets):
            taken.add(key)
            shown.setdefault(action.hint, []).append(action)
    for word, actions in shown.items():
        line += [Span(keys[action.id], "key", f"action:{action.id}") for action in actions]
        line.append(Span(f" {word}  ", "", f"action:{actions[0].id}"))
    traceable = any(_traceable(target) for target in targets)
    tail = [hint for hint in _GENERAL if hint[0] not in own and (traceable or hint is not _TRACE)]
    wanted = sum(cells(span.text) for span in line)
    while len(tail) > 1 and min(wanted, width * _ACTION_ROOM) + sum(len(k) + len(w) + 3 for k, w in tail) > width:
        tail.pop(0)
    return [*line, FILL, Span(" "), *(span for key, word in tail for span in _hint(key, word, f"key:{key}"))]


def _hint(key: str, word: str, action: str) -> tuple[Span, Span]:
    return Span(key, "key", action), Span(f" {word}  ", "", action)


def _traceable(target: Target) -> bool:
    from tui.actions.base import kind_of
    from tui.model.traceable import nic_count

    return target is not None and (kind_of(target) is Kind.LINK or nic_count(target) > 0)


def _works(action: Action, context: Context, targets: Sequence[Target]) -> bool:
    from tui.actions.base import kind_of

    fitting = [None] if action.kind is Kind.HOST else [target for target in targets if kind_of(target) is action.kind]
    return any(action.reason(context, target) is None for target in fitting)
