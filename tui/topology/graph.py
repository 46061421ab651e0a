"""From a snapshot to the graph of what is plugged into what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.topology import EdgeKind, Graph, NodeKind
from tui.topology.guest_nodes import add_guests, add_networks
from tui.topology.link_nodes import add_far_ends, add_links
from tui.topology.ovs_nodes import add_ovs_bridges, add_ovs_ports
from tui.topology.parts import Parts
from tui.topology.routing import add_dnsmasqs, add_namespaces

if TYPE_CHECKING:
    from tui.model.snapshot import HostSnapshot


_SWITCHES = frozenset({NodeKind.BRIDGE, NodeKind.OVS_BRIDGE, NodeKind.NETWORK})


def build(snapshot: HostSnapshot) -> Graph:
    """Return the graph of a snapshot. Left out is what has no part in it: guests that are off, loopbacks without an
    address of their own, tunnels that the kernel makes by itself."""
    parts = Parts(snapshot)
    add_ovs_bridges(parts)
    add_links(parts)
    add_ovs_ports(parts)
    add_far_ends(parts)
    add_networks(parts)
    add_guests(parts)
    add_namespaces(parts)
    add_dnsmasqs(parts)
    _mark_doubles(parts)
    return Graph(parts.nodes, tuple(parts.edges.values()), _limits(snapshot))


def made_of(snapshot: HostSnapshot) -> tuple[object, ...]:
    """Return the parts of a snapshot that its graph is made of: where all are the same objects, so is the graph."""
    return (
        snapshot.links, snapshot.firewalls, snapshot.ovs, snapshot.dnsmasqs, snapshot.networks, snapshot.domains,
        snapshot.processes, snapshot.addresses, snapshot.limits,
    )  # fmt: skip


def _limits(snapshot: HostSnapshot) -> tuple[str, ...]:
    limits = [] if snapshot.domains_read_ns is not None else ["guests: no connection to libvirt"]
    if snapshot.links is None:
        here = [limit for limit in snapshot.limits if limit.startswith("links")]
        return (*limits, *(here or ["links of the host: not read"]))
    unread = sorted({firewall.problem for firewall in snapshot.firewalls.values() if firewall.problem})
    return (*limits, *snapshot.links.limits, *(f"firewall: {problem}" for problem in unread))


def _mark_doubles(parts: Parts) -> None:
    """Guests on one bridge that have the same MAC or address: neither works as it should."""
    seen: dict[tuple[str, str, str], list[str]] = {}
    for a, b, kind in parts.edges:
        if kind is EdgeKind.PORT and parts.nodes[b].kind in _SWITCHES:
            facts = parts.facts[a]
            for fact in ("guest_mac", "guest_address"):
                if facts.get(fact):
                    seen.setdefault((b, f"{facts.get('tag')}", str(facts[fact])), []).append(a)
    for (_bus, _tag, value), ports in seen.items():
        for port in ports if len(ports) > 1 else ():
            known = parts.facts[port].get("problem")
            parts.tell(port, problem=known or f"another guest here has {value} too")
