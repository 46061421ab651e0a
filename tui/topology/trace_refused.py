"""Why the kernel of a namespace refuses a packet with no word but an errno: by a policy rule, or as rp_filter is on."""

from __future__ import annotations

import errno
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from tui.model.finding import Fact, Layer
from tui.topology.trace_facts import broken, inside, mend

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.model.link import Link, Rule
    from tui.topology.trace_scene import Scene

REVERSE = frozenset({errno.EINVAL, errno.EXDEV})
"""What rp_filter refuses with; a blackhole says EINVAL as well (fib_validate_source, fib4_rule_action)."""
_CODES = {"blackhole": errno.EINVAL, "unreachable": errno.ENETUNREACH, "prohibit": errno.EACCES}
_MAIN = 32766
"""The priority of the rule that looks up the table main: what comes after it explains no missing route."""


def refusing_rule(scene: Scene, netns: str, code: int, source: str, destination: str, inl: Link | None) -> Fact | None:
    """Return the policy rule that refuses a packet with an errno; None where none does for certain."""
    for rule in _rules(scene, netns, destination):
        *asked, action = rule.text.split(" ")
        if _CODES.get(action) == code and rule.priority < _MAIN and _fits(asked, source, destination, inl):
            family = ("-6",) if rule.ipv6 else ()
            delete = ("ip", *family, "rule", "del", "priority", str(rule.priority))
            remedy = mend("delete the rule", *inside(scene.netns(netns), *delete))
            words = f"the policy rule {rule.priority}: {rule.text} takes packets from {source or 'here'}"
            return broken(words, "RTM_GETRULE", f"rule-{action}", Layer.L3, remedy)
    return None


def choosing_rules(scene: Scene, netns: str, source: str, destination: str, inl: Link | None) -> str:
    """Return in words which policy rules send a packet to a table of its own; "" where none does for certain."""
    found = [
        f"{rule.priority}: {rule.text}"
        for rule in _rules(scene, netns, destination)
        if " lookup " in rule.text
        and _fits(rule.text.partition(" lookup ")[0].split(" "), source, destination, inl)
    ]  # fmt: skip
    return "; ".join(found)


def _rules(scene: Scene, netns: str, destination: str) -> Iterable[Rule]:
    links = scene.snapshot.links
    rules = links.rules.get(netns, ()) if links is not None else ()
    return sorted((r for r in rules if r.ipv6 == (":" in destination)), key=lambda rule: rule.priority)


def _fits(asked: list[str], source: str, destination: str, inl: Link | None) -> bool:
    """Whether a rule's selectors, in words, are all understood and true of the packet."""
    if len(asked) % 2:
        return False
    has = {"from": source, "to": destination}
    for word, value in zip(asked[::2], asked[1::2], strict=True):
        if word == "iif":
            if inl is None or inl.name != value:
                return False
        elif word not in has or not _is_in(has[word], value):
            return False
    return True


def _is_in(address: str, network: str) -> bool:
    if network == "all":
        return True
    try:
        return ip_address(address) in ip_network(network, strict=False)
    except ValueError:
        return False


def rp_filter_of(scene: Scene, link: Link) -> int | None:
    """Return the rp_filter that counts for a link, 0 off, 1 strict, 2 loose: the greater of its own and that of all
    (ip-sysctl); None where neither was read."""
    netns = scene.netns(link.netns)
    everywhere = netns.settings.rp_filter if netns is not None and netns.settings is not None else None
    known = [value for value in (link.rp_filter, everywhere) if value is not None]
    return max(known, default=None)
