"""What a path trace asks: the kernel of a namespace where it sends a packet (RTM_GETROUTE, rtnetlink(7)), and Open
vSwitch what it does with a frame."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.model.link import link_key
from tui.model.route import (
    Answer,
    CountAnswer,
    CountQuestion,
    FlowQuestion,
    ProbeAnswer,
    ProbeQuestion,
    Question,
    RouteAnswer,
    RouteQuestion,
)
from tui.model.text import clean
from tui.sources.inside import inside
from tui.sources.netlink.counters import Counters, read_counters
from tui.sources.netlink.kinds import address
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attribute, attributes, number
from tui.sources.ovs_trace import ask_switch
from tui.sources.probe import probe

if TYPE_CHECKING:
    from tui.model.link import Links, Netns

_GET_ROUTE = 26
_HEAD = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, destination and source prefix, TOS, table, protocol, scope, type, flags."""
_LOOKUP_TABLE = 0x1000
_DESTINATION, _SOURCE, _IIF, _OIF, _GATEWAY, _PREFERRED, _TABLE, _VIA = 1, 2, 3, 4, 5, 7, 15, 18
_KINDS = ("unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit")


def ask(questions: Iterable[Question], links: Links) -> dict[Question, Answer]:
    """Return an answer to each question, but to those for counts. Enters the namespaces with the calling thread, and
    comes back; may take as long as ovs-vswitchd does, 6 s a question at most."""
    found: dict[Question, Answer] = {}
    by_netns: dict[str, list[RouteQuestion]] = {}
    for question in questions:
        if isinstance(question, FlowQuestion):
            found[question] = ask_switch(question)
        elif isinstance(question, ProbeQuestion):
            found[question] = _ask_wire(question, links)
        elif isinstance(question, RouteQuestion):
            by_netns.setdefault(question.netns, []).append(question)
    for key, asked in by_netns.items():
        answers = _ask_netns(links.namespaces.get(key), asked)
        found |= {question: answers[question] for question in asked}
    return found


def count(questions: Iterable[CountQuestion], links: Links) -> dict[CountQuestion, CountAnswer]:
    """Return how many packets have passed each link so far (RTM_GETSTATS); what cannot be read is left out. Enters the
    namespaces with the calling thread, and comes back."""
    by_netns: dict[str, list[CountQuestion]] = {}
    for question in questions:
        by_netns.setdefault(question.link.rpartition(":")[0], []).append(question)
    found: dict[CountQuestion, CountAnswer] = {}
    for key, asked in by_netns.items():
        counters = _counters_of(links.namespaces.get(key))
        for question in asked:
            values = counters.get(int(question.link.rpartition(":")[2]))
            if values is not None:
                found[question] = CountAnswer(values[0], values[1])
    return found


def _counters_of(netns: Netns | None) -> dict[int, Counters]:
    if netns is None:
        return {}
    try:
        with inside(netns), NetlinkSocket() as kernel:
            return read_counters(kernel)
    except OSError:
        # Counters are a proof more: the trace is whole without them.
        return {}


def _ask_wire(question: ProbeQuestion, links: Links) -> ProbeAnswer:
    netns, link = links.namespaces.get(question.netns), links.links.get(question.link)
    if netns is None or (question.link and link is None):
        return ProbeAnswer(problem="it is gone")
    try:
        with inside(netns):
            return probe(question, link.raw_name if link is not None else "")
    except PermissionError:
        return ProbeAnswer(problem="not root")
    except OSError as error:
        return ProbeAnswer(problem=clean(error.strerror or str(error)))


def _ask_netns(netns: Netns | None, asked: list[RouteQuestion]) -> dict[RouteQuestion, RouteAnswer]:
    if netns is None:
        return dict.fromkeys(asked, RouteAnswer(problem="the namespace is gone"))
    try:
        with inside(netns), NetlinkSocket() as kernel:
            return {question: _ask_kernel(kernel, question) for question in asked}
    except PermissionError:
        return dict.fromkeys(asked, RouteAnswer(problem="not root"))
    except OSError as error:
        return dict.fromkeys(asked, RouteAnswer(problem=clean(error.strerror or str(error))))


def _ask_kernel(kernel: NetlinkSocket, question: RouteQuestion) -> RouteAnswer:
    """Raises OSError where the kernel does not answer at all; what it refuses is an answer."""
    try:
        answer = kernel.get(_GET_ROUTE, _request(question))
    except ValueError as error:
        return RouteAnswer(problem=clean(str(error)))
    except NetlinkError as error:
        return RouteAnswer(code=error.errno or 0)
    kind = answer[7]
    parts = attributes(answer, _HEAD.size)
    out = number(parts.get(_OIF))
    return RouteAnswer(
        kind=_KINDS[kind] if kind < len(_KINDS) else str(kind),
        oif=link_key(question.netns, out) if out else "",
        gateway=address(parts.get(_GATEWAY) or parts.get(_VIA, b"")[2:] or None),
        source=address(parts.get(_PREFERRED)),
        table=number(parts.get(_TABLE)),
    )


def _request(question: RouteQuestion) -> bytes:
    family = socket.AF_INET6 if ":" in question.destination else socket.AF_INET
    destination = _packed(family, question.destination)
    source = _packed(family, question.source) if question.source else b""
    body = _HEAD.pack(family, len(destination) * 8, len(source) * 8, 0, 0, 0, 0, 0, _LOOKUP_TABLE)
    body += attribute(_DESTINATION, destination)
    body += attribute(_SOURCE, source) if source else b""
    if question.iif:
        body += attribute(_IIF, struct.pack("=I", int(question.iif.rpartition(":")[2])))
    return body


def _packed(family: int, text: str) -> bytes:
    """Raises ValueError."""
    try:
        return socket.inet_pton(family, text)
    except OSError as error:
        raise ValueError(f"{text} is no address of this family") from error
