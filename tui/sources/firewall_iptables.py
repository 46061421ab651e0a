"""Rules in the words of iptables-save(8), of iptables-nft and of iptables-legacy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tui.model.firewall import FirewallChain, FirewallRule
from tui.model.text import clean

_COUNTED = re.compile(r"\[(\d+):(\d+)\] (.*)", re.ASCII)
_HOOKS = {
    "PREROUTING": "prerouting",
    "INPUT": "input",
    "FORWARD": "forward",
    "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}
_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_VERDICTS = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "RETURN": "return",
    "REJECT": "reject",
    "NFQUEUE": "queue",
    "QUEUE": "queue",
    "MASQUERADE": "masquerade",
    "SNAT": "snat",
    "DNAT": "dnat",
    "REDIRECT": "redirect",
}
_HARMLESS = frozenset({"LOG", "NFLOG", "TRACE", "NOTRACK"})
_FIELDS = {"-i": "iif", "-o": "oif", "-s": "source", "-d": "destination"}
_WHERE_TO = ("--to-source", "--to-destination", "--to-ports", "--to")


@dataclass(slots=True)
class _Reading:
    """What is known of a rule so far."""

    chain: str = ""
    verdict: str = ""
    to: str = ""
    protocol: str = ""
    ports: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    negated: set[str] = field(default_factory=set)
    understood: bool = True


@dataclass(slots=True)
class _Table:
    """A table while it is read: its chains with their policies, and their rules."""

    name: str
    policies: dict[str, str] = field(default_factory=dict)
    rules: dict[str, list[FirewallRule]] = field(default_factory=dict)


def parse_save(text: str, family: str, origin: str) -> tuple[FirewallChain, ...]:
    """Return the chains of what `iptables-save -c` wrote; of `family` ip or ip6. A line that cannot be read becomes a
    rule that is not understood."""
    chains: list[FirewallChain] = []
    table = _Table("")
    for line in text.split("\n"):
        if line.startswith("*"):
            table = _Table(line[1:])
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split(" ")
            table.policies[name] = policy
        elif line == "COMMIT":
            chains += [_chain(table, name, family, origin) for name in table.policies]
        elif (found := _COUNTED.fullmatch(line)) is not None:
            name, rule = parse_rule(found[3], table.policies, (int(found[1]), int(found[2])))
            table.rules.setdefault(name, []).append(rule)
    return tuple(chains)


def _chain(table: _Table, name: str, family: str, origin: str) -> FirewallChain:
    policy = table.policies[name]
    hook = _HOOKS.get(name, "") if policy != "-" else ""
    return FirewallChain(
        family=family,
        table=clean(table.name),
        name=clean(name),
        rules=tuple(table.rules.get(name, ())),
        kind=("nat" if table.name == "nat" else "filter") if hook else "",
        hook=hook,
        priority=_priority(table.name, hook) if hook else None,
        policy=policy.lower() if hook else "",
        origin=origin,
    )


def _priority(table: str, hook: str) -> int:
    """Return where iptables hooks in (enum nf_ip_hook_priorities)."""
    if table == "nat":
        return -100 if hook in ("prerouting", "output") else 100
    return _PRIORITIES.get(table, 0)


def parse_rule(line: str, chains: Iterable[str], counted: tuple[int, int]) -> tuple[str, FirewallRule]:
    """Return the chain that a line as "-A FORWARD -i br0 -j ACCEPT" adds to, and the rule; `chains` are those of its
    table, `counted` its packets and bytes."""
    reading = _Reading()
    try:
        words = shlex.split(line)
    except ValueError:
        words, reading.understood = line.split(" "), False
    _read_words(reading, words, frozenset(chains))
    rule = FirewallRule(
        text=clean(line.removeprefix(f"-A {reading.chain} ")),
        verdict=clean(reading.verdict),
        iif=reading.asked.get("iif", ""),
        oif=reading.asked.get("oif", ""),
        source=clean(reading.asked.get("source", "")),
        destination=clean(reading.asked.get("destination", "")),
        to=clean(reading.to),
        protocol=clean(reading.protocol),
        ports=clean(reading.ports),
        understood=reading.understood,
        negated=frozenset(reading.negated),
        packets=counted[0],
        bytes=counted[1],
    )
    return reading.chain, rule


def _read_words(reading: _Reading, words: list[str], chains: frozenset[str]) -> None:
    """Take in option by option; what follows the target belongs to it and asks for nothing."""
    rest = iter(words)
    negated = False
    for word in rest:
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):
            _take_target(reading, word, next(rest, ""), chains)
            _take_target_options(reading, list(rest))
            return
        _take_option(reading, word, lambda: next(rest, ""), negated)
        negated = False


def _take_option(reading: _Reading, word: str, value: Callable[[], str], negated: bool) -> None:
    if word == "-A":
        reading.chain = value()
    elif word in _FIELDS:
        name = _FIELDS[word]
        reading.asked[name] = _link(value()) if name in ("iif", "oif") else _network(value())
        reading.negated |= {name} if negated else set()
        # A mask with holes is no prefix.
        reading.understood = reading.understood and "." not in reading.asked[name].partition("/")[2]
    elif word == "-p":
        asked, reading.understood = value(), False
        reading.protocol = "" if negated else asked
    elif word in ("--dport", "--dports"):
        asked, reading.understood = value(), False
        reading.ports = "" if negated else asked.replace(":", "-")
    elif word == "-m":
        # A module's own options come after it; the comment is the one that asks for nothing.
        reading.understood = reading.understood and value() == "comment"
    elif word == "--comment":
        value()
    else:
        reading.understood = False


def _take_target(reading: _Reading, word: str, target: str, chains: frozenset[str]) -> None:
    if target in chains:
        reading.verdict = f"{'goto' if word == '-g' else 'jump'} {target}"
    elif target in _VERDICTS:
        reading.verdict = _VERDICTS[target]
    elif target not in _HARMLESS:
        reading.understood = False


def _take_target_options(reading: _Reading, words: list[str]) -> None:
    for option, value in pairwise(words):
        if option in _WHERE_TO:
            reading.to = f":{value}" if reading.verdict == "redirect" else value


def _link(name: str) -> str:
    """Return the name as nft writes it: `vnet*` for iptables' `vnet+`."""
    return f"{name[:-1]}*" if name.endswith("+") else name


def _network(text: str) -> str:
    """Return the network as nft writes it: an address alone where iptables says /32 or /128."""
    address, _, prefix = text.partition("/")
    return address if prefix == ("128" if ":" in address else "32") else text


def with_words_of(chains: Iterable[FirewallChain], saved: Iterable[FirewallChain]) -> tuple[FirewallChain, ...]:
    """Return `chains`, as nft tells them, with the rules of those that iptables-nft made in iptables' own words, which
    know the arguments of every target; `saved` is what iptables-nft-save wrote. Chains that changed meanwhile stay."""
    known: Mapping[tuple[str, str, str], FirewallChain] = {
        (chain.family, chain.table, chain.name): chain for chain in saved
    }
    return tuple(_with_words(chain, known.get((chain.family, chain.table, chain.name))) for chain in chains)


def _with_words(chain: FirewallChain, saved: FirewallChain | None) -> FirewallChain:
    if chain.origin != "iptables-nft" or saved is None or len(saved.rules) != len(chain.rules):
        return chain
    pairs = zip(chain.rules, saved.rules, strict=True)
    return replace(chain, rules=tuple(replace(words, handle=rule.handle) for rule, words in pairs))
