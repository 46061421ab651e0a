"""The path trace against rules that a ping passes or not, on libvirt's NAT network: the guest's ping is the truth."""

from __future__ import annotations

from tests.lab.host import LabHost
from tests.lab.routed import FAR, RoutedNetwork
from tests.lab.test_trace_networks import UPLINK, named, net, pings, traced

__all__ = ["net"]
_BRIDGE_DROP = "table bridge b { chain f { type filter hook prerouting priority 0; iifname TAP drop; }; }\n"
_TCP_DROP = "table inet guard { chain f { type filter hook forward priority 0; meta l4proto tcp drop; }; }\n"


def test_drops_of_other_traffic_of_frames_and_by_policy_rules(lab: LabHost, net: RoutedNetwork, name: str) -> None:
    net.ip(UPLINK)
    lab.define_network("nat1", bridge="virbr7", forward="nat")
    lab.define_guest(name, network="nat1")
    lab.wait_console(name, "LEASE eth0")
    address = lab.console_log(name).rpartition("LEASE eth0 ")[2].split()[0]
    gateway = f"{address.rpartition('.')[0]}.1"
    code, found = traced(net, name, "--to", FAR)
    assert (code, found["verdict"], found["packet"]) == (0, "good", "ICMP echo request")
    code, found = traced(net, name, "--to", gateway, "--probe")
    assert (code, found["verdict"]) == (0, "good"), found
    assert f"{address} answers a ping" in found["hops"][-1]["facts"][-1]["words"]
    tap = found["hops"][1]["name"]

    net.nft("", _TCP_DROP)
    assert pings(lab, name, FAR)
    code, found = traced(net, name, "--to", FAR)
    assert (code, found["verdict"], found["cause"]) == (4, "unknown", None)
    assert any("meta l4proto tcp drop" in hop["reason"] for hop in found["hops"] if hop["verdict"] == "not simulated")
    net.inside("", "nft", "delete", "table", "inet", "guard")

    net.nft("", _BRIDGE_DROP.replace("TAP", tap))
    assert not pings(lab, name, gateway)
    for to in (gateway, FAR):
        code, found = traced(net, name, "--to", to)
        assert (code, named(found)) == (1, ("virbr7: bridge filter", "filter-drop"))
    net.inside("", "nft", "delete", "table", "bridge", "b")

    net.ip(f"rule add from {address} blackhole")
    assert not pings(lab, name, FAR)
    code, found = traced(net, name, "--to", FAR)
    assert (code, found["cause"]["cause"]) == (1, "rule-blackhole")
    assert found["cause"]["remedies"][0]["command"][:4] == ["ip", "rule", "del", "priority"]
    net.ip(f"rule del from {address} blackhole")
    assert traced(net, name, "--to", FAR)[0] == 0
