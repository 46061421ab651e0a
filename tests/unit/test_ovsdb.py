"""The OVSDB client against a server that says what a test wants it to, byte by byte: messages in pieces and together,
echoes, refusals, silence. The real server is met in tests/lab/test_ovs.py."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tui.sources import ovsdb
from tui.sources.ovs import OvsSource
from tui.sources.ovsdb import Ovsdb, OvsdbError, atoms, pairs

BRIDGE, PORT, INTERFACE = "b" * 8, "p" * 8, "i" * 8


class Server:
    """One connection of a server that obeys the test."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.peer: socket.socket | None = None

    def answer(self, *pieces: bytes) -> None:
        """Accept, read one request, and send the pieces one by one, from a thread of its own."""

        def serve() -> None:
            self.peer, _ = self.listener.accept()
            self.peer.recv(65536)
            for piece in pieces:
                self.peer.sendall(piece)

        threading.Thread(target=serve, daemon=True).start()

    def send(self, *messages: Any) -> None:
        assert self.peer is not None
        self.peer.sendall("".join(map(json.dumps, messages)).encode())

    def hear(self) -> Any:
        assert self.peer is not None
        self.peer.settimeout(5)
        return json.loads(self.peer.recv(65536))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db.sock"


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    made = Server(path)
    yield made
    made.listener.close()
    if made.peer is not None:
        made.peer.close()


def result(**tables: Any) -> bytes:
    return json.dumps({"id": "virtdeck-monitor", "error": None, "result": tables}).encode()


def connect(path: Path) -> Ovsdb:
    return Ovsdb(str(path), "Open_vSwitch", {"Bridge": ("name",)})


def update(**rows: Any) -> dict[str, Any]:
    return {"method": "update", "id": None, "params": [None, {"Bridge": rows}]}


def test_an_answer_that_comes_in_pieces(server: Server, path: Path) -> None:
    whole = result(Bridge={BRIDGE: {"new": {"name": "br-}ü"}}})
    server.answer(*(whole[place : place + 7] for place in range(0, len(whole), 7)))
    assert connect(path).tables["Bridge"] == {BRIDGE: {"name": "br-}ü"}}


def test_rows_come_change_and_go(server: Server, path: Path) -> None:
    server.answer(result(Bridge={"a": {"new": {"name": "one"}}, "b": {"new": {"name": "two"}}}))
    client = connect(path)
    assert not client.take()
    server.send(
        update(a={"old": {"name": "one"}, "new": {"name": "uno"}}),
        update(b={"old": {"name": "two"}}, c={"new": {"name": "three"}}),
    )
    assert client.take()
    assert client.tables["Bridge"] == {"a": {"name": "uno"}, "c": {"name": "three"}}


def test_an_echo_is_answered_and_is_no_news(server: Server, path: Path) -> None:
    server.answer(result(Bridge={}))
    client = connect(path)
    server.send({"method": "echo", "params": ["x"], "id": "echo"})
    assert not client.take()
    assert server.hear() == {"result": ["x"], "error": None, "id": "echo"}


def test_a_server_that_goes(server: Server, path: Path) -> None:
    server.answer(result(Bridge={}))
    client = connect(path)
    assert server.peer is not None
    server.peer.close()
    with pytest.raises(OvsdbError, match="gone"):
        client.take()


def test_a_server_that_falls_silent_within_a_message(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ovsdb, "_DEADLINE_S", 0.05)
    server.answer(result(Bridge={})[:-3])
    with pytest.raises(OvsdbError, match="does not answer"):
        connect(path)


