"""The graph of scripted snapshots: each kind of node and edge, from the facts that make it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.net_host import HOME, NetHost, homework, nic
from tui.model.dnsmasq import DhcpRange, Dnsmasq
from tui.model.domain import DomainState
from tui.model.firewall import Firewall
from tui.model.link import (
    BondFacts,
    BondSlaveFacts,
    BridgeFacts,
    FdbEntry,
    LinkAddress,
    LinkNeighbour,
    NetnsKind,
    PortFacts,
    PortState,
    PortVlan,
    TapOwner,
    TunnelFacts,
)
from tui.model.ovs import Ovs, OvsBridge, OvsInterface, OvsPort
from tui.model.process import QemuNic
from tui.model.topology import EdgeKind, Graph, Node, NodeKind
from tui.topology.graph import build, signature


def graph(host: NetHost) -> Graph:
    return build(host.snapshot())


def node(made: Graph, name: str, netns: str | None = None) -> Node:
    found = [one for one in made.nodes.values() if one.name == name and netns in (None, one.netns)]
    assert len(found) == 1, f"{name}: {found}"
    return found[0]


def edges(made: Graph, *kinds: EdgeKind) -> set[tuple[str, str, str]]:
    """(name, name, label) of the edges of these kinds."""
    return {(made.nodes[edge.a].name, made.nodes[edge.b].name, edge.label) for edge in made.edges if edge.kind in kinds}


def test_the_homework_network() -> None:
    made = graph(homework())
    assert edges(made, EdgeKind.PORT) == {
        ("tap1", "br-in", ""), ("tap2", "br-in", ""), ("b-in", "br-in", ""), ("b-ex", "br-ex", ""),
        ("up0", "br-ex", ""),
    }  # fmt: skip
    assert edges(made, EdgeKind.PEER) == {("b-in", "r1-in", ""), ("b-ex", "r1-ex", ""), ("up0", "wan0", "")}
    assert edges(made, EdgeKind.TAP) == {("vm1", "tap1", ""), ("vm2", "tap2", "")}
    assert edges(made, EdgeKind.NAT) == {("r1-in", "r1-ex", "masquerade")}
    assert edges(made, EdgeKind.ROUTE) == set()
    assert node(made, "r1-ex").facts["gateway"] == "203.0.113.1"
    assert node(made, "tap1").facts["guest_address"] == "10.0.0.11", "the lease of some dnsmasq"
    assert made.limits == ()


def test_ids_are_stable_and_keys_lead_back() -> None:
    host = homework()
    made = graph(host)
    for one in made.nodes.values():
        kind, _, rest = one.id.partition(":")
        if kind in ("link", "domain", "netns", "dnsmasq"):
            assert rest == one.key
    assert made.nodes.keys() == graph(host).nodes.keys()
    assert node(made, "vm1").key in host.domains
    assert node(made, "tap1").key in host.links


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, "up"),
        ({"up": False, "carrier": False}, "down"),
        ({"carrier": False}, "no-carrier"),
        ({"port": PortFacts(PortState.BLOCKING)}, "blocking"),
        ({"port": PortFacts(PortState.LISTENING)}, "listening"),
        ({"port": PortFacts(PortState.DISABLED)}, "disabled"),
        ({"up": False, "port": PortFacts(PortState.BLOCKING)}, "down"),
    ],
)
def test_the_state_of_a_port(facts: dict[str, Any], state: str) -> None:
    host = NetHost()
    host.tap("tap0", master=host.bridge("br0"), **facts)
    assert node(graph(host), "tap0").state == state


def test_vlans_of_ports_are_told_where_the_bridge_looks_at_them() -> None:
    host = NetHost()
    aware = host.bridge("br0")
    host.change(aware, bridge=BridgeFacts(vlan_filtering=True))
    trunk = (PortVlan(1, 1, pvid=True, untagged=True), PortVlan(20, 30))
    host.tap("access", master=aware, vlans=(PortVlan(10, 10, pvid=True, untagged=True),))
    host.tap("trunk", master=aware, vlans=trunk)
    host.tap("plain", master=aware, vlans=(PortVlan(1, 1, pvid=True, untagged=True),))
    host.tap("elsewhere", master=host.bridge("br1"), vlans=trunk)
    assert edges(graph(host), EdgeKind.PORT) == {
        ("access", "br0", "vlan 10 pvid untagged"),
        ("trunk", "br0", "vlan 1 pvid untagged, 20-30"),
        ("plain", "br0", ""),
        ("elsewhere", "br1", ""),
    }


def test_what_lies_on_what() -> None:
    host = NetHost()
    eth0 = host.link("eth0", physical=True, speed_mbit=10000)
    host.link("eth0.10", "vlan", parent=eth0, vlan_id=10, vlan_protocol="802.1Q")
    host.link("eth0.20", "vlan", parent=eth0, vlan_id=20, vlan_protocol="802.1ad")
    host.link("mac0", "macvtap", parent=eth0, mode="bridge")
    made = graph(host)
    assert edges(made, EdgeKind.PARENT) == {
        ("eth0.10", "eth0", "vlan 10"), ("eth0.20", "eth0", "vlan 20 802.1ad"), ("mac0", "eth0", "macvtap bridge"),
    }  # fmt: skip
    assert node(made, "eth0").facts["uplink"] is True
    assert node(made, "eth0").facts["speed_mbit"] == 10000


def test_bonds_and_vrfs_have_ports() -> None:
    host = NetHost()
    bond = host.link("bond0", "bond", bond=BondFacts("active-backup"))
    host.link("eth0", master=bond, slave=BondSlaveFacts(True, True))
    host.link("eth1", master=bond, slave=BondSlaveFacts(False, False, failures=3))
    host.link("red0", master=host.link("red", "vrf", vrf_table=100))
    made = graph(host)
    assert edges(made, EdgeKind.PORT) == {
        ("eth0", "bond0", "active"), ("eth1", "bond0", "backup"), ("red0", "red", ""),
    }  # fmt: skip
    assert node(made, "eth1").facts["problem"] == "the bond finds it down"
    assert node(made, "red").facts["vrf_table"] == 100


def test_a_pair_whose_other_end_is_not_seen_is_no_pair() -> None:
    host = NetHost()
    host.link("veth0", "veth", parent_netns_unseen=True)
    made = graph(host)
    assert made.edges == ()
    assert node(made, "veth0").facts["peer_unseen"] is True


def test_what_the_kernel_makes_by_itself_is_left_out() -> None:
    host = NetHost()
    lo = host.link("lo", "loopback")
    for name in ("gre0", "tunl0", "sit0"):
        host.link(name, "gre", up=False)
    router = host.netns("r1")
    own = host.link("lo", "loopback", netns=router)
    host.addresses[own] = (LinkAddress("192.0.2.1", 32, scope="global"),)
    host.addresses[lo] = (LinkAddress("127.0.0.1", 8, scope="host"),)
    names = [(one.name, one.netns) for one in graph(host).nodes.values()]
    assert names == [("lo", "r1")], "a loopback with an address of its own counts"


# Tunnels


def tunnel(host: NetHost, name: str, local: str, remote: str, netns: str = HOME, number: int = 42) -> str:
    return host.link(name, "vxlan", netns=netns, tunnel=TunnelFacts(number, local, remote, 4789))


def test_far_ends() -> None:
    host = NetHost()
    out = tunnel(host, "vx0", "10.0.0.1", "192.0.2.9")
    tunnel(host, "vx1", "10.0.0.1", "239.1.1.1", number=7)
    host.link("vx2", "vxlan", tunnel=TunnelFacts(8, "", "0.0.0.0"))
    made = graph(host)
    assert edges(made, EdgeKind.TUNNEL) == {("vx0", "192.0.2.9", "vxlan 42"), ("vx1", "239.1.1.1", "vxlan 7")}
    assert node(made, "239.1.1.1").state == "multicast"
    assert node(made, "192.0.2.9").kind is NodeKind.FAR_END
    assert made.nodes[f"link:{out}"].facts["udp_port"] == 4789


def test_a_far_end_that_is_here_is_joined() -> None:
    host = NetHost()
    space = host.netns("site")
    tunnel(host, "vx0", "10.0.0.1", "10.0.0.2")
    host.address(host.link("eth0", netns=space), "10.0.0.2/24")
    assert edges(graph(host), EdgeKind.TUNNEL) == {("vx0", "eth0", "vxlan 42")}
    tunnel(host, "vx9", "10.0.0.2", "10.0.0.1", netns=space)
    assert edges(graph(host), EdgeKind.TUNNEL) == {("vx0", "vx9", "vxlan 42")}, "both ends of one tunnel, once"


def test_two_places_of_one_address_prove_nothing() -> None:
    host = NetHost()
    tunnel(host, "vx0", "10.0.0.1", "10.0.0.2")
    for name in ("one", "two"):
        host.address(host.link("eth0", netns=host.netns(name)), "10.0.0.2/24")
    assert edges(graph(host), EdgeKind.TUNNEL) == {("vx0", "10.0.0.2", "vxlan 42")}


def test_far_ends_that_the_forwarding_table_names() -> None:
    host = NetHost()
    key = host.link("vx0", "vxlan", tunnel=TunnelFacts(42, "10.0.0.1", ""))
    seen = host.snapshot()
    assert seen.links is not None
    entries = tuple(FdbEntry("00:00:00:00:00:00", remote=remote) for remote in ("192.0.2.1", "192.0.2.2", "192.0.2.1"))
    made = build(replace(seen, links=replace(seen.links, fdb={key: entries})))
    assert {far for _tunnel, far, _label in edges(made, EdgeKind.TUNNEL)} == {"192.0.2.1", "192.0.2.2"}


# Open vSwitch


def port(name: str, kind: str = "", *, tag: int | None = None, trunks: tuple[int, ...] = (), **options: str) -> OvsPort:
    item = OvsInterface(name, name, kind, 1, True, True, options=tuple(options.items()))
    return OvsPort(f"uuid-{name}", name, name, (item,), tag, trunks)


def test_open_vswitch() -> None:
    host = NetHost()
    host.link("ovs-system", "openvswitch")
    host.address(host.link("br-int", "openvswitch"), "10.0.0.1/24")
    host.guest("vm1", "tap1")
    bridges = (
        OvsBridge("u1", "br-int", "br-int", (
            port("br-int", "internal"), port("tap1", tag=10), port("trunk", "internal", trunks=(10, 20)),
            port("to-tun", "patch", peer="to-int"),
        )),
        OvsBridge("u2", "br-tun", "br-tun", (
            port("br-tun", "internal"), port("to-int", "patch", peer="to-tun"),
            port("gre1", "gre", remote_ip="192.0.2.7", key="5"), port("flow1", "vxlan", remote_ip="flow"),
        )),
    )  # fmt: skip
    host.ovs = Ovs(bridges, 1)
    made = graph(host)
    assert edges(made, EdgeKind.PORT) == {
        ("tap1", "br-int", "tag 10"), ("trunk", "br-int", "trunks 10,20"), ("to-tun", "br-int", ""),
        ("to-int", "br-tun", ""), ("gre1", "br-tun", ""), ("flow1", "br-tun", ""),
    }  # fmt: skip
    assert edges(made, EdgeKind.PEER) == {("to-tun", "to-int", "patch")}
    assert edges(made, EdgeKind.TUNNEL) == {("gre1", "192.0.2.7", "gre key 5")}
    assert edges(made, EdgeKind.TAP) == {("vm1", "tap1", "")}
    bridge = node(made, "br-int")
    assert (bridge.id, bridge.kind) == ("ovs-bridge:u1", NodeKind.OVS_BRIDGE)
    assert bridge.facts["addresses"] == "10.0.0.1/24", "it is its own link too"
    assert node(made, "tap1").id.startswith("link:"), "a port that is a link of the host is one node"
    assert node(made, "gre1").kind is NodeKind.OVS_PORT
    assert not node(made, "tap1").facts.get("problem")
    assert all(one.name != "ovs-system" for one in made.nodes.values())


def test_a_bond_of_open_vswitch_has_its_interfaces_as_ports() -> None:
    host = NetHost()
    for name in ("eth0", "eth1"):
        host.link(name, physical=True)
    items = tuple(OvsInterface(name, name, "", 1, True, True) for name in ("eth0", "eth1"))
    bond = OvsPort("u9", "bond1", "bond1", items, bond_mode="balance-slb", trunks=(10,))
    host.ovs = Ovs((OvsBridge("u1", "br0", "br0", (bond,)),), 1)
    made = graph(host)
    assert edges(made, EdgeKind.PORT) == {
        ("eth0", "bond1", ""), ("eth1", "bond1", ""), ("bond1", "br0", "trunks 10"),
    }  # fmt: skip
    assert node(made, "bond1").facts["bond_mode"] == "balance-slb"


# Guests


def test_guests_that_are_off_have_no_part_in_it() -> None:
    host = NetHost()
    host.domain("off", nic("52:54:00:00:00:01", "tap0"), state=DomainState.SHUTOFF)
    assert graph(host).nodes == {}


def test_a_nic_without_a_link_on_the_host() -> None:
    host = NetHost()
    host.domain("vm1", nic("52:54:00:00:00:01", "", kind="user"))
    made = graph(host)
    assert edges(made, EdgeKind.TAP) == {("vm1", "52:54:00:00:00:01", "")}
    assert node(made, "52:54:00:00:00:01").facts["nic_kind"] == "user"


def test_a_tap_of_the_same_name_in_another_namespace_is_not_the_guests() -> None:
    host = NetHost()
    other = host.netns("other")
    host.tap("tap0", netns=other)
    host.tap("tap0", mac="fe:54:00:00:00:01")
    host.domain("vm1", nic("52:54:00:00:00:01", "tap0"))
    made = graph(host)
    (edge,) = [edge for edge in made.edges if edge.kind is EdgeKind.TAP]
    assert made.nodes[edge.b].netns == "host"


def test_the_holder_of_a_tap_decides_where_names_do_not() -> None:
    host = NetHost()
    inside = host.tap("tap0", netns=host.netns("other"), pid=700)
    host.tap("tap0", pid=800)
    uuid = host.domain("vm1", nic("52:54:00:00:00:01", "tap0"))
    host.qemu("vm1", 700)
    host.processes["700:1"] = replace(host.processes["700:1"], uuid=uuid, libvirt_name="vm1")
    made = graph(host)
    assert [edge.b for edge in made.edges if edge.kind is EdgeKind.TAP] == [f"link:{inside}"]


def test_unmanaged_qemu_and_other_holders_of_taps() -> None:
    host = NetHost()
    bridge = host.bridge("br0")
    host.tap("qtap0", master=bridge, pid=700)
    host.qemu("byhand", 700, QemuNic("n0", "tap", "qtap0", None, "52:54:00:11:22:33", "virtio-net-pci"),
              QemuNic("n1", "user", None, None, None, None))  # fmt: skip
    vpn = host.tap("tun0")
    host.owners[vpn] = (TapOwner(4711, "openvpn"),)
    switch = host.tap("port0")
    host.owners[switch] = (TapOwner(99, "ovs-vswitchd"),)
    made = graph(host)
    assert edges(made, EdgeKind.TAP) == {("byhand", "qtap0", ""), ("byhand", "n1", "")}
    assert edges(made, EdgeKind.OWNER) == {("openvpn", "tun0", "")}
    assert node(made, "qtap0").facts["guest_mac"] == "52:54:00:11:22:33"


def test_a_tap_that_lost_its_bridge_is_a_problem() -> None:
    host = NetHost()
    host.domain("vm1", nic("52:54:00:00:00:01", "tap0", "default", "network"))
    host.tap("tap0")
    assert node(graph(host), "tap0").facts["problem"] == "not plugged into default"


def test_two_guests_of_one_mac_or_address_on_one_bridge_are_a_problem() -> None:
    host = NetHost()
    bridge = host.bridge("br0")
    for name in ("vm1", "vm2"):
        host.guest(name, f"tap-{name}", master=bridge, mac="52:54:00:00:00:07")
    host.guest("vm3", "tap-vm3", master=bridge)
    made = graph(host)
    assert node(made, "tap-vm1").facts["problem"] == "another guest here has 52:54:00:00:00:07 too"
    assert "problem" in node(made, "tap-vm2").facts
    assert "problem" not in node(made, "tap-vm3").facts


def test_without_the_hosts_links_guests_are_plugged_into_what_libvirt_names() -> None:
    host = NetHost()
    host.network("default", "virbr0")
    host.domain("vm1", nic("52:54:00:00:00:01", "vnet0", "default", "network"))
    host.domain("vm2", nic("52:54:00:00:00:02", "vnet1", "br0"))
    made = build(host.snapshot(links=None, limits=("links: the host is not this machine",)))
    assert edges(made, EdgeKind.PORT) == {("vnet0", "default", ""), ("vnet1", "br0", "")}
    assert made.limits == ("links: the host is not this machine",)


def test_networks_have_their_bridge_and_say_when_they_are_off() -> None:
    host = NetHost()
    host.bridge("virbr0")
    host.network("default", "virbr0")
    host.network("old", "virbr9", active=False)
    made = graph(host)
    assert edges(made, EdgeKind.OWNER) == {("default", "virbr0", "nat")}
    assert node(made, "old").state == "inactive"


# Namespaces


def routed(count: int, *, forwarding: bool = True) -> tuple[NetHost, str]:
    host = NetHost()
    space = host.netns("r1", forwarding=forwarding)
    for number in range(count):
        host.address(host.link(f"eth{number}", netns=space), f"10.0.{number}.1/24")
    return host, space


def test_routes_between_the_links_of_a_router() -> None:
    host, space = routed(3)
    host.open_firewall(space)
    made = graph(host)
    assert edges(made, EdgeKind.ROUTE) == {("eth0", "eth1", ""), ("eth0", "eth2", ""), ("eth1", "eth2", "")}
    assert edges(made, EdgeKind.OWNER) == {("r1", f"eth{number}", "") for number in range(3)}
    assert node(made, "r1", "r1").facts["nat"] is False


def test_of_a_large_router_only_the_ways_out_are_told() -> None:
    host, space = routed(9)
    host.open_firewall(space)
    host.default_route(f"{space}:4", "10.0.3.254")
    assert edges(graph(host), EdgeKind.ROUTE) == {(f"eth{n}", "eth3", "") for n in range(9) if n != 3}


def test_who_does_not_forward_does_not_route() -> None:
    host, _space = routed(3, forwarding=False)
    assert edges(graph(host), EdgeKind.ROUTE, EdgeKind.NAT) == set()


def test_our_own_namespace_is_a_node_only_where_it_routes() -> None:
    host = NetHost()
    host.address(host.link("eth0", physical=True), "192.0.2.5/24")
    assert all(one.kind is not NodeKind.NETNS for one in graph(host).nodes.values())
    host.address(host.bridge("virbr0"), "192.168.122.1/24")
    host.forward()
    assert edges(graph(host), EdgeKind.OWNER) == {("host", "eth0", ""), ("host", "virbr0", "")}


def test_a_namespace_owns_its_links_before_they_have_addresses() -> None:
    host = NetHost()
    space = host.netns("c1", kind=NetnsKind.CONTAINER)
    host.link("eth0", netns=space)
    host.tap("port", netns=space, master=host.bridge("br0", netns=space))
    assert edges(graph(host), EdgeKind.OWNER) == {("c1", "eth0", "")}, "ports and bridges are below layer 3"


def test_nat_by_source_and_by_link() -> None:
    host, space = routed(3)
    host.masquerade(space, "eth2", "10.0.0.0/24")
    made = graph(host)
    assert edges(made, EdgeKind.NAT) == {("eth0", "eth2", "masquerade")}, "eth1 has another source"
    assert edges(made, EdgeKind.ROUTE) == {("eth0", "eth1", ""), ("eth1", "eth2", "")}


def test_an_unread_firewall_leaves_nat_unknown() -> None:
    host, space = routed(2)
    assert node(graph(host), "r1", "r1").facts["nat_unknown"] == "firewall not read"
    host.firewalls[space] = Firewall(space, (), 1, problem="not root")
    made = graph(host)
    assert "nat" not in node(made, "r1", "r1").facts
    assert made.limits == ("firewall: not root",)


def test_dnsmasq_serves_its_links_or_those_of_its_ranges() -> None:
    host, space = routed(2)
    host.dhcp(space, ("eth0",), "10.0.0.10", "10.0.0.20")
    host.dnsmasqs.append(Dnsmasq("5:1", 5, space, (), (DhcpRange("10.0.1.10", "10.0.1.20"),), None))
    host.dnsmasqs.append(Dnsmasq("6:1", 6, space, ("eth*",), (), None))
    served = {(a, b, label) for a, b, label in edges(graph(host), EdgeKind.OWNER) if a.startswith("dnsmasq")}
    assert served == {
        ("dnsmasq[900]", "eth0", "dhcp"), ("dnsmasq[5]", "eth1", "dhcp"), ("dnsmasq[6]", "eth0", "dns"),
        ("dnsmasq[6]", "eth1", "dns"),
    }  # fmt: skip


def test_a_namespace_that_cannot_be_read_is_there_and_says_why() -> None:
    host = NetHost()
    space = host.netns("secret")
    host.namespaces[space] = replace(host.namespaces[space], problem="not root")
    made = graph(host)
    assert (node(made, "secret").state, node(made, "secret").facts["problem"]) == ("unknown", "not root")


def test_a_host_that_was_never_reached_says_so() -> None:
    seen = replace(homework().snapshot(), domains={}, domains_read_ns=None)
    assert build(seen).limits == ("guests: no connection to libvirt",)


@pytest.mark.parametrize("state", ["running", "disk-sleep"])
def test_what_moves_all_the_time_makes_no_new_graph(state: str) -> None:
    host = homework()
    host.qemu("byhand", 700, QemuNic("n0", "user", None, None, None, None))
    seen = host.snapshot()
    assert seen.links is not None
    neighbours = {"1:1": (LinkNeighbour("10.0.0.9", "52:54:00:00:00:09", "stale"),)}
    busy = replace(host.processes["700:1"], cpu_time_ns=5, state=state)
    (chain,) = next(iter(seen.firewalls.values())).chains
    counted = replace(chain, rules=tuple(replace(rule, packets=7) for rule in chain.rules))
    walls = {key: replace(wall, chains=(counted,)) for key, wall in seen.firewalls.items()}
    moved = replace(
        seen,
        links=replace(seen.links, neighbours=neighbours),
        link_usage={},
        processes={"700:1": busy},
        firewalls=walls,
    )
    assert signature(moved) == signature(seen)
    assert build(moved) == build(seen)


@pytest.mark.parametrize("change", ["carrier", "address", "masquerade", "state", "lease"])
def test_what_is_drawn_does(change: str) -> None:
    host = homework()
    before = signature(host.snapshot())
    key = next(key for key, link in host.links.items() if link.name == "r1-ex")
    if change == "carrier":
        host.change(key, carrier=False)
    elif change == "address":
        host.address(key, "198.51.100.1/24")
    elif change == "masquerade":
        host.open_firewall(host.links[key].netns)
    elif change == "state":
        uuid = next(iter(host.domains))
        host.domains[uuid] = replace(host.domains[uuid], state=DomainState.PAUSED)
    else:
        host.dnsmasqs[0] = replace(host.dnsmasqs[0], leases=())
    assert signature(host.snapshot()) != before
