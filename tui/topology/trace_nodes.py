"""The hops of a trace as nodes of the graph: what lights up in the Topology pane."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.finding import Hop, Trace

_NAMESPACES = frozenset({"router", "host", "filter", "nat"})


def nodes_of(hop: Hop) -> tuple[str, ...]:
    """Return the ids that the node of a hop may have, the likeliest first; () for what is no node."""
    if not hop.key:
        return ()
    if hop.kind == "guest":
        return (f"domain:{hop.key}", f"process:{hop.key}")
    if hop.kind in _NAMESPACES:
        return (f"netns:{hop.key}",)
    return (f"link:{hop.key}", f"ovs-bridge:{hop.key}", f"ovs-port:{hop.key}")


def path_nodes(trace: Trace) -> list[tuple[Hop, tuple[str, ...]]]:
    """Return the hops that are nodes with their ids, in the order of the way."""
    return [(hop, ids) for hop in trace.hops if (ids := nodes_of(hop))]
