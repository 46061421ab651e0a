"""What a firewall does with a packet, as far as its rules are understood; what is not understood is never taken for
good."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from tui.model.firewall_facts import chains_by_name, link_fits, target_of
from tui.model.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.model.firewall import Firewall, FirewallChain, FirewallRule
    from tui.model.firewall_facts import Chains

_DEEPEST = 16
"""Jumps that are followed; the kernel refuses more."""
_ICMP = frozenset({"icmp", "1", "ipv6-icmp", "icmpv6", "58", "all"})
_STATE = re.compile(r"(?:ct state|--ctstate|--state) (!= )?(?:\{ ([^}]*) \}|(\S+))", re.IGNORECASE)
# What a rule may say besides links, addresses and connection states and still ask for nothing else.
_KNOWN_WORDS = re.compile(
    r'comment "[^"]*"|-m comment --comment (?:"[^"]*"|\S+)'
    r"|\bip protocol icmp\b|\bmeta l4proto icmp\b|-p icmp\b|-m icmp\b|-m (?:conntrack|state)\b"
    r"|\bcounter\b|\blog(?: (?:prefix \S+|level \S+))*"
    r"|-j .*|\b(?:accept|drop|return|continue|masquerade)\b|\breject.*|\b(?:jump|goto) \S+"
)
_ASKED_WORDS = {
    "iif": re.compile(r"\biif(?:name)? (?:!= )?\S+|(?:! )?-i \S+"),
    "oif": re.compile(r"\boif(?:name)? (?:!= )?\S+|(?:! )?-o \S+"),
    "source": re.compile(r"\bip6? saddr (?:!= )?\S+|(?:! )?-s \S+"),
    "destination": re.compile(r"\bip6? daddr (?:!= )?\S+|(?:! )?-d \S+"),
}
"""Where the fields of a rule stand in its text; once each."""


class Outcome(StrEnum):
    """What becomes of a packet."""

    ACCEPT = "accept"
    DROP = "drop"
    REWRITE = "rewrite"
    """It goes on with another source."""
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Packet:
    """A ping on its way; links by their raw names, "" where there is none."""

    iif: str = ""
    oif: str = ""
    source: str = ""
    destination: str = ""
    reply: bool = False
    """Whether it belongs to a connection that is known already."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one base chain does with a packet, and by what."""

    chain: FirewallChain
    outcome: Outcome
    rule: FirewallRule | None = None
    """The rule that decides, or the first that is not understood; None: the policy, or nothing at all."""
    within: FirewallChain | None = None
    """The chain that the rule is in."""

    @property
    def place(self) -> str:
        """Family, table and chain, cleaned: the model has their raw names."""
        chain = self.within or self.chain
        return clean(f"{chain.family} {chain.table} {chain.name}")


def is_icmp(protocol: str) -> bool:
    """Whether a protocol, by name or number, is that of pings, or any."""
    return protocol.lower() in _ICMP


def base_chains(firewall: Firewall, hook: str, families: Iterable[str], kinds: Iterable[str]) -> list[FirewallChain]:
    """Return the base chains of a hook in the order in which packets meet them."""
    wanted, sorts = frozenset(families), frozenset(kinds)
    found = [c for c in firewall.chains if c.hook == hook and c.family in wanted and c.kind in sorts]
    return sorted(found, key=lambda chain: chain.priority or 0)


def judge(firewall: Firewall, chain: FirewallChain, packet: Packet) -> Judgement:
    """Return what a base chain does with a packet."""
    walk = _Walk(chains_by_name(firewall), packet)
    ends = walk.through(chain, 0)
    policy = Outcome.DROP if chain.policy == "drop" else Outcome.ACCEPT
    outcomes = {policy if end == _FALL else end for end in ends}
    if len(outcomes) > 1 or Outcome.UNCLEAR in outcomes:
        return Judgement(chain, Outcome.UNCLEAR, walk.unclear, walk.unclear_in)
    outcome = Outcome(next(iter(outcomes)))
    if outcome is Outcome.DROP and _FALL not in ends:
        return Judgement(chain, outcome, walk.dropping, walk.dropping_in)
    if outcome is Outcome.REWRITE:
        return Judgement(chain, outcome, walk.rewriting, walk.rewriting_in)
    return Judgement(chain, outcome)


_FALL = "fall"
"""The end of a chain: its caller goes on, or its policy decides."""


