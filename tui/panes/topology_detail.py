"""The detail of a node of the topology: what it is, what goes through it, what it is tied to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.topology import Edge, EdgeKind, Node
from tui.model.verdict_words import fact_lines
from tui.panes.text import BLANK, heading, line, note, paragraph
from tui.topology.words import speed_words
from tui.widgets.lines import Span

if TYPE_CHECKING:
    from tui.panes.spec import View
    from tui.panes.topology import Chosen
    from tui.widgets.lines import SpanLine

_MOST_TIES = 60
_STYLES = {"up": "good", "running": "good", "active": "good", "down": "bad", "disabled": "bad", "no-carrier": "warn",
           "blocking": "warn", "listening": "warn", "learning": "warn", "crashed": "bad"}  # fmt: skip
_LABELS: Mapping[str, str] = {
    "link_kind": "Kind", "nic_kind": "Kind", "netns_kind": "Kind", "program": "Program", "pid": "Process",
    "addresses": "Addresses", "gateway": "Default via", "guest_address": "Guest has", "guest_mac": "Guest MAC",
    "mac": "MAC", "mtu": "MTU", "speed_mbit": "Speed", "duplex": "Duplex", "source": "Source", "model": "Model",
    "vlan_id": "VLAN", "vlan_protocol": "Protocol", "vlans": "VLANs", "tag": "Tag", "trunks": "Trunks",
    "vlan_mode": "VLAN mode", "port_state": "Port", "port_cost": "Cost", "isolated": "Isolated", "hairpin": "Hairpin",
    "bpdu_guard": "BPDU guard", "stp": "STP", "vlan_filtering": "VLAN-aware", "forward_delay_s": "Delay, s",
    "bridge_id": "Bridge id", "root_id": "Root", "bond_mode": "Bond mode", "miimon_ms": "MII, ms", "slave": "Slave",
    "failures": "Failures", "mode": "Mode", "tap_mode": "Tap mode", "multi_queue": "Multi-queue",
    "persistent": "Persistent", "tunnel_id": "Number", "local": "Near end", "remote": "Far end", "udp_port": "UDP port",
    "collect_metadata": "External", "vrf_table": "Table", "forwarding": "Forwarding", "ipv4_forwarding": "IPv4 fwd",
    "ipv6_forwarding": "IPv6 fwd", "rp_filter": "rp_filter", "nat": "NAT", "nat_unknown": "NAT", "path": "File",
    "datapath": "Datapath", "fail_mode": "Fail mode", "controllers": "Controller", "ofport": "OF port",
    "iface_id": "iface-id", "attached_mac": "Attached MAC", "bridge": "Bridge", "device": "Device",
    "dhcp_ranges": "DHCP", "leases": "Leases", "network": "Network", "autostart": "Autostart", "alias": "Alias",
    "altnames": "Other names", "operstate": "Operstate", "promiscuous": "Promiscuous", "physical": "Physical",
    "uplink": "Uplink",
}  # fmt: skip
_FROM = {EdgeKind.PORT: "port of", EdgeKind.PEER: "pair with", EdgeKind.PARENT: "lies on", EdgeKind.TAP: "has",
         EdgeKind.OWNER: "has", EdgeKind.ROUTE: "routes to", EdgeKind.NAT: "NAT to",
         EdgeKind.TUNNEL: "tunnel to"}  # fmt: skip
_TO = {EdgeKind.PORT: "has port", EdgeKind.PEER: "pair with", EdgeKind.PARENT: "carries", EdgeKind.TAP: "of",
       EdgeKind.OWNER: "of", EdgeKind.ROUTE: "routes from", EdgeKind.NAT: "NAT from",
       EdgeKind.TUNNEL: "tunnel from"}  # fmt: skip


def node_lines(view: View, chosen: Chosen) -> list[SpanLine]:
    """Return what is known of a node and of what is drawn as one item with it."""
    lines = _node(view, chosen.node)
    for hop in chosen.hops:
        facts = fact_lines(hop.facts, view.detail_width)
        lines += [BLANK, heading(f"On the path: {hop.kind} {hop.name}"), *([Span(*p) for p in one] for one in facts)]
    for node in chosen.others:
        lines += [BLANK, *_node(view, node)]
    return lines


def _node(view: View, node: Node) -> list[SpanLine]:
    where = f" in {node.netns}" if node.netns and node.kind.value != "netns" else ""
    lines = [
        heading(node.name),
        note(f"{node.kind.value}{where}"),
        line("State", node.state, _STYLES.get(node.state, "")),
    ]
    if problem := node.facts.get("problem"):
        lines += paragraph(f"⚠ {problem}", "bad", view.detail_width)
    lines += _traffic(view, str(node.facts.get("link") or ""))
    for fact, label in _LABELS.items():
        if fact in node.facts:
            lines += [
                line(label if index == 0 else "", text) for index, text in enumerate(_words(fact, node.facts[fact]))
            ]
    return lines


def _words(fact: str, value: str | int | bool | None) -> list[str]:
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if fact == "speed_mbit":
        return [speed_words(int(value or 0))]
    if fact == "nat_unknown":
        return [f"? ({value})"]
    return str(value).split(", ")


def _traffic(view: View, key: str) -> list[SpanLine]:
    usage = view.snapshot.link_usage.get(key)
    if usage is None:
        return []
    both = (("In", usage.rx_bytes_per_s, usage.rx_packets_per_s), ("Out", usage.tx_bytes_per_s, usage.tx_packets_per_s))
    lines = [line(label, f"{units.rate(size)}/s  {_count(packets)} packets/s") for label, size, packets in both]
    if usage.new_errors or usage.new_drops:
        lines.append(line("Just now", f"{usage.new_errors} errors, {usage.new_drops} drops", "warn"))
    return lines


def _count(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:.0f}"


def tie_lines(_view: View, chosen: Chosen) -> list[SpanLine]:
    """Return what a node is tied to, and how."""
    id = chosen.node.id
    ties = [edge for edge in chosen.graph.edges if id in (edge.a, edge.b)]
    lines = [_tie(chosen, edge) for edge in ties[:_MOST_TIES]]
    if len(ties) > _MOST_TIES:
        lines.append(note(f"and {len(ties) - _MOST_TIES} more"))
    return lines or [note("tied to nothing")]


def _tie(chosen: Chosen, edge: Edge) -> SpanLine:
    from_here = edge.a == chosen.node.id
    other = chosen.graph.nodes[edge.b if from_here else edge.a]
    where = f"@{other.netns}" if other.netns not in ("", chosen.node.netns) else ""
    label = f" [{edge.label}]" if edge.label else ""
    return line((_FROM if from_here else _TO)[edge.kind], f"{other.name}{where}{label}")
