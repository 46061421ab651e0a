"""Open vSwitch read from its real database: bridges, tags, patch pairs, tunnels and their far ends, and changes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.conftest import unavailable
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.ovs import OpenVswitch, missing_programs
from tests.lab.spaces import lab_netns
from tui.model.ovs import Ovs, OvsPort
from tui.model.snapshot import HostSnapshot
from tui.runtime import ovs as watcher
from tui.runtime.board import Board
from tui.runtime.ovs import OvsWatcher
from tui.sources.ovs import OvsSource

PATIENCE_S = 20.0


@pytest.fixture
def ovs(lab: LabHost) -> Iterator[OpenVswitch]:
    """An Open vSwitch without bridges."""
    if missing := missing_programs():
        unavailable(", ".join(missing))
    with OpenVswitch(lab) as made:
        yield made


@pytest.fixture
def two_bridges(lab: LabHost, ovs: OpenVswitch) -> OpenVswitch:
    """Two bridges joined by patch ports and by a veth pair; ports with and without a tag; a GRE and a VXLAN tunnel."""
    for bridge in ("br-int", "br-ex"):
        ovs.add_bridge(bridge)
    ovs.add_patch("br-int", "to-ex", "br-ex", "to-int")
    for name, bridge, *settings in (("va", "br-int", "tag=10"), ("vb", "br-int"), ("vc", "br-ex", "trunks=10,20")):
        lab.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-far"])
        lab.run(["ip", "link", "set", name, "up"])
        ovs.vsctl("add-port", bridge, name, *settings)
    lab.run(["ip", "link", "set", "va-far", "up"])
    ovs.vsctl("add-port", "br-ex", "vb-far")
    ovs.add_tunnel("br-int", "gre1", "gre", "192.0.2.7", 5)
    ovs.add_tunnel("br-int", "vx1", "vxlan", "192.0.2.8", 77)
    return ovs


@contextmanager
def watching(ovs: OpenVswitch) -> Iterator[Board]:
    """The reading thread, once it has read."""
    board = Board("qemu:///system", read_only=True, publish=lambda _snapshot: None)
    thread = OvsWatcher(board, local=True, path=str(ovs.socket))
    thread.start()
    try:
        assert board.wait(lambda seen: "ovs" not in seen.unread, PATIENCE_S)
        yield board
    finally:
        thread.stop()


def bridges(seen: HostSnapshot) -> list[str]:
    return [bridge.name for bridge in seen.ovs.bridges] if seen.ovs is not None else []


def ports_of(found: Ovs, bridge: str) -> dict[str, OvsPort]:
    return {port.name: port for item in found.bridges if item.name == bridge for port in item.ports}


def port_of(seen: HostSnapshot, bridge: str, port: str) -> OvsPort | None:
    return ports_of(seen.ovs, bridge).get(port) if seen.ovs is not None else None


def test_two_bridges_with_tags_patches_and_tunnels(lab: LabHost, two_bridges: OpenVswitch) -> None:
    found = OvsSource(str(two_bridges.socket)).read()
    assert [(bridge.name, bridge.datapath) for bridge in found.bridges] == [("br-ex", "netdev"), ("br-int", "netdev")]
    inner, outer = ports_of(found, "br-int"), ports_of(found, "br-ex")
    assert inner.keys() == {"br-int", "to-ex", "va", "vb", "gre1", "vx1"}
    assert outer.keys() == {"br-ex", "to-int", "vc", "vb-far"}
    assert (inner["va"].tag, inner["vb"].tag, outer["vc"].trunks) == (10, None, (10, 20))
    kinds = {name: port.interfaces[0].kind for name, port in (inner | outer).items()}
    assert kinds == {
        "br-int": "internal", "br-ex": "internal", "to-ex": "patch", "to-int": "patch",
        "va": "", "vb": "", "vc": "", "vb-far": "", "gre1": "gre", "vx1": "vxlan",
    }  # fmt: skip
    assert inner["to-ex"].interfaces[0].option("peer") == "to-int"
    assert outer["to-int"].interfaces[0].option("peer") == "to-ex"
    far = [
        (inner[name].interfaces[0].option("remote_ip"), inner[name].interfaces[0].option("key"))
        for name in ("gre1", "vx1")
    ]
    assert far == [("192.0.2.7", "5"), ("192.0.2.8", "77")]
    assert found.netns == lab_netns(lab).key
    assert found.version == two_bridges.version


def test_states_of_links_follow(lab: LabHost, two_bridges: OpenVswitch) -> None:
    def states(seen: HostSnapshot) -> tuple[bool | None, bool | None] | None:
        port = port_of(seen, "br-int", "va")
        return (port.interfaces[0].admin_up, port.interfaces[0].up) if port is not None else None

    with watching(two_bridges) as board:
        assert board.wait(lambda seen: states(seen) == (True, True), PATIENCE_S)
        lab.run(["ip", "link", "set", "va-far", "down"])
        assert board.wait(lambda seen: states(seen) == (True, False), PATIENCE_S)
        lab.run(["ip", "link", "set", "va", "down"])
        assert board.wait(lambda seen: states(seen) == (False, False), PATIENCE_S)


def test_changes_come_by_themselves(two_bridges: OpenVswitch) -> None:
    with watching(two_bridges) as board:
        before = board.snapshot.ovs
        assert before is not None
        two_bridges.vsctl("set", "port", "va", "tag=20")
        assert board.wait(
            lambda seen: (port := port_of(seen, "br-int", "va")) is not None and port.tag == 20, PATIENCE_S
        )
        after = board.snapshot.ovs
        assert after is not None
        assert after.bridges[0] is before.bridges[0], "br-ex did not change"
        two_bridges.vsctl("clear", "port", "va", "tag")
        assert board.wait(
            lambda seen: (port := port_of(seen, "br-int", "va")) is not None and port.tag is None, PATIENCE_S
        )
        two_bridges.vsctl("del-port", "gre1")
        assert board.wait(lambda seen: port_of(seen, "br-int", "gre1") is None, PATIENCE_S)
        two_bridges.add_bridge("br-new")
        assert board.wait(lambda seen: bridges(seen) == ["br-ex", "br-int", "br-new"], PATIENCE_S)
        two_bridges.vsctl("del-br", "br-new")
        assert board.wait(lambda seen: bridges(seen) == ["br-ex", "br-int"], PATIENCE_S)


def test_the_lab_s_switch_forwards_by_tag(lab: LabHost, ovs: OpenVswitch) -> None:
    """What the tests read is in force: those of one tag reach each other, over the patch as well, and nobody else."""
    for bridge in ("br-int", "br-ex"):
        ovs.add_bridge(bridge)
    ovs.add_patch("br-int", "to-ex", "br-ex", "to-int")
    for number, (name, bridge, *tag) in enumerate(
        (("a", "br-int", "tag=10"), ("b", "br-ex", "tag=10"), ("c", "br-int"), ("d", "br-ex")), 1
    ):
        lab.run(["ip", "netns", "add", name])
        lab.run(["ip", "link", "add", f"p-{name}", "type", "veth", "peer", "name", "eth0", "netns", name])
        lab.run(["ip", "-n", name, "address", "add", f"10.8.0.{number}/24", "dev", "eth0"])
        lab.run(["ip", "-n", name, "link", "set", "eth0", "up"])
        lab.run(["ip", "link", "set", f"p-{name}", "up"])
        ovs.vsctl("add-port", bridge, f"p-{name}", *tag)

    def reaches(name: str, number: int) -> bool:
        ping = ["ip", "netns", "exec", name, "ping", "-c", "1", "-W", "1", f"10.8.0.{number}"]
        return lab.run(ping, check=False).returncode == 0

    wait_until(lambda: reaches("a", 2) and reaches("c", 4), "pings through the switch")
    assert not reaches("a", 3)
    assert not reaches("b", 4)


def test_a_port_of_no_link_has_an_error(ovs: OpenVswitch) -> None:
    ovs.add_bridge("br-int")
    ovs.vsctl("add-port", "br-int", "nosuch", check=False)
    port = ports_of(OvsSource(str(ovs.socket)).read(), "br-int")["nosuch"]
    assert "No such device" in port.interfaces[0].error
    assert port.interfaces[0].ofport == -1


def test_a_bond(lab: LabHost, ovs: OpenVswitch) -> None:
    ovs.add_bridge("br-ex")
    for name in ("up0", "up1"):
        lab.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-far"])
    ovs.vsctl("add-bond", "br-ex", "bond0", "up0", "up1", "bond_mode=active-backup")
    bond = ports_of(OvsSource(str(ovs.socket)).read(), "br-ex")["bond0"]
    assert [interface.name for interface in bond.interfaces] == ["up0", "up1"]
    assert bond.bond_mode == "active-backup"


def test_the_database_killed_and_back(two_bridges: OpenVswitch) -> None:
    with watching(two_bridges) as board:
        two_bridges.kill("ovsdb-server")
        assert board.wait(lambda seen: seen.ovs is not None and seen.ovs.problem != "", PATIENCE_S)
        assert bridges(board.snapshot) == ["br-ex", "br-int"], "what was read stays"
        two_bridges.start_database()
        assert board.wait(lambda seen: seen.ovs is not None and not seen.ovs.problem, PATIENCE_S)
        two_bridges.vsctl("set", "port", "vb", "tag=30")
        assert board.wait(
            lambda seen: (port := port_of(seen, "br-int", "vb")) is not None and port.tag == 30, PATIENCE_S
        )


def test_the_switch_killed_and_back(two_bridges: OpenVswitch) -> None:
    with watching(two_bridges) as board:
        two_bridges.kill("ovs-vswitchd")
        assert board.wait(lambda seen: seen.ovs is not None and "vswitchd does not run" in seen.ovs.problem, PATIENCE_S)
        two_bridges.start_switch()
        assert board.wait(lambda seen: seen.ovs is not None and not seen.ovs.problem, PATIENCE_S)
        assert board.snapshot.ovs is not None
        assert board.snapshot.ovs.netns


def test_a_database_that_refuses_us_is_a_problem(two_bridges: OpenVswitch) -> None:
    two_bridges.kill("ovsdb-server")
    assert two_bridges.socket.exists(), "what is killed leaves its socket"
    with watching(two_bridges) as board:
        assert board.snapshot.ovs is not None
        assert board.snapshot.ovs.problem == "ovsdb-server cannot be reached: Connection refused"


def test_a_database_that_hangs(two_bridges: OpenVswitch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "SILENT_S", 0.2)
    with watching(two_bridges) as board:
        two_bridges.kill("ovsdb-server", signal.SIGSTOP)
        assert board.wait(lambda seen: seen.ovs is not None and "not answer" in seen.ovs.problem, PATIENCE_S)
        two_bridges.kill("ovsdb-server", signal.SIGCONT)
        assert board.wait(lambda seen: seen.ovs is not None and not seen.ovs.problem, PATIENCE_S)


def test_one_that_comes_later_is_found(lab: LabHost, ovs: OpenVswitch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "LOOK_S", 0.1)
    ovs.stop()
    with watching(ovs) as board:
        assert board.snapshot.ovs is None
        ovs.start()
        ovs.add_bridge("br-late")
        assert board.wait(lambda seen: bridges(seen) == ["br-late"], PATIENCE_S)


def test_ids_that_strangers_write_are_cleaned(ovs: OpenVswitch) -> None:
    hostile = "\x1b[2J\u202e[@click=app.quit]x"
    ovs.add_bridge("br-int")
    ovs.vsctl("set", "interface", "br-int", f'external_ids:attached="{hostile}"')
    ovs.vsctl("set", "bridge", "br-int", f'external_ids:"{hostile}"=1')
    (bridge,) = OvsSource(str(ovs.socket)).read().bridges
    ids = dict(bridge.ports[0].interfaces[0].external_ids)
    assert "[@click=app.quit]x" in ids["attached"]
    assert all(text.isprintable() for text in (*ids.values(), *dict(bridge.external_ids)))
