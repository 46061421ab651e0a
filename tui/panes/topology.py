"""The topology pane: what is plugged into what, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model.kind import Kind
from tui.panes.spec import AnyPane, Pane, Tab, View, later

if TYPE_CHECKING:
    from tui.actions.base import Target
    from tui.model.finding import Hop
    from tui.model.snapshot import HostSnapshot
    from tui.model.topology import Graph, Node
    from tui.panes.frame import PaneFrame


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is under the cursor: a node, and what is drawn as one item with it."""

    graph: Graph
    node: Node
    others: tuple[Node, ...]
    snapshot: HostSnapshot
    hops: tuple[Hop, ...] = ()
    """What a traced path that is lit says of them."""

    def target(self, kind: Kind) -> Target:
        """Return the thing of a kind that an action applies to: the node itself, else what is one item with it; None
        where there is none."""
        found = (target_of(self.snapshot, node) for node in (self.node, *self.others) if kind_of(node) is kind)
        return next((target for target in found if target is not None), None)


_KINDS = {
    "domain": Kind.DOMAIN,
    "process": Kind.PROCESS,
    "network": Kind.NETWORK,
    "link": Kind.LINK,
    "bridge": Kind.LINK,
    "ovs-bridge": Kind.LINK,
}


def kind_of(node: Node) -> Kind | None:
    """Return the kind of action that a node is open to; None for what no action is for."""
    return _KINDS.get(node.kind.value)


def key_of(node: Node) -> str:
    """Return the key of what a node stands for among its kind."""
    return str(node.facts.get("link") or node.key) if kind_of(node) is Kind.LINK else node.key


def target_of(snapshot: HostSnapshot, node: Node) -> Target:
    """Return what an action on a node applies to; None where the snapshot has no such thing any more."""
    key = key_of(node)
    match kind_of(node):
        case Kind.DOMAIN:
            return snapshot.domains.get(key)
        case Kind.PROCESS:
            return snapshot.processes.get(key)
        case Kind.NETWORK:
            return snapshot.networks.networks.get(key) if snapshot.networks is not None else None
        case Kind.LINK:
            return snapshot.links.links.get(key) if snapshot.links is not None else None
    return None


def _kinds(chosen: Chosen | None) -> tuple[Kind, ...]:
    if chosen is None:
        return (Kind.HOST,)
    found = dict.fromkeys(kind for node in (chosen.node, *chosen.others) if (kind := kind_of(node)) is not None)
    return (*(kind for kind in found if chosen.target(kind) is not None), Kind.HOST)


def _target(chosen: Chosen) -> Target:
    return target_of(chosen.snapshot, chosen.node)


def _watch(chosen: Chosen) -> str | None:
    return next((node.key for node in (chosen.node, *chosen.others) if kind_of(node) is Kind.DOMAIN), None)


def _watch_link(chosen: Chosen) -> str | None:
    return next((key_of(node) for node in (chosen.node, *chosen.others) if kind_of(node) is Kind.LINK), None)


def _summary(view: View) -> str:
    links = view.snapshot.links
    if links is None:
        return "links: not read"
    words = f"{len(links.links)} links, {len(links.namespaces)} namespaces"
    return f"{words}, limited" if links.limits else words


def _frame(pane: AnyPane, _columns: Sequence[str]) -> PaneFrame:
    # Imported when the pane is first opened, as is all that draws.
    from tui.panes.topology_frame import TopologyFrame

    return TopologyFrame(pane)


PANE: Pane[Chosen] = Pane(
    id="topology",
    digit="6",
    title="Topology",
    words=lambda chosen: chosen.node.name,
    tabs=(
        Tab("node", "Node", later("topology_detail", "node_lines")),
        Tab("ties", "Ties", later("topology_detail", "tie_lines")),
    ),
    kinds=_kinds,
    target=_target,
    summary=_summary,
    hints=(("enter", "go there"), ("f", "focus"), ("t", "bus/tree"), ("space", "fold"), ("/", "search")),
    host_actions="topology",
    wants_links=True,
    wants_networks=True,
    watch=_watch,
    watch_link=_watch_link,
    frame=_frame,
)
