"""Every kind of link, read from messages that a kernel with all of them sent, against what iproute2 said there.

The fixture tells its origin: package, kernel and commands; tests/tools/record_netlink.py writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tui.model.link import Link, PortState, PortVlan
from tui.sources.netlink.addresses import parse_addresses
from tui.sources.netlink.links import Beside, is_idle_default, parse_link
from tui.sources.netlink.routes import parse_routes
from tui.sources.netlink.rules import parse_rules
from tui.sources.netlink.settings import parse_confs
from tui.sources.netlink.vlans import parse_vlans

_FIXTURE = Path(__file__).parent / "netlink_fixtures" / "kinds.json"
_KINDS = {
    "bridge", "vlan", "bond", "vxlan", "gre", "gretap", "erspan", "ip6gre", "ip6gretap", "ipip", "sit", "ip6tnl", "vti",
    "vti6", "geneve", "vrf", "macvlan", "macvtap", "ipvlan", "ipvtap", "openvswitch", "tun", "veth", "dummy", "team",
    "wireguard",
}  # fmt: skip


@cache
def fixture() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FIXTURE.read_text())
    return found


def bodies(name: str) -> Iterable[bytes]:
    return (bytes.fromhex(text) for text in fixture()["messages"][name])


@cache
def links() -> dict[str, Link]:
    """The links by name; namespaces that are not the own are called by their nsid."""
    beside = Beside(conf=parse_confs(bodies("confs")), vlans=parse_vlans(bodies("vlans")))
    parsed = [parse_link(body, "1", lambda nsid: f"nsid{nsid}", beside) for body in bodies("links")]
    return {link.raw_name: link for link in parsed}


@cache
def told() -> dict[str, dict[str, Any]]:
    return {one["ifname"]: one for one in fixture()["told"]["ip -j -d link"]}


def data_of(one: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = one.get("linkinfo", {}).get("info_data", {})
    return found


def named(key: str | None) -> str | None:
    """The name of a link by its key."""
    return next((name for name, link in links().items() if link.key == key), None)


def test_the_fixture_has_every_kind() -> None:
    assert {link.kind for link in links().values()} >= _KINDS
    assert fixture()["origin"]["refused"] == []
    assert links().keys() == told().keys()


def test_what_all_links_have() -> None:
    for name, one in told().items():
        link = links()[name]
        assert (link.index, link.mtu, link.operstate.upper()) == (one["ifindex"], one["mtu"], one["operstate"]), name
        assert link.up is ("UP" in one["flags"]), name
        assert link.carrier is ("LOWER_UP" in one["flags"]), name
        assert link.promiscuous is (one["promiscuity"] > 0), name
        assert link.kind == one.get("linkinfo", {}).get("info_kind", "loopback"), name
        assert named(link.master) == one.get("master"), name
        assert link.master_kind == one.get("linkinfo", {}).get("info_slave_kind", ""), name
        if one["link_type"] == "ether":
            assert link.mac == one["address"], name


def test_peers_and_parents() -> None:
    for name, one in told().items():
        link = links()[name]
        if "link_netnsid" in one:
            assert link.peer == f"nsid{one['link_netnsid']}:{one['link_index']}"
        else:
            assert named(link.peer or link.parent) == one.get("link", data_of(one).get("link")), name
        assert (link.peer is not None) is (link.kind == "veth"), name


def test_tunnels() -> None:
    tunnels = {name: one for name, one in told().items() if "remote" in data_of(one) or "id" in data_of(one)}
    seen = {name for name, one in tunnels.items() if links()[name].kind != "vlan"}
    assert len(seen) > 20
    for name in seen:
        data, tunnel = data_of(tunnels[name]), links()[name].tunnel
        assert tunnel is not None, name
        far = data.get("remote", data.get("remote6", data.get("group", "any")))
        assert tunnel.remote == ("" if far == "any" else far), name
        assert tunnel.local == ("" if data.get("local", "any") == "any" else data["local"]), name
        assert tunnel.collect_metadata is ("external" in data), name
        assert tunnel.port == data.get("port"), name
        if not tunnel.collect_metadata and name not in ("erspan0",):
            assert tunnel.id == (data.get("id") or _key(data)), name


def _key(data: dict[str, Any]) -> int | None:
    """The key that iproute2 writes as an address."""
    if "okey" not in data:
        return None
    return int.from_bytes(bytes(map(int, data["okey"].split("."))), "big") or None


def test_vlans_on_links() -> None:
    assert (links()["v100"].vlan_id, links()["v100"].vlan_protocol) == (100, "802.1Q")
    assert (links()["q200"].vlan_id, links()["q200"].vlan_protocol) == (200, "802.1ad")


def test_bonds_and_their_slaves() -> None:
    for name in ("bond0", "bond8", "bond9"):
        bond, data = links()[name].bond, data_of(told()[name])
        assert bond is not None
        assert (bond.mode, bond.miimon_ms, named(bond.active)) == (
            data["mode"],
            data["miimon"],
            data.get("active_slave"),
        )
    first, second = links()["d2"].slave, links()["d3"].slave
    assert first is not None
    assert second is not None
    assert (first.active, second.active) == (True, False)
    assert first.up
    assert links()["d2"].port is None


def test_a_bridge_and_its_port() -> None:
    bridge, data = links()["br0"].bridge, data_of(told()["br0"])
    assert bridge is not None
    assert bridge.vlan_filtering is True
    assert bridge.default_pvid == data["vlan_default_pvid"] == 5
    assert (bridge.stp, bridge.priority) == (True, 8192)
    assert bridge.forward_delay_s == data["forward_delay"] / 100 == 2.0
    port, slave = links()["d0"].port, told()["d0"]["linkinfo"]["info_slave_data"]
    assert port is not None
    assert port.state is PortState.FORWARDING
    assert port.state.value == slave["state"]
    assert (port.cost, port.priority, port.hairpin, port.isolated, port.learning, port.flooding, port.guard) == (
        slave["cost"], slave["priority"], slave["hairpin"], slave["isolated"], slave["learning"], slave["flood"],
        slave["guard"],
    )  # fmt: skip
    assert (port.hairpin, port.isolated, port.learning, port.flooding, port.guard) == (True, True, False, False, True)


def test_vlans_of_ports_are_those_of_the_bridge_command() -> None:
    for one in fixture()["told"]["bridge -j vlan"]:
        theirs = {
            (item["vlan"], "PVID" in item.get("flags", ()), "Egress Untagged" in item.get("flags", ()))
            for item in one["vlans"]
        }
        ours = {
            (number, vlan.pvid, vlan.untagged)
            for vlan in links()[one["ifname"]].vlans
            for number in range(vlan.first, vlan.last + 1)
        }
        assert ours == theirs
    assert PortVlan(10, 20) in links()["d0"].vlans


def test_modes_and_tables() -> None:
    for name in ("mv1", "mv2", "mt1", "iv1", "it1"):
        assert links()[name].mode == data_of(told()[name])["mode"]
    assert links()["vrf10"].vrf_table == 10


def test_taps() -> None:
    for name in ("tap0", "tun0"):
        tap, data = links()[name].tap, data_of(told()[name])
        assert tap is not None
        assert (tap.mode, tap.multi_queue, tap.persistent, tap.uid) == (
            data["type"], data["multi_queue"], data["persist"], data.get("user"),
        )  # fmt: skip


def test_the_ports_of_a_kernel_datapath() -> None:
    assert named(links()["d7"].master) == "ovs-system"
    assert links()["d7"].master_kind == "openvswitch"
    assert links()["br-int"].kind == "openvswitch"


def test_altnames_and_alias() -> None:
    assert links()["ve2"].altnames == ("another-name",)
    assert links()["ve2"].alias == "an alias"


def test_what_comes_with_a_module_is_hidden_until_it_is_used() -> None:
    idle = {name for name, link in links().items() if is_idle_default(link, used=False)}
    assert idle == {"tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"}
    assert not is_idle_default(links()["gre0"], used=True)


def test_switches_of_links() -> None:
    # The guest forwards nothing.
    assert {link.forwarding for link in links().values()} == {False}


def test_addresses() -> None:
    ours = {
        (index, one.address, one.prefix, one.peer, one.scope)
        for index, items in parse_addresses(bodies("addresses")).items()
        for one in items
    }
    theirs = {
        (one["ifindex"], item["local"], item["prefixlen"], item.get("address", ""), item["scope"])
        for one in fixture()["told"]["ip -j addr"]
        if one
        for item in one.get("addr_info", ())
    }
    assert ours == theirs
    assert len(ours) >= 4


def test_rules_with_a_vrf() -> None:
    found = {rule.text: rule.priority for rule in parse_rules(bodies("rules"), "1") if not rule.ipv6}
    assert found == {"from 10.0.0.0/8 fwmark 0x5/0xff lookup 100": 999, "from all lookup [l3mdev-table]": 1000}


def test_routes() -> None:
    ours = {
        (route.destination, named(route.hops[0].link))
        for route in parse_routes(bodies("routes"), "1", {})
        if route.table == 254 and not route.ipv6
    }
    theirs = {
        (one["dst"] if "/" in one["dst"] else f"{one['dst']}/32", one["dev"])
        for one in fixture()["told"]["ip -j -d route"]
    }
    assert ours == theirs
    assert ("10.1.0.0/24", "d0") in ours
