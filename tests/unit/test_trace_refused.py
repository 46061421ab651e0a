"""What a trace says of a kernel that refuses a packet with no word but an errno, and of silence on the wire."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from tests.unit.network_scene import HOME, Net, all_bad, named, routed
from tests.unit.test_filtering import chain, rule
from tui.model.finding import Fact, Trace, Verdict
from tui.model.link import Rule, TapFacts
from tui.model.route import ProbeKind

FAR = "203.0.113.9"
GUEST, MAC = "10.0.0.51", "52:54:00:00:00:01"


def refusing(code: int, *rules: str, priority: int = 100, rp_filter: int = 0) -> Net:
    """The routed network whose router refuses the guest's packets, and has policy rules."""
    net = routed()
    net.filter("r1", chain("postrouting", rule("masquerade", oif="r1-ex"), kind="nat"))
    net.refused["r1", FAR] = code
    net.rules["r1"] = tuple(Rule("r1", priority + at, 0, text) for at, text in enumerate(rules))
    settings = net.namespaces["r1"].settings
    assert settings is not None
    net.namespaces["r1"] = replace(net.namespaces["r1"], settings=replace(settings, rp_filter=rp_filter))
    return net


def cause(found: Trace) -> Fact:
    assert found.cause is not None, all_bad(found)
    return found.hops[found.cause[0]].facts[found.cause[1]]


@pytest.mark.parametrize(
    ("text", "code", "name"),
    [
        (f"from {GUEST} blackhole", errno.EINVAL, "rule-blackhole"),
        ("from 10.0.0.0/24 iif r1-in blackhole", errno.EINVAL, "rule-blackhole"),
        (f"from all to {FAR} unreachable", errno.ENETUNREACH, "rule-unreachable"),
        (f"from {GUEST} prohibit", errno.EACCES, "rule-prohibit"),
    ],
)
@pytest.mark.parametrize("rp_filter", [0, 1])
def test_a_policy_rule_is_named_and_what_deletes_it(text: str, code: int, name: str, rp_filter: int) -> None:
    found = refusing(code, "from 10.9.0.0/16 blackhole", text, rp_filter=rp_filter).trace("vm1", FAR)
    assert named(found) == ("r1", name)
    fact = cause(found)
    assert fact.words == f"the policy rule 101: {text} takes packets from {GUEST}"
    assert fact.remedies[0].command == ("ip", "-n", "r1", "rule", "del", "priority", "101")


@pytest.mark.parametrize(
    "text", ["from 10.9.0.0/16 blackhole", "not from 10.0.0.51 blackhole", "from 10.0.0.51 fwmark 0x1 blackhole",
             "from all iif other blackhole"],
)  # fmt: skip
def test_a_rule_that_is_not_surely_about_the_packet_is_not_blamed_and_rp_filter_only_where_it_is_on(text: str) -> None:
    assert named(refusing(errno.EINVAL, text, rp_filter=1).trace("vm1", FAR)) == ("r1", "rp-filter")
    found = refusing(errno.EINVAL, text).trace("vm1", FAR)
    assert named(found) == ("r1", "route-refused")
    assert cause(found).remedies[0].command[-6:] == ("get", FAR, "from", GUEST, "iif", "r1-in")


def test_a_rule_that_leads_to_a_table_of_its_own_is_told() -> None:
    found = refusing(errno.EINVAL, f"from {GUEST} lookup 77").trace("vm1", FAR)
    assert named(found) == ("r1", "route-refused")
    assert f"100: from {GUEST} lookup 77" in cause(found).words
    assert not any("rp_filter=2" in word for word in cause(found).remedies[0].command)


def test_a_loose_rp_filter_is_not_to_be_made_loose() -> None:
    strict, loose = (cause(refusing(errno.EXDEV, rp_filter=mode).trace("vm1", FAR)) for mode in (1, 2))
    assert (strict.cause, loose.cause) == ("rp-filter", "rp-filter")
    assert strict.remedies[0].command[-1].endswith("rp_filter=2")
    assert not loose.remedies[0].command


# On the wire


def test_the_router_asks_the_guest_where_the_router_is_the_destination() -> None:
    net = routed()
    net.wire = {(ProbeKind.ARP, GUEST): MAC, (ProbeKind.PING, GUEST): GUEST}
    found = net.trace("vm1", "10.0.0.1")
    assert found.verdict is Verdict.GOOD, all_bad(found)
    assert {(asked.netns, asked.kind, asked.address) for asked in net.probed} == {
        ("r1", ProbeKind.ARP, GUEST),
        ("r1", ProbeKind.PING, GUEST),
    }
    net.wire = {(ProbeKind.ARP, GUEST): MAC, (ProbeKind.PING, "10.0.0.1"): "10.0.0.1"}
    assert net.trace("vm1", "10.0.0.1").verdict is Verdict.UNKNOWN
    net.wire = {(ProbeKind.PING, "10.0.0.1"): "10.0.0.1"}
    assert named(net.trace("vm1", "10.0.0.1")) == ("r1", "guest-silent")


def test_a_guest_that_is_silent_on_the_wire_is_nearer_than_a_fault_behind_the_router() -> None:
    net = routed()
    net.filter("r1", chain("postrouting", rule("masquerade", oif="r1-ex"), kind="nat"))
    net.address("wan0@outside", "198.51.100.1/24")
    far = ("outside", "no-route")
    assert named(net.trace("vm1", FAR)) == far
    net.wire = {(ProbeKind.ARP, "198.51.100.1"): net.links[net.key("wan0@outside")].mac}
    found = net.trace("vm1", FAR)
    assert named(found) == ("r1", "guest-silent")
    assert far in all_bad(found)
    net.change("p-in", up=False, carrier=False)
    assert named(net.trace("vm1", FAR)) == ("p-in", "link-down"), "what explains the silence is nearer still"


# Other labs


def test_a_tap_that_is_unplugged_does_not_lead_into_another_namespace_of_the_same_network() -> None:
    net = Net()
    net.netns("lab2")
    for bridge in ("virbr0", "virbr7@lab2"):
        net.link(bridge, "bridge")
    net.address("virbr7@lab2", "10.77.1.1/24")
    net.link("vnet0", "tun", tap=TapFacts("tap", persistent=False))
    net.domain("vm1", "vnet0", MAC, "10.77.1.50", source="virbr0")
    for to in ("", "10.77.1.1", "10.77.1.77"):
        found = net.trace("vm1", to)
        assert named(found) == ("vnet0", "not-enslaved"), to
        assert "lab2" not in {hop.netns for hop in found.hops}, to
    net.address("virbr0", "10.77.1.1/24")
    found = net.trace("vm1", "10.77.1.1")
    assert named(found) == ("vnet0", "not-enslaved")
    assert ("bridge", "virbr0", HOME) in {(hop.kind, hop.name, hop.netns) for hop in found.hops}
