"""The path trace on scripted snapshots: what no kernel of the lab can stage, and what is easily got wrong."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.network_scene import HOME, VLAN_1, VLAN_10, Net, all_bad, named, routed
from tests.unit.test_filtering import chain, rule
from tui.model.domain import DomainState
from tui.model.finding import Layer, Trace, Verdict
from tui.model.link import BridgeFacts, PortState, PortVlan, TapFacts, TapOwner
from tui.model.ovs import Ovs, OvsBridge, OvsInterface, OvsPort
from tui.model.process import QemuNic
from tui.topology.graph import build
from tui.topology.trace_nodes import nodes_of, path_nodes

FAR = "203.0.113.9"


def kinds(found: Trace) -> list[tuple[str, str]]:
    return [(hop.kind, hop.name) for hop in found.hops]


def with_nat(net: Net) -> Net:
    net.filter("r1", chain("postrouting", rule("masquerade", oif="r1-ex"), kind="nat"))
    return net


def test_the_healthy_way_is_good_and_names_every_hop() -> None:
    found = with_nat(routed()).trace("vm1", FAR)
    assert (found.verdict, found.cause) == (Verdict.GOOD, None), all_bad(found)
    assert kinds(found) == [
        ("guest", "vm1/net0"), ("tap", "vnet1"), ("bridge", "br-in"), ("veth", "p-in"), ("veth", "r1-in"),
        ("router", "r1"), ("filter", "forward"), ("nat", "NAT"), ("veth", "r1-ex"), ("veth", "p-ex"),
        ("bridge", "br-ex"), ("veth", "up0"), ("veth", "wan0"), ("router", "outside"), ("filter", "input"),
    ]  # fmt: skip
    assert all(fact.source and fact.verdict is Verdict.GOOD for hop in found.hops for fact in hop.facts)


def test_guest_to_guest_stays_on_the_bridge() -> None:
    found = routed().trace("vm1", "10.0.0.52")
    assert found.verdict is Verdict.GOOD
    assert kinds(found) == [("guest", "vm1/net0"), ("tap", "vnet1"), ("bridge", "br-in"), ("tap", "vnet2"),
                            ("guest", "vm2/net0")]  # fmt: skip


def test_the_other_guest_is_judged_as_well() -> None:
    net = routed()
    net.processes["102:1"] = replace(net.processes["102:1"], state="stopped")
    found = net.trace("vm1", "10.0.0.52")
    assert named(found) == ("vm2/net0", "qemu-stopped")
    assert net.trace("vm1", "10.0.0.1").verdict is Verdict.GOOD


Fault = Callable[[Net], None]


def vlan_filtering(net: Net, tap: tuple[PortVlan, ...], port: tuple[PortVlan, ...]) -> None:
    net.change("br-in", bridge=BridgeFacts(vlan_filtering=True))
    net.change("vnet1", vlans=tap)
    net.change("p-in", vlans=port)


def _bare_route(net: Net) -> None:
    net.routes["r1"] = [route for route in net.routes["r1"] if route[0] != "default"]


def _down_outer(net: Net) -> None:
    net.change("r1-ex@r1", up=False, carrier=False)
    net.change("p-ex", carrier=False)


def _bridge_down(net: Net) -> None:
    net.change("br-in", up=False, carrier=False)
    net.plug("vnet1", "br-in", PortState.DISABLED)
    net.plug("p-in", "br-in", PortState.DISABLED)


def _unheld(net: Net) -> None:
    net.owners.clear()
    net.change("vnet1", carrier=False)


def _no_tap(net: Net) -> None:
    del net.links[net.key("vnet1")]


def _dead_next_hop(net: Net) -> None:
    net.address("wan0@outside")
    net.resolved("r1-ex@r1", "198.51.100.1", "", "failed")


def _no_router(net: Net) -> None:
    for name in ("p-in", "r1-in@r1"):
        key = net.key(name)
        del net.links[key]
        net.addresses.pop(key, None)


def _no_uplink(net: Net) -> None:
    _dead_next_hop(net)
    net.plug("up0", None)


FAULTS: dict[str, tuple[Fault, tuple[str, str]]] = {
    "blocking": (lambda net: net.plug("p-in", "br-in", PortState.BLOCKING), ("p-in", "stp-blocking")),
    "learning": (lambda net: net.plug("vnet1", "br-in", PortState.LEARNING), ("vnet1", "stp-learning")),
    "bridge down takes its ports along": (_bridge_down, ("br-in", "bridge-down")),
    "vlan of the router's port": (lambda net: vlan_filtering(net, VLAN_1, VLAN_10), ("p-in", "vlan-mismatch")),
    "tap in no vlan": (lambda net: vlan_filtering(net, (), VLAN_1), ("vnet1", "vlan-none")),
    "tap without pvid": (
        lambda net: vlan_filtering(net, (replace(VLAN_1[0], pvid=False),), VLAN_1),
        ("vnet1", "vlan-no-pvid"),
    ),
    "nobody holds the tap": (_unheld, ("vnet1", "tap-unheld")),
    "no default route": (_bare_route, ("r1", "no-route")),
    "the outer link is down, and its routes are gone": (_down_outer, ("r1-ex", "link-down")),
    "rp_filter": (lambda net: net.refused.update({("r1", FAR): errno.EXDEV}), ("r1", "rp-filter")),
    "prohibited": (lambda net: net.refused.update({("r1", FAR): errno.EACCES}), ("r1", "route-prohibit")),
    "the tap is gone": (_no_tap, ("vnet1", "tap-missing")),
    "guest off": (
        lambda net: net.domains.update(vm1=replace(net.domains["vm1"], id=None, state=DomainState.SHUTOFF)),
        ("vm1/net0", "guest-off"),
    ),
    "dead next hop": (_dead_next_hop, ("198.51.100.1", "next-hop-dead")),
    "the router is gone": (_no_router, ("br-in", "bridge-no-router")),
    "nothing else in the outer bridge": (_no_uplink, ("br-ex", "bridge-no-uplink")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name: str) -> None:
    inject, expected = FAULTS[name]
    net = with_nat(routed())
    inject(net)
    found = net.trace("vm1", FAR)
    assert named(found) == expected, all_bad(found)
    assert found.verdict is Verdict.BROKEN


def test_a_port_that_spanning_tree_closed_is_no_fault_where_another_way_is_open() -> None:
    net = with_nat(routed())
    net.link("br-mid", "bridge")
    for number, state in (("1", PortState.BLOCKING), ("2", PortState.FORWARDING)):
        net.veth(f"a{number}", f"b{number}")
        net.plug(f"a{number}", "br-in", state)
        net.plug(f"b{number}", "br-mid")
    net.plug("p-in", "br-mid")
    found = net.trace("vm1", FAR)
    assert found.verdict is Verdict.GOOD, all_bad(found)
    assert ("veth", "a2") in kinds(found)


def test_a_private_source_that_nothing_rewrites_is_a_question_where_the_next_router_is_not_seen() -> None:
    net = routed()
    net.address("wan0@outside")
    net.change("up0", physical=True, kind="ethernet", peer=None)
    net.resolved("r1-ex@r1", "198.51.100.1", "02:ff:00:00:00:01")
    found = net.trace("vm1")
    assert found.cause is None
    assert all_bad(found) == {("NAT", "no-nat")}
    assert kinds(found)[-1] == ("next-hop", "198.51.100.1")
    assert with_nat(net).trace("vm1").verdict is Verdict.GOOD


def test_a_private_source_is_an_error_where_the_next_router_knows_no_way_back() -> None:
    found = routed().trace("vm1", FAR)
    assert named(found) == ("NAT", "no-nat")
    assert ("outside", "no-return-route") in all_bad(found)
    net = routed()
    net.route("outside", "10.0.0.0/24", "198.51.100.2", "wan0@outside")
    assert net.trace("vm1", FAR).verdict is Verdict.GOOD, "a route back is as good as NAT"


def test_a_rule_that_is_not_understood_is_never_good() -> None:
    net = with_nat(routed())
    nat = net.firewalls["r1"].chains
    net.filter("r1", *nat, chain("forward", rule("drop", text="ip saddr @blocked drop", understood=False)))
    found = net.trace("vm1", FAR)
    assert (found.verdict, found.cause) == (Verdict.UNKNOWN, None)
    hop = next(hop for hop in found.hops if hop.kind == "filter")
    assert hop.verdict is Verdict.NOT_SIMULATED
    assert "ip saddr @blocked drop" in hop.facts[0].words


def test_what_was_not_read_is_unknown() -> None:
    net = with_nat(routed())
    del net.firewalls["r1"]
    found = net.trace("vm1", FAR)
    assert (found.verdict, found.cause) == (Verdict.UNKNOWN, None)


def test_a_guest_on_the_hosts_own_bridge_uses_the_hosts_own_gateway() -> None:
    """The host's address on the bridge is that of a neighbour, not of a router, although the host forwards."""
    net = Net()
    net.link("br0", "bridge")
    net.link("eth0", "ethernet", physical=True)
    net.link("docker0", "bridge")
    net.address("docker0", "172.17.0.1/16")
    net.link("vnet0", "tun", tap=TapFacts("tap", persistent=False))
    for name in ("eth0", "vnet0"):
        net.plug(name, "br0")
    net.address("br0", "192.168.1.5/24")
    net.domain("vm1", "vnet0", "52:54:00:00:00:01", "192.168.1.77")
    net.learned("eth0", "02:ff:00:00:00:01")
    found = net.trace("vm1")
    assert kinds(found)[-2:] == [("uplink", "eth0"), ("outside", "outside")], "nothing tells of a gateway here"
    net.route(HOME, "default", "192.168.1.1", "br0")
    found = net.trace("vm1")
    assert ("router", HOME) not in kinds(found)
    assert kinds(found)[-2:] == [("uplink", "eth0"), ("next-hop", "192.168.1.1")]
    assert found.verdict is Verdict.GOOD, all_bad(found)


