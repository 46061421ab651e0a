"""NICs of real guests: what is attached they see, what is detached is gone, a cable that is pulled they notice, and
plugged in elsewhere they get an address from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.disk_words import done, seen
from tests.lab.domain import nic_xml
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.network_words import (
    NetworkDeck,
    ask_again,
    carrier,
    expect_address,
    guest_with,
    links,
    master,
    pings,
    tap_of,
)
from tests.lab.screen_words import open_deck
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.plan import Confirm, Plan
from tui.ops import nics as ops
from tui.runtime.jobs import Job, Jobs

MAC, NEW = "52:54:00:0a:0b:0c", "52:54:00:0a:0b:0d"


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[NetworkDeck]:
    """virtdeck on the lab's host."""
    with NetworkDeck(lab.uri, tmp_path) as made:
        yield made


@pytest.fixture
def guest(lab: LabHost, name: str) -> str:
    """A guest with a NIC in the network `one`; `two` is there besides."""
    lab.define_network("one", bridge="br-one")
    lab.define_network("two", bridge="br-two")
    guest_with(lab, name, "one", MAC)
    return name


def undo(deck: NetworkDeck, job: Job) -> Job:
    """Take it back as a later session does."""
    return done(deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id))


def test_a_nic_comes_gets_an_address_and_goes_again(lab: LabHost, deck: NetworkDeck, guest: str) -> None:
    with lab.console(guest) as console:
        plan = deck.plan("domain.nic-attach", guest, source="two", mac=NEW)
        assert [step.title for step in plan.steps] == [
            f"attach NIC {NEW} (virtio, network two) to {guest} {when}" for when in ("now", "from the next boot on")
        ]
        job = done(deck.run(plan))
        wait_until(lambda: links(console) == ["eth0", "eth1"], "the guest to see its NIC", timeout=20)
        expect_address(console, "eth1", r"10\.77\.\d+\.\d+")
        assert master(lab, tap_of(lab, guest, NEW)) == "br-two"
        with pytest.raises(FieldError, match=r"mac: .* has a NIC with this MAC"):
            deck.plan("domain.nic-attach", guest, source="two", mac=NEW)
        leave = deck.plan("domain.nic-detach", guest, nic=NEW)
        assert leave.confirm is Confirm.ASK
        gone = done(deck.run(leave))
        wait_until(lambda: links(console) == ["eth0"], "the NIC to be gone", timeout=20)
        there = seen(lab, guest)
        assert (there.live.count("br-two"), there.config.count("network='two'")) == (0, 0)
        undo(deck, gone)
        wait_until(lambda: links(console) == ["eth0", "eth1"], "the NIC to be back", timeout=20)
        undo(deck, job)
        wait_until(lambda: links(console) == ["eth0"], "the NIC to be gone", timeout=20)
        assert f"{NEW}" not in lab.virsh("dumpxml", guest, "--inactive").stdout


def test_a_pulled_cable_is_seen_in_the_guest(lab: LabHost, deck: NetworkDeck, guest: str) -> None:
    with lab.console(guest) as console:
        expect_address(console, "eth0", r"10\.77\.\d+\.\d+")
        assert carrier(console, "eth0") == "1"
        job = done(deck.run(deck.plan("domain.nic-link", guest, nic=MAC, state="down")))
        wait_until(lambda: carrier(console, "eth0") == "0", "no carrier", timeout=10)
        there = seen(lab, guest)
        assert (there.live.count("<link state='down'/>"), there.config.count("<link state='down'/>")) == (1, 1)
        undo(deck, job)
        wait_until(lambda: carrier(console, "eth0") == "1", "the carrier", timeout=10)
        assert "down" not in lab.virsh("domif-getlink", guest, MAC).stdout


def test_plugged_in_elsewhere_it_gets_an_address_from_there(lab: LabHost, deck: NetworkDeck, guest: str) -> None:
    one, two = (deck.network(name).config.addresses[0].address for name in ("one", "two"))
    with lab.console(guest) as console:
        expect_address(console, "eth0", one.rpartition(".")[0].replace(".", r"\.") + r"\.\d+")
        plan = deck.plan("domain.nic-plug", guest, nic=MAC, source="two")
        assert [step.command[3] for step in plan.steps] == ["update-device", "update-device"]
        job = done(deck.run(plan))
        assert master(lab, tap_of(lab, guest, MAC)) == "br-two"
        ask_again(console, "eth0")
        expect_address(console, "eth0", two.rpartition(".")[0].replace(".", r"\.") + r"\.\d+")
        assert pings(console, two)
        assert (deck.network("one").ports, deck.network("two").ports) == (0, 1)
        undo(deck, job)
        assert master(lab, tap_of(lab, guest, MAC)) == "br-one"
        ask_again(console, "eth0")
        expect_address(console, "eth0", one.rpartition(".")[0].replace(".", r"\.") + r"\.\d+")
        lab.run(["ip", "link", "add", "plain", "type", "bridge"])
        lab.run(["ip", "link", "set", "plain", "up"])
        job = done(deck.run(deck.plan("domain.nic-plug", guest, nic=MAC, to="bridge", source="plain", where="live")))
        assert master(lab, tap_of(lab, guest, MAC)) == "plain"
        undo(deck, job)
        assert master(lab, tap_of(lab, guest, MAC)) == "br-one"
    assert lab.virsh("dumpxml", guest, "--inactive").stdout.count("<source network='one'/>") == 1


