"""What a path trace asks: the kernel of a namespace where it sends a packet (RTM_GETROUTE, rtnetlink(7)), and Open
vSwitch what it does with a frame (ofproto/trace, ovs-vswitchd(8))."""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tui.model.link import link_key
from tui.model.route import FlowAnswer, FlowQuestion, Question, RouteAnswer, RouteQuestion
from tui.model.text import clean
from tui.sources.inside import inside
from tui.sources.netlink.kinds import address
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.wire import attribute, attributes, number

if TYPE_CHECKING:
    from tui.model.link import Netns

_GET_ROUTE = 26
_HEAD = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, destination and source prefix, TOS, table, protocol, scope, type, flags."""
_LOOKUP_TABLE = 0x1000
_DESTINATION, _SOURCE, _IIF, _OIF, _GATEWAY, _PREFERRED, _TABLE, _VIA = 1, 2, 3, 4, 5, 7, 15, 18
_KINDS = ("unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit")
_DEADLINE_S = 5.0
_ACTIONS = re.compile(r"^Datapath actions: (.*)$", re.MULTILINE)
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def ask(questions: Iterable[Question], namespaces: Mapping[str, Netns]) -> dict[Question, RouteAnswer | FlowAnswer]:
    """Return an answer to each question. Enters the namespaces with the calling thread, and comes back; may take as
    long as ovs-vswitchd does, 5 s a question at most."""
    found: dict[Question, RouteAnswer | FlowAnswer] = {}
    by_netns: dict[str, list[RouteQuestion]] = {}
    for question in questions:
        if isinstance(question, FlowQuestion):
            found[question] = _ask_switch(question)
        else:
            by_netns.setdefault(question.netns, []).append(question)
    for key, asked in by_netns.items():
        answers = _ask_netns(namespaces.get(key), asked)
        found |= {question: answers[question] for question in asked}
    return found


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


def _ask_switch(question: FlowQuestion) -> FlowAnswer:
    program = shutil.which("ovs-appctl", path=_PATH)
    if program is None:
        return FlowAnswer(problem="ovs-appctl is not installed")
    flow = f"in_port={question.port},dl_src={question.source_mac},dl_dst={question.destination_mac},arp"
    try:
        done = subprocess.run(
            [program, f"--timeout={_DEADLINE_S:.0f}", "ofproto/trace", question.bridge, flow],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_DEADLINE_S + 1,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return FlowAnswer(problem=clean(str(error)))
    found = _ACTIONS.search(done.stdout)
    if done.returncode or found is None:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return FlowAnswer(problem=clean(lines[-1]) if lines else f"ovs-appctl ended with {done.returncode}")
    return FlowAnswer(actions=clean(found[1]))
