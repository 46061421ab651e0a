"""The graph as a drawing sees it: what is a bus, what a box, what hangs on what."""

from __future__ import annotations

from functools import cached_property
from heapq import heappop, heappush
from typing import NamedTuple

from tui.model.text import natural
from tui.model.topology import Edge, EdgeKind, Graph, Node, NodeKind

_SWITCHES = frozenset({NodeKind.BRIDGE, NodeKind.OVS_BRIDGE})
_GUESTS = frozenset({NodeKind.DOMAIN, NodeKind.PROCESS})
_LINKS = frozenset({NodeKind.LINK, NodeKind.NIC, NodeKind.OVS_PORT})
_ACROSS = frozenset({EdgeKind.ROUTE, EdgeKind.NAT})
_ON_TOP = frozenset({"macvtap", "macvlan", "ipvlan", "ipvtap"})


class Wire(NamedTuple):
    """What ties two buses without a namespace between them: a pair, a link that lies on one and is a port of the
    other, a tunnel; as its ties to the one and to the other."""

    edge: Edge
    other: Edge


class Shape:
    """Looks up the ties of a graph by their kinds and ends."""

    def __init__(self, graph: Graph, *, lit: frozenset[str] = frozenset(), broken: str = "") -> None:
        """`lit` are the nodes of a path that is lit up, `broken` the one of them that breaks it."""
        self.graph = graph
        self.lit = lit
        self.broken = broken
        self.nodes = graph.nodes
        self._from: dict[EdgeKind, dict[str, list[Edge]]] = {kind: {} for kind in EdgeKind}
        self._to: dict[EdgeKind, dict[str, list[Edge]]] = {kind: {} for kind in EdgeKind}
        self._wires: dict[str, dict[str, list[Wire]]] = {}
        self._boxes_at: dict[str, tuple[str, ...]] = {}
        self._plugs: dict[str, list[Edge]] = {}
        for edge in graph.edges:
            self._from[edge.kind].setdefault(edge.a, []).append(edge)
            self._to[edge.kind].setdefault(edge.b, []).append(edge)

    def node(self, id: str) -> Node:
        """Return a node."""
        return self.nodes[id]

    def fact(self, id: str, name: str) -> str:
        """Return a fact as text, "" where it is not there."""
        value = self.nodes[id].facts.get(name)
        return "" if value is None or value is False else str(value)

    def out(self, id: str, kind: EdgeKind) -> list[Edge]:
        """Return the edges of a kind whose a is this node."""
        return self._from[kind].get(id, [])

    def into(self, id: str, kind: EdgeKind) -> list[Edge]:
        """Return the edges of a kind whose b is this node."""
        return self._to[kind].get(id, [])

    @cached_property
    def buses(self) -> tuple[str, ...]:
        """What is drawn as a bar with things on it: bridges, networks that stand for one, and links that several
        others lie on."""
        return tuple(id for id in self.nodes if self._is_bus(id))

    def _is_bus(self, id: str) -> bool:
        node = self.nodes[id]
        if node.kind in _SWITCHES:
            return True
        if node.kind is NodeKind.NETWORK:
            return bool(self.into(id, EdgeKind.PORT))
        upper = [edge.a for edge in self.into(id, EdgeKind.PARENT)]
        many = len(upper) > 1 or any(self.fact(one, "link_kind") in _ON_TOP and self.guests(one) for one in upper)
        return node.kind is NodeKind.LINK and many and self.master(id) is None

    @cached_property
    def is_bus(self) -> frozenset[str]:
        """The buses."""
        return frozenset(self.buses)

    @cached_property
    def boxes(self) -> tuple[str, ...]:
        """The namespaces that are drawn as a box: those that pass packets on, have several links, or serve DHCP."""
        return tuple(id for id, node in self.nodes.items() if node.kind is NodeKind.NETNS and self._is_box(id))

    def _is_box(self, id: str) -> bool:
        links = self.links_of(id)
        return len(links) != 1 or bool(self.nodes[id].facts.get("problem")) or bool(self.servers(links[0]))

    @cached_property
    def is_box(self) -> frozenset[str]:
        """The boxes."""
        return frozenset(self.boxes)

    def plugs(self, bus: str) -> list[Edge]:
        """Return what is plugged into a bus, its ports and what lies on it: guests by their names, then other things by
        theirs."""
        if bus not in self._plugs:
            found = [*self.into(bus, EdgeKind.PORT), *self.into(bus, EdgeKind.PARENT)]
            self._plugs[bus] = sorted(found, key=self._rank)
        return self._plugs[bus]

    def _rank(self, edge: Edge) -> tuple[bool, tuple[object, ...], tuple[object, ...]]:
        guests = self.guests(edge.a)
        return (not guests, natural(self.nodes[guests[0]].name if guests else ""), natural(self.nodes[edge.a].name))

    def master(self, id: str) -> str | None:
        """Return what a link is a port of."""
        edges = self.out(id, EdgeKind.PORT)
        return edges[0].b if edges else None

    def bus_of(self, id: str) -> str | None:
        """Return the bus that a link is plugged into."""
        return next((edge.b for edge in self._plugged(id)), None)

    def peer(self, id: str) -> str | None:
        """Return the other end of a pair."""
        edges = self.out(id, EdgeKind.PEER)
        if edges:
            return edges[0].b
        edges = self.into(id, EdgeKind.PEER)
        return edges[0].a if edges else None

    def guests(self, id: str) -> list[str]:
        """Return the guests and programs that have a link or NIC."""
        owners = [edge.a for edge in self.into(id, EdgeKind.OWNER) if self.nodes[edge.a].kind in _GUESTS]
        return [*(edge.a for edge in self.into(id, EdgeKind.TAP)), *owners]

    def nics(self, guest: str) -> list[str]:
        """Return the links and NICs of a guest or program."""
        return [edge.b for kind in (EdgeKind.TAP, EdgeKind.OWNER) for edge in self.out(guest, kind)]

    def netns_of(self, id: str) -> str | None:
        """Return the namespace that owns a link."""
        found = (edge.a for edge in self.into(id, EdgeKind.OWNER) if self.nodes[edge.a].kind is NodeKind.NETNS)
        return next(found, None)

    def links_of(self, netns: str) -> list[str]:
        """Return the links that a namespace owns."""
        return [edge.b for edge in self.out(netns, EdgeKind.OWNER)]

    def servers(self, id: str) -> list[str]:
        """Return the dnsmasqs that serve a link."""
        return [edge.a for edge in self.into(id, EdgeKind.OWNER) if self.nodes[edge.a].kind is NodeKind.DNSMASQ]

    def serves(self, server: str) -> list[str]:
        """Return the links that a dnsmasq serves."""
        return [edge.b for edge in self.out(server, EdgeKind.OWNER)]

    def networks(self, id: str) -> list[str]:
        """Return libvirt's networks that have a link."""
        return [edge.a for edge in self.into(id, EdgeKind.OWNER) if self.nodes[edge.a].kind is NodeKind.NETWORK]

    def far_ends(self, id: str) -> list[tuple[str, str]]:
        """Return the far ends of a tunnel, with the words on the line."""
        out = [(edge.b, edge.label) for edge in self.out(id, EdgeKind.TUNNEL)]
        return out + [(edge.a, edge.label) for edge in self.into(id, EdgeKind.TUNNEL) if self._is_tunnel(edge.b)]

    def _is_tunnel(self, id: str) -> bool:
        facts = self.nodes[id].facts
        return bool(facts.get("remote") or facts.get("collect_metadata") or facts.get("tunnel_id"))

    def parents(self, id: str) -> list[Edge]:
        """Return the edges to what a link lies on."""
        return self.out(id, EdgeKind.PARENT)

    def upper(self, id: str) -> list[Edge]:
        """Return the edges from what lies on a link."""
        return self.into(id, EdgeKind.PARENT)

    def slaves(self, id: str) -> list[Edge]:
        """Return the ports of what is no bus: of a bond, a VRF."""
        return [] if id in self.is_bus else self.into(id, EdgeKind.PORT)

    def place(self, id: str) -> str | None:
        """Return the bus or box that a link is drawn at: what it is plugged into, else whose it is."""
        owner = self.netns_of(id)
        return self.bus_of(id) or (owner if owner in self.is_box else None)

    def ways(self, netns: str) -> list[Edge]:
        """Return the routes and rewrites between the links of a namespace."""
        links = self.links_of(netns)
        return [edge for link in links for kind in (EdgeKind.NAT, EdgeKind.ROUTE) for edge in self.out(link, kind)]

    def ends_of(self, link: str) -> list[tuple[str | None, str]]:
        """Return by what port in what bus a routed link ends: by its peer, as a port itself; None: as the bus."""
        if link in self.is_bus:
            return [(None, link)]
        ports = (one for one in (self.peer(link), link) if one is not None)
        return [(port, bus) for port in ports if (bus := self.bus_of(port)) is not None]

    def wires(self, bus: str) -> dict[str, list[Wire]]:
        """Return what ties a bus to others directly, by the other."""
        if bus not in self._wires:
            found = self._wires[bus] = {}
            for edge in self.plugs(bus):
                partners = [edge.a, self.peer(edge.a), *(far for far, _words in self.far_ends(edge.a))]
                for other in (tie for id in partners if id is not None for tie in self._plugged(id)):
                    if other.b != bus:
                        found.setdefault(other.b, []).append(Wire(edge, other))
        return self._wires[bus]

    def _plugged(self, id: str) -> list[Edge]:
        ties = [*self.out(id, EdgeKind.PORT), *self.out(id, EdgeKind.PARENT)]
        return [edge for edge in ties if edge.b in self.is_bus]

    def boxes_at(self, bus: str) -> tuple[str, ...]:
        """Return the boxes with a link to a bus."""
        if bus not in self._boxes_at:
            found: dict[str, None] = {}
            ends = [bus, *(edge.a for edge in self.plugs(bus))]
            for link in (link for end in ends for link in (end, self.peer(end)) if link is not None):
                owner = self.netns_of(link)
                if owner in self.is_box and owner is not None and any(at == bus for _port, at in self.ends_of(link)):
                    found[owner] = None
            self._boxes_at[bus] = tuple(found)
        return self._boxes_at[bus]

    def boxes_between(self, one: str, other: str) -> list[str]:
        """Return the boxes with a link to either bus."""
        others = set(self.boxes_at(other))
        return [box for box in self.boxes_at(one) if box in others]

    @cached_property
    def neighbours(self) -> dict[str, list[str]]:
        """Everything that each node is tied to."""
        found: dict[str, list[str]] = {id: [] for id in self.nodes}
        for edge in self.graph.edges:
            found[edge.a].append(edge.b)
            found[edge.b].append(edge.a)
        return found


