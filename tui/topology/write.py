"""The graph in the forms of other programs: JSON, Graphviz, Mermaid."""

from __future__ import annotations

from typing import Any

from tui.model.topology import Edge, EdgeKind, Graph, Node, NodeKind

_DOT_SHAPES = {
    NodeKind.DOMAIN: "box3d", NodeKind.PROCESS: "component", NodeKind.BRIDGE: "box", NodeKind.OVS_BRIDGE: "box",
    NodeKind.NETNS: "house", NodeKind.NETWORK: "folder", NodeKind.DNSMASQ: "note", NodeKind.FAR_END: "cds",
}  # fmt: skip
_DOT_STYLES = {
    EdgeKind.PEER: "bold", EdgeKind.PARENT: "dashed", EdgeKind.OWNER: "dotted", EdgeKind.TUNNEL: "dashed",
}  # fmt: skip
_DIRECTED = frozenset({EdgeKind.ROUTE, EdgeKind.NAT, EdgeKind.PARENT, EdgeKind.TUNNEL})
_MERMAID_SHAPES = {
    NodeKind.DOMAIN: ("([", "])"), NodeKind.PROCESS: ("([", "])"), NodeKind.BRIDGE: ("[[", "]]"),
    NodeKind.OVS_BRIDGE: ("[[", "]]"), NodeKind.NETNS: ("{{", "}}"), NodeKind.FAR_END: ("((", "))"),
}  # fmt: skip
_MERMAID_LINES = {
    EdgeKind.PEER: "===", EdgeKind.OWNER: "-.-", EdgeKind.PARENT: "-.->", EdgeKind.TUNNEL: "-.->",
    EdgeKind.ROUTE: "-->", EdgeKind.NAT: "-->",
}  # fmt: skip
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-/:,+=@")


def as_data(graph: Graph) -> dict[str, Any]:
    """Return the graph as JSON-able data: `nodes` (id, kind, name, netns, state, key, facts), `edges` (a, b, kind,
    label), `limits`."""
    return {
        "nodes": [
            {"id": node.id, "kind": node.kind.value, "name": node.name, "netns": node.netns, "state": node.state,
             "key": node.key, "facts": dict(node.facts)}
            for node in graph.nodes.values()
        ],
        "edges": [{"a": edge.a, "b": edge.b, "kind": edge.kind.value, "label": edge.label} for edge in graph.edges],
        "limits": list(graph.limits),
    }  # fmt: skip


def _label(node: Node, newline: str) -> str:
    parts = [node.name, *([str(node.facts["addresses"])] if node.facts.get("addresses") else [])]
    if node.state not in ("up", "running", "active", "remote"):
        parts.append(node.state)
    return newline.join(parts)


def _by_netns(graph: Graph) -> dict[str, list[Node]]:
    groups: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        groups.setdefault(node.netns, []).append(node)
    return groups


def as_dot(graph: Graph) -> str:
    """Return the graph in the language of Graphviz (https://graphviz.org/doc/info/lang.html), a cluster for each
    namespace."""
    lines = ["graph virtdeck {", "  rankdir=LR;", '  node [shape=plaintext, fontname="monospace"];']
    for number, (netns, nodes) in enumerate(_by_netns(graph).items()):
        if netns:
            lines += [f"  subgraph cluster_{number} {{", f"    label={_dot(f'netns {netns}')};"]
        for node in nodes:
            shape = _DOT_SHAPES.get(node.kind, "ellipse")
            text = '"' + "\\n".join(_dot(part)[1:-1] for part in _label(node, "\0").split("\0")) + '"'
            lines.append(f"  {'  ' if netns else ''}{_dot(node.id)} [label={text}, shape={shape}];")
        lines += ["  }"] if netns else []
    lines += [f"  {_dot_edge(edge)}" for edge in graph.edges]
    return "\n".join([*lines, "}"])


def _dot_edge(edge: Edge) -> str:
    marks = [f"label={_dot(edge.label or edge.kind.value)}", f"style={_DOT_STYLES.get(edge.kind, 'solid')}"]
    marks += ["dir=forward"] if edge.kind in _DIRECTED else []
    return f"{_dot(edge.a)} -- {_dot(edge.b)} [{', '.join(marks)}];"


def _dot(text: str) -> str:
    """A quoted string: quotes, backslashes and what Graphviz takes for an entity become entities."""
    return '"' + "".join(f"&#{ord(char)};" if char in '"\\&<>' else char for char in text) + '"'


def as_mermaid(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html), a subgraph for each
    namespace; nodes are numbered in their order."""
    names = {id: f"n{number}" for number, id in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for number, (netns, nodes) in enumerate(_by_netns(graph).items()):
        indent = "  " * (2 if netns else 1)
        lines += [f'  subgraph s{number} ["netns {_mermaid(netns)}"]'] if netns else []
        for node in nodes:
            before, after = _MERMAID_SHAPES.get(node.kind, ("[", "]"))
            text = "<br/>".join(_mermaid(part) for part in _label(node, "\0").split("\0"))
            lines.append(f'{indent}{names[node.id]}{before}"{text}"{after}')
        lines += ["  end"] if netns else []
    for edge in graph.edges:
        line = _MERMAID_LINES.get(edge.kind, "---")
        lines.append(f'  {names[edge.a]} {line}|"{_mermaid(edge.label or edge.kind.value)}"| {names[edge.b]}')
    return "\n".join(lines)


def _mermaid(text: str) -> str:
    """Text with every sign that could mean something to Mermaid as an entity of its own."""
    return "".join(char if char in _SAFE else f"#{ord(char)};" for char in text)
