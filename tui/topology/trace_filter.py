"""What the firewalls on the way do with a packet and its answer, and who rewrites its source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from tui.model.finding import Fact, Hop, Layer
from tui.model.firewall_facts import link_fits, port_forwards
from tui.model.text import clean
from tui.topology.filtering import Outcome, Packet, base_chains, is_icmp, judge, others_dropped
from tui.topology.trace_facts import broken, good, inside, mend, not_simulated, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.model.finding import Remedy
    from tui.model.firewall import Firewall, FirewallChain
    from tui.model.link import Link
    from tui.topology.filtering import Judgement
    from tui.topology.trace_scene import Flow, Scene

_SOURCES = {"nft": "nft list ruleset", "iptables-nft": "iptables-nft-save", "iptables-legacy": "iptables-legacy-save"}
_RULES = "nft list ruleset"
_MOST_OTHERS = 3
"""How many rules against other traffic than a ping are quoted."""
_FILTERS = ("filter", "route")
_HOOKS = {
    "input": ("prerouting", "input"),
    "forward": ("prerouting", "forward", "postrouting"),
    "output": ("output", "postrouting"),
}
_ANSWERED_BY = {"input": "output", "forward": "forward", "output": "input"}


def forward_hop(scene: Scene, netns: str, inl: Link | None, oif: Link | None, flow: Flow) -> Hop:
    """Return what the filters of a namespace do with a packet: passed on from one link to another, coming in for it
    (`oif` None) or sent by it (`inl` None)."""
    there = Packet(_raw(inl), _raw(oif), flow.source, flow.destination)
    back = Packet(_raw(oif), _raw(inl), flow.destination, flow.source, reply=True)
    hook = "output" if inl is None else "input" if oif is None else "forward"
    families = ("ip6" if flow.version == 6 else "ip", "inet")
    facts = _hook_facts(scene, netns, _HOOKS[hook], families, there)
    facts += _hook_facts(scene, netns, _HOOKS[_ANSWERED_BY[hook]], families, back)
    return Hop("filter", hook, scene.wiring.netns_name(netns), netns, _summed(scene, netns, facts))


def bridge_hop(scene: Scene, bridge: Link, into: Link | None, out: Link | None, flow: Flow) -> Hop | None:
    """Return what filters do with a frame that crosses a bridge, or ends (`out` None) or begins (`into` None) in its
    own stack: nft's of the family bridge, and where br_netfilter calls them those for IP; None where there are none
    that hear of it."""
    hook = "output" if into is None else "input" if out is None else "forward"
    called = hook == "forward" and _is_called(scene, bridge, flow)
    there = Packet(_raw(into), _raw(out), flow.source, flow.destination)
    back = Packet(_raw(out), _raw(into), flow.destination, flow.source, reply=True)
    facts: list[Fact] = []
    for packet, hooks in ((there, _HOOKS[hook]), (back, _HOOKS[_ANSWERED_BY[hook]])):
        facts += _hook_facts(scene, bridge.netns, hooks, ("bridge",), packet)
        if called:
            as_routed = replace(packet, iif=bridge.raw_name, oif=bridge.raw_name)
            families = ("ip6" if flow.version == 6 else "ip", "inet")
            facts += _hook_facts(scene, bridge.netns, _HOOKS["forward"], families, as_routed, bridge.name)
    firewall = scene.firewall(bridge.netns)
    if not facts and firewall is not None and not firewall.problem:
        return None
    name = f"{bridge.name}: {_switch(there)}" if called else f"{bridge.name}: bridge filter"
    where = scene.wiring.netns_name(bridge.netns)
    return Hop("filter", name, where, bridge.netns, _summed(scene, bridge.netns, facts))


def _is_called(scene: Scene, bridge: Link, flow: Flow) -> bool:
    """Whether br_netfilter has the filters for IP called for frames of a bridge; a bridge may say so itself, too."""
    netns = scene.netns(bridge.netns)
    settings = netns.settings if netns is not None else None
    if flow.version == 6:
        return settings is not None and bool(settings.bridge_nf_ip6tables)
    own = bridge.bridge.nf_iptables if bridge.bridge is not None else None
    return bool(own) or (settings is not None and bool(settings.bridge_nf_iptables))


def _switch(packet: Packet) -> str:
    return "bridge-nf-call-ip6tables" if ":" in packet.source + packet.destination else "bridge-nf-call-iptables"


def link_facts(scene: Scene, link: Link, flow: Flow, *, inbound: bool) -> list[Fact]:
    """Return what nft's chains on the link itself do with a packet, which comes in by it if `inbound` and leaves by it
    else, and with its answer, which goes the other way."""
    firewall = scene.firewall(link.netns)
    if firewall is None or firewall.problem:
        return []
    there = Packet(source=flow.source, destination=flow.destination)
    back = Packet(source=flow.destination, destination=flow.source, reply=True)
    came, left = (there, back) if inbound else (back, there)
    facts: list[Fact] = []
    for hook, packet in (
        ("ingress", replace(came, iif=link.raw_name)),
        ("egress", replace(left, oif=link.raw_name)),
    ):
        for chain in base_chains(firewall, hook, ("netdev", "inet"), _FILTERS):
            if link.raw_name in chain.device.split(","):
                facts += _facts(scene, firewall, chain, packet)
    return facts


def _raw(link: Link | None) -> str:
    return link.raw_name if link is not None else ""


def _hook_facts(
    scene: Scene, netns: str, hooks: Iterable[str], families: tuple[str, ...], packet: Packet, bridge: str = ""
) -> list[Fact]:
    firewall = scene.firewall(netns)
    if firewall is None or firewall.problem:
        return []
    facts: list[Fact] = []
    for hook in hooks:
        # Of what is not known yet or any more at a hook no rule can ask.
        here = replace(packet, oif="" if hook in ("prerouting", "input") else packet.oif,
                       iif="" if hook == "output" else packet.iif)  # fmt: skip
        for chain in base_chains(firewall, hook, families, _FILTERS):
            facts += _facts(scene, firewall, chain, here, bridge)
    return facts


def _summed(scene: Scene, netns: str, facts: list[Fact]) -> tuple[Fact, ...]:
    """The facts, or why there are none."""
    firewall = scene.firewall(netns)
    if firewall is None:
        return (unknown("its firewall was not read", _RULES),)
    if firewall.problem:
        return (unknown(f"its firewall cannot be read: {firewall.problem}", _RULES),)
    return tuple(dict.fromkeys(facts)) or (good("has no rule for this", _RULES),)


def _facts(scene: Scene, firewall: Firewall, chain: FirewallChain, packet: Packet, bridge: str = "") -> list[Fact]:
    """What a chain does with a ping, and where it lets that pass what it drops of the same addresses besides."""
    found = judge(firewall, chain, packet)
    fact = _fact(scene, firewall, found, packet, bridge)
    others = others_dropped(firewall, chain, packet) if found.outcome is Outcome.ACCEPT else []
    if not others:
        return [fact]
    what = "answers" if packet.reply else "packets"
    by = [rule.text if rule is not None else f"policy {chain.policy}" for rule in others]
    more = f"; and {len(by) - _MOST_OTHERS} more" if len(by) > _MOST_OTHERS else ""
    words = (
        f"{chain.hook} ({found.place}) lets a ping pass; other {what} it may drop: {'; '.join(by[:_MOST_OTHERS])}{more}"
    )
    return [fact, not_simulated(words, fact.source)]


def _fact(scene: Scene, firewall: Firewall, found: Judgement, packet: Packet, bridge: str = "") -> Fact:
    source = _SOURCES.get(found.chain.origin, found.chain.origin)
    what = "the answer" if packet.reply else "the packet"
    where = f"{found.chain.hook} ({found.place})"
    if found.outcome is Outcome.ACCEPT:
        return good(f"{where} lets {what} pass", source)
    if found.outcome is Outcome.UNCLEAR:
        rule = f": {found.rule.text}" if found.rule is not None else ""
        return not_simulated(f"{where} has a rule that is not understood{rule}", source)
    cause = "filter-drop" if found.rule is not None else "policy-drop"
    by = f"the rule: {found.rule.text}" if found.rule is not None else f"the policy of {clean(found.chain.name)}"
    if bridge:
        cause = "bridge-nf-drop"
        by += f"; {_switch(packet)} has frames on {bridge} filtered as well"
    remedies = _remedies(scene, firewall, found, packet, bridge)
    return broken(f"{where} drops {what} by {by}", source, cause, Layer.FILTER, *remedies)


def _remedies(scene: Scene, firewall: Firewall, found: Judgement, packet: Packet, bridge: str) -> tuple[Remedy, ...]:
    netns = scene.netns(firewall.netns)
    chain, rule = found.within or found.chain, found.rule
    first: tuple[Remedy, ...] = ()
    if bridge:
        off = ("sysctl", "-w", f"net.bridge.{_switch(packet)}=0")
        first = (mend("keep bridged frames away from iptables", *inside(netns, *off)),)
    if chain.origin != "nft":
        iif, oif = (("-i", packet.iif) if packet.iif else ()), (("-o", packet.oif) if packet.oif else ())
        accept = ("iptables", "-I", found.chain.name, *iif, *oif, "-j", "ACCEPT")
        return (*first, mend("let it pass", *inside(netns, *accept)))
    place = (chain.family, chain.table, chain.name)
    if rule is not None and rule.handle is not None:
        delete = ("nft", "delete", "rule", *place, "handle", str(rule.handle))
        return (*first, mend("delete the rule", *inside(netns, *delete)))
    iif, oif = (("iifname", packet.iif) if packet.iif else ()), (("oifname", packet.oif) if packet.oif else ())
    return (*first, mend("let it pass", *inside(netns, "nft", "insert", "rule", *place, *iif, *oif, "accept")))


# NAT


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What NAT makes of the source of packets."""

    hop: Hop
    source: str
    """"" where it cannot be told."""
    done: bool
    """Whether some rule rewrites it, or may."""