@dataclass(slots=True)
class _Walk:
    """The way of one packet through chains; `through` returns every end that it may come to."""

    chains: Chains
    packet: Packet
    dropping: FirewallRule | None = None
    dropping_in: FirewallChain | None = None
    rewriting: FirewallRule | None = None
    rewriting_in: FirewallChain | None = None
    unclear: FirewallRule | None = None
    unclear_in: FirewallChain | None = None
    seen: set[str] = field(default_factory=set)

    def through(self, chain: FirewallChain, depth: int) -> set[str]:
        ends: set[str] = set()
        for rule in chain.rules:
            match = matches(rule, self.packet)
            if match is False:
                continue
            found, returns = self._ends_of(chain, rule, depth)
            if not found and not returns:
                continue
            if match is None and self.unclear is None and (found - {_FALL} or returns):
                self.unclear, self.unclear_in = rule, chain
            ends |= found - {_FALL}
            if match and returns:
                return ends | {_FALL}
            ends |= {_FALL} if returns else set()
            if match and _FALL not in found:
                return ends
        return ends | {_FALL}

    def _ends_of(self, chain: FirewallChain, rule: FirewallRule, depth: int) -> tuple[set[str], bool]:
        """Return what the verdict of a rule leads to, and whether it leaves the chain for its caller."""
        match rule.verdict.partition(" ")[0]:
            case "accept" | "dnat" | "redirect":
                return {Outcome.ACCEPT}, False
            case "masquerade" | "snat":
                if self.rewriting is None:
                    self.rewriting, self.rewriting_in = rule, chain
                return {Outcome.REWRITE}, False
            case "drop" | "reject":
                if self.dropping is None:
                    self.dropping, self.dropping_in = rule, chain
                return {Outcome.DROP}, False
            case "queue" | "vmap":
                self._note_unclear(rule, chain)
                return {Outcome.UNCLEAR, _FALL} if rule.verdict == "vmap" else {Outcome.UNCLEAR}, False
            case "return":
                return set(), True
            case "jump" | "goto":
                return self._jump(chain, rule, depth)
        return set(), False

    def _jump(self, chain: FirewallChain, rule: FirewallRule, depth: int) -> tuple[set[str], bool]:
        target = self.chains.get((chain.origin, chain.family, chain.table, target_of(rule)))
        if target is None or depth >= _DEEPEST:
            self._note_unclear(rule, chain)
            return {Outcome.UNCLEAR, _FALL}, False
        found = self.through(target, depth + 1)
        if rule.verdict.startswith("goto") and _FALL in found:
            return found - {_FALL}, True
        return found, False

    def _note_unclear(self, rule: FirewallRule, chain: FirewallChain) -> None:
        if self.unclear is None:
            self.unclear, self.unclear_in = rule, chain


def matches(rule: FirewallRule, packet: Packet) -> bool | None:
    """Return whether a rule is about a packet; None where it asks for something that is not understood."""
    asked = (
        ("iif", rule.iif, packet.iif),
        ("oif", rule.oif, packet.oif),
        ("source", rule.source, packet.source),
        ("destination", rule.destination, packet.destination),
    )
    unsure = False
    for name, wanted, has in asked:
        if not wanted:
            continue
        fits = _fits_link(wanted, has) if name in ("iif", "oif") else _fits_address(wanted, has)
        if fits is None:
            unsure = True
        elif fits == (name in rule.negated):
            return False
    if rule.ports or (rule.protocol and not is_icmp(rule.protocol)):
        return False
    if not rule.understood:
        state = _state(rule.text, packet)
        if state is False:
            return False
        unsure = unsure or _asks_more(rule)
    return None if unsure else True


def _fits_link(wanted: str, has: str) -> bool:
    return bool(has) and link_fits(wanted, has)


def _fits_address(wanted: str, has: str) -> bool | None:
    """None where the packet's address is not known, or the rule's is none."""
    if not has:
        return None
    try:
        return ip_address(has) in ip_network(wanted, strict=False)
    except ValueError:
        return None


def _state(text: str, packet: Packet) -> bool | None:
    """Whether the states of connections that a rule asks for include the packet's; None where it asks for none."""
    found = _STATE.search(text)
    if found is None:
        return None
    states = {state.strip().lower() for state in (found[2] or found[3] or "").split(",")}
    fits = ("established" if packet.reply else "new") in states
    negated = bool(found[1]) or re.search(r"! --(?:ct)?state", text) is not None
    return fits != negated


def _asks_more(rule: FirewallRule) -> bool:
    """Whether a rule asks for more than links, addresses, ICMP and the state of the connection."""
    text = _STATE.sub("", rule.text)
    for name, words in _ASKED_WORDS.items():
        text = words.sub("", text, count=1) if getattr(rule, name) else text
    return bool(_KNOWN_WORDS.sub("", text).replace("!", "").strip())
