"""The topology on the screen: the drawing, the cursor in it, folding, focus, search, and the ways to other panes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.message import Message

from tui.model import units
from tui.model.kind import Kind
from tui.model.topology import NodeKind
from tui.panes.frame import PaneFrame
from tui.panes.topology import Chosen, key_of, kind_of
from tui.panes.topology_draft import Draft, Draftsman, draft
from tui.panes.topology_path import Follower, PathLines
from tui.topology.layout import Look
from tui.topology.lit import lit_of
from tui.topology.words import RATE_CELLS
from tui.widgets.canvas import Canvas
from tui.widgets.painting import Run

if TYPE_CHECKING:
    from textual.widget import Widget

    from tui.actions.base import Target
    from tui.model.finding import Trace
    from tui.panes.spec import AnyPane, View

# More than so many things are drawn on a thread of their own: it takes longer than a key may.
_AT_ONCE = 250
_BUSES = frozenset({NodeKind.BRIDGE, NodeKind.OVS_BRIDGE, NodeKind.NETNS, NodeKind.NETWORK, NodeKind.LINK})


class TopologyFrame(PaneFrame):
    """Shows the topology; enter leads from a reference to what it refers to, and from there to its own pane."""

    class Drafted(Message):
        """A drawing is ready."""

        def __init__(self, made: Draft) -> None:
            super().__init__()
            self.made = made

    class Traced(Message):
        """The path that is lit was traced anew, or could not be: then why."""

        def __init__(self, by: Follower, found: Trace | str) -> None:
            super().__init__()
            self.by = by
            self.found = found

    def __init__(self, spec: AnyPane) -> None:
        super().__init__(spec)
        self.canvas = Canvas(
            commands={
                "f": self._focus_more,
                "F": self._focus_less,
                "upper_f": self._focus_less,
                "t": self._turn_view,
                "space": self._fold,
                "n": lambda: self._next_match(1),
                "N": lambda: self._next_match(-1),
                "upper_n": lambda: self._next_match(-1),
            }
        )
        self._look = Look(0, rates=True)
        self._draft: Draft | None = None
        self._draftsman = Draftsman(self._tell)
        self._wanted = ""
        self._sought = ""
        self.path = PathLines()
        self._seeking = False

    def stack(self) -> tuple[Widget, ...]:
        """Return the path that is lit, and the drawing."""
        return self.path, self.canvas

    @property
    def main(self) -> Canvas:
        """The drawing."""
        return self.canvas

    @property
    def drawn(self) -> Draft | None:
        """What is drawn; None before the first picture."""
        return self._draft

    @property
    def behind(self) -> bool:
        """Whether a newer drawing is being made."""
        return self._draftsman.busy

    @property
    def item(self) -> Chosen | None:
        """What is under the cursor."""
        made, index = self._draft, self.canvas.index
        if made is None or self._view is None or index >= len(made.drawing.spots):
            return None
        spot = made.drawing.spots[index]
        node = made.graph.nodes.get(spot.id)
        if node is None:
            return None
        others = () if spot.ref else tuple(made.graph.nodes[id] for id in spot.item if id in made.graph.nodes)
        chosen = Chosen(made.graph, node, tuple(one for one in others if one is not node), self._view.snapshot)
        return replace(chosen, hops=self.path.hops_of(chosen)) if self.path.trace is not None else chosen

    # Drawing

    def show(self, view: View) -> None:
        """Draw `view`; where nothing but rates moved the drawing stays."""
        before, self._view = self._view, view
        same = self._draft.of(view.snapshot) if self._draft is not None else None
        if same is None:
            self._redraw()
        else:
            self._draft = same
            if before is None or before.snapshot.link_usage is not view.snapshot.link_usage:
                self.canvas.refresh_live()
        if self.path.follower is not None and (before is None or before.snapshot is not view.snapshot):
            self.path.follower.ask(view.snapshot)
        self.draw_detail()

    def _redraw(self) -> None:
        view = self._view
        if view is None or self._look.width == 0:
            return
        snapshot = view.snapshot
        count = len(snapshot.domains) + (len(snapshot.links.links) if snapshot.links is not None else 0)
        if count <= _AT_ONCE and not self._draftsman.busy:
            self._take(draft(snapshot, self._look, self._draft))
        else:
            self._draftsman.ask(snapshot, self._look, self._draft)

    def _tell(self, made: Draft) -> None:
        """Called on the thread that draws."""
        self.post_message(self.Drafted(made))

    def on_topology_frame_drafted(self, event: Drafted) -> None:
        self._take(event.made)

    def _take(self, made: Draft) -> None:
        self._draft = made
        if self._look.focus not in made.graph.nodes:
            self._look = replace(self._look, focus="")
        self.canvas.set_drawing(made.lines, made.places, self._rates)
        self.path.tell(self.canvas.size.width, leave=not self._look.focus)
        if self._seeking and (lit := made.drawing.lit) is not None and lit.verdicts:
            self._seeking, self._wanted = False, lit.cause or next(iter(lit.verdicts))
        wanted, self._wanted = self._wanted, ""
        if wanted and not self._put(wanted):
            self.post_message(self.Told("that is not plugged into anything"))

    def _rates(self, key: str) -> Run:
        """What goes through a link, in the cells that the drawing leaves for it."""
        usage = self._view.snapshot.link_usage.get(key) if self._view is not None else None
        if usage is None or not (usage.rx_bytes_per_s or usage.tx_bytes_per_s):
            return " " * RATE_CELLS, ""
        text = f"↓{units.rate(usage.rx_bytes_per_s)} ↑{units.rate(usage.tx_bytes_per_s)}".rjust(RATE_CELLS)
        return text, "warn" if usage.new_errors or usage.new_drops else "dim"

    def on_canvas_resized(self) -> None:
        self._look = replace(self._look, width=self.canvas.size.width)
        self._redraw()

    # The path that is lit

    def light(self, trace: Trace, follower: Follower) -> None:
        """Light up a path, with the cursor on what breaks it; it is traced anew with every snapshot until esc."""
        self._seeking = True
        self._follow(trace, follower)
        if self._view is not None:
            follower.ask(self._view.snapshot)

    def _follow(self, trace: Trace | None, follower: Follower | None) -> None:
        self.path.follow(trace or "", follower)
        self._turn(replace(self._look, trace=trace))
        self.draw_detail()

    def show_trace(self, by: Follower, found: Trace | str) -> None:
        """Take a trace, or why there is none; may be called on any thread."""
        self.post_message(self.Traced(by, found))

    def on_topology_frame_traced(self, event: Traced) -> None:
        """Draw again where it looks another way now."""
        if event.by is not self.path.follower or event.found == self.path.found:
            return
        self.path.found = event.found
        self._look = replace(self._look, trace=self.path.trace)
        made, trace = self._draft, self.path.trace
        lit = lit_of(trace, made.graph.nodes) if made is not None and trace is not None else None
        if made is None or self.behind or lit != made.drawing.lit:
            self._redraw()
        self.path.tell(self.canvas.size.width, leave=not self._look.focus)
        self.draw_detail()

    # What is selected

    def targets(self, kind: Kind) -> list[Target]:
        """Return what an action of `kind` applies to: what is under the cursor, or one item with it."""
        chosen = self.item
        target = chosen.target(kind) if chosen is not None else None
        return [target] if target is not None else []

    def reveal(self, kind: Kind, key: str) -> bool:
        """Put the cursor on a thing, unfolding what hides it; False when it is not in the graph."""
        made = self._draft
        if made is None or self._view is None or made.of(self._view.snapshot) is None:
            # The drawing is on its way.
            self._wanted = f"{kind.value}:{key}"
            return True
        return self._put(f"{kind.value}:{key}")

    def _put(self, wanted: str) -> bool:
        assert self._draft is not None
        nodes = self._draft.graph.nodes
        kind, _, key = wanted.partition(":")
        id = wanted if wanted in nodes else ""
        if not id and kind == Kind.LINK.value:
            id = next((node.id for node in nodes.values() if node.facts.get("link") == key), "")
        return bool(id) and self._go_to(id)

    def _go_to(self, id: str) -> bool:
        """Put the cursor where a node is drawn, and show it if it is hidden."""
        made = self._draft
        assert made is not None
        if self._cursor_to(id):
            return True
        hiding = next((spot for spot, inside in made.drawing.folds.items() if id in inside), "")
        if not hiding and not made.look.focus:
            return False
        look = self._look
        if hiding.startswith("shut:"):
            look = replace(look, shut=look.shut - {hiding.removeprefix("shut:")})
        elif hiding:
            look = replace(look, open=look.open | {hiding})
        else:
            look = replace(look, focus="")
        self._wanted = id
        self._turn(look)
        return True

    def _cursor_to(self, id: str) -> bool:
        """To the place where it is drawn rather than to a reference."""
        assert self._draft is not None
        drawn = next((i for i, spot in enumerate(self._draft.drawing.spots) if spot.id == id and not spot.ref), None)
        if drawn is None:
            return False
        self.canvas.go_to_index(drawn)
        return True

    # Keys

    def _turn(self, look: Look) -> None:
        self._look = look
        self._redraw()

    def _turn_view(self) -> bool:
        if self._draft is not None:
            self._turn(replace(self._look, bus=not self._draft.drawing.bus))
        return True

    def _fold(self) -> bool:
        """Open or fold what is under the cursor: a folded line; in the tree a bridge or namespace."""
        place, made = self.canvas.place, self._draft
        if place is None or made is None:
            return True
        if place.id.startswith("fold:"):
            self._turn(replace(self._look, open=self._look.open ^ {place.id}))
        elif made.drawing.bus:
            self.post_message(self.Told("only folded lines can be opened here; in the tree bridges fold too"))
        elif place.id in made.graph.nodes and made.graph.nodes[place.id].kind in _BUSES:
            self._turn(replace(self._look, shut=self._look.shut ^ {place.id}))
        return True

    def _focus_more(self) -> bool:
        chosen = self.item
        if chosen is not None:
            again = self._look.focus == chosen.node.id
            self._turn(replace(self._look, focus=chosen.node.id, hops=self._look.hops + 1 if again else 1))
            self._wanted = "" if self._cursor_to(chosen.node.id) else chosen.node.id
        return True

    def _focus_less(self) -> bool:
        look = self._look
        if not look.focus:
            self.post_message(self.Told("everything is drawn; f draws what is around the cursor"))
        elif look.hops > 1:
            self._turn(replace(look, hops=look.hops - 1))
        else:
            self._turn(replace(look, focus=""))
        return True

    def close_filter(self, *, clear: bool) -> bool:
        """Leave the search; what was found stays for n and N, unless with `clear`. With `clear` and no search under
        way leave the focus, then the path."""
        fields = self.query(".filter")
        if fields:
            super().close_filter(clear=clear)
            fields.remove()
            return True
        if clear and self._look.focus:
            self._turn(replace(self._look, focus=""))
            return True
        lit = clear and self.path.follower is not None
        if lit:
            self._follow(None, None)
        return lit

    def toggle_side(self) -> None:
        """Show or hide the detail: beside the drawing, or in its place where there is no room."""
        if self.has_class("-wide"):
            super().toggle_side()
        else:
            self.zoom(not self.zoomed)

    # Search

    @property
    def placeholder(self) -> str:
        """What can be searched for."""
        return "name, address, MAC, VLAN; enter, then n and N"

    def look_for(self, text: str) -> str:
        """Put the cursor on the first thing that has the text; returns that there is none."""
        self._sought = text.strip().lower()
        if not self._sought:
            return ""
        return "" if self._next_match(0) else f"nothing here has {self._sought!r}"

    def _next_match(self, by: int) -> bool:
        """Go to another thing that has what was searched for; False where nothing was, or nothing has it."""
        made = self._draft
        if not self._sought or made is None:
            return False
        found = {id for id, node in made.graph.nodes.items() if self._sought in _searched(made, id)}
        at = [index for index, spot in enumerate(made.drawing.spots) if spot.id in found and not spot.ref]
        if not at:
            hidden = next((id for inside in made.drawing.folds.values() for id in inside if id in found), None)
            return hidden is not None and self._go_to(hidden)
        here = self.canvas.index
        if by >= 0:
            index = next((i for i in at if i > here or (by == 0 and i == here)), at[0])
        else:
            index = next((i for i in reversed(at) if i < here), at[-1])
        self.canvas.go_to_index(index)
        return True

    # Messages of the canvas

    def on_canvas_moved(self) -> None:
        self.rest()

    def on_canvas_positioned(self) -> None:
        self.post_message(self.Positioned())

    def on_canvas_opened(self) -> None:
        place, made, chosen = self.canvas.place, self._draft, self.item
        if place is not None and place.id.startswith("fold:"):
            self._fold()
        elif chosen is not None and made is not None:
            if made.drawing.spots[self.canvas.index].ref and self._go_to(chosen.node.id):
                return
            kind = kind_of(chosen.node)
            if kind is not None and chosen.target(kind) is not None:
                self.post_message(self.Jump(kind, key_of(chosen.node)))
            else:
                self.zoom(True)


def _searched(made: Draft, id: str) -> str:
    node = made.graph.nodes[id]
    facts = (str(value) for value in node.facts.values() if not isinstance(value, bool))
    return "\n".join((node.name, node.netns, node.state, *facts)).lower()