def around(graph: Graph, start: str, hops: int) -> Graph:
    """Return the part of a graph that is at most so many hops from a node. A hop is from a guest to its bridge, from a
    bridge to a namespace, to another bridge or to a guest: links are half of it, the two ends of a pair are one."""
    near: dict[str, list[tuple[str, int]]] = {}
    for edge in graph.edges:
        halves = 0 if edge.kind is EdgeKind.PEER else 2 if edge.kind in _ACROSS else 1
        near.setdefault(edge.a, []).append((edge.b, halves))
        near.setdefault(edge.b, []).append((edge.a, halves))
    reached = {start: 0}
    waiting = [(0, start)]
    while waiting:
        distance, id = heappop(waiting)
        for other, halves in near.get(id, ()) if distance == reached[id] else ():
            further = distance + halves
            if further <= 2 * hops and further < reached.get(other, further + 1):
                reached[other] = further
                heappush(waiting, (further, other))
    kept = _whole(graph, near, reached, 2 * hops)
    edges = tuple(edge for edge in graph.edges if edge.a in kept and edge.b in kept)
    return Graph({id: node for id, node in graph.nodes.items() if id in kept}, edges, graph.limits)


def _whole(graph: Graph, near: dict[str, list[tuple[str, int]]], reached: dict[str, int], limit: int) -> set[str]:
    """What was reached without the links at its edge that lead further: a tap is not shown without its guest."""
    kept = set(reached)
    edge = {id for id, distance in reached.items() if distance == limit and graph.nodes[id].kind in _LINKS}
    while cut := {id for id in edge & kept if any(other not in kept for other, _halves in near[id])}:
        kept -= cut
    return kept
