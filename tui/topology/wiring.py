"""Which links frames get to from which: ports of bridges, ends of pairs, what lies on what; whether it works or not."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tui.model.link import PortState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tui.model.link import Link, LinkAddress, Netns
    from tui.model.ovs import Ovs, OvsBridge, OvsInterface, OvsPort
    from tui.model.snapshot import HostSnapshot

_PAIRS = frozenset({"veth", "netkit"})
_ON_OTHERS = frozenset({"macvtap", "macvlan"})
_TUNNELS = frozenset({"vxlan", "gretap", "geneve", "ip6gretap", "l2tpeth"})
_INTERNAL = frozenset({"openvswitch", "tun"})
"""What an internal port is to the kernel, with its own datapath and with that in userspace."""
OVS = "ovs:"
"""Before the UUID of an Open vSwitch bridge, as a node."""
OVS_PORT = "ovs-port:"
"""Before the UUID of one of its ports that no link of the host stands for."""


class Wiring:
    """The plugs of one snapshot. A node is the key of a link, or an Open vSwitch bridge or port by OVS and OVS_PORT."""

    def __init__(self, snapshot: HostSnapshot) -> None:
        links = snapshot.links
        self.links: Mapping[str, Link] = links.links if links is not None else {}
        self.namespaces: Mapping[str, Netns] = links.namespaces if links is not None else {}
        self._addresses = links.addresses if links is not None else {}
        self.home = links.home.key if links is not None and links.home is not None else ""
        self.ports: dict[str, list[str]] = {}
        """The ports of a bridge, of either kind, by its node."""
        self.ovs_ports: dict[str, tuple[OvsBridge, OvsPort, OvsInterface]] = {}
        """What Open vSwitch says of a port, by its node."""
        self.ovs_bridges: dict[str, OvsBridge] = {}
        self._closed = frozenset(key for key, link in self.links.items() if _is_closed(link))
        self._segments: dict[str, list[str]] = {}
        self._near: dict[str, list[str]] = {}
        self._on: dict[str, list[str]] = {}
        """The macvtaps and macvlans on a link."""
        self._above: dict[str, list[str]] = {}
        """The VLANs on a link."""
        self._by_name = {(link.netns, link.raw_name): link for link in self.links.values()}
        if snapshot.ovs is not None:
            self._add_ovs(snapshot.ovs)
        for link in self.links.values():
            self._add_link(link)

    # What is there

    def link(self, node: str) -> Link | None:
        """Return the link that a node is, None for a part of Open vSwitch."""
        return self.links.get(node)

    def named(self, netns: str, raw_name: str) -> Link | None:
        """Return a link of a namespace by its name."""
        return self._by_name.get((netns, raw_name))

    def netns_name(self, key: str) -> str:
        """Return the name of a namespace, "" where it is not known."""
        netns = self.namespaces.get(key)
        return netns.name if netns is not None else ""

    def addresses(self, link: Link) -> tuple[LinkAddress, ...]:
        """Return the addresses of a link that packets from elsewhere may have as their destination."""
        return tuple(a for a in self._addresses.get(link.key, ()) if a.scope not in ("link", "host"))

    def master(self, node: str) -> str | None:
        """Return the bridge that a node is a port of, None for a link of its own."""
        if (port := self.ovs_ports.get(node)) is not None:
            return OVS + port[0].key
        link = self.links.get(node)
        return link.master if link is not None and link.master_kind != "vrf" and not _is_ovs(link) else None

    def is_bridge(self, node: str) -> bool:
        """Whether frames that come in by one of its ports leave by another."""
        link = self.links.get(node)
        return node in self.ovs_bridges or (link is not None and link.kind == "bridge")

    def peer(self, node: str) -> str | None:
        """Return the other end of a pair that can be seen."""
        link = self.links.get(node)
        if link is not None and link.kind in _PAIRS and link.peer in self.links:
            return link.peer
        return None

    def near(self, node: str) -> list[str]:
        """Return the nodes that a frame gets to next."""
        return self._near.get(node, [])

    # How they hang together

    def stem(self, node: str) -> list[str]:
        """Return the way from a link to the bridge that it is plugged into, as far as it goes: across a pair, too."""
        found = [node]
        while True:
            last = found[-1]
            after = self.master(last) or (self.peer(last) if len(found) == 1 else None)
            if after is None or after in found:
                return found
            found.append(after)
            if self.is_bridge(after):
                return found

    def path(self, start: str, goal: str) -> list[str] | None:
        """Return the shortest way that frames can take between two links, with both; None where there is none. Where
        spanning tree has closed one of several ways, another one is it."""
        return self._path(start, goal, self._closed - {start, goal}) or self._path(start, goal, frozenset())

    def _path(self, start: str, goal: str, without: frozenset[str]) -> list[str] | None:
        before = dict.fromkeys(without, "") | {start: ""}
        for node in self._reached(start, before):
            if node == goal:
                return list(_traced(before, goal))
        return None

    def segment(self, start: str) -> list[str]:
        """Return all nodes that frames from a link get to, nearest first."""
        found = self._segments.get(start)
        if found is None:
            found = self._segments[start] = list(self._reached(start, {start: ""}))
        return found

    def endpoints(self, start: str) -> list[Link]:
        """Return the links of the same segment that may have addresses, nearest first."""
        found = (self.links.get(node) for node in self.segment(start))
        below = self.links[start].parent if start in self.links and self.links[start].kind in _ON_OTHERS else None
        return [link for link in found if link is not None and link.key != below and self.is_endpoint(link)]

    def is_endpoint(self, link: Link) -> bool:
        """Whether what comes in by a link goes up to its namespace's own network stack."""
        if (port := self.ovs_ports.get(link.key)) is not None:
            return port[2].kind == "internal"
        return link.kind == "bridge" or (self.master(link.key) is None and link.kind != "loopback")

    def leads_out(self, node: str) -> bool:
        """Whether frames leave what can be seen by a link: to a cable, a tunnel, or a namespace that is hidden."""
        link = self.links.get(node)
        if link is None:
            port = self.ovs_ports.get(node)
            return port is not None and port[2].kind not in ("", "system", "internal", "patch")
        hidden = link.kind in _PAIRS and link.peer is None
        return link.physical or hidden or link.kind in _TUNNELS or link.kind in ("bond", "team")

    def way_out(self, start: str, mac: str = "", fdb: Mapping[str, frozenset[str]] | None = None) -> list[str] | None:
        """Return the way to the nearest link that leads out of the host; where the bridges have learned a MAC behind
        one of them, to that."""
        exits = [node for node in self.segment(start) if self.leads_out(node) and self._may_leave(node, start)]
        learned = [node for node in exits if fdb is not None and mac and mac in fdb.get(node, frozenset())]
        chosen = (learned or exits)[:1]
        return self.path(start, chosen[0]) if chosen else None

    def _may_leave(self, node: str, start: str) -> bool:
        """A bond's slave is not the way out itself, the bond is."""
        link = self.links.get(node)
        return link is None or link.slave is None or node == start

    def _reached(self, start: str, before: dict[str, str]) -> Iterator[str]:
        queue = deque([start])
        while queue:
            node = queue.popleft()
            yield node
            for other in self._next(node, start):
                if other not in before:
                    before[other] = node
                    queue.append(other)

    def _next(self, node: str, start: str) -> list[str]:
        """Where a frame gets to from a node: a VLAN hears what comes in to the link below it, not what leaves by it."""
        onward = self.near(node) if node == start or self._passes(node) else []
        link = self.links.get(node)
        heard = link is not None and node != start and not link.physical and self.is_endpoint(link)
        return [*onward, *self._above.get(node, ())] if heard else onward

    def _passes(self, node: str) -> bool:
        """Whether frames that reach a node go on: into a bridge, out of a port, between links on the same parent."""
        link = self.links.get(node)
        return link is None or link.kind == "bridge" or not self.is_endpoint(link)

    def _join(self, a: str, b: str) -> None:
        self._near.setdefault(a, []).append(b)
        self._near.setdefault(b, []).append(a)

    def _add_link(self, link: Link) -> None:
        master = self.master(link.key)
        if master is not None and master in self.links:
            self._join(link.key, master)
            self.ports.setdefault(master, []).append(link.key)
        peer, parent = self.peer(link.key), link.parent if link.parent in self.links else None
        if peer is not None and link.key < peer:
            self._join(link.key, peer)
        if parent is not None and link.kind == "vlan":
            self._near.setdefault(link.key, []).append(parent)
            self._above.setdefault(parent, []).append(link.key)
        elif parent is not None and link.kind in _ON_OTHERS:
            # The parent's own stack does not hear them: they reach what is outside of it, and each other.
            self._near.setdefault(link.key, []).append(parent)
            siblings = self._on.setdefault(parent, [])
            for other in siblings:
                self._join(link.key, other)
            siblings.append(link.key)

    def _add_ovs(self, ovs: Ovs) -> None:
        patches: dict[str, tuple[str, str]] = {}
        for bridge in ovs.bridges:
            node = OVS + bridge.key
            self.ovs_bridges[node] = bridge
            for port in bridge.ports:
                for interface in port.interfaces:
                    end = self._ovs_end(ovs, port, interface)
                    self.ovs_ports[end] = (bridge, port, interface)
                    self._join(end, node)
                    self.ports.setdefault(node, []).append(end)
                    if interface.kind == "patch":
                        patches[interface.name] = (end, interface.option("peer"))
        for name, (end, peer) in patches.items():
            other = patches.get(peer)
            if other is not None and other[1] == name and end < other[0]:
                self._join(end, other[0])

    def _ovs_end(self, ovs: Ovs, port: OvsPort, interface: OvsInterface) -> str:
        link = self.named(ovs.netns or self.home, interface.raw_name)
        if link is None and interface.kind == "internal":
            # One that was moved to another namespace is a port all the same.
            moved = (item for item in self.links.values() if item.raw_name == interface.raw_name)
            link = next((item for item in moved if item.kind in _INTERNAL), None)
        if link is not None:
            return link.key
        return OVS_PORT + port.key if len(port.interfaces) == 1 else f"{OVS_PORT}{port.key}:{interface.raw_name}"


def _is_ovs(link: Link) -> bool:
    return link.master_kind == "openvswitch"


def _is_closed(link: Link) -> bool:
    return link.port is not None and link.port.state is PortState.BLOCKING


def _traced(before: Mapping[str, str], goal: str) -> Iterable[str]:
    found = [goal]
    while before[found[-1]]:
        found.append(before[found[-1]])
    return reversed(found)
