"""The path trace on other networks than namespaces: libvirt's NAT, a QEMU started by hand, Open vSwitch, no libvirt."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.conftest import unavailable
from tests.lab.domain import element
from tests.lab.guest import COMMAND_LINE, guest_image
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.ovs import OpenVswitch, missing_programs
from tests.lab.routed import FAR, RoutedNetwork

_PROGRAM = (sys.executable, "-m", "tui")
UPLINK = """\
link add eth0 type veth peer name wan0
netns add world
link set wan0 netns world
link set eth0 up
address replace 198.51.100.2/24 dev eth0
-n world link set lo up
-n world link set wan0 up
-n world address add 198.51.100.1/24 dev wan0
-n world route add local default dev lo
route replace default via 198.51.100.1
"""


@pytest.fixture
def net(lab: LabHost) -> Iterator[RoutedNetwork]:
    """Words for a network that is not built yet; no rules are left after it."""
    yield RoutedNetwork(lab)
    lab.run(["nft", "flush", "ruleset"], check=False)


def traced(net: RoutedNetwork, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON of a trace by the program, run inside."""
    code, out, errors = net.virtdeck(_PROGRAM, "trace", *words, "--json")
    assert out, errors
    return code, json.loads(out)


def named(found: dict[str, Any]) -> tuple[str, str] | None:
    """Hop and cause that it names."""
    cause = found["cause"]
    return None if cause is None else (cause["name"], cause["cause"])


def facts(found: dict[str, Any], hop: str) -> str:
    """All that it says of a hop."""
    return "\n".join(fact["words"] for item in found["hops"] if item["name"] == hop for fact in item["facts"])


def pings(lab: LabHost, guest: str, to: str) -> bool:
    """Whether a guest's ping is answered."""
    with lab.console(guest) as console:
        return console.run(f"ping -c 1 -W 1 {to}")[0] == 0


def test_libvirts_nat_network_its_lost_rules_and_its_orphaned_taps(lab: LabHost, net: RoutedNetwork, name: str) -> None:
    net.ip(UPLINK)
    lab.define_network("nat1", bridge="virbr7", forward="nat")
    lab.define_guest(name, network="nat1")
    lab.wait_console(name, "LEASE eth0")
    assert pings(lab, name, FAR)
    code, found = traced(net, name, "--to", FAR)
    assert (code, found["verdict"]) == (0, "good"), json.dumps(found, indent=1)
    assert "masquerade" in facts(found, "NAT")
    assert "virbr7 has the gateway's address 10.77." in facts(found, "host")

    net.inside("", "iptables", "-t", "nat", "-F", "LIBVIRT_PRT")
    assert not pings(lab, name, FAR)
    code, found = traced(net, name, "--to", FAR)
    assert (code, named(found)) == (1, ("NAT", "no-nat"))

    lab.virsh("net-destroy", "nat1")
    lab.virsh("net-start", "nat1")
    assert not pings(lab, name, FAR)
    code, found = traced(net, name, "--to", FAR)
    tap = found["hops"][1]["name"]
    assert (code, named(found)) == (1, (tap, "not-enslaved"))
    assert "virbr7 is meant" in facts(found, tap)
    net.ip(f"link set {tap} master virbr7")
    wait_until(lambda: pings(lab, name, FAR), "the guest to be plugged in again")
    code, found = traced(net, name, "--to", FAR)
    assert (code, found["verdict"]) == (0, "good"), json.dumps(found, indent=1)


def test_a_rule_that_is_not_understood_is_told_and_not_taken_for_good(lab: LabHost, net: RoutedNetwork) -> None:
    net.build()
    net.add_guest("g1")
    rules = "table ip odd { chain f { type filter hook forward priority 0; meta mark 0x7 drop; }; }\n"
    net.nft("r1", rules)
    # Loading them keeps what is there.
    code, found = traced(net, "g1", "--to", FAR)
    assert (code, found["cause"]) == (4, None)
    assert "meta mark 0x00000007 drop" in facts(found, "forward")
    hop = next(hop for hop in found["hops"] if hop["name"] == "forward")
    assert hop["verdict"] == "not simulated"


def test_guests_that_share_a_mac_and_so_a_lease(lab: LabHost, net: RoutedNetwork) -> None:
    net.build()
    for guest in ("g1", "g2"):
        net.add_guest(guest, "52:54:00:aa:aa:aa")
    leases = {lab.console_log(guest).rpartition("LEASE eth0 ")[2].split()[0] for guest in ("g1", "g2")}
    assert len(leases) == 1, "both got the same"
    code, found = traced(net, "g1", "--to", FAR)
    assert (code, named(found)) == (1, ("g1/net0", "duplicate-mac"))
    assert "g2/net0 has the same MAC" in facts(found, "g1/net0")


def _spawn_by_hand(lab: LabHost, name: str, tap: str) -> int:
    """A QEMU that libvirt does not know, with the lab's guest, a tap of its own and the MAC that QEMU chooses."""
    image = guest_image()
    boot = ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", COMMAND_LINE, "-serial",
            f"file:{lab.root}/{tap}.log"]  # fmt: skip
    nic = ["-netdev", f"tap,id=n0,ifname={tap},script=no,downscript=no", "-device", "virtio-net-pci,netdev=n0"]
    pid = lab.spawn_unmanaged(name, memory_mib=96, arguments=[*boot, *nic])
    wait_until(lambda: f"/{tap}" in lab.run(["ls", "-d", f"/sys/class/net/{tap}"], check=False).stdout, "the tap")
    net_up = ["ip", "link", "set", tap, "up", "master", "br-in"]
    lab.run(net_up)
    return pid


