"""The traced path that is lit in the topology: what keeps it up to date, and the lines above the drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model.finding import Trace
from tui.model.text import wrapped
from tui.model.verdict_words import SIGNS, summary
from tui.topology.trace_nodes import nodes_of
from tui.widgets.lines import FILL, LinesView, Span, SpanLine

if TYPE_CHECKING:
    from tui.model.finding import Hop
    from tui.model.snapshot import HostSnapshot
    from tui.panes.topology import Chosen


@dataclass(frozen=True, slots=True, eq=False)
class Follower:
    """Makes a trace anew."""

    ask: Callable[[HostSnapshot], None]
    """Has it made of a snapshot; what comes of it is given to the pane, on any thread."""
    stop: Callable[[], None]
    """Nobody wants it any more."""


class PathLines(LinesView):
    """Tells a path and what breaks it, for as long as one is lit; nothing is shown else."""

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self.follower: Follower | None = None
        """What keeps it up to date; None while no path is lit."""
        self.found: Trace | str = ""
        """The trace, or why there is none now."""

    @property
    def trace(self) -> Trace | None:
        """The path; None while none is lit, or none can be made."""
        return self.found if self.follower is not None and isinstance(self.found, Trace) else None

    def follow(self, found: Trace | str, follower: Follower | None) -> None:
        """Tell this path from now on, None for none; the one before is not kept up to date any more."""
        if self.follower is not None:
            self.follower.stop()
        self.follower, self.found = follower, found
        self.display = follower is not None

    def tell(self, width: int, *, leave: bool) -> None:
        """Write the lines for a width; with `leave` say how to leave it."""
        if self.follower is None:
            return
        trace = self.trace
        style = SIGNS[trace.verdict][1] if trace is not None else "warn"
        words = summary(trace) if trace is not None else str(self.found)
        way = f"{trace.source} to {trace.destination}" if trace is not None else "no path"
        keys = [Span("esc", "key", "key:escape"), Span(" drop the path", "", "key:escape")] if leave else []
        lines: list[SpanLine] = [[Span(way, "title"), FILL, *keys]]
        self.set_lines([*lines, *([Span(part, style)] for part in wrapped(words, max(width, 20)))])

    def hops_of(self, chosen: Chosen) -> tuple[Hop, ...]:
        """Return what the path says of a node, and of what is one item with it."""
        ids = {node.id for node in (chosen.node, *chosen.others)}
        trace = self.trace
        return tuple(hop for hop in trace.hops if ids & set(nodes_of(hop))) if trace is not None else ()