def test_a_container_beside_a_guest_is_not_its_router() -> None:
    """It has an address in the guest's network and another link, forwards nothing, and the real gateway is outside."""
    net = Net()
    net.netns("c1", ipv4_forwarding=False)
    net.link("br0", "bridge")
    net.link("eth0", "ethernet", physical=True)
    net.link("vnet0", "tun", tap=TapFacts("tap", persistent=False))
    net.veth("veth0", "eth0@c1")
    net.link("eth1@c1", "ethernet", physical=True)
    net.address("eth0@c1", "192.168.1.1/24")
    net.address("eth1@c1", "10.1.1.7/24")
    for name in ("eth0", "vnet0", "veth0"):
        net.plug(name, "br0")
    net.domain("vm1", "vnet0", "52:54:00:00:00:01", "192.168.1.77")
    found = net.trace("vm1")
    assert not all_bad(found)
    assert ("router", "c1") not in kinds(found)
    net.address("eth0@c1")
    assert not all_bad(net.trace("vm1")), "nor does it lack an address"


def test_what_a_neighbour_table_remembers_makes_no_duplicate() -> None:
    net = with_nat(routed())
    net.resolved("wan0@outside", "10.0.0.51", "52:54:00:00:00:02", "stale")
    assert net.trace("vm1", FAR).verdict is Verdict.GOOD
    net.resolved("r1-in@r1", "10.0.0.51", "52:54:00:00:00:02", "stale")
    found = net.trace("vm1", FAR)
    assert (found.verdict, all_bad(found)) == (Verdict.GOOD, {("r1", "duplicate-ip")}), "a warning"
    net.neighbours.clear()
    net.resolved("r1-in@r1", "10.0.0.51", "52:54:00:00:00:02", "reachable")
    assert named(net.trace("vm1", FAR)) == ("r1", "duplicate-ip")


