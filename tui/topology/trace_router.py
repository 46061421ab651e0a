"""What a namespace does with a packet: the kernel's own word on the way there and back, and why where it says no."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model.finding import Fact, Layer
from tui.model.route import RouteAnswer, RouteQuestion
from tui.topology.trace_facts import broken, conf_of, good, inside, mend, unknown, warning
from tui.topology.trace_guest import duplicates
from tui.topology.trace_proof import answers_arp
from tui.topology.trace_refused import REVERSE, choosing_rules, refusing_rule, rp_filter_of

if TYPE_CHECKING:
    from tui.model.finding import Remedy
    from tui.model.link import Link
    from tui.topology.trace_gateway import Place
    from tui.topology.trace_scene import Flow, Scene

KERNEL = "RTM_GETROUTE"
_SETTINGS = "RTM_GETNETCONF"
_NEIGHBOURS = "RTM_GETNEIGH"
_SILENT = frozenset({"failed", "incomplete"})
_SURE = frozenset({"reachable", "permanent"})
"""States of what was heard of lately, or set by hand."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a packet goes after a namespace."""

    facts: tuple[Fact, ...]
    oif: Link | None = None
    gateway: str = ""
    source: str = ""
    """The address that the namespace sends from, where it chooses."""
    arrived: bool = False
    """Whether the namespace is its destination."""