def led_elsewhere(scene: Scene, netns: str, inl: Link, flow: Flow) -> list[Fact]:
    """Return the rules that may give a ping that comes in by a link another destination (dnat, redirect): its way from
    there on is not followed, and what the namespace would do with the first destination does not count."""
    firewall = scene.firewall(netns)
    if firewall is None or firewall.problem:
        return []
    families = ("ip6" if flow.version == 6 else "ip", "inet")
    return [
        not_simulated(f"a rule may lead it on to {nat.to or 'another address'}: {nat.rule.text}", _RULES)
        for nat in port_forwards(firewall)
        if nat.family in families and not nat.ports and (not nat.protocol or is_icmp(nat.protocol))
        and link_fits(nat.iif, inl.raw_name)
        and _may_be_in(flow.source, nat.source) and _may_be_in(flow.destination, nat.destination)
    ]  # fmt: skip


def _may_be_in(address: str, asked: str) -> bool:
    """Whether an address may be of the network that a rule asks for, "" for any, not to be of after a "!"."""
    if not asked or not address:
        return True
    try:
        return (ip_address(address) in ip_network(asked.removeprefix("!"), strict=False)) != asked.startswith("!")
    except ValueError:
        return True


def nat_hop(scene: Scene, netns: str, inl: Link | None, oif: Link, flow: Flow, gateway: str) -> Rewritten:
    """Return what the NAT rules of a namespace do with a packet that leaves by a link."""
    firewall = scene.firewall(netns)
    if firewall is None or firewall.problem:
        return _rewritten(scene, netns, unknown("its NAT rules were not read", _RULES), "", done=True)
    packet = Packet(_raw(inl), oif.raw_name, flow.source, flow.destination)
    families = ("ip6" if flow.version == 6 else "ip", "inet")
    for chain in base_chains(firewall, "postrouting", families, ("nat",)):
        found = judge(firewall, chain, packet)
        if found.outcome is Outcome.UNCLEAR:
            rule = found.rule.text if found.rule is not None else found.place
            words = f"a rule that is not understood may rewrite the source: {rule}"
            return _rewritten(scene, netns, not_simulated(words, _RULES), "", done=True)
        if found.outcome is Outcome.REWRITE and found.rule is not None:
            masked = found.rule.verdict == "masquerade"
            own = scene.own_address(oif, flow.version, gateway) if masked else _first_of(found.rule.to)
            fact = good(f"leaves as {own or '?'} ({found.rule.verdict})", _RULES)
            return _rewritten(scene, netns, fact, own, done=True)
    source = flow.source or "of the packet"
    return _rewritten(scene, netns, good(f"the source {source} is not rewritten", _RULES), flow.source, done=False)