def test_what_a_running_guest_cannot_do_is_said_before(lab: LabHost, deck: NetworkDeck, guest: str) -> None:
    later = "detach it and attach another one, or where: persistent"
    for values, said in (
        ({"to": "macvtap", "source": "br-one"}, f"does not go from a Linux bridge to a macvtap; {later}"),
        ({"to": "ovs", "source": "br0"}, f"does not go from a Linux bridge to Open vSwitch; {later}"),
        ({"to": "user", "source": ""}, f"does not go from a Linux bridge to QEMU's own NAT; {later}"),
        ({"source": "three"}, "no network three; there are: one, two"),
        ({"source": "one"}, "is plugged in there already"),
        ({"source": "two", "portgroup": "x"}, "two has: none"),
    ):
        with pytest.raises(FieldError, match=said):
            deck.plan("domain.nic-plug", guest, nic=MAC, **values)
    lab.virsh("net-destroy", "two")
    with pytest.raises(FieldError, match="the network two is inactive; start it first"):
        deck.plan("domain.nic-attach", guest, source="two")


def test_without_a_free_port_it_is_refused_with_the_way_out(lab: LabHost, deck: NetworkDeck, name: str) -> None:
    lab.define_network("one", bridge="br-one")
    lab.define_guest(name, devices=[nic_xml("one") for _ in range(7)], wait=False)
    with pytest.raises(FieldError, match="now: no free PCIe root port; X adds some for the next boot"):
        deck.plan("domain.nic-attach", name, source="one")
    done(deck.run(deck.plan("domain.nic-attach", name, source="one", where="persistent")))


def test_a_guest_that_does_not_run_keeps_its_nic_until_it_does(
    lab: LabHost, deck: NetworkDeck, guest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "DETACH_PATIENCE_S", 0.2)
    lab.virsh("suspend", guest)
    plan = deck.plan("domain.nic-detach", guest, nic=MAC, where="live")
    reports: list[Job] = []
    jobs = Jobs(deck.collector, deck.journal(), deck.uri, deck.collector.nudge, reports.append)
    handle = jobs.run(plan)

    def told() -> str:
        return " ".join(result.entry_line for result in reports[-1].results) if reports else ""

    wait_until(lambda: "still pending" in told(), "the job to say that the guest keeps it", timeout=30)
    assert "the guest has not given the NIC up" in told()
    assert f"{MAC}" in lab.virsh("dumpxml", guest).stdout
    lab.virsh("resume", guest)
    done(handle.wait(60))
    jobs.stop()
    assert f"{MAC}" not in lab.virsh("dumpxml", guest).stdout


def test_limits_are_in_force_or_taken_back_whole(lab: LabHost, deck: NetworkDeck, guest: str) -> None:
    """A kernel without sch_sfq fails half way, and libvirt says that nothing is set while half of it is."""
    tap = tap_of(lab, guest, MAC)
    job = deck.run(deck.plan("domain.nic-limits", guest, nic=MAC, inbound_average="1M", where="live"))
    shaped = "htb" in lab.run(["tc", "qdisc", "show", "dev", tap]).stdout
    if job.status is Status.DONE:
        assert shaped
        undo(deck, job)
        assert "htb" not in lab.run(["tc", "qdisc", "show", "dev", tap]).stdout
    else:
        assert "What was half set was taken back: its limits are what they were." in job.results[0].entry_line
        assert not shaped
    job = done(deck.run(deck.plan("domain.nic-limits", guest, nic=MAC, inbound_average="1M", where="persistent")))
    assert "<inbound average='1024'/>" in lab.virsh("dumpxml", guest, "--inactive").stdout
    undo(deck, job)
    assert "<inbound" not in lab.virsh("dumpxml", guest, "--inactive").stdout


def test_undo_leaves_a_nic_that_was_plugged_in_elsewhere_since(lab: LabHost, deck: NetworkDeck, guest: str) -> None:
    job = done(deck.run(deck.plan("domain.nic-plug", guest, nic=MAC, source="two", where="live")))
    done(deck.run(deck.plan("domain.nic-plug", guest, nic=MAC, to="bridge", source="br-one", where="live")))
    back = deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id)
    assert back.status is Status.FAILED
    assert f"its NIC {MAC} is plugged in elsewhere by now" in back.results[0].message


def test_by_keys_alone(lab: LabHost, tmp_path: Path, guest: str) -> None:
    with open_deck(lab, tmp_path, size=(120, 50)) as screen, lab.console(guest) as console:
        screen.focus(guest)
        screen.act("E", to="network", source="two")
        screen.expect_toast("Attach a NIC to .*: done")
        wait_until(lambda: links(console) == ["eth0", "eth1"], "the guest to see its NIC", timeout=20)
        screen.act("K", nic=MAC, state="down")
        screen.expect_toast("Link of a NIC of .*: done")
        wait_until(lambda: carrier(console, "eth0") == "0", "no carrier", timeout=10)
        screen.act("T", nic=MAC, to="bridge", source="br-two")
        screen.expect_toast("Plug a NIC elsewhere of .*: done")
        assert master(lab, tap_of(lab, guest, MAC)) == "br-two"