def _lease(lab: LabHost, tap: str) -> str:
    """The address that the guest of a tap got, once it has one."""
    log = lab.root / f"{tap}.log"
    wait_until(lambda: log.exists() and "LEASE eth0" in log.read_text(errors="replace"), f"the lease of {tap}")
    return log.read_text(errors="replace").rpartition("LEASE eth0 ")[2].split()[0]


def test_a_qemu_started_by_hand_with_and_without_libvirt(lab: LabHost, net: RoutedNetwork, name: str) -> None:
    net.build()
    pid = _spawn_by_hand(lab, name, "tap1")
    address = _lease(lab, "tap1")
    code, found = traced(net, str(pid), "--to", FAR)
    assert (code, found["verdict"]) == (0, "good"), json.dumps(found, indent=1)
    assert address in facts(found, f"{name}/net0")
    lab.kill_daemon()
    for words in ([name], [f"{name}/52:54:00:12:34:56"], ["--link", "tap1"]):
        code, found = traced(net, *words, "--to", FAR)
        assert (code, found["verdict"], found["source"]) == (0, "good", f"{name}/net0"), json.dumps(found, indent=1)
    code, out, errors = net.virtdeck(_PROGRAM, "trace", "no-such-guest")
    assert (code, out) == (3, "")
    assert "cannot connect" in errors
    code, _out, errors = net.virtdeck(_PROGRAM, "trace", "--link", "no-such-link")
    assert code == 2
    assert "no link no-such-link" in errors
    lab.start_daemon()
    code, _out, errors = net.virtdeck(_PROGRAM, "trace", "no-such-guest")
    assert code == 2
    _spawn_by_hand(lab, f"{name}-other", "tap2")
    _lease(lab, "tap2")
    code, found = traced(net, name, "--to", FAR)
    assert (code, named(found)) == (1, (f"{name}/net0", "duplicate-mac")), "both have the MAC that QEMU chooses"


@pytest.fixture
def ovs(lab: LabHost) -> Iterator[OpenVswitch]:
    """An Open vSwitch with a bridge ovsbr0, which has the address 10.9.0.1 in VLAN 10."""
    if missing := missing_programs():
        unavailable(", ".join(missing))
    with OpenVswitch(lab) as made:
        made.add_bridge("ovsbr0")
        made.vsctl("set", "port", "ovsbr0", "tag=10")
        lab.run(["ip", "link", "set", "ovsbr0", "up"])
        lab.run(["ip", "address", "add", "10.9.0.1/24", "dev", "ovsbr0"])
        yield made


def _guest_on_switch(lab: LabHost, ovs: OpenVswitch, guest: str, address: str) -> str:
    """Boot a guest in VLAN 10 of ovsbr0 with an address, make the host know it, and return its tap."""
    nic = element(
        "interface", element("source", bridge="ovsbr0"), element("virtualport", type="openvswitch"),
        element("model", type="virtio"), type="bridge",
    )  # fmt: skip
    lab.define_guest(guest, devices=[nic])
    tap = lab.virsh("domiflist", guest).stdout.split()[0]
    ovs.vsctl("set", "port", tap, "tag=10")
    with lab.console(guest) as console:
        assert console.run(f"ip address add {address}/24 dev eth0")[0] == 0
    wait_until(lambda: pings(lab, guest, "10.9.0.1"), "the guest to reach the host")
    return tap


def test_open_vswitch_is_asked_and_its_tags_are_compared(lab: LabHost, net: RoutedNetwork, ovs: OpenVswitch) -> None:
    first = _guest_on_switch(lab, ovs, "g1", "10.9.0.11")
    second = _guest_on_switch(lab, ovs, "g2", "10.9.0.12")
    assert pings(lab, "g1", "10.9.0.12")
    code, found = traced(net, "g1", "--to", "g2")
    assert (code, found["verdict"]) == (0, "good"), json.dumps(found, indent=1)
    assert [hop["name"] for hop in found["hops"]] == ["g1/net0", first, "ovsbr0", second, "g2/net0"]
    assert "passes the guest's ARP requests on" in facts(found, "ovsbr0")
    code, found = traced(net, "g1", "--to", "10.9.0.1")
    assert (code, found["verdict"]) == (0, "good"), json.dumps(found, indent=1)

    ovs.vsctl("set", "port", second, "tag=20")
    assert not pings(lab, "g1", "10.9.0.12")
    code, found = traced(net, "g1", "--to", "g2")
    assert (code, named(found)) == (1, (second, "ovs-tag-mismatch"))
    ovs.vsctl("set", "port", second, "tag=10")

    lab.run(["ovs-ofctl", "add-flow", "ovsbr0", f"priority=100,in_port={first},actions=drop"])
    assert not pings(lab, "g1", "10.9.0.12")
    code, found = traced(net, "g1", "--to", "g2")
    assert (code, named(found)) == (1, ("ovsbr0", "ovs-drop"))
