"""What a trace of a ping says of rules that are about something else, and of filters on a bridge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.network_scene import HOME, Net, named, routed
from tests.unit.test_filtering import chain, outcome, rule
from tui.model.finding import Trace, Verdict
from tui.model.firewall import Firewall, FirewallChain
from tui.model.link import TapFacts
from tui.topology.filtering import Outcome, Packet, others_dropped
from tui.trace_report import trace_json, trace_lines

FAR = "203.0.113.9"
THERE = Packet("r1-in", "r1-ex", "10.0.0.51", FAR)
BACK = Packet("r1-ex", "r1-in", FAR, "10.0.0.51", reply=True)
NAT = chain("postrouting", rule("masquerade", oif="r1-ex"), kind="nat")


def asks(text: str, verdict: str = "drop", **asked: Any) -> Any:
    """A rule that asks for more than links and addresses."""
    return rule(verdict, text=text, understood=False, **asked)


def dropped(packet: Packet, forward: FirewallChain, *chains: FirewallChain) -> list[str]:
    """What drops other traffic than a ping, in words."""
    found = others_dropped(Firewall("n", (forward, *chains), 1), forward, packet)
    return [one.text if one is not None else "policy" for one in found]


TCP = asks("meta l4proto tcp drop", protocol="tcp")
HTTPS = asks("tcp dport 443 drop", protocol="tcp", ports="443")
ESTABLISHED = asks("ct state established,related accept", "accept")
GUARD = chain("", TCP, name="guard")


@pytest.mark.parametrize(
    ("forward", "found"),
    [
        (chain("forward", TCP, HTTPS), ["meta l4proto tcp drop", "tcp dport 443 drop"]),
        (chain("forward", asks("-s 10.0.0.51/32 -p tcp -j DROP", source="10.0.0.51", protocol="tcp")),
         ["-s 10.0.0.51/32 -p tcp -j DROP"]),
        (chain("forward", asks("", source="10.0.0.99", protocol="tcp")), []),
        (chain("forward", asks("", oif="other", protocol="tcp")), []),
        (chain("forward", rule("accept", iif="r1-in"), TCP), []),
        (chain("forward", asks("ip protocol icmp accept", "accept", protocol="icmp"), rule("drop")), ["drop"]),
        (chain("forward", asks("ip protocol icmp accept", "accept", protocol="icmp"), policy="drop"), ["policy"]),
        (chain("forward", asks("tcp dport vmap { 22 : drop }", "vmap", protocol="tcp", ports="22")),
         ["tcp dport vmap { 22 : drop }"]),
        (chain("forward", asks("ct state invalid drop")), []),
        (chain("forward", asks("ct state established drop")), ["ct state established drop"]),
        (chain("forward", ESTABLISHED, rule("accept", iif="r1-in"), policy="drop"), []),
        (chain("forward", rule("jump guard")), ["meta l4proto tcp drop"]),
    ],
)  # fmt: skip
def test_what_drops_other_traffic_of_the_same_addresses_is_found(forward: FirewallChain, found: list[str]) -> None:
    assert outcome(THERE, forward, GUARD) is Outcome.ACCEPT, "a ping passes all of these"
    assert dropped(THERE, forward, GUARD) == found


def test_answers_are_looked_at_as_well() -> None:
    answers = asks("tcp sport 443 drop", source="203.0.113.0/24", protocol="tcp")
    assert dropped(BACK, chain("forward", answers)) == ["tcp sport 443 drop"]
    assert dropped(BACK, chain("forward", ESTABLISHED, answers)) == []


def test_a_map_of_states_is_understood() -> None:
    states = asks("ct state vmap { invalid : drop, established : accept, related : accept }", "vmap")
    assert outcome(BACK, chain("forward", states, policy="drop")) is Outcome.ACCEPT
    assert outcome(THERE, chain("forward", states, policy="drop")) is Outcome.DROP
    assert outcome(THERE, chain("forward", asks("ct state vmap { new : drop }", "vmap"))) is Outcome.DROP
    assert outcome(THERE, chain("forward", asks("ct state vmap @states", "vmap"))) is Outcome.UNCLEAR
    assert outcome(THERE, chain("forward", asks("! -p icmp -j DROP"))) is Outcome.UNCLEAR
    assert outcome(THERE, chain("forward", asks("meta l4proto { icmp, tcp } drop", protocol="icmp,tcp"))) is not (
        Outcome.ACCEPT
    )


@pytest.mark.parametrize("drop", [TCP, HTTPS, asks("udp dport 53 reject", "reject", protocol="udp", ports="53")])
def test_a_way_that_drops_all_but_pings_is_not_good(drop: Any) -> None:
    net = routed()
    net.filter("r1", NAT, chain("forward", drop))
    found = net.trace("vm1", FAR)
    assert (found.verdict, found.cause) == (Verdict.UNKNOWN, None)
    [(hop, fact), *_] = found.notes
    assert (hop.kind, fact.verdict) == ("filter", Verdict.NOT_SIMULATED)
    assert fact.words.endswith(f"lets a ping pass; other packets it may drop: {drop.text}")
    lines = trace_lines(found)
    assert lines[0] == f"vm1/net0 to {FAR} (a ping): unknown"
    assert lines[1] == f"not simulated: filter forward@r1: {fact.words}"
    made = trace_json(found)
    assert (made["packet"], made["verdict"]) == ("ICMP echo request", "unknown")


def in_bridge(hook: str, *rules: Any, policy: str = "accept") -> FirewallChain:
    return replace(chain(hook, *rules, policy=policy), family="bridge", name="f", table="b")


def of_host() -> Net:
    """A guest in a bridge of the host that is its gateway, as in a network of libvirt."""
    net = Net()
    net.link("virbr0", "bridge")
    net.address("virbr0", "10.77.1.1/24")
    net.link("vnet1", "tun", tap=TapFacts("tap", persistent=False))
    net.plug("vnet1", "virbr0")
    net.domain("vm1", "vnet1", "52:54:00:00:00:01", "10.77.1.50", source="virbr0")
    return net


@pytest.mark.parametrize(
    "drop",
    [
        in_bridge("prerouting", rule("drop", iif="vnet1")),
        in_bridge("input", rule("drop", iif="vnet1")),
        in_bridge("output", rule("drop", oif="vnet1")),
        in_bridge("postrouting", rule("drop", oif="vnet*")),
        in_bridge("input", policy="drop"),
    ],
)
def test_a_drop_in_the_bridge_of_the_gateway_itself_is_found(drop: FirewallChain) -> None:
    net = of_host()
    assert net.trace("vm1", "10.77.1.1").verdict is Verdict.GOOD
    net.filter(HOME, drop)
    found = net.trace("vm1", "10.77.1.1")
    assert named(found) in {("virbr0: bridge filter", "filter-drop"), ("virbr0: bridge filter", "policy-drop")}
    assert found.verdict is Verdict.BROKEN


def bridged(drop: FirewallChain) -> Trace:
    net = routed()
    net.filter("r1", NAT)
    net.filter(HOME, drop)
    return net.trace("vm1", FAR)


def test_a_drop_in_a_bridge_on_the_way_is_found_or_not_simulated() -> None:
    assert named(bridged(in_bridge("prerouting", rule("drop", iif="vnet1")))) == ("br-in: bridge filter", "filter-drop")
    assert bridged(in_bridge("prerouting", rule("drop", iif="vnet2"))).verdict is Verdict.GOOD
    for odd in ("ether type arp drop", "vlan id 5 drop", "ether saddr 52:54:00:00:00:01 drop"):
        found = bridged(in_bridge("prerouting", asks(odd, iif="vnet1")))
        assert found.verdict is Verdict.UNKNOWN, odd
        assert odd in found.notes[0][1].words


def test_a_bridge_whose_filters_were_not_read_is_unknown() -> None:
    net = routed()
    net.filter("r1", NAT)
    del net.firewalls[HOME]
    assert net.trace("vm1", FAR).verdict is Verdict.UNKNOWN


def on_link(hook: str, device: str, one: Any) -> FirewallChain:
    return replace(chain(hook, one), family="netdev", device=device)


@pytest.mark.parametrize(
    ("hook", "device", "asked", "cause"),
    [
        ("ingress", "vnet1", {"source": "10.0.0.51"}, True),
        ("egress", "vnet1", {"destination": "10.0.0.51"}, True),
        ("egress", "p-in", {"source": "10.0.0.51"}, True),
        ("ingress", "p-in", {"destination": "10.0.0.51"}, True),
        ("ingress", "vnet1", {"source": "10.0.0.51", "negated": frozenset({"source"})}, False),
        ("egress", "vnet1", {"source": "10.0.0.51"}, False),
        ("ingress", "vnet2", {}, False),
    ],
)
def test_chains_on_a_link_meet_what_goes_their_way(hook: str, device: str, asked: Any, cause: bool) -> None:
    net = routed()
    net.filter("r1", NAT)
    net.filter(HOME, on_link(hook, device, rule("drop", **asked)))
    found = net.trace("vm1", FAR)
    assert named(found) == ((device, "filter-drop") if cause else None)
    assert (found.verdict is Verdict.GOOD) is not cause