def test_a_refusal_says_why(server: Server, path: Path) -> None:
    error = {"error": "unknown database", "details": "no \x1b[31m such"}
    server.answer(json.dumps({"id": "virtdeck-monitor", "error": error, "result": None}).encode())
    with pytest.raises(OvsdbError, match="refuses: unknown database no ␛") as raised:
        connect(path)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "rows", [{"Bridge": 7}, {"Bridge": {"a": None}}, {"Other": {"a": {"new": {}}}}, 3, {"Bridge": {"a": {"new": 1}}}]
)
def test_what_is_no_ovsdb_is_refused(server: Server, path: Path, rows: Any) -> None:
    server.answer(json.dumps({"id": "virtdeck-monitor", "error": None, "result": rows}).encode())
    with pytest.raises(OvsdbError):
        connect(path)


def test_no_server(path: Path) -> None:
    with pytest.raises(OvsdbError, match="cannot be reached: No such file"):
        connect(path)


def test_sets_maps_and_references() -> None:
    assert atoms(["set", []]) == []
    assert atoms(5) == [5]
    assert atoms(["set", [1, 2]]) == [1, 2]
    assert atoms(["uuid", "x"]) == ["x"]
    assert atoms(["set", [["uuid", "x"], ["uuid", "y"]]]) == ["x", "y"]
    assert atoms(None) == atoms(["map", []]) == []
    assert pairs(["map", [["b", "2"], ["a", 1]]]) == [("a", "1"), ("b", "2")]
    assert pairs(["set", []]) == []


HOSTILE = "\x1b[2J\u202e[@click=app.quit]x\u009b"


def hostile_tables() -> bytes:
    return result(
        Open_vSwitch={"r": {"new": {"bridges": ["uuid", BRIDGE], "ovs_version": HOSTILE}}},
        Bridge={
            BRIDGE: {
                "new": {
                    "name": HOSTILE,
                    "ports": ["set", [["uuid", PORT], ["uuid", "lost"]]],
                    "datapath_type": "netdev",
                    "external_ids": ["map", [[HOSTILE, HOSTILE]]],
                    "controller": ["uuid", "c"],
                    "rstp_enable": True,
                }
            }
        },
        Port={
            PORT: {"new": {"name": HOSTILE, "interfaces": ["uuid", INTERFACE], "tag": 10, "trunks": ["set", [3, 2]]}}
        },
        Interface={
            INTERFACE: {
                "new": {
                    "name": HOSTILE,
                    "type": "vxlan",
                    "link_state": "down",
                    "options": ["map", [["remote_ip", HOSTILE]]],
                    "error": HOSTILE,
                }
            }
        },
        Controller={"c": {"new": {"target": HOSTILE}}},
    )


def test_what_strangers_write_is_cleaned_and_names_are_kept_raw_beside(server: Server, path: Path) -> None:
    server.answer(hostile_tables())
    found = OvsSource(str(path)).read()
    (bridge,) = found.bridges
    (port,) = bridge.ports
    (interface,) = port.interfaces
    assert (bridge.raw_name, port.raw_name, interface.raw_name) == (HOSTILE,) * 3
    shown = [
        found.version, bridge.name, port.name, interface.name, interface.error, interface.option("remote_ip"),
        *bridge.controllers, *bridge.external_ids[0],
    ]  # fmt: skip
    assert all(text.isprintable() and text != "" for text in shown)
    assert (bridge.stp, port.tag, port.trunks, interface.up, interface.admin_up) == (True, 10, (2, 3), False, None)


def test_what_did_not_change_is_the_same_object(server: Server, path: Path) -> None:
    server.answer(hostile_tables())
    source = OvsSource(str(path))
    first = source.read()
    assert source.read() is first
    server.send(
        {"method": "update", "id": None, "params": [None, {"Bridge": {"z": {"new": {"name": "z"}}},
         "Open_vSwitch": {"r": {"new": {"bridges": ["set", [["uuid", BRIDGE], ["uuid", "z"]]]}}}}]}
    )  # fmt: skip
    assert source.take()
    second = source.read()
    assert [bridge.raw_name for bridge in second.bridges] == [HOSTILE, "z"]
    assert second.bridges[0] is first.bridges[0]
