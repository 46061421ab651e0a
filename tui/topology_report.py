"""`virtdeck topology`: what is plugged into what, as the drawing of the screen or for other programs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.model.host import ConnectionState
from tui.model.text import clean
from tui.model.topology import NodeKind
from tui.reports import CONNECT_S, GOOD, NO_CONNECTION, READ_S, open_collector, print_json, say_unreachable, settled

if TYPE_CHECKING:
    import argparse

    from tui.cli import Options
    from tui.model.snapshot import HostSnapshot
    from tui.model.topology import Graph

USAGE = 2
_WIDTH = 100
_OF_HOST = frozenset({"links", "firewalls", "ovs", "dnsmasqs", "processes"})
_OF_LIBVIRT = frozenset({"domains", "configs", "addresses", "networks"})


def topology(options: Options, args: argparse.Namespace) -> int:
    """Print the topology; returns the exit code. Without libvirt it is that of the links alone, and says so."""
    snapshot = _read(options)
    if snapshot is None:
        return NO_CONNECTION
    from tui.topology.graph import build

    graph = build(snapshot)
    focus = ""
    if args.focus is not None:
        found = _named(graph, args.focus)
        if len(found) != 1:
            _say_which(graph, args.focus, found)
            return USAGE
        focus = found[0]
    _print(graph, args, focus)
    return GOOD


def _print(graph: Graph, args: argparse.Namespace, focus: str) -> None:
    from tui.topology import write
    from tui.topology.layout import Look, draw
    from tui.topology.shape import around

    if args.json or args.dot or args.mermaid:
        shown = around(graph, focus, args.hops) if focus else graph
        if args.json:
            print_json(write.as_data(shown))
        else:
            print(write.as_dot(shown) if args.dot else write.as_mermaid(shown))
        return
    width = args.width or shutil.get_terminal_size((_WIDTH, 24)).columns
    bus = True if args.bus else False if args.tree else None
    opened = frozenset({"*"}) if args.all else frozenset[str]()
    drawing = draw(graph, Look(width, bus, open=opened, focus=focus, hops=args.hops))
    for note in drawing.notes:
        print(f"virtdeck: {note}", file=sys.stderr)
    print(drawing.text())


def _read(options: Options) -> HostSnapshot | None:
    """Return the host with all that its network is made of; None where neither libvirt nor links can be read."""
    from tui.runtime.desk import Focus

    collector = open_collector(options)
    collector.focus(Focus(links=True, networks=True))
    collector.start()
    board = collector.board
    # What is read over a connection tries again after seconds where there is none yet.
    board.wait(settled, CONNECT_S)
    collector.start_slow()
    state = board.snapshot.connection.state
    live = state is ConnectionState.LIVE
    collector.focus(Focus(tuple(board.snapshot.domains), links=True, networks=True))
    wanted = _OF_HOST | _OF_LIBVIRT if live else _OF_HOST
    board.wait(lambda seen: not seen.unread & wanted, READ_S)
    snapshot = board.snapshot
    collector.stop()
    if live or state is ConnectionState.ABSENT:
        return snapshot
    if snapshot.links is None:
        say_unreachable(snapshot)
        return None
    problem = snapshot.connection.problem or "it does not answer"
    print(f"virtdeck: without libvirt, at {clean(snapshot.connection.uri)}: {problem}", file=sys.stderr)
    return snapshot


def _named(graph: Graph, name: str) -> list[str]:
    """The nodes of an id, else of a name: guests and namespaces before links, those of our own namespace first."""
    if name in graph.nodes:
        return [name]
    found = [node for node in graph.nodes.values() if node.name == clean(name)]
    things = [node for node in found if node.kind not in (NodeKind.LINK, NodeKind.NIC, NodeKind.OVS_PORT)]
    for group in (things, found):
        if group:
            here = [node for node in group if node.netns in ("", "host")]
            return [node.id for node in here or group]
    return []


def _say_which(graph: Graph, name: str, found: Sequence[str]) -> None:
    if not found:
        print(f"virtdeck: --focus: nothing here is called {clean(name)!r}", file=sys.stderr)
        return
    print(f"virtdeck: --focus: several are called {clean(name)!r}; name one by its id:", file=sys.stderr)
    for id in found:
        node = graph.nodes[id]
        print(f"  {clean(id)}  {node.kind.value}{' in ' + node.netns if node.netns else ''}", file=sys.stderr)
