"""Open vSwitch as nodes: bridges and ports of its database, joined with the links of the host that stand for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.topology import EdgeKind, NodeKind
from tui.topology.link_nodes import add_link, far_end, state_of, tunnel_words

if TYPE_CHECKING:
    from tui.model.link import Link
    from tui.model.ovs import Ovs, OvsBridge, OvsInterface, OvsPort
    from tui.topology.parts import Parts

TUNNELS = frozenset({"gre", "vxlan", "geneve", "erspan", "lisp", "stt", "ip6gre", "gtpu", "bareudp", "srv6"})
INTERNAL = "internal"


def add_ovs_bridges(parts: Parts) -> None:
    """Add the bridges; the link of the host of the same name is the same node. Comes before the links."""
    if (ovs := parts.snapshot.ovs) is not None:
        for bridge in ovs.bridges:
            _add_bridge(parts, ovs, bridge)


def add_ovs_ports(parts: Parts) -> None:
    """Add the ports; where a link of the host stands for one it is the node. Comes after the links."""
    ovs = parts.snapshot.ovs
    if ovs is None:
        return
    patches: dict[str, tuple[str, str]] = {}
    for bridge in ovs.bridges:
        for port in bridge.ports:
            if port.raw_name != bridge.raw_name:
                _add_port(parts, ovs, bridge, port, patches)
    for name, (id, peer) in patches.items():
        other = patches.get(peer)
        if other is not None and other[1] == name and (other[0], id, EdgeKind.PEER) not in parts.edges:
            parts.edge(id, other[0], EdgeKind.PEER, "patch")


def _link_of(parts: Parts, ovs: Ovs, raw_name: str) -> Link | None:
    return parts.by_name.get((ovs.netns or parts.home, raw_name))


def _netns(parts: Parts, ovs: Ovs) -> str:
    return parts.netns_name(ovs.netns or parts.home)


def _add_bridge(parts: Parts, ovs: Ovs, bridge: OvsBridge) -> None:
    link = _link_of(parts, ovs, bridge.raw_name)
    own = next((item for port in bridge.ports for item in port.interfaces if item.raw_name == bridge.raw_name), None)
    state = state_of(link) if link is not None else _state(own) if own is not None else "unknown"
    id = parts.node(
        f"ovs-bridge:{bridge.key}",
        NodeKind.OVS_BRIDGE,
        bridge.name,
        state,
        netns=_netns(parts, ovs),
        key=bridge.key,
        datapath=bridge.datapath or "system",
        fail_mode=bridge.fail_mode,
        stp=bridge.stp or None,
        controllers=", ".join(bridge.controllers),
        problem=ovs.problem,
    )
    if link is not None:
        parts.node_of[link.key] = id
        parts.tell(id, link=link.key)


def _state(interface: OvsInterface) -> str:
    if interface.error:
        return "error"
    if interface.admin_up is False:
        return "down"
    if interface.up is None:
        return "unknown" if interface.admin_up is None else "up"
    return "up" if interface.up else "no-carrier"


def _add_port(parts: Parts, ovs: Ovs, bridge: OvsBridge, port: OvsPort, patches: dict[str, tuple[str, str]]) -> None:
    if len(port.interfaces) == 1:
        id = _add_interface(parts, ovs, port.interfaces[0], f"ovs-port:{port.key}", port.key, patches)
    else:
        # A bond: the port stands for it, and its interfaces are ports of that.
        id = parts.node(
            f"ovs-port:{port.key}", NodeKind.OVS_PORT, port.name, "up", netns=_netns(parts, ovs), key=port.key,
            bond_mode=port.bond_mode or "bond",
        )  # fmt: skip
        for item in port.interfaces:
            slave = _add_interface(parts, ovs, item, f"ovs-port:{port.key}:{item.raw_name}", port.key, patches)
            parts.edge(slave, id, EdgeKind.PORT)
    words = tag_words(port)
    parts.tell(id, tag=port.tag, trunks=_numbers(port.trunks), vlan_mode=port.vlan_mode)
    parts.edge(id, f"ovs-bridge:{bridge.key}", EdgeKind.PORT, words)


def _add_interface(
    parts: Parts, ovs: Ovs, item: OvsInterface, id: str, key: str, patches: dict[str, tuple[str, str]]
) -> str:
    """Return the node of an interface: that of its link where it has one."""
    link = _link_of(parts, ovs, item.raw_name) if item.kind in ("", "system", INTERNAL) else None
    if link is not None:
        id = add_link(parts, link)
    else:
        parts.node(
            id, NodeKind.OVS_PORT, item.name, _state(item), netns=_netns(parts, ovs), key=key,
            link_kind=item.kind or "system", mac=item.mac,
        )  # fmt: skip
    parts.tell(id, ofport=item.ofport, ovs_kind=item.kind, problem=item.error)
    external = dict(item.external_ids)
    parts.tell(id, iface_id=external.get("iface-id"), attached_mac=external.get("attached-mac"))
    if item.kind == "patch":
        parts.tell(id, peer=item.option("peer"))
        patches[item.name] = (id, item.option("peer"))
    if item.kind in TUNNELS:
        _add_far_end(parts, ovs, item, id)
    return id


def _add_far_end(parts: Parts, ovs: Ovs, item: OvsInterface, id: str) -> None:
    remote, number = item.option("remote_ip"), item.option("key")
    parts.tell(id, remote=remote, local=item.option("local_ip"), tunnel_id=number, udp_port=item.option("dst_port"))
    if remote and remote != "flow":
        far = far_end(parts, remote, ovs.netns or parts.home)
        parts.edge(id, far, EdgeKind.TUNNEL, tunnel_words(item.kind, number))


def tag_words(port: OvsPort) -> str:
    """Return tag and trunks of a port as in "tag 10", "trunks 10,20"; "" where it carries all VLANs as they are."""
    words = [] if port.tag is None else [f"tag {port.tag}"]
    words += [f"trunks {_numbers(port.trunks)}"] if port.trunks else []
    words += [port.vlan_mode] if port.vlan_mode not in ("", "access", "trunk") else []
    return " ".join(words)


def _numbers(trunks: tuple[int, ...]) -> str:
    return ",".join(map(str, trunks))