def _rewritten(scene: Scene, netns: str, fact: Fact, source: str, *, done: bool) -> Rewritten:
    return Rewritten(Hop("nat", "NAT", scene.wiring.netns_name(netns), netns, (fact,)), source, done)


def _first_of(to: str) -> str:
    """The first address that SNAT rewrites to: of a range, or with a port."""
    first = to.partition("-")[0]
    return first.partition(":")[0] if first.count(":") == 1 else first


def without_nat(scene: Scene, hop: Hop, flow: Flow, oif: Link, *, proven: bool) -> Hop:
    """Return the NAT hop of a packet that leaves with a private source: a question, or an error where the next router
    has been seen to know no way back."""
    if not is_private(flow.source) or (scene.shares(oif, flow.source) and not proven):
        return hop
    netns = scene.netns(hop.key)
    words = f"{flow.source} is a private address and leaves by {oif.name} as it is"
    rule = ("nft", "add", "rule", "ip", "nat", "postrouting", "oifname", oif.raw_name, "masquerade")
    remedy = mend("rewrite it (masquerade), or give the next router a route back", *inside(netns, *rule))
    if proven:
        fact = broken(
            f"{words}, and the next router knows no way back to it", "RTM_GETROUTE", "no-nat", Layer.L3, remedy
        )
    else:
        fact = warning(f"{words}: is there a way back?", _RULES, "no-nat", Layer.L3, remedy)
    return replace(hop, facts=(fact,))


def is_private(address: str) -> bool:
    """Whether an address is of a private network."""
    try:
        return ip_address(address).is_private
    except ValueError:
        return False
