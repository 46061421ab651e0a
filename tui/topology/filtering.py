"""What a firewall does with a packet, as far as its rules are understood; what is not understood is never taken for
good."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
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
_PINGS = frozenset({"icmp", "1", "ipv6-icmp", "icmpv6", "58"})
_ICMP = _PINGS | {"all"}
_STATE = re.compile(r"(?:ct state|--ctstate|--state) (?!vmap )(!= )?(?:\{ ([^}]*) \}|(\S+))", re.IGNORECASE)
_STATE_MAP = re.compile(r"(?:counter )?ct state vmap \{ ([^}]*) \}")
# What a rule may say besides links, addresses and connection states and still ask for nothing else.
_KNOWN_WORDS = re.compile(
    r'comment "[^"]*"|-m comment --comment (?:"[^"]*"|\S+)'
    r"|\bip protocol icmp\b|\bmeta l4proto icmp\b|(?<!! )-p icmp\b|-m icmp\b|-m (?:conntrack|state)\b"
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
    later: bool = False
    """Whether it is a later packet of the connection that it is sent by, which has been answered."""
    other: bool = False
    """Whether it stands for anything of these addresses but a ping: TCP, UDP ... to and from any port."""


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


def others_dropped(firewall: Firewall, chain: FirewallChain, packet: Packet) -> list[FirewallRule | None]:
    """Return what in a base chain drops, or may drop, other traffic of a ping's addresses: rules that drop or reject
    it, hand it to a program or choose by a map, None for the policy. Empty where nothing does."""
    found: dict[FirewallRule | None, None] = {}
    for later in (False, True) if not packet.reply else (False,):
        walk = _Walk(chains_by_name(firewall), replace(packet, other=True, later=later))
        ends = walk.through(chain, 0)
        found |= dict.fromkeys(walk.drops)
        if _FALL in ends and chain.policy == "drop":
            found[None] = None
    return list(found)


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
    drops: list[FirewallRule] = field(default_factory=list)
    """All that drops it or may, in the order in which it is met."""
    known: dict[int, set[str]] = field(default_factory=dict)
    """The ends of chains that were gone through already, by their identity."""

    def through(self, chain: FirewallChain, depth: int) -> set[str]:
        known = self.known.get(id(chain))
        if known is None:
            known = self.known[id(chain)] = self._through(chain, depth)
        return known

    def _through(self, chain: FirewallChain, depth: int) -> set[str]:
        ends: set[str] = set()
        for written in chain.rules:
            rule = _chosen(written, self.packet)
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
                self.drops.append(rule)
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
        self.drops.append(rule)
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
    protocols = frozenset(rule.protocol.lower().split(",")) if rule.protocol else frozenset()
    if packet.other:
        if protocols and protocols <= _PINGS:
            return False
        unsure = unsure or bool(protocols or rule.ports)
    elif rule.ports or (protocols and not protocols & _ICMP):
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


def _state_of(packet: Packet) -> str:
    return "established" if packet.reply or packet.later else "new"


def _chosen(rule: FirewallRule, packet: Packet) -> FirewallRule:
    """A rule that chooses by nothing but the state of the connection (`ct state vmap`), as the one that it is for the
    packet; any other as it is."""
    found = _STATE_MAP.fullmatch(rule.text) if rule.verdict == "vmap" else None
    if found is None:
        return rule
    verdicts = dict(re.findall(r"(\w+) : ([^,]+?)\s*(?:,|$)", found[1]))
    return replace(rule, verdict=verdicts.get(_state_of(packet), "continue"), understood=True)


def _state(text: str, packet: Packet) -> bool | None:
    """Whether the states of connections that a rule asks for include the packet's; None where it asks for none."""
    found = _STATE.search(text)
    if found is None:
        return None
    states = {state.strip().lower() for state in (found[2] or found[3] or "").split(",")}
    fits = _state_of(packet) in states
    negated = bool(found[1]) or re.search(r"! --(?:ct)?state", text) is not None
    return fits != negated


def _asks_more(rule: FirewallRule) -> bool:
    """Whether a rule asks for more than links, addresses, ICMP and the state of the connection."""
    text = _STATE.sub("", rule.text)
    for name, words in _ASKED_WORDS.items():
        text = words.sub("", text, count=1) if getattr(rule, name) else text
    return bool(_KNOWN_WORDS.sub("", text).replace("!", "").strip())
