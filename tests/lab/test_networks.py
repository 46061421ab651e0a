"""libvirt's networks with real guests: leases appear, static hosts get their address, and guests whose network was
stopped under them are found and plugged in again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.actions import virtdeck
from tests.lab.disk_words import done
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.network_words import (
    NetworkDeck,
    ask_again,
    expect_address,
    guest_with,
    master,
    pings,
    tap_of,
)
from tests.lab.screen_words import open_deck
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.plan import Confirm, Plan

MAC = "52:54:00:0a:0b:0c"


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[NetworkDeck]:
    """virtdeck on the lab's host."""
    with NetworkDeck(lab.uri, tmp_path) as made:
        yield made


def undo(deck: NetworkDeck, job_id: str, steps: tuple[object, ...]) -> None:
    """Take a change back as a later session does."""
    done(deck.run(Plan("undo", "undo", steps), job_id))  # type: ignore[arg-type]


def test_a_network_of_the_form_gives_leases_and_a_static_host_its_address(
    lab: LabHost, deck: NetworkDeck, name: str
) -> None:
    done(deck.run(deck.plan("network.define", name="office", address="10.88.1.1/24", range="10.88.1.100-10.88.1.120")))
    guest_with(lab, name, "office", MAC)
    with lab.console(name) as console:
        first = expect_address(console, "eth0", r"10\.88\.1\.1[012]\d")
        network = deck.network("office")
        assert [(lease.address, lease.mac) for lease in network.leases or ()] == [(first, MAC)]
        assert (network.ports, network.port_macs) == (1, frozenset({MAC}))
        plan = deck.plan("network.host-add", "office", client=name, address="10.88.1.50")
        assert [" ".join(step.command[3:]) for step in plan.steps] == [
            f'net-update office add-last ip-dhcp-host <host mac="{MAC}" name="{name}" ip="10.88.1.50" /> '
            f"--parent-index 0 {side}"
            for side in ("--live", "--config")
        ]
        assert any(f"{MAC} has {first} by now" in note for note in plan.notes)
        job = done(deck.run(plan))
        ask_again(console, "eth0")
        expect_address(console, "eth0", r"10\.88\.1\.50")

        def is_told() -> bool:
            """dnsmasq's helper writes it down a moment later."""
            return "10.88.1.50" in [lease.address for lease in deck.network("office").leases or ()]

        wait_until(is_told, "libvirt to tell the lease", timeout=10)
        with pytest.raises(FieldError, match=r"client: .* has 10\.88\.1\.50 now already"):
            deck.plan("network.host-add", "office", client=MAC, address="10.88.1.51")
        undo(deck, job.entry.id, deck.entry(job).undo)
        assert "10.88.1.50" not in lab.virsh("net-dumpxml", "office").stdout
        assert "10.88.1.50" not in lab.virsh("net-dumpxml", "office", "--inactive").stdout


def test_a_name_is_answered_by_the_network_while_it_runs(lab: LabHost, deck: NetworkDeck, name: str) -> None:
    lab.define_network("net-dns", bridge="br-dns")
    gateway = str(deck.network("net-dns").config.addresses[0].address)
    guest_with(lab, name, "net-dns", MAC)
    with lab.console(name) as console:
        expect_address(console, "eth0", r"10\.77\.\d+\.\d+")
        assert console.run(f"nslookup printer.lan {gateway}")[0] != 0
        job = done(deck.run(deck.plan("network.dns-add", "net-dns", address="10.9.9.9", names="printer.lan, lp.lan")))
        wait_until(lambda: "10.9.9.9" in console.run(f"nslookup printer.lan {gateway}")[1], "the name", timeout=10)
        done(deck.run(deck.plan("network.dns-add", "net-dns", address="10.9.9.9", names="third.lan")))
        wait_until(lambda: "10.9.9.9" in console.run(f"nslookup third.lan {gateway}")[1], "the third", timeout=10)
        done(deck.run(deck.plan("network.dns-remove", "net-dns", name="printer.lan")))
        wait_until(lambda: "10.9.9.9" not in console.run(f"nslookup printer.lan {gateway}")[1], "no name", timeout=10)
        assert "10.9.9.9" in console.run(f"nslookup lp.lan {gateway}")[1]
    assert job.entry.undo


def test_guests_that_lost_their_bridge_are_found_and_plugged_in_again(
    lab: LabHost, deck: NetworkDeck, name: str
) -> None:
    lab.define_network("net-lost", bridge="br-lost")
    gateway = deck.network("net-lost").config.addresses[0].address
    guest_with(lab, name, "net-lost", MAC)
    tap = tap_of(lab, name, MAC)
    with lab.console(name) as console:
        expect_address(console, "eth0", r"10\.77\.\d+\.\d+")
        assert deck.orphans("net-lost") == []
        lab.virsh("net-destroy", "net-lost")
        lab.virsh("net-start", "net-lost")
        assert master(lab, tap) == ""
        assert not pings(console, gateway)
        assert deck.orphans("net-lost") == [MAC]
        links = deck.read().links
        assert links is not None
        assert [link.master for link in links.links.values() if link.raw_name == tap] == [None], "told by the tap"
        plan = deck.plan("network.replug", "net-lost")
        assert [step.command[3] for step in plan.steps] == [
            "net-create",
            "update-device",
            "update-device",
            "net-destroy",
        ]
        job = done(deck.run(plan))
        assert master(lab, tap) == "br-lost"
        wait_until(lambda: pings(console, gateway), "the gateway to answer", timeout=20)
        ask_again(console, "eth0")
        expect_address(console, "eth0", r"10\.77\.\d+\.\d+")
    assert not job.entry.undo
    assert deck.orphans("net-lost") == []
    assert lab.virsh("net-list", "--all", "--name").stdout.split() == ["net-lost"], "the empty one is gone"
    with pytest.raises(FieldError, match="all its running guests are plugged in"):
        deck.plan("network.replug", "net-lost")