def test_open_vswitch_tags_keep_guests_apart() -> None:
    net = Net()
    ports = []
    for number, tag in ((1, 10), (2, None)):
        net.link(f"vnet{number}", "tun", tap=TapFacts("tap", persistent=False))
        net.owners[net.key(f"vnet{number}")] = (TapOwner(number, "qemu"),)
        net.domain(f"vm{number}", f"vnet{number}", f"52:54:00:00:00:0{number}", f"10.0.0.5{number}")
        interface = OvsInterface(f"vnet{number}", f"vnet{number}", "system", up=True, admin_up=True)
        ports.append(OvsPort(f"p{number}", f"vnet{number}", f"vnet{number}", (interface,), tag=tag))
    net.ovs = Ovs((OvsBridge("b", "ovsbr0", "ovsbr0", tuple(ports)),), 1, netns=HOME)
    found = net.trace("vm1", "10.0.0.52")
    assert named(found) == ("vnet2", "ovs-tag-mismatch")
    same = replace(ports[1], tag=10)
    net.ovs = replace(net.ovs, bridges=(replace(net.ovs.bridges[0], ports=(ports[0], same)),))
    assert net.trace("vm1", "10.0.0.52").verdict is Verdict.GOOD
    net.flows["vnet1"] = "drop"
    assert named(net.trace("vm1", "10.0.0.52")) == ("ovsbr0", "ovs-drop")


