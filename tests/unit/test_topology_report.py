"""`virtdeck topology` as scripts meet it: exit codes, forms, widths, hosts that have little to tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tui.model.text import cells

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the report, whatever comes of it, with folders of its own."""
    folders = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("CONFIG", "STATE")}
    environment = {**os.environ, **folders, "LC_ALL": "C.UTF-8", "COLUMNS": "100"}

    def ran(*words: str, demo: bool = True) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tui", *(["--demo"] if demo else []), "topology", *words]
        return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=60)

    return ran


@pytest.mark.parametrize("view", [(), ("--bus",), ("--tree",), ("--tree", "--all")])
def test_the_drawing_keeps_to_its_width(run: Run, view: tuple[str, ...]) -> None:
    done = run(*view, "--width", "120")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(cells, lines)) <= 120
    assert "br-dmz" in done.stdout
    assert max(map(cells, run(*view).stdout.splitlines())) <= 100, "the terminal's width"


def test_json_is_what_is_promised_and_each_edge_has_its_nodes(run: Run) -> None:
    data = json.loads(run("--json").stdout)
    ids = {node["id"] for node in data["nodes"]}
    assert {"bridge", "domain", "link", "netns", "ovs-bridge"} <= {node["kind"] for node in data["nodes"]}
    assert all({edge["a"], edge["b"]} <= ids for edge in data["edges"])


def test_forms_for_other_programs(run: Run) -> None:
    assert run("--dot").stdout.startswith("graph virtdeck {\n")
    assert run("--mermaid").stdout.startswith("flowchart LR\n")


def test_what_is_around_something(run: Run) -> None:
    data = json.loads(run("--json", "--focus", "br-dmz", "--hops", "1").stdout)
    names = {node["name"] for node in data["nodes"]}
    assert "br-dmz" in names
    assert "virbr0" not in names
    by_id = next(node["id"] for node in data["nodes"] if node["name"] == "br-dmz")
    again = json.loads(run("--json", "--focus", by_id, "--hops", "1").stdout)
    assert {node["id"] for node in again["nodes"]} == {node["id"] for node in data["nodes"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--focus", "nobody\x1b[2J"), "nothing here is called 'nobody␛[2J'"),
        (("--json", "--dot"), "not allowed with argument"),
        (("--width", "0"), "must be at least 1"),
        (("--width", "wide"), "invalid"),
    ],
)
def test_what_does_not_fit_is_exit_2(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_where_neither_libvirt_nor_links_can_be_read_is_exit_3(run: Run) -> None:
    done = run("-c", "qemu+tcp://127.0.0.1:1/system", demo=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot connect to qemu+tcp://127.0.0.1:1/system" in done.stderr


def test_a_host_of_whose_links_nothing_is_known_has_its_guests(run: Run) -> None:
    done = run("-c", "test:///default", demo=False)
    assert done.returncode == 0
    assert done.stdout.startswith("limited: links: the host is not this machine\n")


def test_without_libvirt_links_are_drawn_and_nothing_is_missed(run: Run) -> None:
    done = run("--no-libvirt", "--json", demo=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(not limit.startswith("guests") for limit in json.loads(done.stdout)["limits"])
