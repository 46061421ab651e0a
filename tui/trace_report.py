"""`virtdeck trace`: the way of a guest's packets, as text or JSON. Textual is never imported here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tui.model.finding import PACKET, Verdict
from tui.model.host import ConnectionState
from tui.model.snapshot import HostSnapshot, as_json
from tui.model.text import clean
from tui.model.verdict_words import SIGNS
from tui.reports import CONNECT_S, NO_CONNECTION, READ_S, open_collector, print_json, say_unreachable, settled
from tui.runtime.desk import Focus
from tui.tracing import QueryError, captured, link_named, query_of, traced

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tui.cli import Options
    from tui.model.finding import Fact, Hop, Trace

GOOD, BROKEN, USAGE, UNKNOWN = 0, 1, 2, 4
_CODES = {Verdict.GOOD: GOOD, Verdict.BROKEN: BROKEN}
_NETWORK = frozenset({"links", "processes", "firewalls", "ovs", "dnsmasqs"})
_GUESTS = frozenset({"domains", "configs", "addresses", "networks"})


def trace_report(options: Options, args: argparse.Namespace) -> int:
    """Print a trace and return the exit code: 0 the path is good, 1 it is broken, 4 that cannot be told."""
    if bool(args.source) == bool(args.link):
        print("virtdeck: trace wants a guest, or a link with --link", file=sys.stderr)
        return USAGE
    snapshot = _read(options)
    try:
        query = query_of(snapshot, args.source or "", args.link or "", args.to or "")
        at = link_named(snapshot, args.capture) if args.capture else ""
        found = traced(snapshot, query, made_up=options.demo, probing=args.probe)
    except QueryError as error:
        if not args.link and not (snapshot.connection.live or snapshot.connection.state is ConnectionState.ABSENT):
            say_unreachable(snapshot)
            return NO_CONNECTION
        print(f"virtdeck: {error}", file=sys.stderr)
        return USAGE
    limits = snapshot.links.limits if snapshot.links is not None else snapshot.limits
    heard = captured(snapshot, at) if at and not options.demo else None
    if args.json:
        print_json(trace_json(found, limits) | {"capture": heard})
    else:
        print("\n".join([*trace_lines(found, limits), *_capture_lines(args.capture, heard)]))
    return _CODES.get(found.verdict, UNKNOWN)


def _read(options: Options) -> HostSnapshot:
    """Return the snapshot with all that a trace looks at; without libvirt what the kernel alone tells, which is enough
    for a link and for a QEMU that libvirt does not know."""
    collector = open_collector(options)
    collector.start()
    board = collector.board
    board.wait(settled, CONNECT_S)
    live = board.snapshot.connection.live
    collector.focus(Focus(tuple(board.snapshot.domains), links=True))
    collector.start_slow()
    wanted = _NETWORK | (_GUESTS if live else frozenset())
    board.wait(lambda seen: not seen.unread & wanted and _firewalls_read(seen), READ_S)
    snapshot = board.snapshot
    collector.stop()
    return snapshot


def _firewalls_read(snapshot: HostSnapshot) -> bool:
    links = snapshot.links
    return links is None or links.namespaces.keys() <= snapshot.firewalls.keys()


def trace_json(found: Trace, limits: Sequence[str] = ()) -> dict[str, Any]:
    """Return a trace as JSON-able data: hops with their facts, the verdict, the cause by its hop and fact, and what
    cannot be seen."""
    hops = [
        {
            "kind": hop.kind,
            "name": hop.name,
            "netns": hop.netns,
            "key": hop.key,
            "verdict": hop.verdict.value,
            "reason": reason(hop),
            "facts": as_json(hop.facts),
        }
        for hop in found.hops
    ]
    return {
        "source": found.source,
        "destination": found.destination,
        "packet": PACKET,
        "verdict": found.verdict.value,
        "cause": _cause_json(found),
        "limits": list(limits),
        "hops": hops,
    }


def _cause_json(found: Trace) -> dict[str, Any] | None:
    if found.cause is None:
        return None
    at, number = found.cause
    hop, fact = found.hops[at], found.hops[at].facts[number]
    return {"hop": at, "fact": number, "kind": hop.kind, "name": hop.name, "netns": hop.netns, **as_json(fact)}


def reason(hop: Hop) -> str:
    """Return the words of the fact that gives a hop its verdict."""
    return next((fact.words for fact in hop.facts if fact.verdict is hop.verdict), "nothing was found out")


def _capture_lines(name: str, heard: tuple[str, ...] | str | None) -> list[str]:
    if heard is None:
        return []
    head = ["", f"passes {clean(name)}:"]
    if isinstance(heard, str):
        return [*head, f"  {heard}"]
    return [*head, *(f"  {line}" for line in heard or ("nothing in 5 s",))]


def trace_lines(found: Trace, limits: Sequence[str] = ()) -> list[str]:
    """Return a trace in lines: the cause first, a hop a line, what mends it last; `limits` is what cannot be seen."""
    lines = [f"{found.source} to {found.destination} (a ping): {found.verdict.value}"]
    lines += [f"limited: {limit}" for limit in limits]
    cause = None if found.cause is None else found.hops[found.cause[0]].facts[found.cause[1]]
    if cause is not None and found.cause is not None:
        lines.append(f"cause: {where(found.hops[found.cause[0]])}: {cause.words}")
    lines += [f"{fact.verdict.value}: {where(hop)}: {fact.words}" for hop, fact in found.notes]
    lines.append("")
    for hop in found.hops:
        lines += _hop_lines(hop)
    return [*lines, *_remedy_lines(cause)]


def where(hop: Hop) -> str:
    """Return the kind and name of a hop, and its namespace where it is not the name already."""
    name = hop.name if hop.name in ("", hop.netns) or not hop.netns else f"{hop.name}@{hop.netns}"
    return f"{hop.kind} {name}"


def _hop_lines(hop: Hop) -> list[str]:
    bad = [fact for fact in hop.facts if fact.verdict is not Verdict.GOOD]
    shown = bad or hop.facts
    head = f"{SIGNS[hop.verdict][0]} {where(hop)}"
    if not shown:
        return [head]
    first, *rest = (fact.words for fact in shown) if bad else ("; ".join(fact.words for fact in shown),)
    return [f"{head}: {first}", *(f"    {words}" for words in rest)]


def _remedy_lines(cause: Fact | None) -> list[str]:
    if cause is None or not cause.remedies:
        return []
    lines = ["", "what mends it:"]
    for remedy in cause.remedies:
        command = f": {_joined(remedy.command)}" if remedy.command else ""
        action = f": virtdeck do {remedy.action} {remedy.target}" if remedy.action else ""
        lines.append(f"  {remedy.words}{command}{action}")
    return lines


def _joined(command: tuple[str, ...]) -> str:
    import shlex

    return clean(shlex.join(command))