def test_a_trunk_that_leads_out_of_the_host_carries_the_tags_of_the_guests() -> None:
    net = Net()
    net.link("vnet1", "tun", tap=TapFacts("tap", persistent=False))
    net.link("bond0", "bond")
    net.domain("vm1", "vnet1", "52:54:00:00:00:01", "10.0.0.51")
    ends = [OvsInterface(name, name, "system", up=True, admin_up=True) for name in ("vnet1", "bond0")]
    guest = OvsPort("p1", "vnet1", "vnet1", (ends[0],), tag=10)

    def switch(uplink: OvsPort) -> Trace:
        net.ovs = Ovs((OvsBridge("b", "ovsbr0", "ovsbr0", (guest, uplink)),), 1, netns=HOME)
        return net.trace("vm1")

    trunk = OvsPort("p2", "bond0", "bond0", (ends[1],))
    assert not all_bad(switch(trunk))
    assert not all_bad(switch(replace(trunk, trunks=(10, 20))))
    assert named(switch(replace(trunk, trunks=(20, 30)))) == ("bond0", "ovs-tag-mismatch")


def test_qemus_own_macs_are_the_same_for_all_that_name_none() -> None:
    net = routed()
    for number in (1, 2):
        tap = f"tap{number}"
        net.link(tap, "tun", tap=TapFacts("tap", persistent=True))
        net.plug(tap, "br-in")
        net.owners[net.key(tap)] = (TapOwner(200 + number, "qemu"),)
        net.process(200 + number, f"byhand{number}", QemuNic("n0", "tap", tap, None, None, "e1000"))
    found = net.trace("201:1", FAR)
    assert named(found) == ("byhand1/net0", "duplicate-mac")
    assert "52:54:00:12:34:56" in found.hops[0].facts[1].words


def test_a_macvtap_guest_leaves_by_the_link_below_and_does_not_reach_the_host() -> None:
    net = Net()
    net.link("eth0", "ethernet", physical=True)
    net.address("eth0", "192.168.1.5/24")
    net.link("macvtap0", "macvtap", parent=net.key("eth0"), mode="bridge")
    net.domain("vm1", "macvtap0", "52:54:00:00:00:01", "192.168.1.77", kind="direct", source="eth0")
    found = net.trace("vm1")
    assert kinds(found)[:3] == [("guest", "vm1/net0"), ("tap", "macvtap0"), ("uplink", "eth0")]
    assert found.verdict is Verdict.UNKNOWN, "nothing tells what is behind the cable"
    assert not all_bad(found)


