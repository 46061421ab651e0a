"""NICs of real guests in an Open vSwitch: by portgroup and by VLAN, moved from one to the other while they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.disk_words import done
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.network_words import NetworkDeck, links, pings, tap_of
from tests.lab.ovs import OpenVswitch, missing_programs
from tui.actions.base import FieldError
from tui.model.plan import Plan
from tui.runtime.jobs import Job

MAC = "52:54:00:0a:0b:0e"


@pytest.fixture
def ovs(lab: LabHost) -> Iterator[OpenVswitch]:
    """An Open vSwitch with a bridge, and the host in VLAN 10 and 20 of it."""
    if missing := missing_programs():
        pytest.skip(f"no Open vSwitch here: {', '.join(missing)}")
    with OpenVswitch(lab) as made:
        made.add_bridge("br-int")
        for vlan in (10, 20):
            name = f"host{vlan}"
            made.vsctl("add-port", "br-int", name, f"tag={vlan}", "--", "set", "interface", name, "type=internal")
            lab.run(["ip", "address", "add", f"10.99.{vlan}.1/24", "dev", name])
            lab.run(["ip", "link", "set", name, "up"])
        yield made
        with lab.connect() as connection:
            # Their ports go while there is a switch to take them from.
            for found in connection.listAllDomains():
                if found.isActive():
                    found.destroy()


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[NetworkDeck]:
    """virtdeck on the lab's host."""
    with NetworkDeck(lab.uri, tmp_path) as made:
        yield made


def tag(ovs: OpenVswitch, port: str) -> str:
    """The VLAN that the switch has for a port."""
    return ovs.vsctl("get", "port", port, "tag").stdout.strip()


def undo(deck: NetworkDeck, job: Job) -> Job:
    """Take it back as a later session does."""
    return done(deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id))


def test_a_nic_goes_from_portgroup_to_portgroup_and_from_vlan_to_vlan(
    lab: LabHost, deck: NetworkDeck, ovs: OpenVswitch, name: str
) -> None:
    groups = "lan=10; servers=20; both=10,20"
    done(deck.run(deck.plan("network.define", name="switch", kind="ovs", bridge="br-int", portgroups=groups)))
    lab.define_guest(name)
    with lab.console(name) as console:
        done(deck.run(deck.plan("domain.nic-attach", name, source="switch", mac=MAC)))
        wait_until(lambda: links(console) == ["eth0"], "the guest to see its NIC", timeout=20)
        tap = tap_of(lab, name, MAC)
        assert tag(ovs, tap) == "10", "the first portgroup is the default one"
        console.run("ip addr add 10.99.10.5/24 dev eth0; ip addr add 10.99.20.5/24 dev eth0; ip link set eth0 up")
        wait_until(lambda: pings(console, "10.99.10.1"), "VLAN 10 to answer", timeout=20)
        assert not pings(console, "10.99.20.1")
        job = done(deck.run(deck.plan("domain.nic-plug", name, nic=MAC, source="switch", portgroup="servers")))
        assert tag(ovs, tap_of(lab, name, MAC)) == "20"
        wait_until(lambda: pings(console, "10.99.20.1"), "VLAN 20 to answer", timeout=20)
        assert not pings(console, "10.99.10.1")
        undo(deck, job)
        assert tag(ovs, tap_of(lab, name, MAC)) == "10"
        with pytest.raises(FieldError, match="source: in an Open vSwitch a running guest's NIC changes its VLAN"):
            deck.plan("domain.nic-plug", name, nic=MAC, to="ovs", source="br-int", vlan="20")
        wait_until(lambda: pings(console, "10.99.10.1"), "VLAN 10 to answer", timeout=20)
        job = done(deck.run(deck.plan("domain.nic-link", name, nic=MAC, state="down")))
        assert not pings(console, "10.99.10.1")
        undo(deck, job)
        wait_until(lambda: pings(console, "10.99.10.1"), "VLAN 10 to answer", timeout=20)
        assert tag(ovs, tap_of(lab, name, MAC)) == "10"
        assert deck.network("switch").ports == 1, "it is in its network still"


def test_a_nic_of_an_open_vswitch_comes_and_goes_without_a_network(
    lab: LabHost, deck: NetworkDeck, ovs: OpenVswitch, name: str
) -> None:
    lab.define_guest(name)
    with lab.console(name) as console:
        job = done(deck.run(deck.plan("domain.nic-attach", name, to="ovs", source="br-int", vlan="10", mac=MAC)))
        wait_until(lambda: links(console) == ["eth0"], "the guest to see its NIC", timeout=20)
        tap = tap_of(lab, name, MAC)
        assert tag(ovs, tap) == "10"
        moved = done(deck.run(deck.plan("domain.nic-plug", name, nic=MAC, to="ovs", source="br-int", vlan="20")))
        assert tag(ovs, tap_of(lab, name, MAC)) == "20"
        undo(deck, moved)
        assert tag(ovs, tap_of(lab, name, MAC)) == "10"
        gone = done(deck.run(deck.plan("domain.nic-detach", name, nic=MAC)))
        wait_until(lambda: links(console) == [], "the NIC to be gone", timeout=20)
        assert tap not in ovs.vsctl("list-ports", "br-int").stdout.split()
        undo(deck, gone)
        wait_until(lambda: links(console) == ["eth0"], "the NIC to be back", timeout=20)
        assert tag(ovs, tap_of(lab, name, MAC)) == "10"
        undo(deck, job)
        wait_until(lambda: links(console) == [], "the NIC to be gone", timeout=20)
