"""What was found on the wire, where that was asked for: who answers ARP, and whether the destination answers a ping."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tui.model.finding import ON_THE_WIRE, Fact, Layer, Verdict
from tui.model.route import ProbeKind, ProbeQuestion
from tui.topology.trace_facts import broken, good, mend, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.model.finding import Hop
    from tui.model.link import Link
    from tui.model.route import CountAnswer
    from tui.topology.trace_scene import Flow, Scene

_ARP, _PING = ON_THE_WIRE
_COUNTERS = "IFLA_STATS64"
_WITHOUT_ARP = frozenset({"tun", "wireguard", "ppp", "ipip", "sit", "gre", "loopback"})


def answers_arp(scene: Scene, link: Link, address: str, mac: str, cause: str) -> list[Fact]:
    """Return who answers for an address on a link; `mac` is who should, "" for anybody, `cause` names the silence."""
    if not address or ":" in address or _has_no_arp(link):
        return []
    sender = scene.own_address(link, 4, address)
    answer = scene.probed(ProbeQuestion(link.netns, link.key, address, ProbeKind.ARP, sender))
    if answer is None:
        return []
    if answer.problem:
        return [unknown(f"{link.name} could not ask for {address}: {answer.problem}", _ARP)]
    if not answer.who:
        return [broken(f"nobody answers for {address} on {link.name}", _ARP, cause, Layer.SYMPTOM)]
    others = [who for who in answer.who if mac and who != mac]
    if others or len(answer.who) > 1:
        words = f"{' and '.join(answer.who)} answer for {address} on {link.name}"
        return [broken(words, _ARP, "duplicate-ip", Layer.L3, mend(f"give one of them another address than {address}"))]
    return [good(f"{answer.who[0]} answers for {address} on {link.name} in {answer.took_ms:.1f} ms", _ARP)]


def _has_no_arp(link: Link) -> bool:
    return link.kind in _WITHOUT_ARP and (link.tap is None or link.tap.mode != "tap")


def with_counts(scene: Scene, hops: Sequence[Hop]) -> list[Hop]:
    """Return the hops with what passed their links while one asked on the wire. That nothing did tells where it stops
    only when somebody did not answer: what is asked does not pass every link."""
    asked = [fact for hop in hops for fact in hop.facts if fact.source in ON_THE_WIRE]
    silent = any(fact.verdict is not Verdict.GOOD for fact in asked)
    out: list[Hop] = []
    for hop in hops:
        link = scene.wiring.link(hop.key) if hop.kind != "next-hop" else None
        count = scene.counted(link.key) if link is not None and link.kind != "bridge" else None
        out.append(hop if count is None else replace(hop, facts=(*hop.facts, _count_fact(count, silent=silent))))
    return out


def _count_fact(count: CountAnswer, *, silent: bool) -> Fact:
    words = f"packets while it was probed: {count.received} in, {count.sent} out"
    still = not count.received and not count.sent
    return unknown(words, _COUNTERS) if still and silent else good(words, _COUNTERS)


def answers_ping(scene: Scene, netns: str, flow: Flow) -> list[Fact]:
    """Return whether the destination answers a ping of a namespace; not for what stands for anything outside. What the
    namespace has itself answers always: then it is the sender that is asked."""
    asked = flow.guest_source if _has(scene, netns, flow.destination) else flow.destination
    if flow.outside or not asked or ":" in asked:
        return []
    answer = scene.probed(ProbeQuestion(netns, "", asked, ProbeKind.PING))
    if answer is None:
        return []
    if answer.problem:
        return [unknown(f"{asked} could not be pinged: {answer.problem}", _PING)]
    if not answer.who:
        return [unknown(f"{asked} does not answer a ping of this namespace; it may not want to", _PING)]
    return [good(f"{asked} answers a ping of this namespace in {answer.took_ms:.1f} ms", _PING)]


def _has(scene: Scene, netns: str, address: str) -> bool:
    own = (link for link in scene.wiring.links.values() if link.netns == netns)
    return any(found.address == address for link in own for found in scene.wiring.addresses(link))
