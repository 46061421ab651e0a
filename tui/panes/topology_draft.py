"""Drawings of the topology as the canvas takes them; large ones are made on a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.topology.drawing import Drawing
from tui.topology.graph import build, parts_of, signature
from tui.topology.layout import Look, draw
from tui.widgets.canvas import Patch, Place

if TYPE_CHECKING:
    from tui.model.snapshot import HostSnapshot
    from tui.model.topology import Graph


@dataclass(frozen=True, slots=True)
class Draft:
    """A snapshot, its graph, and the drawing of that."""

    snapshot: HostSnapshot
    look: Look
    graph: Graph
    drawing: Drawing
    lines: tuple[tuple[Patch, ...], ...]
    places: tuple[Place, ...]
    parts: tuple[object, ...]
    signature: tuple[object, ...]

    def of(self, snapshot: HostSnapshot) -> Draft | None:
        """Return this draft as one of another snapshot, None where that has another graph. Looking at each part is for
        when they are not the same objects; the draft that is returned knows the new ones."""
        parts = parts_of(snapshot)
        if all(one is other for one, other in zip(self.parts, parts, strict=True)):
            return self
        return replace(self, snapshot=snapshot, parts=parts) if self.signature == signature(snapshot) else None


def draft(snapshot: HostSnapshot, look: Look, known: Draft | None) -> Draft:
    """Return the drawing of a snapshot; of what is known already the graph is not made again."""
    same = known.of(snapshot) if known is not None else None
    graph = same.graph if same is not None else build(snapshot)
    if look.focus and look.focus not in graph.nodes:
        look = replace(look, focus="")
    drawing = draw(graph, look)
    head = _head(graph, look, drawing)
    lines = [tuple(Patch(piece.text, piece.style, piece.rate) for piece in line) for line in drawing.lines]
    places = tuple(Place(spot.y + len(head), spot.x, spot.end, spot.id) for spot in drawing.spots)
    return Draft(snapshot, look, graph, drawing, (*head, *lines), places, parts_of(snapshot), signature(snapshot))


def _head(graph: Graph, look: Look, drawing: Drawing) -> list[tuple[Patch, ...]]:
    """Why it is not all there, or not as usual."""
    words = [f"{note}; t draws the buses all the same" for note in drawing.notes if "objects" in note]
    words += [note for note in drawing.notes if "objects" not in note]
    if look.focus:
        hops = "1 hop" if look.hops == 1 else f"{look.hops} hops"
        words.append(f"{hops} around {graph.nodes[look.focus].name}: f more, F less, esc all")
    return [(Patch(text, "dim"),) for text in words]


class Draftsman:
    """Makes drafts on a daemon thread, the newest order only; `done` is called on that thread."""

    def __init__(self, done: Callable[[Draft], None]) -> None:
        self._done = done
        self._lock = threading.Lock()
        self._order: tuple[HostSnapshot, Look, Draft | None] | None = None
        self._running = False

    @property
    def busy(self) -> bool:
        """Whether a draft is being made."""
        return self._running

    def ask(self, snapshot: HostSnapshot, look: Look, known: Draft | None) -> None:
        """Make this one next; what was asked for before and is not begun is not made any more."""
        with self._lock:
            self._order = (snapshot, look, known)
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._work, name="topology", daemon=True).start()

    def _work(self) -> None:
        try:
            while (order := self._next()) is not None:
                self._done(draft(*order))
        except BaseException:
            # Only then: with the last order done another thread may be at work already.
            self._running = False
            raise

    def _next(self) -> tuple[HostSnapshot, Look, Draft | None] | None:
        with self._lock:
            order, self._order = self._order, None
            self._running = order is not None
            return order
