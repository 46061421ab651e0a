"""The rules of a namespace from what nft(8) writes: JSON (libnftables-json(5)) for their meaning, text to show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tui.model.firewall import FirewallChain, FirewallRule
from tui.model.text import clean

RuleId = tuple[str, str, str, int]
"""Family, table, chain and handle, raw; with handle 0 the head of a base chain."""

LINE_LIMIT = 1000
"""A rule with thousands of addresses in it is shown up to here."""

_TABLE = re.compile(r"table (\S+) (.+) \{ # handle \d+", re.ASCII)
_CHAIN = re.compile(r"\tchain (.+) \{ # handle \d+", re.ASCII)
_RULE = re.compile(r"\t\t(.*?)\s*# handle (\d+)", re.ASCII | re.DOTALL)
_COUNTED = re.compile(r"\bcounter packets \d+ bytes \d+")
_DEVICES = re.compile(r'"([^"]*)"')
_QUOTED = re.compile(r'"[^"]*"')
_XT_WORDS = re.compile(r"\b(masquerade|reject|snat|dnat|redirect)\b(?: to (\S+))?")

_IPTABLES_TABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_IPTABLES_CHAINS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})

_BARE_VERDICTS = frozenset({"accept", "drop", "continue", "return", "reject", "queue", "masquerade"})
_TRANSLATIONS = frozenset({"snat", "dnat", "redirect"})
_HARMLESS = frozenset({"counter", "log", "notrack"})
"""Statements that ask for nothing and decide nothing."""
_LINKS = {"iif": "iif", "iifname": "iif", "oif": "oif", "oifname": "oif"}
_ENDS = {"saddr": "source", "daddr": "destination"}
_XT_VERDICTS = {
    "MASQUERADE": "masquerade",
    "SNAT": "snat",
    "DNAT": "dnat",
    "REDIRECT": "redirect",
    "REJECT": "reject",
    "NFQUEUE": "queue",
}


@dataclass(slots=True)
class _Reading:
    """What is known of a rule so far."""

    verdict: str = ""
    to: str = ""
    protocol: str = ""
    ports: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    """iif, oif, source, destination → what for."""
    negated: set[str] = field(default_factory=set)
    understood: bool = True
    extended: bool = False
    """Whether it has a target of iptables' that JSON tells nothing of but, at best, the name."""
    packets: int | None = None
    bytes: int | None = None


def parse_ruleset(text: str, texts: Mapping[RuleId, str]) -> tuple[FirewallChain, ...]:
    """Return the chains of the JSON that `nft -j list ruleset` wrote; `texts` has the words of the rules. Raises
    ValueError (json.JSONDecodeError) and KeyError when it is not that."""
    chains: dict[tuple[str, str, str], dict[str, Any]] = {}
    rules: dict[tuple[str, str, str], list[FirewallRule]] = {}
    for item in json.loads(text)["nftables"]:
        if (chain := item.get("chain")) is not None:
            chains[chain["family"], chain["table"], chain["name"]] = chain
        elif (rule := item.get("rule")) is not None:
            key = (rule["family"], rule["table"], rule["chain"])
            rules.setdefault(key, []).append(_rule(rule, texts.get((*key, rule["handle"]), "")))
    foreign = {key[:2] for key, chain in chains.items() if not _of_iptables(chain)}
    return tuple(
        _chain(
            chain, tuple(rules.get(key, ())), "nft" if key[:2] in foreign else "iptables-nft", texts.get((*key, 0), "")
        )
        for key, chain in chains.items()
    )


def _of_iptables(chain: Mapping[str, Any]) -> bool:
    """Whether iptables-nft may have made it: other tables and base chains it does not know."""
    if chain["family"] not in ("ip", "ip6") or chain["table"] not in _IPTABLES_TABLES:
        return False
    return "hook" not in chain or chain["name"] in _IPTABLES_CHAINS


def _chain(chain: Mapping[str, Any], rules: tuple[FirewallRule, ...], origin: str, head: str) -> FirewallChain:
    # nft 1.0.6 leaves them out of the JSON.
    devices = chain.get("dev") or _DEVICES.findall(head)
    return FirewallChain(
        family=chain["family"],
        table=clean(chain["table"]),
        name=clean(chain["name"]),
        rules=rules,
        kind=chain.get("type", ""),
        hook=chain.get("hook", ""),
        priority=chain.get("prio"),
        policy=chain.get("policy", ""),
        device=devices if isinstance(devices, str) else ",".join(devices),
        origin=origin,
    )


def _rule(rule: Mapping[str, Any], text: str) -> FirewallRule:
    reading = _Reading()
    for statement in rule.get("expr", ()):
        for name, value in statement.items():
            _take(reading, name, value)
    if reading.extended and (words := _XT_WORDS.findall(_QUOTED.sub("", text))):
        reading.verdict, reading.to = words[-1]
    return FirewallRule(
        text=clean(text or _words_of(rule)),
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
        packets=reading.packets,
        bytes=reading.bytes,
        handle=rule["handle"],
    )


def _words_of(rule: Mapping[str, Any]) -> str:
    """What stands for a rule whose text is not known: it changed between two readings."""
    return json.dumps(rule.get("expr", ()))[:LINE_LIMIT]


