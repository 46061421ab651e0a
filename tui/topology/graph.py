"""From a snapshot to the graph of what is plugged into what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.firewall_facts import nat_of
from tui.model.host import ConnectionState
from tui.model.topology import EdgeKind, Graph, NodeKind
from tui.topology.guest_nodes import add_guests, add_networks, state_of_process
from tui.topology.link_nodes import add_far_ends, add_links
from tui.topology.ovs_nodes import add_ovs_bridges, add_ovs_ports
from tui.topology.parts import Parts
from tui.topology.routing import add_dnsmasqs, add_namespaces

if TYPE_CHECKING:
    from tui.model.dnsmasq import Dnsmasq
    from tui.model.firewall_facts import Nat
    from tui.model.link import Links
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


def parts_of(snapshot: HostSnapshot) -> tuple[object, ...]:
    """Return the parts of a snapshot that a graph is made of: where all are the same objects, so is the graph."""
    return (
        snapshot.links, snapshot.firewalls, snapshot.ovs, snapshot.dnsmasqs, snapshot.networks, snapshot.domains,
        snapshot.processes, snapshot.addresses, snapshot.limits,
    )  # fmt: skip


def signature(snapshot: HostSnapshot) -> tuple[object, ...]:
    """Return what of these parts a graph shows: where it is equal, so is the graph. Left out is what moves all the
    time: neighbours, learned MACs, counters of rules, CPU times of processes, how long leases last."""
    links = snapshot.links
    known: tuple[object, ...] = ()
    if links is not None:
        remotes = [(key, _remotes(links, key)) for key, link in links.links.items() if link.tunnel is not None]
        known = (links.namespaces, links.links, links.addresses, links.routes, links.owners, links.limits, remotes)
    return (
        known,
        {key: (one.problem, [_rewrite(nat) for nat in nat_of(one)]) for key, one in snapshot.firewalls.items()},
        snapshot.ovs,
        [(one.key, one.netns, one.interfaces, one.addresses, one.ranges, _given(one)) for one in snapshot.dnsmasqs],
        snapshot.networks,
        {key: (one.name, one.state, one.config and one.config.nics) for key, one in snapshot.domains.items()},
        {key: (one.name, state_of_process(one), one.uuid, one.nics) for key, one in snapshot.processes.items()},
        snapshot.addresses,
        snapshot.limits,
        _limits(snapshot),
    )


def _rewrite(nat: Nat) -> tuple[str, ...]:
    return nat.kind, nat.iif, nat.oif, nat.source, nat.to


def _remotes(links: Links, key: str) -> list[str]:
    return [entry.remote for entry in links.fdb.get(key, ()) if entry.remote]


def _given(dnsmasq: Dnsmasq) -> object:
    return None if dnsmasq.leases is None else [(lease.mac, lease.address) for lease in dnsmasq.leases]


def _limits(snapshot: HostSnapshot) -> tuple[str, ...]:
    unasked = snapshot.connection.state is ConnectionState.ABSENT
    limits = [] if unasked or snapshot.domains_read_ns is not None else ["guests: no connection to libvirt"]
    if snapshot.links is None:
        here = [limit for limit in snapshot.limits if limit.startswith("links")]
        return (*limits, *(here or ["links of the host: not read"]))
    # Of a namespace alone it is said where that is drawn.
    unread = {firewall.problem for firewall in snapshot.firewalls.values()}
    closed = sorted(f"firewall: {problem}" for problem in unread) if unread and "" not in unread else []
    return (*limits, *snapshot.links.limits, *closed)


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
