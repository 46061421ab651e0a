"""The graph while it is made: nodes and edges so far, and by what names things find each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from tui.model.topology import Edge, EdgeKind, Node, NodeKind

if TYPE_CHECKING:
    from tui.model.link import Link, LinkAddress, Links, Netns, TapOwner
    from tui.model.snapshot import HostSnapshot

Fact = str | int | bool | None
K = TypeVar("K", bound=Hashable)


class Parts:
    """Collects the nodes and edges of one snapshot."""

    def __init__(self, snapshot: HostSnapshot) -> None:
        self.snapshot = snapshot
        self.nodes: dict[str, Node] = {}
        self.edges: dict[tuple[str, str, EdgeKind], Edge] = {}
        self.plugged: set[str] = set()
        """The nodes that are a port of something."""
        self.node_of: dict[str, str] = {}
        """The node that stands for a link, by link key."""
        self.facts: dict[str, dict[str, Fact]] = {}
        """The facts of each node, which later parts add to."""
        self.links: Mapping[str, Link] = snapshot.links.links if snapshot.links is not None else {}
        self.by_name = {(link.netns, link.raw_name): link for link in self.links.values()}
        self.home = snapshot.links.home.key if snapshot.links is not None and snapshot.links.home is not None else ""

    @property
    def seen(self) -> Links | None:
        """What rtnetlink told; None: nothing."""
        return self.snapshot.links

    def netns(self, key: str) -> Netns | None:
        """Return a namespace by its key."""
        return self.seen.namespaces.get(key) if self.seen is not None else None

    def netns_name(self, key: str) -> str:
        """Return the name of a namespace, "" where it is not known."""
        netns = self.netns(key)
        return netns.name if netns is not None else ""

    def addresses(self, link: Link) -> tuple[LinkAddress, ...]:
        """Return the addresses of a link but for those of IPv6 that are good on the link alone."""
        found = self.seen.addresses.get(link.key, ()) if self.seen is not None else ()
        return tuple(address for address in found if address.scope != "link" and not _is_link_local(address.address))

    def node(
        self, id: str, kind: NodeKind, name: str, state: str, *, netns: str = "", key: str = "", **facts: Fact
    ) -> str:
        """Add a node, or facts to the one that is there; facts that are None or "" say nothing and are left out."""
        if id not in self.nodes:
            own = self.facts[id] = {}
            self.nodes[id] = Node(id, kind, name, netns, state, own, key)
        self.tell(id, **facts)
        return id

    def tell(self, id: str, **facts: Fact) -> None:
        """Add facts to a node."""
        self.facts[id].update({name: value for name, value in facts.items() if value not in (None, "")})

    def edge(self, a: str, b: str, kind: EdgeKind, label: str = "") -> None:
        """Add an edge, once, between nodes that are there."""
        if a in self.nodes and b in self.nodes and a != b:
            if kind is EdgeKind.PORT:
                self.plugged.add(a)
            self.edges.setdefault((a, b, kind), Edge(a, b, kind, label))

    def owners(self, link: Link) -> tuple[TapOwner, ...]:
        """Return who holds a tap open."""
        return self.seen.owners.get(link.key, ()) if self.seen is not None else ()

    @cached_property
    def named(self) -> dict[str, list[Link]]:
        """The links of a name, in any namespace."""
        return _grouped((link.name, link) for link in self.links.values())

    @cached_property
    def held(self) -> dict[int, list[Link]]:
        """The taps that a process holds open, by its pid."""
        return _grouped((owner.pid, link) for link in self.links.values() for owner in self.owners(link))

    @cached_property
    def pids(self) -> dict[str, set[int]]:
        """The processes of a domain, by its UUID."""
        found: dict[str, set[int]] = {}
        for process in self.snapshot.processes.values():
            if process.uuid is not None:
                found.setdefault(process.uuid, set()).add(process.pid)
        return found

    @cached_property
    def leases(self) -> dict[str, str]:
        """The address that some dnsmasq gave, by MAC in small letters."""
        found = (lease for dnsmasq in self.snapshot.dnsmasqs for lease in dnsmasq.leases or ())
        return {lease.mac.lower(): lease.address for lease in found if lease.mac}

    @cached_property
    def holders(self) -> dict[str, list[Link]]:
        """The links that have an address, by the address."""
        return _grouped((address.address, link) for link in self.links.values() for address in self.addresses(link))

    @cached_property
    def tunnels(self) -> dict[tuple[str, int | None, str, str], list[Link]]:
        """The tunnels by kind, number, own and far address."""
        ends = ((link, link.tunnel) for link in self.links.values() if link.tunnel is not None)
        return _grouped(((link.kind, tunnel.id, tunnel.local, tunnel.remote), link) for link, tunnel in ends)


def _grouped(pairs: Iterable[tuple[K, Link]]) -> dict[K, list[Link]]:
    found: dict[K, list[Link]] = {}
    for key, link in pairs:
        found.setdefault(key, []).append(link)
    return found


def _is_link_local(address: str) -> bool:
    return address.lower().startswith("fe80:")
