"""The topology of real networks, as the program tells it from within: exactly what was built, and that it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import same_as_kept
from tests.lab import homework
from tests.lab.homework import OUTSIDE, argv, around, build, named, program, topology
from tests.lab.host import LabHost
from tests.lab.ovs import OpenVswitch, missing_programs

NODES = {
    ("bridge", "br-in", "host", "up"),
    ("bridge", "br-ex", "host", "up"),
    ("link", "tap1", "host", "up"),
    ("link", "tap2", "host", "up"),
    ("link", "b-in", "host", "up"),
    ("link", "b-ex", "host", "up"),
    ("link", "up0", "host", "up"),
    ("link", "r1-in", "r1", "up"),
    ("link", "r1-ex", "r1", "up"),
    ("link", "wan0", "outside", "up"),
    ("netns", "r1", "r1", "up"),
    ("netns", "outside", "outside", "up"),
    ("domain", "vm1", "", "running"),
    ("process", "vm2", "", "running"),
    ("dnsmasq", "dnsmasq", "r1", "running"),
}
EDGES = {
    ("tap1", "br-in", "port", ""),
    ("tap2", "br-in", "port", ""),
    ("b-in", "br-in", "port", ""),
    ("b-ex", "br-ex", "port", ""),
    ("up0", "br-ex", "port", ""),
    ("b-in", "r1-in", "peer", ""),
    ("b-ex", "r1-ex", "peer", ""),
    ("up0", "wan0", "peer", ""),
    ("vm1", "tap1", "tap", ""),
    ("vm2", "tap2", "tap", ""),
    ("r1", "r1-in", "owner", ""),
    ("r1", "r1-ex", "owner", ""),
    ("outside", "wan0", "owner", ""),
    ("r1-in", "r1-ex", "nat", "masquerade"),
    ("dnsmasq", "r1-in", "owner", "dhcp"),
}


def undirected(edges: set[tuple[str, str, str, str]]) -> set[tuple[str, str, str, str]]:
    """The same with the ends of pairs in the order of their names: which of them comes first means nothing."""
    return {(*sorted(edge[:2]), *edge[2:]) if edge[2] == "peer" else edge for edge in edges}  # type: ignore[misc]


def drawn(name: str, text: str) -> None:
    """Compare with the drawing kept under that name."""
    same_as_kept(Path(__file__).parent / "drawings" / f"{name}.txt", text)


def test_the_homework_network_is_shown_as_it_was_built_and_its_guests_get_out(lab: LabHost) -> None:
    net = build(lab)
    with lab.console("vm1") as console:
        code, said = console.run(f"ping -c 1 -W 5 {OUTSIDE}")
        assert code == 0, said
        code, said = console.run(f"ping -c 1 -W 5 {homework.ADDRESSES['vm2']}")
        assert code == 0, said
    assert net.vm2_says(f"LEASE eth0 {homework.ADDRESSES['vm2']}")
    nodes, edges = named(topology(lab, "br-in"))
    assert nodes == NODES
    assert undirected(edges) == undirected(EDGES)
    drawn("homework-80", program(lab, "--width", "80", *around("br-in")).stdout)
    drawn("homework-200", program(lab, "--width", "200", *around("br-in")).stdout)
    drawn("homework-tree-80", program(lab, "--tree", "--width", "80", *around("br-in")).stdout)

    lab.run(["ip", "link", "set", "tap2", "down"])
    lab.run(["ip", "-n", "r1", "link", "set", "r1-ex", "down"])
    nodes, _edges = named(topology(lab, "br-in"))
    changed = {(name, state) for _kind, name, _netns, state in nodes - NODES}
    assert changed == {("tap2", "down"), ("r1-ex", "down"), ("b-ex", "no-carrier")}


def test_without_libvirt_the_links_are_drawn_all_the_same(lab: LabHost) -> None:
    build(lab)
    lab.kill_daemon()
    done = program(lab, "--json")
    assert "without libvirt" in done.stderr
    nodes, _edges = named(topology(lab, "br-in"))
    # What libvirt does not tell of is a QEMU like any other.
    assert {name for kind, name, _netns, _state in nodes if kind == "process"} == {"vm1", "vm2"}
    assert {node for node in nodes if node[0] in ("link", "bridge")} == {n for n in NODES if n[0] in ("link", "bridge")}


def test_not_root_sees_its_own_namespace_and_says_what_it_does_not_see(lab: LabHost) -> None:
    build(lab)
    done = lab.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *argv("--width", "100")],
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    assert "limited: " in done.stdout
    assert "br-in" in done.stdout
    assert "r1-in" not in done.stdout


@pytest.mark.skipif(bool(missing_programs()), reason=", ".join(missing_programs()))
def test_open_vswitch_is_shown_with_tags_and_far_ends(lab: LabHost) -> None:
    with OpenVswitch(lab) as ovs:
        ovs.add_bridge("ovs-a")
        ovs.add_bridge("ovs-b")
        ovs.add_patch("ovs-a", "a-to-b", "ovs-b", "b-to-a")
        for name, tag in (("tap10", "tag=10"), ("tap0", "")):
            lab.run(["ip", "tuntap", "add", name, "mode", "tap"])
            ovs.vsctl("add-port", "ovs-a", name, *([tag] if tag else []))
        ovs.add_tunnel("ovs-b", "gre1", "gre", "192.0.2.7", 5)
        ovs.add_tunnel("ovs-b", "vx42", "vxlan", "192.0.2.8", 42)
        data = topology(lab, "ovs-a")
        nodes, edges = named(data)
        assert {node[:2] for node in nodes} == {
            ("ovs-bridge", "ovs-a"), ("ovs-bridge", "ovs-b"), ("ovs-port", "a-to-b"), ("ovs-port", "b-to-a"),
            ("link", "tap10"), ("link", "tap0"), ("ovs-port", "gre1"), ("ovs-port", "vx42"),
            ("far-end", "192.0.2.7"), ("far-end", "192.0.2.8"),
        }  # fmt: skip
        assert undirected(edges) == {
            ("a-to-b", "ovs-a", "port", ""), ("b-to-a", "ovs-b", "port", ""), ("a-to-b", "b-to-a", "peer", "patch"),
            ("tap10", "ovs-a", "port", "tag 10"), ("tap0", "ovs-a", "port", ""), ("gre1", "ovs-b", "port", ""),
            ("vx42", "ovs-b", "port", ""), ("gre1", "192.0.2.7", "tunnel", "gre key 5"),
            ("vx42", "192.0.2.8", "tunnel", "vxlan 42"),
        }  # fmt: skip
        drawn("ovs-100", program(lab, "--width", "100", *around("ovs-a")).stdout)
