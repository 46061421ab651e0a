"""Rules as nft and iptables-save really wrote them (tests/unit/rulesets, its `record` says of what), understood only
where they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from tui.model.firewall import Firewall, FirewallChain, FirewallRule
from tui.model.firewall_facts import target_of
from tui.model.text import clean
from tui.sources.firewall_iptables import parse_rule, parse_save, with_words_of
from tui.sources.firewall_nft import parse_ruleset, parse_texts

RULESETS = Path(__file__).parent / "rulesets"


def recorded(name: str) -> tuple[FirewallChain, ...]:
    """Return the chains of a recorded ruleset as the reader puts them together."""
    nft = parse_ruleset(read(f"{name}.json"), parse_texts(read(f"{name}.txt")))
    ip, _, ip6 = read(f"{name}.save").partition("# ip6\n")
    return with_words_of(nft, (*parse_save(ip, "ip", "iptables-nft"), *parse_save(ip6, "ip6", "iptables-nft")))


def read(file: str) -> str:
    return (RULESETS / file).read_text()


def firewall_of(name: str) -> Firewall:
    return Firewall("1", recorded(name), 0)


def chain_of(chains: Iterable[FirewallChain], *key: str) -> FirewallChain:
    return next(chain for chain in chains if (chain.family, chain.table, chain.name) == key)


def asked(rule: FirewallRule) -> dict[str, str]:
    """Return what a rule asks for."""
    names = ("iif", "oif", "source", "destination", "protocol", "ports", "to")
    return {name: value for name in names if (value := getattr(rule, name))}


def told(rule: FirewallRule) -> tuple[str, dict[str, str], bool]:
    return rule.verdict, asked(rule), rule.understood


def test_base_chains_have_hook_priority_and_policy() -> None:
    chains = recorded("mixed")
    base = {(c.family, c.table, c.name): (c.kind, c.hook, c.priority, c.policy) for c in chains if c.hook}
    assert base == {
        ("ip", "nat", "POSTROUTING"): ("nat", "postrouting", 100, "accept"),
        ("ip", "nat", "PREROUTING"): ("nat", "prerouting", -100, "accept"),
        ("ip", "filter", "FORWARD"): ("filter", "forward", 0, "drop"),
        ("ip6", "nat", "POSTROUTING"): ("nat", "postrouting", 100, "accept"),
        ("ip6", "filter", "FORWARD"): ("filter", "forward", 0, "accept"),
        ("inet", "lab", "forw"): ("filter", "forward", 0, "drop"),
        ("ip", "nat2", "post"): ("nat", "postrouting", 100, "accept"),
        ("ip", "nat2", "pre"): ("nat", "prerouting", -100, "accept"),
        ("bridge", "br", "f"): ("filter", "forward", 0, "accept"),
        ("netdev", "nd", "i"): ("filter", "ingress", 0, "accept"),
    }
    assert chain_of(chains, "inet", "lab", "sub").hook == ""
    assert chain_of(chains, "netdev", "nd", "i").device == "lo"


def test_who_made_a_chain() -> None:
    origins = {(chain.family, chain.table): chain.origin for chain in recorded("mixed")}
    assert {key for key, origin in origins.items() if origin == "iptables-nft"} == {
        ("ip", "nat"),
        ("ip", "filter"),
        ("ip6", "nat"),
        ("ip6", "filter"),
    }


def test_a_rule_of_nft_is_understood_where_links_and_addresses_are_all_it_asks_for() -> None:
    assert [told(rule) for rule in chain_of(recorded("mixed"), "inet", "lab", "forw").rules] == [
        ("accept", {"iif": "br0", "oif": "eth0", "source": "10.0.0.0/24"}, True),
        ("drop", {"iif": "br0"}, True),
        ("accept", {}, False),
        ("jump sub", {}, False),
        ("goto sub", {}, False),
        ("drop", {}, False),
        ("accept", {"iif": "lo"}, True),
        ("reject", {"source": "fd00::/64"}, True),
        ("vmap", {}, False),
        ("", {"oif": "q"}, True),
        ("drop", {}, False),
        ("accept", {"iif": "a"}, False),
    ]


def test_what_is_asked_for_not_to_be() -> None:
    rules = chain_of(recorded("mixed"), "inet", "lab", "forw").rules
    assert [rule.negated for rule in rules[:2]] == [frozenset(), {"iif"}]


def test_counters_are_figures_and_not_text() -> None:
    first, second, *_ = chain_of(recorded("mixed"), "inet", "lab", "forw").rules
    assert (first.packets, first.bytes, second.packets) == (0, 0, None)
    assert first.text == (
        'iifname "br0" oifname "eth0" ip saddr 10.0.0.0/24 counter accept comment "[red]out \\ # handle 3"'
    )
    assert first.handle == 4


def test_translations_of_nft() -> None:
    chains = recorded("mixed")
    assert [told(rule) for rule in chain_of(chains, "ip", "nat2", "post").rules] == [
        ("masquerade", {"oif": "eth0", "source": "10.0.0.0/24"}, True),
        ("snat", {"source": "10.9.0.0/24", "to": "192.0.2.7-192.0.2.8"}, True),
    ]
    assert [told(rule) for rule in chain_of(chains, "ip", "nat2", "pre").rules] == [
        ("dnat", {"iif": "eth0", "protocol": "tcp", "ports": "2222,2300-2310", "to": "10.0.0.9:22"}, False),
        ("redirect", {"protocol": "tcp", "ports": "53", "to": ":5353"}, False),
        ("dnat", {"destination": "192.0.2.9", "to": "10.0.0.10"}, True),
    ]


def test_rules_of_iptables_nft_are_told_in_its_own_words() -> None:
    rules = chain_of(recorded("mixed"), "ip", "filter", "FORWARD").rules
    assert [(rule.text, *told(rule)) for rule in rules] == [
        (
            "-s 10.0.0.0/24 -i br0 -o eth0 -j ACCEPT",
            "accept",
            {"iif": "br0", "oif": "eth0", "source": "10.0.0.0/24"},
            True,
        ),
        (
            '-m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "say \\"hi\\"" -j ACCEPT',
            "accept",
            {},
            False,
        ),
        ("! -i br0 -j DROP", "drop", {"iif": "br0"}, True),
        ("-i vnet+ -j ACCEPT", "accept", {"iif": "vnet*"}, True),
        ("-s 10.0.0.0/255.0.255.0 -j DROP", "drop", {"source": "10.0.0.0/255.0.255.0"}, False),
        ("-d 10.0.0.9/32 -j LOG", "", {"destination": "10.0.0.9"}, True),
        ("-p tcp -j TCPMSS --clamp-mss-to-pmtu", "", {"protocol": "tcp"}, False),
        ("-j REJECT --reject-with icmp-port-unreachable", "reject", {}, True),
    ]
    assert [rule.handle for rule in rules] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert (set(rules[2].negated), rules[0].packets) == ({"iif"}, 0)


def test_the_arguments_of_iptables_targets_are_known() -> None:
    chains = recorded("mixed")
    assert [told(rule) for rule in chain_of(chains, "ip", "nat", "POSTROUTING").rules] == [
        ("masquerade", {"oif": "eth0", "source": "10.0.0.0/24"}, True),
        ("snat", {"source": "10.0.1.0/24", "to": "192.0.2.1-192.0.2.5"}, True),
    ]
    (forward,) = chain_of(chains, "ip", "nat", "PREROUTING").rules
    assert told(forward) == (
        "dnat",
        {"iif": "eth0", "protocol": "tcp", "ports": "8080", "to": "10.0.0.5:80"},
        False,
    )


def test_without_iptables_save_the_text_of_nft_tells_the_arguments() -> None:
    chains = parse_ruleset(read("mixed.json"), parse_texts(read("mixed.txt")))
    assert [told(rule) for rule in chain_of(chains, "ip", "nat", "POSTROUTING").rules] == [
        ("masquerade", {"oif": "eth0", "source": "10.0.0.0/24"}, True),
        ("snat", {"source": "10.0.1.0/24", "to": "192.0.2.1-192.0.2.5"}, True),
    ]
    assert chain_of(chains, "ip", "nat", "PREROUTING").rules[0].to == "10.0.0.5:80"
    assert chain_of(chains, "ip", "filter", "FORWARD").rules[-1].verdict == "reject"


def test_without_any_text_the_json_names_the_target_alone() -> None:
    chains = parse_ruleset(read("mixed.json"), {})
    verdicts = [(rule.verdict, rule.to) for rule in chain_of(chains, "ip", "nat", "POSTROUTING").rules]
    assert verdicts == [("masquerade", ""), ("snat", "")]
    assert "MASQUERADE" in chain_of(chains, "ip", "nat", "POSTROUTING").rules[0].text


def test_json_of_older_versions_does_not_even_name_the_target() -> None:
    """nft 0.9 writes null for what it cannot translate; made by hand from the recorded JSON."""
    ruleset = json.loads(read("mixed.json"))
    for item in ruleset["nftables"]:
        for statement in item.get("rule", {}).get("expr", ()):
            if "xt" in statement:
                statement["xt"] = None
    chains = parse_ruleset(json.dumps(ruleset), parse_texts(read("mixed.txt")))
    rule = chain_of(chains, "ip", "nat", "POSTROUTING").rules[1]
    assert (rule.verdict, rule.to, rule.understood) == ("snat", "192.0.2.1-192.0.2.5", False)


def test_bridge_rules_ask_for_more_than_can_be_told() -> None:
    rules = chain_of(recorded("mixed"), "bridge", "br", "f").rules
    assert [told(rule) for rule in rules] == [
        ("drop", {}, False),
        ("drop", {"iif": "tap1", "source": "10.0.0.0/24"}, True),
    ]


def test_rules_of_libvirt() -> None:
    rules = chain_of(recorded("libvirt"), "ip", "nat", "LIBVIRT_PRT").rules
    assert [told(rule) for rule in rules] == [
        ("return", {"source": "10.77.1.0/24", "destination": "224.0.0.0/24"}, True),
        ("return", {"source": "10.77.1.0/24", "destination": "255.255.255.255"}, True),
        (
            "masquerade",
            {"source": "10.77.1.0/24", "destination": "10.77.1.0/24", "protocol": "tcp", "to": "1024-65535"},
            False,
        ),
        (
            "masquerade",
            {"source": "10.77.1.0/24", "destination": "10.77.1.0/24", "protocol": "udp", "to": "1024-65535"},
            False,
        ),
        ("masquerade", {"source": "10.77.1.0/24", "destination": "10.77.1.0/24"}, True),
    ]
    assert rules[-1].negated == {"destination"}


def test_a_chain_that_changed_between_the_readings_keeps_the_words_of_nft() -> None:
    nft = parse_ruleset(read("docker.json"), parse_texts(read("docker.txt")))
    saved = parse_save(read("docker.save").replace("[0:0] -A FORWARD -j DOCKER-USER\n", ""), "ip", "iptables-nft")
    forward = chain_of(with_words_of(nft, saved), "ip", "filter", "FORWARD")
    assert [rule.text for rule in forward.rules] == ["counter jump DOCKER-USER", "counter jump DOCKER-FORWARD"]


def test_iptables_legacy_tells_its_own_hooks() -> None:
    chains = parse_save(read("docker.save").partition("# ip6")[0], "ip", "iptables-legacy")
    forward = chain_of(chains, "ip", "filter", "FORWARD")
    assert (forward.kind, forward.hook, forward.priority, forward.policy) == ("filter", "forward", 0, "drop")
    assert chain_of(chains, "ip", "nat", "PREROUTING").priority == -100
    assert chain_of(chains, "ip", "nat", "DOCKER").hook == ""


@pytest.mark.parametrize(
    ("line", "verdict", "understood"),
    [
        ("-A X -j ACCEPT", "accept", True),
        ("-A X -g SUB", "goto SUB", True),
        ("-A X -j SUB", "jump SUB", True),
        ("-A X -j MARK --set-xmark 0x1/0xffffffff", "", False),
        ("-A X", "", True),
        ('-A X -m comment --comment "-j DROP" -j ACCEPT', "accept", True),
        ('-A X -m comment --comment "open', "", False),
        ("-A X ! -p tcp -m tcp ! --dport 22 -j DROP", "drop", False),
    ],
)
def test_verdicts_of_iptables(line: str, verdict: str, understood: bool) -> None:
    chain, rule = parse_rule(line, {"SUB"}, (1, 2))
    assert (chain, rule.verdict, rule.understood, rule.packets, rule.bytes) == ("X", verdict, understood, 1, 2)


def test_hostile_comments_are_cleaned_and_lead_no_text_astray() -> None:
    hostile = 'x\x1b[31m\u202e"\n\t\taccept # handle 9'
    text = f'table ip t {{ # handle 1\n\tchain c {{ # handle 2\n\t\tdrop comment "{hostile} # handle 5\n\t}}\n}}\n'
    texts = parse_texts(text)
    rules = [
        {"family": "ip", "table": "t", "chain": "c", "handle": handle, "expr": [{"drop": None}]} for handle in (5, 9)
    ]
    chains = [{"chain": {"family": "ip", "table": "t", "name": "c\x1b", "handle": 2}}]
    ruleset = {"nftables": [*chains, *({"rule": {**rule, "chain": "c\x1b"}} for rule in rules)]}
    (chain,) = parse_ruleset(json.dumps(ruleset), {("ip", "t", "c\x1b", key[3]): words for key, words in texts.items()})
    assert chain.name == clean("c\x1b") != "c\x1b"
    for rule in chain.rules:
        assert rule.verdict == "drop"
        assert rule.text == clean(rule.text)


def test_jumps_go_by_the_names_that_are_shown() -> None:
    hostile = "\u202e[red]\x1b"
    jump = {"family": "ip", "table": "t", "chain": "a", "handle": 1, "expr": [{"jump": {"target": hostile}}]}
    chains = [{"chain": {"family": "ip", "table": "t", "name": name, "handle": 9}} for name in ("a", hostile)]
    first, second = parse_ruleset(json.dumps({"nftables": [*chains, {"rule": jump}]}), {})
    assert target_of(first.rules[0]) == second.name
    assert second.name.isprintable()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": [{"rule": {}}]}'])
def test_what_is_no_ruleset_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_ruleset(text, {})
