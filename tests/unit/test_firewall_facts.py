"""What recorded firewalls mean: who is hidden, what is let in, what is dropped when passed on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.test_firewall import firewall_of
from tui.model.firewall import Firewall, FirewallChain, FirewallRule
from tui.model.firewall_facts import Nat, forward_chains, forward_drops, hides, link_fits, nat_of, port_forwards


def short(nat: Nat) -> tuple[str, str, str, str, bool]:
    return nat.kind, nat.source, nat.oif, nat.to, nat.exact


def test_who_is_hidden_behind_which_link() -> None:
    assert [short(nat) for nat in nat_of(firewall_of("mixed"))] == [
        ("masquerade", "10.0.0.0/24", "eth0", "", True),
        ("snat", "10.0.1.0/24", "", "192.0.2.1-192.0.2.5", True),
        ("masquerade", "fd00::/64", "", "", True),
        ("masquerade", "10.0.0.0/24", "eth0", "", True),
        ("snat", "10.9.0.0/24", "", "192.0.2.7-192.0.2.8", True),
    ]


def test_jumps_are_followed() -> None:
    """libvirt's rules lie in a chain of its own."""
    found = nat_of(firewall_of("libvirt"))
    assert {(nat.kind, nat.source, nat.destination) for nat in found} == {
        ("masquerade", "10.77.1.0/24", "!10.77.1.0/24")
    }
    assert [nat.exact for nat in found] == [False, False, True]


def test_docker_hides_its_containers_and_lets_a_port_in() -> None:
    firewall = firewall_of("docker")
    assert [short(nat) for nat in nat_of(firewall)] == [("masquerade", "172.17.0.0/16", "!docker0", "", True)]
    assert (hides(firewall, "eth0"), hides(firewall, "docker0")) == (True, False)
    (forward,) = port_forwards(firewall)
    assert (forward.protocol, forward.ports, forward.to, forward.iif) == ("tcp", "8080", "172.17.0.2:80", "!docker0")
    assert not forward.exact


def test_a_policy_that_drops_what_is_passed_on() -> None:
    assert forward_drops(firewall_of("docker"))
    assert not forward_drops(firewall_of("docker"), "ip6")
    assert not forward_drops(firewall_of("libvirt"))
    assert forward_drops(firewall_of("mixed"), "ip6"), "an inet chain takes both"
    assert not forward_drops(firewall_of("mixed"), "bridge")


def test_what_cannot_be_read_is_not_concluded_from() -> None:
    assert forward_drops(replace(firewall_of("docker"), problem="not root")) is None


def test_chains_come_in_the_order_of_their_priorities() -> None:
    chains = [base("second", 10), base("first", -10), base("third", 20)]
    assert [chain.name for chain in forward_chains(Firewall("1", tuple(chains), 0))] == ["first", "second", "third"]


def base(name: str, priority: int, *rules: FirewallRule, hook: str = "forward", kind: str = "filter") -> FirewallChain:
    return FirewallChain("ip", "t", name, rules, kind=kind, hook=hook, priority=priority, policy="accept")


def test_what_the_way_to_a_rule_asks_for_counts() -> None:
    sub = FirewallChain("ip", "t", "sub", (FirewallRule("", "masquerade", source="10.0.0.0/8", understood=True),))
    jump = FirewallRule("", "jump sub", oif="eth0", understood=True)
    vague = FirewallRule("", "jump sub", oif="eth1", understood=False)
    firewall = Firewall("1", (base("post", 100, jump, vague, hook="postrouting", kind="nat"), sub), 0)
    assert [short(nat) for nat in nat_of(firewall)] == [
        ("masquerade", "10.0.0.0/8", "eth0", "", True),
        ("masquerade", "10.0.0.0/8", "eth1", "", False),
    ]


def test_a_way_that_contradicts_the_rule_is_not_exact() -> None:
    sub = FirewallChain("ip", "t", "sub", (FirewallRule("", "masquerade", oif="eth1", understood=True),))
    jump = FirewallRule("", "jump sub", oif="eth0", understood=True)
    (nat,) = nat_of(Firewall("1", (base("post", 100, jump, hook="postrouting", kind="nat"), sub), 0))
    assert (nat.oif, nat.exact) == ("eth1", False)


def test_chains_that_lead_to_each_other_end() -> None:
    """The kernel refuses such; a hand-made snapshot may hold them all the same."""
    loop = FirewallChain("ip", "t", "loop", (FirewallRule("", "jump loop", understood=True),))
    start = base("post", 100, FirewallRule("", "goto loop", understood=True), hook="postrouting", kind="nat")
    assert nat_of(Firewall("1", (start, loop), 0)) == []


@pytest.mark.parametrize(
    ("asked", "name", "fits"),
    [
        ("", "eth0", True),
        ("eth0", "eth0", True),
        ("eth0", "eth01", False),
        ("vnet*", "vnet12", True),
        ("vnet*", "veth1", False),
        ("!docker0", "eth0", True),
        ("!docker0", "docker0", False),
        ("!vnet*", "vnet1", False),
    ],
)
def test_links_that_rules_ask_for(asked: str, name: str, fits: bool) -> None:
    assert link_fits(asked, name) is fits