def test_the_empty_network_of_a_replug_that_broke_off_is_used_again(lab: LabHost, deck: NetworkDeck, name: str) -> None:
    lab.define_network("net-lost", bridge="br-lost")
    guest_with(lab, name, "net-lost", MAC)
    tap = tap_of(lab, name, MAC)
    lab.virsh("net-destroy", "net-lost")
    lab.virsh("net-start", "net-lost")
    plan = deck.plan("network.replug", "net-lost")
    assert [step.finishes for step in plan.steps] == [False, False, True, False], "who is out comes home"
    done(deck.run(Plan("first", "first", plan.steps[:1])))
    again = deck.plan("network.replug", "net-lost")
    assert [step.command[3] for step in again.steps] == ["update-device", "update-device", "net-destroy"]
    done(deck.run(again))
    assert master(lab, tap) == "br-lost"
    assert lab.virsh("net-list", "--all", "--name").stdout.split() == ["net-lost"]


def test_a_network_under_a_running_guest_is_stopped_behind_its_name_and_undo_plugs_in_again(
    lab: LabHost, deck: NetworkDeck, name: str
) -> None:
    lab.define_network("net-used", bridge="br-used")
    guest_with(lab, name, "net-used", MAC)
    tap = tap_of(lab, name, MAC)
    plan = deck.plan("network.destroy", "net-used")
    assert (plan.confirm, plan.phrase) == (Confirm.TYPE, "net-used")
    assert plan.losses() == [f"the network of running guests: {name} ({MAC})"]
    assert any("stay without a bridge" in note for note in plan.notes)
    job = done(deck.run(plan))
    assert master(lab, tap) == ""
    undo(deck, job.entry.id, deck.entry(job).undo)
    assert master(lab, tap) == "br-used"
    assert lab.virsh("net-list", "--all", "--name").stdout.split() == ["net-used"]


def test_a_guest_that_plugged_in_meanwhile_keeps_its_network(lab: LabHost, deck: NetworkDeck, name: str) -> None:
    lab.define_network("net-late", bridge="br-late")
    plan = deck.plan("network.destroy", "net-late")
    assert plan.confirm is Confirm.NONE
    lab.define_guest(name, network="net-late", wait=False)
    job = deck.run(plan)
    assert job.status is Status.FAILED
    assert f"running domains are plugged into it: {name}" in job.results[0].message
    assert deck.network("net-late").active


def test_what_libvirt_would_take_and_guests_would_suffer_from_is_refused(lab: LabHost, deck: NetworkDeck) -> None:
    lab.define_network("net-a", bridge="br-a")
    config = deck.network("net-a").config
    subnet = config.addresses[0].address.rpartition(".")[0]
    for values, said in (
        ({"client": MAC, "address": "10.99.0.5"}, r"address: now 10\.99\.0\.5 is in no subnet of net-a"),
        ({"client": MAC, "address": f"{subnet}.1"}, "is the network's own address"),
        ({"client": MAC, "address": f"{subnet}.255"}, "is no address for a guest"),
        ({"client": "nobody", "address": f"{subnet}.9"}, "client: must be the MAC of a NIC"),
    ):
        with pytest.raises(FieldError, match=said):
            deck.plan("network.host-add", "net-a", **values)
    for address in (f"{subnet}.129/25", "10.77.0.1/16"):
        with pytest.raises(FieldError, match=r"address: .* overlaps with .* of the network net-a"):
            deck.plan("network.define", name="net-b", address=address)
    with pytest.raises(FieldError, match="bridge: net-a has a bridge br-a already"):
        deck.plan("network.define", name="net-b", address="10.99.0.1/24", bridge="br-a")


def test_by_keys_alone(lab: LabHost, tmp_path: Path, name: str) -> None:
    with open_deck(lab, tmp_path, size=(120, 50)) as screen:
        screen.press("4")
        screen.expect("no networks here; n defines one")
        screen.act("n", name="keys", kind="nat", address="10.88.9.1/24")
        screen.expect_toast("Define network: done")
        screen.expect_row("keys", "● active")
        guest_with(lab, name, "keys", MAC)
        with lab.console(name) as console:
            expect_address(console, "eth0", r"10\.88\.9\.\d+")
        screen.expect_row("keys", "1/1")
        lab.virsh("net-destroy", "keys")
        lab.virsh("net-start", "keys")
        screen.expect_row("keys", "⚠ 1 unplugged")
        screen.act("r")
        screen.expect_toast("Plug guests into keys: done")
        screen.expect_row("keys", "● active")
        screen.act("f", client=name, address="10.88.9.77")
        screen.expect_toast("Add a static DHCP host to keys: done")
        assert f"<host mac='{MAC}' name='{name}' ip='10.88.9.77'/>" in lab.virsh("net-dumpxml", "keys").stdout


def test_networks_are_changed_by_name_on_the_command_line(lab: LabHost, tmp_path: Path) -> None:
    lab.define_network("named", bridge="br-named")
    done_ = virtdeck(lab.uri, tmp_path, "do", "network.autostart", "named", "--set", "on=on", "--yes")
    assert (done_.returncode, done_.stderr) == (0, "")
    assert "yes" in [line.split()[-1] for line in lab.virsh("net-info", "named").stdout.splitlines() if "Auto" in line]
    done_ = virtdeck(lab.uri, tmp_path, "do", "network.start", "nosuch", "--yes")
    assert (done_.returncode, done_.stderr) == (2, "virtdeck: no network nosuch\n")
