"""Links as nodes: bridges with their ports, veth pairs, what lies on what, tunnels and their far ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.default_links import DEFAULT_LINKS
from tui.model.topology import EdgeKind, NodeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.model.link import Link, PortVlan
    from tui.topology.parts import Fact, Parts

_OVS_OWN = frozenset({"ovs-system", "ovs-netdev"})
_PEERS = frozenset({"veth", "netkit"})


def add_links(parts: Parts) -> None:
    """Add every link that somebody made, and the ties between them."""
    shown = [link for link in parts.links.values() if not _is_hidden(parts, link)]
    for link in shown:
        add_link(parts, link)
    for link in shown:
        _add_ties(parts, link)


def add_far_ends(parts: Parts) -> None:
    """Tie every tunnel to its far ends, once all links are there."""
    for link in parts.links.values():
        if link.tunnel is not None and link.key in parts.node_of:
            _add_far_ends(parts, link)


def _is_hidden(parts: Parts, link: Link) -> bool:
    if link.kind == "loopback":
        return all(address.scope == "host" for address in parts.addresses(link))
    if link.raw_name in DEFAULT_LINKS:
        return not link.up and not parts.addresses(link)
    return parts.snapshot.ovs is not None and link.raw_name in _OVS_OWN


def state_of(link: Link) -> str:
    """Return the state of a link in one word: that of its port where it has a carrier."""
    if not link.up:
        return "down"
    if not link.carrier:
        return "no-carrier"
    if link.port is not None and link.port.state.value != "forwarding":
        return link.port.state.value
    return "up"


def add_link(parts: Parts, link: Link) -> str:
    """Return the id of the node of a link, which is added where Open vSwitch did not name it already."""
    known = parts.node_of.get(link.key)
    if known is None:
        kind = NodeKind.BRIDGE if link.kind == "bridge" else NodeKind.LINK
        known = parts.node_of[link.key] = parts.node(
            f"link:{link.key}", kind, link.name, state_of(link), netns=parts.netns_name(link.netns), key=link.key
        )
    parts.tell(known, **link_facts(parts, link))
    return known


def link_facts(parts: Parts, link: Link) -> dict[str, Fact]:
    """Return what a link is worth saying: its kind's own words, addresses, and what limits it."""
    facts: dict[str, Fact] = {
        "link": link.key,
        "link_kind": link.kind,
        "mac": link.mac,
        "mtu": link.mtu,
        "operstate": link.operstate,
        "addresses": ", ".join(f"{address.address}/{address.prefix}" for address in parts.addresses(link)),
        "alias": link.alias,
        "altnames": ", ".join(link.altnames),
        "vlan_id": link.vlan_id,
        "vlan_protocol": link.vlan_protocol,
        "mode": link.mode,
        "vrf_table": link.vrf_table,
        "vlans": vlan_words(link.vlans),
        "forwarding": link.forwarding,
        "rp_filter": link.rp_filter,
        "physical": link.physical or None,
        "promiscuous": link.promiscuous or None,
        "speed_mbit": link.speed_mbit,
        "duplex": link.duplex,
        "peer_unseen": link.parent_netns_unseen or None,
        "problem": _problem(parts, link),
    }
    return facts | _particulars(link)


def _particulars(link: Link) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    if (bridge := link.bridge) is not None:
        facts |= {"stp": bridge.stp, "vlan_filtering": bridge.vlan_filtering}
        facts |= {"forward_delay_s": _whole(bridge.forward_delay_s), "bridge_id": bridge.bridge_id}
        facts |= {"root_id": bridge.root_id}
    if (port := link.port) is not None:
        facts |= {"port_state": port.state.value, "port_cost": port.cost}
        facts |= {"hairpin": port.hairpin or None, "isolated": port.isolated or None, "bpdu_guard": port.guard or None}
    if (tunnel := link.tunnel) is not None:
        facts |= {"tunnel_id": tunnel.id, "local": tunnel.local, "remote": tunnel.remote, "udp_port": tunnel.port}
        facts |= {"collect_metadata": tunnel.collect_metadata or None}
    if (bond := link.bond) is not None:
        facts |= {"bond_mode": bond.mode, "miimon_ms": bond.miimon_ms}
    if (slave := link.slave) is not None:
        facts |= {"slave": _slave_words(link), "slave_up": slave.up, "failures": slave.failures or None}
    if (tap := link.tap) is not None:
        facts |= {"tap_mode": tap.mode, "multi_queue": tap.multi_queue or None, "persistent": tap.persistent or None}
    return facts


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _problem(parts: Parts, link: Link) -> str:
    failed = [address.address for address in parts.addresses(link) if "dadfailed" in address.flags]
    if failed:
        return f"{failed[0]} is in use by another host"
    if link.slave is not None and not link.slave.up and link.up:
        return "the bond finds it down"
    return ""