def _take(reading: _Reading, name: str, value: Any) -> None:
    """Take in one statement of a rule."""
    if name == "match":
        _take_match(reading, value)
    elif name == "counter" and isinstance(value, dict):
        reading.packets, reading.bytes = value.get("packets"), value.get("bytes")
    elif name in _BARE_VERDICTS:
        reading.verdict = name
    elif name in ("jump", "goto"):
        reading.verdict = f"{name} {value['target']}"
    elif name in _TRANSLATIONS:
        reading.verdict, reading.to = name, _target(value)
    elif name == "vmap":
        reading.verdict, reading.understood = "vmap", False
    elif name == "xt":
        _take_extension(reading, value)
    elif name not in _HARMLESS:
        reading.understood = False


def _take_match(reading: _Reading, match: Mapping[str, Any]) -> None:
    left, right, op = match["left"], match["right"], match["op"]
    asked, value = _asked(left), _plain(right)
    simple = op in ("==", "!=", "in")
    if asked in ("protocol", "ports"):
        reading.understood = False
        if op in ("==", "in"):
            _take_service(reading, left, _listed(right))
    elif asked and value and simple and asked not in reading.asked:
        reading.asked[asked] = value
        if op == "!=":
            reading.negated.add(asked)
    else:
        reading.understood = False


def _take_service(reading: _Reading, left: Mapping[str, Any], value: str) -> None:
    payload = left.get("payload", {})
    if payload.get("field") == "dport":
        reading.ports = value
        reading.protocol = reading.protocol if payload["protocol"] == "th" else payload["protocol"]
    else:
        reading.protocol = value


def _take_extension(reading: _Reading, value: Any) -> None:
    """Take in a match or target of iptables'; older versions of nft write nothing of it but null."""
    kind, name = (value.get("type", ""), value.get("name", "")) if isinstance(value, dict) else ("", "")
    if kind == "match" and name == "comment":
        return
    reading.extended = reading.extended or kind != "match"
    if kind == "target" and name in _XT_VERDICTS:
        reading.verdict = _XT_VERDICTS[name]
    elif (kind, name) != ("target", "LOG"):
        reading.understood = False


def _asked(left: Any) -> str:
    """Return which of the fields of a rule the left side of a match is about; "" for another."""
    if not isinstance(left, dict):
        return ""
    if isinstance(meta := left.get("meta"), dict):
        return "protocol" if meta.get("key") == "l4proto" else _LINKS.get(str(meta.get("key")), "")
    if isinstance(payload := left.get("payload"), dict):
        protocol, name = payload.get("protocol"), payload.get("field")
        if protocol in ("ip", "ip6"):
            return "protocol" if name in ("protocol", "nexthdr") else _ENDS.get(str(name), "")
        return "ports" if name == "dport" else ""
    return ""


def _plain(right: Any) -> str:
    """Return a link, an address or a network; "" for sets, ranges and all else, which no field can hold."""
    if isinstance(right, str):
        return "" if right.startswith("@") else right
    prefix = right.get("prefix") if isinstance(right, dict) else None
    if isinstance(prefix, dict) and isinstance(prefix.get("addr"), str):
        return f"{prefix['addr']}/{prefix['len']}"
    return ""


def _listed(right: Any) -> str:
    """Return ports or protocols, ranges and sets of them too, as nft's users write them."""
    if isinstance(right, dict) and "range" in right:
        return "-".join(map(str, right["range"]))
    if isinstance(right, dict) and "set" in right:
        return ",".join(filter(None, map(_listed, right["set"]))) if isinstance(right["set"], list) else ""
    return str(right) if isinstance(right, (str, int)) else ""


def _target(value: Any) -> str:
    """Return where a translation leads, "" where a map or an expression chooses."""
    if not isinstance(value, dict):
        return ""
    address, port = _listed(value.get("addr", "")), _listed(value.get("port", ""))
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def parse_texts(text: str) -> dict[RuleId, str]:
    """Return the words of each rule as `nft -a list ruleset` wrote them, without the counters' figures."""
    texts: dict[RuleId, str] = {}
    table, chain, pending = ("", ""), "", ""
    for line in text.split("\n"):
        if (found := _TABLE.fullmatch(line)) is not None:
            table, chain, pending = (found[1], found[2]), "", ""
        elif (found := _CHAIN.fullmatch(line)) is not None:
            chain, pending = found[1], ""
        elif line == "\t}":
            chain = ""
        elif chain and _is_head(line):
            texts[*table, chain, 0], pending = line.strip(), ""
        elif chain:
            pending = f"{pending}\n{line}" if pending else line
            if (found := _RULE.fullmatch(pending)) is not None:
                words = _COUNTED.sub("counter", found[1])[:LINE_LIMIT]
                texts.setdefault((*table, chain, int(found[2])), " ".join(words.split()))
                pending = ""
    return texts


def _is_head(line: str) -> bool:
    """Whether the line is a base chain's own, as in "type filter hook forward priority filter; policy drop;"."""
    return line.startswith("\t\ttype ") and line.endswith(";")
