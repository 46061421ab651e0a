"""The topology for other programs: JSON as promised, Graphviz and Mermaid by their grammars, hostile names in all."""

from __future__ import annotations

import html
import json
import re

import pytest

from tests.net_host import homework
from tests.unit.topology_hosts import HOSTILE, at_random, company
from tui.model.text import clean
from tui.model.topology import EdgeKind, Graph
from tui.topology.graph import build
from tui.topology.write import as_data, as_dot, as_mermaid

_DOT_TOKEN = re.compile(r'\s*("(?:[^"\\\n]|\\[\\"nlr])*"|[A-Za-z_][A-Za-z_0-9]*|--|[{}\[\]=,;])')
_MERMAID_NODE = re.compile(r'  (?:  )?(n\d+)(\(\[|\[\[|\{\{|\(\(|\[)"([^"]*)"(\]\)|\]\]|\}\}|\)\)|\])')
_MERMAID_EDGE = re.compile(r'  (n\d+) (===|-\.-|-\.->|-->|---)\|"([^"]*)"\| (n\d+)')
_MERMAID_GROUP = re.compile(r'  subgraph s\d+ \["netns ([^"]*)"\]')
_MERMAID_TEXT = re.compile(r"(?:[A-Za-z0-9 ._\-/:,+=@]|#\d+;|<br/>)*")


def graph(seed: int | None = None) -> Graph:
    return build((company() if seed is None else at_random(seed)).snapshot())


def test_json_has_what_it_promises() -> None:
    data = as_data(build(homework().snapshot()))
    assert list(data) == ["nodes", "edges", "limits"]
    for node in data["nodes"]:
        assert list(node) == ["id", "kind", "name", "netns", "state", "key", "facts"]
    for edge in data["edges"]:
        assert list(edge) == ["a", "b", "kind", "label"]
    ids = {node["id"] for node in data["nodes"]}
    assert all(edge["a"] in ids and edge["b"] in ids for edge in data["edges"])
    assert {edge["kind"] for edge in data["edges"]} <= {
        "port", "peer", "parent", "tap", "owner", "route", "nat", "tunnel"
    } == {kind.value for kind in EdgeKind}  # fmt: skip
    assert json.loads(json.dumps(data)) == data, "nothing but what JSON has"


def dot_tokens(text: str) -> list[str]:
    """The tokens of Graphviz's language; fails on anything that is none."""
    tokens, at = [], 0
    while text[at:].strip():
        found = _DOT_TOKEN.match(text, at)
        assert found, f"no token at {text[at : at + 40]!r}"
        tokens.append(found[1])
        at = found.end()
    return tokens


class DotReader:
    """A strict reader of what we write: graph ID { statements }, subgraphs one deep."""

    def __init__(self, text: str) -> None:
        self.tokens = dot_tokens(text)
        self.nodes: dict[str, dict[str, str]] = {}
        self.edges: list[tuple[str, str, dict[str, str]]] = []
        self.clusters: list[str] = []
        self.take("graph", "virtdeck", "{")
        while self.tokens[0] != "}":
            self.statement()
        self.take("}")
        assert not self.tokens

    def take(self, *wanted: str) -> None:
        for token in wanted:
            assert self.tokens.pop(0) == token, self.tokens[:5]

    def value(self) -> str:
        token = self.tokens.pop(0)
        assert token[0] == '"' or token.isidentifier(), token
        return html.unescape(token[1:-1]) if token[0] == '"' else token

    def statement(self) -> None:
        if self.tokens[0] == "subgraph":
            self.tokens.pop(0)
            assert self.value().startswith("cluster")
            self.take("{", "label", "=")
            self.clusters.append(self.value())
            self.take(";")
            while self.tokens[0] != "}":
                self.statement()
            self.take("}")
            return
        first = self.value()
        if self.tokens[0] == "=":
            self.take("=")
            self.value()
        elif self.tokens[0] == "--":
            self.take("--")
            self.edges.append((first, self.value(), self.attributes()))
        else:
            self.nodes[first] = self.attributes()
        self.take(";")

    def attributes(self) -> dict[str, str]:
        found = {}
        self.take("[")
        while True:
            name = self.value()
            self.take("=")
            found[name] = self.value()
            if self.tokens[0] == "]":
                break
            self.take(",")
        self.take("]")
        return found


@pytest.mark.parametrize("seed", [None, *range(30)])
def test_graphviz_reads_it_back_as_it_is(seed: int | None) -> None:
    made = graph(seed)
    read = DotReader(as_dot(made))
    nodes = {name: marks for name, marks in read.nodes.items() if name != "node"}
    assert nodes.keys() == made.nodes.keys()
    for id, marks in nodes.items():
        assert marks["label"].split("\\n")[0] == made.nodes[id].name
    assert [(a, b) for a, b, _marks in read.edges] == [(edge.a, edge.b) for edge in made.edges]
    assert set(read.clusters) == {f"netns {node.netns}" for node in made.nodes.values() if node.netns}


def unwritten(text: str) -> str:
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


@pytest.mark.parametrize("seed", [None, *range(30)])
def test_mermaid_reads_it_back_as_it_is(seed: int | None) -> None:
    made = graph(seed)
    first, *lines = as_mermaid(made).split("\n")
    assert first == "flowchart LR"
    names, edges, depth = {}, [], 0
    for line in lines:
        if node := _MERMAID_NODE.fullmatch(line):
            assert (node[2], node[4]) in {("([", "])"), ("[[", "]]"), ("{{", "}}"), ("((", "))"), ("[", "]")}
            assert _MERMAID_TEXT.fullmatch(node[3]), line
            names[node[1]] = unwritten(node[3].split("<br/>")[0])
        elif edge := _MERMAID_EDGE.fullmatch(line):
            assert _MERMAID_TEXT.fullmatch(edge[3]), line
            edges.append((edge[1], edge[4]))
        elif group := _MERMAID_GROUP.fullmatch(line):
            assert _MERMAID_TEXT.fullmatch(group[1]), line
            depth += 1
        else:
            assert line == "  end", line
            depth -= 1
        assert depth in (0, 1)
    assert depth == 0
    ids = list(made.nodes)
    assert {ids[int(name[1:])]: text for name, text in names.items()} == {i: n.name for i, n in made.nodes.items()}
    assert edges == [(f"n{ids.index(edge.a)}", f"n{ids.index(edge.b)}") for edge in made.edges]


def test_hostile_names_were_among_them() -> None:
    names = "".join(node.name for seed in range(30) for node in graph(seed).nodes.values())
    assert all(clean(name) in names for name in HOSTILE)
