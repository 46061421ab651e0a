"""What a firewall means for the network drawn and judged: who is hidden behind which address, what is let in, and
whether packets that are passed on are dropped unless a rule lets them through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tui.model.firewall import Firewall, FirewallChain, FirewallRule

_DEEPEST = 16
"""Jumps that are followed; the kernel refuses more (NFT_JUMP_STACK_SIZE)."""
_SOURCE_NAT = frozenset({"masquerade", "snat"})
_PORT_FORWARD = frozenset({"dnat", "redirect"})

Chains = Mapping[tuple[str, str, str, str], FirewallChain]


@dataclass(frozen=True, slots=True)
class Nat:
    """A rule that rewrites addresses, with what the jumps that lead to it ask for as well."""

    family: str
    kind: str
    """masquerade, snat, dnat or redirect."""
    iif: str
    """The incoming link, raw, "" for any; where the rule asks for it not to be so, "!" before it. So with all four."""
    oif: str
    source: str
    destination: str
    to: str
    """Address, range or port; "" for masquerade, and where a map chooses."""
    protocol: str
    ports: str
    exact: bool
    """Whether links and addresses are all that is asked for."""
    rule: FirewallRule


@dataclass(frozen=True, slots=True)
class _Way:
    """What packets that come to a chain are known to be."""

    asked: Mapping[str, str]
    exact: bool


def nat_of(firewall: Firewall) -> list[Nat]:
    """Return the rules that rewrite the source of packets that leave (masquerade, snat), in the order of their
    chains; jumps are followed from the base chains, so a rule that nothing leads to is left out. What an earlier rule
    takes away from it (return, accept) is not considered."""
    return [nat for nat in _rewriting(firewall, "postrouting") if nat.kind in _SOURCE_NAT]


def port_forwards(firewall: Firewall) -> list[Nat]:
    """Return the rules that lead packets that come in elsewhere (dnat, redirect), as `nat_of` does."""
    return [nat for nat in _rewriting(firewall, "prerouting") if nat.kind in _PORT_FORWARD]


def hides(firewall: Firewall, oif: str) -> bool:
    """Return whether some packets that leave by the link `oif`, a raw name, have their source rewritten."""
    return any(link_fits(nat.oif, oif) for nat in nat_of(firewall))


def link_fits(asked: str, name: str) -> bool:
    """Return whether the link `name` is what a rule asks for: any for "", all but what follows a "!", all that begin
    with what stands before a trailing "*"."""
    if asked.startswith("!"):
        return not link_fits(asked[1:], name)
    return not asked or (name.startswith(asked[:-1]) if asked.endswith("*") else name == asked)


def forward_chains(firewall: Firewall, family: str = "ip") -> list[FirewallChain]:
    """Return the base chains that packets of `family` (ip, ip6, bridge) go through when passed on, in their order."""
    families = {family, "inet"} if family in ("ip", "ip6") else {family}
    found = [chain for chain in firewall.chains if chain.hook == "forward" and chain.family in families]
    return sorted(found, key=lambda chain: chain.priority or 0)


def forward_drops(firewall: Firewall, family: str = "ip") -> bool | None:
    """Return whether packets that are passed on are dropped where no rule accepts them: by the policy of one of the
    chains; None where the rules cannot be read."""
    if firewall.problem:
        return None
    return any(chain.policy == "drop" for chain in forward_chains(firewall, family))


def chains_by_name(firewall: Firewall) -> Chains:
    """Return the chains by origin, family, table and name, as jumps find them."""
    return {(chain.origin, chain.family, chain.table, chain.name): chain for chain in firewall.chains}


def target_of(rule: FirewallRule) -> str:
    """Return the name of the chain that a rule leads to; "" for none."""
    word, _, name = rule.verdict.partition(" ")
    return name if word in ("jump", "goto") else ""


def _rewriting(firewall: Firewall, hook: str) -> Iterator[Nat]:
    chains = chains_by_name(firewall)
    for chain in firewall.chains:
        if chain.hook == hook and chain.kind == "nat":
            yield from _walk(chains, chain, _Way({}, True), 0)


def _walk(chains: Chains, chain: FirewallChain, way: _Way, depth: int) -> Iterator[Nat]:
    for rule in chain.rules:
        here = _narrowed(way, rule)
        if rule.verdict in _SOURCE_NAT | _PORT_FORWARD:
            yield _nat(chain, rule, here)
        elif (name := target_of(rule)) and depth < _DEEPEST:
            target = chains.get((chain.origin, chain.family, chain.table, name))
            if target is not None:
                yield from _walk(chains, target, here, depth + 1)


def _narrowed(way: _Way, rule: FirewallRule) -> _Way:
    """Add what a rule asks for; what the way to it asks for already and the rule does again is the rule's."""
    own = {
        name: f"!{value}" if name in rule.negated else value
        for name in ("iif", "oif", "source", "destination")
        if (value := getattr(rule, name))
    }
    clash = any(way.asked.get(name, value) != value for name, value in own.items())
    return replace(way, asked={**way.asked, **own}, exact=way.exact and rule.understood and not clash)


def _nat(chain: FirewallChain, rule: FirewallRule, way: _Way) -> Nat:
    return Nat(
        family=chain.family,
        kind=rule.verdict,
        iif=way.asked.get("iif", ""),
        oif=way.asked.get("oif", ""),
        source=way.asked.get("source", ""),
        destination=way.asked.get("destination", ""),
        to=rule.to,
        protocol=rule.protocol,
        ports=rule.ports,
        exact=way.exact,
        rule=rule,
    )