def vlan_words(vlans: Sequence[PortVlan]) -> str:
    """Return VLANs as in "10 pvid untagged, 20-30"; "" for none, and where there is but the default VLAN 1."""
    if [(vlan.first, vlan.last, vlan.untagged) for vlan in vlans] == [(1, 1, True)]:
        return ""
    return ", ".join(_vlan(vlan) for vlan in vlans)


def _vlan(vlan: PortVlan) -> str:
    span = str(vlan.first) if vlan.first == vlan.last else f"{vlan.first}-{vlan.last}"
    return " ".join([span, *(["pvid"] if vlan.pvid else []), *(["untagged"] if vlan.untagged else [])])


def _add_ties(parts: Parts, link: Link) -> None:
    id = parts.node_of[link.key]
    master = parts.node_of.get(link.master or "")
    if master is not None:
        filtering = parts.facts[master].get("vlan_filtering") is True
        words = vlan_words(link.vlans) if filtering else ""
        parts.edge(id, master, EdgeKind.PORT, f"vlan {words}" if words else _slave_words(link))
    peer = parts.node_of.get(link.peer or "")
    if link.kind in _PEERS and peer is not None and (peer, id, EdgeKind.PEER) not in parts.edges:
        parts.edge(id, peer, EdgeKind.PEER)
    parent = parts.node_of.get(link.parent or "")
    if parent is not None and link.kind not in _PEERS:
        parts.edge(id, parent, EdgeKind.PARENT, _parent_words(link))


def _slave_words(link: Link) -> str:
    return "" if link.slave is None else "active" if link.slave.active else "backup"


def _parent_words(link: Link) -> str:
    if link.vlan_id is not None:
        return f"vlan {link.vlan_id}" + (" 802.1ad" if link.vlan_protocol == "802.1ad" else "")
    return f"{link.kind} {link.mode}".strip()


def tunnel_words(kind: str, id: int | str | None) -> str:
    """Return a tunnel's kind and number as in "vxlan 42", "gre key 7"."""
    if id in (None, ""):
        return kind
    return f"{kind} key {id}" if "gre" in kind else f"{kind} {id}"


def _add_far_ends(parts: Parts, link: Link) -> None:
    assert link.tunnel is not None
    id, words = parts.node_of[link.key], tunnel_words(link.kind, link.tunnel.id)
    fdb = parts.seen.fdb.get(link.key, ()) if parts.seen is not None else ()
    remotes = [link.tunnel.remote, *(entry.remote for entry in fdb)]
    for remote in dict.fromkeys(remote for remote in remotes if remote and remote not in ("0.0.0.0", "::")):
        other = _mirror(parts, link, remote)
        if other is not None:
            a, b = sorted((id, parts.node_of[other.key]))
            parts.edge(a, b, EdgeKind.TUNNEL, words)
        else:
            parts.edge(id, far_end(parts, remote, link.netns), EdgeKind.TUNNEL, words)


def _mirror(parts: Parts, link: Link, remote: str) -> Link | None:
    """The one other end that points back with the same kind and number."""
    assert link.tunnel is not None
    ends = parts.tunnels.get((link.kind, link.tunnel.id, remote, link.tunnel.local), ()) if link.tunnel.local else ()
    found = [other for other in ends if other.key != link.key and other.key in parts.node_of]
    return found[0] if len(found) == 1 else None


def far_end(parts: Parts, address: str, netns: str) -> str:
    """Return the id of what has an address outside a namespace: the one link here that has it, else a far end."""
    holders = [link.key for link in parts.holders.get(address, ()) if link.netns != netns and link.key in parts.node_of]
    if len(holders) == 1:
        return parts.node_of[holders[0]]
    group = "multicast" if is_multicast(address) else "remote"
    return parts.node(f"far-end:{address}", NodeKind.FAR_END, address, group, address=address)


def is_multicast(address: str) -> bool:
    """Whether an address is a multicast group."""
    head = address.partition(".")[0]
    return address.lower().startswith("ff") if ":" in address else head.isdigit() and 224 <= int(head) <= 239
