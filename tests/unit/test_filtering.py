"""Firewalls simulated: what is certain, what is not, and what a rule that is not understood leaves open."""

from __future__ import annotations

from typing import Any

import pytest

from tui.model.firewall import Firewall, FirewallChain, FirewallRule
from tui.topology.filtering import Outcome, Packet, judge, matches

THERE = Packet("r1-in", "r1-ex", "10.0.0.51", "203.0.113.9")
BACK = Packet("r1-ex", "r1-in", "203.0.113.9", "10.0.0.51", reply=True)


def rule(verdict: str, *, text: str = "", understood: bool = True, **asked: Any) -> FirewallRule:
    """A rule."""
    return FirewallRule(text or verdict, verdict, understood=understood, **asked)


def chain(
    hook: str, *rules: FirewallRule, policy: str = "accept", kind: str = "filter", name: str = ""
) -> FirewallChain:
    """A chain; without a hook it is one that others jump to."""
    priority, sort = (0, kind) if hook else (None, "")
    return FirewallChain("ip", "t", name or hook, rules, sort, hook, priority, policy if hook else "")


def outcome(packet: Packet, *chains: FirewallChain) -> Outcome:
    """What the first chain does with a packet."""
    return judge(Firewall("n", chains, 1), chains[0], packet).outcome


def test_the_first_rule_that_matches_decides() -> None:
    rules = (rule("accept", source="10.0.0.0/24", oif="r1-ex"), rule("drop"))
    assert outcome(THERE, chain("forward", *rules)) is Outcome.ACCEPT
    assert outcome(BACK, chain("forward", *rules)) is Outcome.DROP
    assert outcome(THERE, chain("forward", *reversed(rules))) is Outcome.DROP


def test_the_policy_decides_where_no_rule_does() -> None:
    found = judge(Firewall("n", (), 1), chain("forward", rule("accept", iif="other"), policy="drop"), THERE)
    assert (found.outcome, found.rule) == (Outcome.DROP, None)
    assert outcome(THERE, chain("forward")) is Outcome.ACCEPT


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"iif": "r1-in"}, True),
        ({"iif": "r1-*"}, True),
        ({"iif": "r2-*"}, False),
        ({"iif": "r1-in", "negated": frozenset({"iif"})}, False),
        ({"source": "10.0.0.0/24"}, True),
        ({"source": "10.0.0.0/24", "negated": frozenset({"source"})}, False),
        ({"destination": "10.0.0.0/24"}, False),
        ({"source": "no address"}, None),
        ({"understood": False, "text": "ip saddr @set drop"}, None),
        ({"understood": False, "text": "ct state established,related accept"}, False),
        ({"understood": False, "text": "ct state { new, established } accept"}, True),
        ({"understood": False, "text": "ct state new ct mark 0x1 accept"}, None),
        ({"understood": False, "text": "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"}, False),
        ({"understood": False, "text": "-m conntrack --ctstate NEW -j ACCEPT"}, True),
        ({"understood": False, "text": "-m conntrack ! --ctstate NEW -j DROP"}, False),
        ({"understood": False, "text": "tcp dport 22 accept", "protocol": "tcp", "ports": "22"}, False),
        ({"understood": False, "text": "ip protocol icmp drop", "protocol": "icmp"}, True),
        ({"understood": False, "text": "icmp type echo-request drop", "protocol": "icmp"}, None),
    ],
)
def test_a_rule_is_about_a_ping_or_not(asked: dict[str, Any], expected: bool | None) -> None:
    assert matches(rule("drop", **asked), THERE) is expected


def test_an_answer_belongs_to_a_connection_that_is_known() -> None:
    established = rule("accept", text="ct state established,related accept", understood=False)
    assert matches(established, BACK) is True
    forward = chain("forward", established, rule("accept", iif="r1-in"), policy="drop")
    assert outcome(THERE, forward) is Outcome.ACCEPT
    assert outcome(BACK, forward) is Outcome.ACCEPT
    assert outcome(BACK, chain("forward", rule("accept", iif="r1-in"), policy="drop")) is Outcome.DROP


def test_what_is_not_understood_leaves_it_open_unless_all_ways_end_the_same() -> None:
    odd: dict[str, Any] = {"text": "ip saddr @x", "understood": False}
    assert outcome(THERE, chain("forward", rule("drop", **odd))) is Outcome.UNCLEAR
    assert outcome(THERE, chain("forward", rule("accept", **odd), policy="drop")) is Outcome.UNCLEAR
    assert outcome(THERE, chain("forward", rule("accept", **odd))) is Outcome.ACCEPT
    assert outcome(THERE, chain("forward", rule("drop", **odd), policy="drop")) is Outcome.DROP
    assert outcome(THERE, chain("forward", rule("queue"))) is Outcome.UNCLEAR


def test_jumps_return_and_gotos_do_not() -> None:
    guard = chain("", rule("return", iif="r1-in"), rule("drop"), name="guard")
    assert outcome(THERE, chain("forward", rule("jump guard"), rule("accept"), policy="drop"), guard) is Outcome.ACCEPT
    assert outcome(BACK, chain("forward", rule("jump guard"), rule("accept")), guard) is Outcome.DROP
    assert outcome(THERE, chain("forward", rule("goto guard"), rule("accept"), policy="drop"), guard) is Outcome.DROP
    assert outcome(THERE, chain("forward", rule("jump nowhere"), rule("accept"))) is Outcome.UNCLEAR


def test_an_uncertain_return_keeps_both_ways() -> None:
    guard = chain("", rule("return", text="ip saddr @x", understood=False), rule("drop"), name="guard")
    assert outcome(THERE, chain("forward", rule("jump guard")), guard) is Outcome.UNCLEAR


def test_chains_that_jump_in_circles_end() -> None:
    circle = chain("", rule("jump circle"), name="circle")
    assert outcome(THERE, chain("forward", rule("jump circle")), circle) is Outcome.UNCLEAR


def test_what_is_exempt_from_nat_keeps_its_source() -> None:
    exempt, hide = rule("return", destination="203.0.113.0/24"), rule("masquerade", oif="r1-ex")
    nat = chain("postrouting", exempt, hide, kind="nat")
    assert outcome(THERE, nat) is Outcome.ACCEPT
    elsewhere = Packet("r1-in", "r1-ex", "10.0.0.51", "192.0.2.1")
    found = judge(Firewall("n", (nat,), 1), nat, elsewhere)
    assert (found.outcome, found.rule) == (Outcome.REWRITE, hide)
    odd = rule("return", text="ip daddr @x return", understood=False)
    assert outcome(THERE, chain("postrouting", odd, hide, kind="nat")) is Outcome.UNCLEAR
    tcp = rule("snat", text="tcp", understood=False, protocol="tcp", to="192.0.2.9")
    assert outcome(THERE, chain("postrouting", tcp, hide, kind="nat")) is Outcome.REWRITE