class Router:
    """One namespace on the way; `inl` is the link that the packet comes in by, None where the namespace sends it."""

    def __init__(self, scene: Scene, netns: str, inl: Link | None, flow: Flow) -> None:
        self._scene = scene
        self._netns = netns
        self._inl = inl
        self._flow = flow

    def turn(self, gateway: Place | None) -> Turn:
        """Return what it does; `gateway` tells what the guest takes it for, on the first segment."""
        facts = self._addresses(gateway)
        way = self._ask(self._flow.destination, self._flow.source, self._inl)
        if way is None:
            return Turn((*facts, unknown("the kernel was not asked for its route", KERNEL)))
        if way.problem:
            return Turn((*facts, unknown(f"the kernel could not be asked: {way.problem}", KERNEL)))
        if way.kind in ("local", "broadcast"):
            # Where it is the destination, not the gateway, the sender is its neighbour all the same.
            near = self._neighbour() if gateway is None else []
            own = good(f"has {self._flow.destination} itself", KERNEL)
            return Turn((*facts, *near, own, *self._home()), arrived=True)
        # What the namespace would do with a packet of its own tells where this one was to go, if it is refused.
        plain = way if not way.refused else self._ask(self._flow.destination, "", None)
        if plain is not None and plain.kind == "local":
            return Turn((*facts, *self._route(way, plain)), arrived=True)
        facts += self._forwarding(way)
        facts += self._route(way, plain)
        oif = self._scene.wiring.link(plain.oif) if plain is not None and not plain.refused else None
        if oif is not None and not way.refused:
            facts += self._back(oif)
        if plain is None:
            return Turn(tuple(facts))
        return Turn(tuple(facts), oif, plain.gateway, plain.source)

    def _ask(self, destination: str, source: str, inl: Link | None) -> RouteAnswer | None:
        if inl is not None and not source:
            return RouteAnswer(problem="the address that the packet comes from is not known")
        return self._scene.route(RouteQuestion(self._netns, destination, source, inl.key if inl is not None else ""))

    def _command(self, *words: str) -> tuple[str, ...]:
        return inside(self._scene.netns(self._netns), *words)

    # The link it comes in by

    def _addresses(self, gateway: Place | None) -> list[Fact]:
        if gateway is None or self._inl is None:
            return []
        link = self._inl
        if gateway.bare:
            source = self._flow.source
            words = f"{link.name} has no address in the network of {source}: the guest's gateway is missing"
            remedy = mend("give it the gateway's address", *self._command("ip", "address", "add", "ADDRESS/PREFIX",
                                                                         "dev", link.raw_name))  # fmt: skip
            return [broken(words, "RTM_GETADDR", "gateway-address-missing", Layer.L3, remedy)]
        facts = [good(f"{link.name} has the gateway's address {gateway.address}: {gateway.why}", "RTM_GETADDR")]
        facts += duplicates(self._scene, link.key, gateway.address, link.mac, own=link.key)
        return facts + self._known_guest(link)

    def _neighbour(self) -> list[Fact]:
        if self._inl is None or not self._scene.shares(self._inl, self._flow.source):
            return []
        return self._known_guest(self._inl)

    def _known_guest(self, link: Link) -> list[Fact]:
        """What the router has resolved the guest's address to."""
        known = self._flow.guest_source
        if not known or known != self._flow.source:
            return []
        if proof := answers_arp(self._scene, link, known, self._flow.mac, "guest-silent"):
            return proof
        entry = self._scene.neighbour(link.key, known)
        if entry is None:
            return []
        if entry.state in _SILENT:
            return [unknown(f"{self._flow.source} did not answer ARP when it was last asked", _NEIGHBOURS)]
        if self._flow.mac and entry.mac.lower() != self._flow.mac:
            words = f"takes {self._flow.source} to be {entry.mac}, not the guest's {self._flow.mac}"
            remedy = mend("find who else has that address, then forget the entry",
                          *self._command("ip", "neighbour", "flush", "dev", link.raw_name))  # fmt: skip
            if entry.state not in _SURE:
                return [warning(words, _NEIGHBOURS, "duplicate-ip", Layer.L3, remedy)]
            return [broken(words, _NEIGHBOURS, "duplicate-ip", Layer.L3, remedy)]
        return [good(f"has resolved {self._flow.source}: {entry.state}", _NEIGHBOURS)]

    def _home(self) -> list[Fact]:
        """The way back from the destination."""
        source = self._flow.source
        if self._inl is None or not source:
            return []
        back = self._ask(source, "", None)
        return [] if back is None or back.problem else [self._judged_back(back, self._inl, "its answer")]

    # Forwarding and routes

    def _forwards(self) -> bool | None:
        netns = self._scene.netns(self._netns)
        settings = netns.settings if netns is not None else None
        if self._flow.version == 6:
            return settings.ipv6_forwarding if settings is not None else None
        if self._inl is not None and self._inl.forwarding is not None:
            return self._inl.forwarding
        return settings.ipv4_forwarding if settings is not None else None

    def _forwarding(self, way: RouteAnswer) -> list[Fact]:
        if self._inl is None:
            return []
        forwards = self._forwards()
        name = "net.ipv6.conf.all.forwarding" if self._flow.version == 6 else "net.ipv4.ip_forward"
        if forwards is False or (forwards is None and way.code == errno.EHOSTUNREACH):
            remedy = mend("let it forward", *self._command("sysctl", "-w", f"{name}=1"))
            return [broken("does not forward packets", _SETTINGS, "forwarding-off", Layer.L3, remedy)]
        return [good("forwards packets", _SETTINGS)] if forwards else []

    def _route(self, way: RouteAnswer, plain: RouteAnswer | None) -> list[Fact]:
        destination = self._words_of_destination()
        if not way.refused:
            return [good(f"sends {destination} {self._words_of_way(way)}", KERNEL), *self._rules()]
        source = self._flow.source
        if rule := refusing_rule(self._scene, self._netns, way.code, source, self._flow.destination, self._inl):
            return [rule]
        if way.code == errno.ENETUNREACH:
            remedy = mend("add the route", *self._command("ip", "route", "add", "default", "via", "GATEWAY"))
            return [broken(f"has no route to {destination}", KERNEL, "no-route", Layer.L3, remedy)]
        if way.code == errno.EACCES:
            return [broken(f"a route prohibits {destination}", KERNEL, "route-prohibit", Layer.L3, self._see_routes())]
        if way.code == errno.EHOSTUNREACH:
            if self._forwards() is False:
                return []
            words = f"a route says that {destination} is unreachable"
            return [broken(words, KERNEL, "route-unreachable", Layer.L3, self._see_routes())]
        if way.code in REVERSE:
            return [self._reversed(way, plain)]
        return [broken(f"refuses the packet: {way.word}", KERNEL, "route-refused", Layer.L3, self._see_routes())]

    def _reversed(self, way: RouteAnswer, plain: RouteAnswer | None) -> Fact:
        if plain is not None and plain.code == way.code:
            words = f"a blackhole route takes {self._words_of_destination()}"
            return broken(words, KERNEL, "route-blackhole", Layer.L3, self._see_routes())
        if self._inl is None:
            return broken(f"refuses the packet: {way.word}", KERNEL, "route-refused", Layer.L3)
        back = self._ask(self._flow.source, "", None)
        if back is not None and (back.refused or back.kind == "local"):
            return self._judged_back(back, self._inl, "the answer")
        name, mode = self._inl.name, rp_filter_of(self._scene, self._inl)
        if mode == 0 and way.code == errno.EINVAL:
            return self._refused_by_table(way, self._inl)
        words = f"drops packets from {self._flow.source} by {name}: the way back is not {name} (rp_filter)"
        loose = self._command("sysctl", "-w", f"{conf_of(self._inl, 'rp_filter')}=2")
        remedy = mend("route the guest's network back by the same link")
        if mode != 2:
            remedy = mend("route the guest's network back by the same link, or filter loosely", *loose)
        return broken(f"{words}, {way.word}", KERNEL, "rp-filter", Layer.L3, remedy)

    def _refused_by_table(self, way: RouteAnswer, inl: Link) -> Fact:
        """What neither rp_filter nor a route for all explains: routes for this source alone, if for any."""
        flow = self._flow
        rules = choosing_rules(self._scene, self._netns, flow.source, flow.destination, inl)
        why = f"; the policy rule that chooses its table: {rules}" if rules else ""
        words = f"refuses packets from {flow.source} by {inl.name}: {way.word}, and rp_filter is off there{why}"
        return broken(words, KERNEL, "route-refused", Layer.L3, self._see_routes())

    def _see_routes(self) -> Remedy:
        came = ("from", self._flow.source, "iif", self._inl.raw_name) if self._inl and self._flow.source else ()
        return mend("look at the routes and rules", *self._command("ip", "route", "get", self._flow.destination, *came))

    def _words_of_destination(self) -> str:
        return "what is outside" if self._flow.outside else self._flow.destination

    def _words_of_way(self, way: RouteAnswer) -> str:
        link = self._scene.wiring.link(way.oif)
        out = f"out by {link.name if link is not None else '?'}"
        return f"{out} to {way.gateway}" if way.gateway else out

    def _rules(self) -> list[Fact]:
        links = self._scene.snapshot.links
        rules = links.rules.get(self._netns, ()) if links is not None else ()
        if not rules:
            return []
        words = f"{len(rules)} policy rules" if len(rules) > 1 else "a policy rule"
        return [good(f"{words}, which the kernel took into account", "RTM_GETRULE")]

    # The way back

    def _back(self, oif: Link) -> list[Fact]:
        """Ask for the way of the answer, as it comes in by the link that the packet leaves by."""
        if self._inl is None or not self._flow.source:
            return []
        back = self._ask(self._flow.source, self._flow.destination, oif)
        if back is None or back.problem:
            return []
        if rule := refusing_rule(self._scene, self._netns, back.code, self._flow.destination, self._flow.source, oif):
            return [rule]
        if back.code == errno.EINVAL and rp_filter_of(self._scene, oif) == 0:
            words = f"refuses the answer: {back.word}, and rp_filter is off on {oif.name}"
            return [broken(words, KERNEL, "no-return-route", Layer.L3, self._see_back())]
        return [self._judged_back(back, self._inl, "the answer")]

    def _judged_back(self, back: RouteAnswer, inl: Link, what: str) -> Fact:
        source = self._flow.source
        if back.code in REVERSE:
            words = f"drops {what}: it would have to come by another link (rp_filter)"
            return broken(words, KERNEL, "rp-filter", Layer.L3, self._see_back())
        if back.refused:
            return broken(f"has no way back to {source}: {back.word}", KERNEL, "no-return-route", Layer.L3,
                          self._see_back())  # fmt: skip
        out = self._scene.wiring.link(back.oif)
        if back.oif == inl.key or (out is not None and self._scene.wiring.path(out.key, inl.key) is not None):
            return good(f"{what} goes back by {out.name if out is not None else inl.name}", KERNEL)
        if back.kind == "local":
            words = f"takes {what} to {source} for its own: it never leaves"
        else:
            words = f"{what} to {source} leaves by {out.name if out is not None else '?'}, not by {inl.name}"
        return broken(words, KERNEL, "no-return-route", Layer.L3, self._see_back())

    def _see_back(self) -> Remedy:
        return mend("look at the way back", *self._command("ip", "route", "get", self._flow.source))


def resolved(scene: Scene, link: Link, address: str, mac: str = "") -> Fact | None:
    """Return what a link has learned of the next hop, whose MAC should be `mac`, "" for any; None where it never
    asked."""
    if proof := answers_arp(scene, link, address, mac, "next-hop-dead"):
        return proof[0]
    entry = scene.neighbour(link.key, address)
    if entry is None:
        return None
    if entry.state in _SILENT:
        remedy = mend("see whether it is there", *inside(scene.netns(link.netns), "arping", "-c", "1", "-I",
                                                        link.raw_name, address))  # fmt: skip
        words = f"{address} does not answer ARP: {entry.state}"
        return broken(words, _NEIGHBOURS, "next-hop-dead", Layer.SYMPTOM, remedy)
    return good(f"{address} is {entry.mac}: {entry.state}", _NEIGHBOURS)