def test_user_mode_networking_goes_by_the_hosts_own_stack() -> None:
    net = Net()
    net.link("eth0", "ethernet", physical=True)
    net.address("eth0", "192.168.1.5/24")
    net.route(HOME, "default", "192.168.1.1", "eth0")
    net.resolved("eth0", "192.168.1.1", "02:ff:00:00:00:01")
    net.domain("vm1", "", "52:54:00:00:00:01", kind="user")
    found = net.trace("vm1")
    assert [hop.kind for hop in found.hops] == ["guest", "nat", "host", "filter", "uplink", "next-hop"]
    assert not all_bad(found)


def test_a_container_is_traced_from_its_own_link_or_from_the_port_it_is_plugged_in_by() -> None:
    net = with_nat(routed())
    net.netns("c1")
    net.veth("veth-c1", "eth0@c1")
    net.plug("veth-c1", "br-in")
    net.address("eth0@c1", "10.0.0.70/24")
    net.route("c1", "default", "10.0.0.1", "eth0@c1")
    for link in ("veth-c1", "eth0@c1"):
        found = net.trace("", FAR, link=link)
        assert found.verdict is Verdict.GOOD, all_bad(found)
        assert kinds(found)[0] == ("host", "c1")
        assert ("router", "r1") in kinds(found)


def test_a_loop_of_routers_ends() -> None:
    net = with_nat(routed())
    net.address("wan0@outside", "198.51.100.1/24")
    net.route("outside", "default", "198.51.100.2", "wan0@outside")
    found = net.trace("vm1", FAR)
    assert found.verdict is Verdict.BROKEN
    assert "loop" in {cause for _, cause in all_bad(found)}


def test_hostile_names_are_shown_as_they_were_cleaned_and_commands_take_the_true_ones() -> None:
    net = with_nat(routed())
    net.change("vnet1", up=False, carrier=False, name="v␛[31m", raw_name="v\x1b[31m")
    config = net.domains["vm1"].config
    assert config is not None
    nic = replace(config.nics[0], target="v␛[31m")
    net.domains["vm1"] = replace(net.domains["vm1"], config=replace(config, nics=(nic,)))
    found = net.trace("vm1", FAR)
    assert named(found) == ("v␛[31m", "link-down")
    assert found.cause is not None
    fact = found.hops[found.cause[0]].facts[found.cause[1]]
    assert fact.layer is Layer.ADMIN
    assert fact.remedies[0].command == ("ip", "link", "set", "v\x1b[31m", "up")
    assert "\x1b" not in fact.words + found.hops[found.cause[0]].name


def test_hostile_names_of_chains_are_shown_literally() -> None:
    net = with_nat(routed())
    evil = replace(chain("forward", policy="drop"), table="t\x1b[2J", name="f\x9b31m")
    net.filter("r1", *net.firewalls["r1"].chains, evil)
    found = net.trace("vm1", FAR)
    assert named(found) == ("forward", "policy-drop")
    assert all(fact.words.isprintable() for hop in found.hops for fact in hop.facts)
    assert found.cause is not None
    remedy = found.hops[found.cause[0]].facts[found.cause[1]].remedies[0]
    assert "f\x9b31m" in remedy.command, "commands take the true name"


def test_commands_name_the_namespace() -> None:
    net = with_nat(routed())
    net.change("r1-in@r1", up=False, carrier=False)
    found = net.trace("vm1", FAR)
    assert named(found) == ("r1-in", "link-down")
    assert found.cause is not None
    remedy = found.hops[found.cause[0]].facts[found.cause[1]].remedies[0]
    assert remedy.command == ("ip", "-n", "r1", "link", "set", "r1-in", "up")


def test_hops_are_nodes_of_the_graph() -> None:
    net = with_nat(routed())
    found = net.trace("vm1", FAR)
    ids = {hop.name: ids for hop, ids in path_nodes(found)}
    assert ids["vm1/net0"][0] == "domain:vm1"
    assert f"link:{net.key('vnet1')}" in ids["vnet1"]
    assert ids["r1"] == ("netns:r1",)
    assert nodes_of(replace(found.hops[0], key="")) == ()
    drawn = build(net.snapshot()).nodes
    assert [name for name, known in ids.items() if not any(id in drawn for id in known)] == []
