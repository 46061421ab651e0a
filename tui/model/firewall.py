"""Filter and NAT rules of a network namespace, as far as they decide where packets go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """One rule; `text` is what nft or iptables-save writes of it, cleaned."""

    text: str
    verdict: str
    """accept, drop, reject, queue, return, continue, jump CHAIN, goto CHAIN, masquerade, snat, dnat, redirect; vmap
    where a map chooses; "" for none."""
    iif: str = ""
    """The incoming link that it asks for, raw; "" for any. A trailing * stands for any rest."""
    oif: str = ""
    source: str = ""
    """The source network that it asks for, as in 10.0.0.0/24; "" for any."""
    destination: str = ""
    to: str = ""
    """Where SNAT or DNAT leads: address, range or port, as in 10.0.0.5:80, 192.0.2.1-192.0.2.5 or :5353."""
    protocol: str = ""
    """tcp, udp ... where it asks for one; `understood` is False then."""
    ports: str = ""
    """The destination ports that it asks for, as in 22, 80,443 or 1000-2000."""
    understood: bool = False
    """Whether iif, oif, source and destination are all that it asks for: only such a rule can be simulated."""
    negated: frozenset[str] = frozenset()
    """Which of `iif`, `oif`, `source`, `destination` are asked for not to be so."""
    packets: int | None = None
    bytes: int | None = None
    handle: int | None = None


@dataclass(frozen=True, slots=True)
class FirewallChain:
    """A chain; a base chain has a hook (prerouting, input, forward, output, postrouting, ingress) and a policy."""

    family: str
    """ip, ip6, inet, arp, bridge or netdev."""
    table: str
    """Cleaned, as is the name; jumps go by cleaned names as well."""
    name: str
    rules: tuple[FirewallRule, ...]
    kind: str = ""
    """filter, nat or route, for a base chain."""
    hook: str = ""
    priority: int | None = None
    policy: str = ""
    """accept or drop, for a base chain."""
    device: str = ""
    """The link of an ingress chain, raw; several with commas between."""
    origin: str = "nft"
    """Who made it: nft, iptables-nft, or iptables-legacy."""


@dataclass(frozen=True, slots=True)
class Firewall:
    """The rules of one namespace."""

    netns: str
    chains: tuple[FirewallChain, ...]
    read_ns: int
    legacy: tuple[str, ...] = ()
    """Tables of iptables-legacy that are loaded (/proc/net/ip_tables_names), as "ip filter"."""
    problem: str = ""
    """Why the rules cannot be read; "" when they can. Nothing may be concluded then."""
