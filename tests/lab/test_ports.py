"""PCI slots and PCIe root ports: what is counted as free is what QEMU takes, and more of them for the next boot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.lab.actions import Deck, Seen, look
from tests.lab.domain import ROOT_PORTS, Shape, blank_xml, disk_xml, element, text
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.pcie import free_ports
from tui.model.plan import Plan
from tui.runtime.jobs import Job

_PORT = "model='pcie-root-port'>"
_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with Deck(lab.uri, tmp_path) as made:
        yield made


def pci(model: str, index: int | None = None, *children: ET.Element) -> ET.Element:
    """A PCI controller."""
    number = {} if index is None else {"index": str(index)}
    return element("controller", *children, type="pci", model=model, **number)


def scsi() -> ET.Element:
    """A controller that takes a slot or port itself."""
    return element("controller", type="scsi", model="virtio-scsi")


MACHINES = (
    ("q35", (), ROOT_PORTS),
    ("q35", (scsi(),), ROOT_PORTS - 1),
    ("q35", (pci("pcie-to-pci-bridge"),), ROOT_PORTS - 1),
    ("q35", (pci("pcie-root-port", None, element("target", hotplug="off")), scsi()), ROOT_PORTS - 1),
    (
        "q35", (pci("pcie-switch-upstream-port"), pci("pcie-switch-downstream-port"),
                pci("pcie-switch-downstream-port")), ROOT_PORTS + 1,
    ),
    ("pc", (), 30),
    ("pc", (element("video", element("model", type="cirrus")), scsi()), 28),
    ("pc", (pci("pci-root", 0), pci("pci-bridge", 1)), 60),
)  # fmt: skip


@pytest.mark.parametrize(("machine", "devices", "count"), MACHINES)
def test_as_many_disks_as_are_counted_can_be_plugged(
    lab: LabHost, name: str, machine: str, devices: tuple[ET.Element, ...], count: int
) -> None:
    shape = Shape(name=name, memory_mib=16, machine=machine, devices=devices)
    lab.define(blank_xml(shape, lab.emulator), start=True, paused=True)
    assert free_of(lab, name) == count
    assert plug_all(lab, name) == (count, "internal error: No more available PCI slots")
    assert free_of(lab, name) == 0


def test_what_no_machine_can_hotplug_is_not_counted(lab: LabHost, name: str) -> None:
    root = pci("pci-root", 0, element("target", hotplug="off"))
    shape = Shape(name=name, memory_mib=16, machine="pc", devices=(root,))
    lab.define(blank_xml(shape, lab.emulator), start=True, paused=True)
    assert free_of(lab, name) == 0
    assert plug_all(lab, name)[0] == 0


def free_of(lab: LabHost, name: str) -> int | None:
    """What is counted of the running domain."""
    with lab.connect() as connection:
        return free_ports(ET.fromstring(connection.lookupByName(name).XMLDesc(0)))


def plug_all(lab: LabHost, name: str) -> tuple[int, str]:
    """How many disks the running domain takes, and what libvirt says to one more."""
    with lab.connect() as connection:
        found = connection.lookupByName(name)
        for count in range(100):
            try:
                found.attachDeviceFlags(disk(lab, name, count), _LIVE)
            except libvirt.libvirtError as error:
                return count, error.get_error_message() or ""
    raise AssertionError("there is no end to it")


def disk(lab: LabHost, name: str, count: int) -> str:
    """The XML of a new small disk."""
    path = lab.images / f"{name}-{count}.raw"
    path.write_bytes(bytes(1 << 20))
    target = "vd" + (chr(ord("a") + count // 26 - 1) if count >= 26 else "") + chr(ord("a") + count % 26)
    return text(disk_xml(path, target, kind="raw"))


def seen(lab: LabHost, name: str) -> Seen:
    """What there is of a domain."""
    with lab.connect() as connection:
        uuid = connection.lookupByName(name).UUIDString()
    return look(lab, name, uuid)


def done(job: Job) -> Job:
    """The job, which must have come to its end."""
    assert job.status is Status.DONE, job.results
    return job


def test_ports_for_the_next_boot_take_disks_then(lab: LabHost, deck: Deck, name: str) -> None:
    """The most that can be added at once: the guest boots with them and sees a disk in the last port."""
    lab.define_guest(name)
    free = free_of(lab, name)
    assert free is not None
    assert plug_all(lab, name)[0] == free
    before = seen(lab, name)
    plan = deck.plan("domain.ports", name, count="32")
    assert plan.notes[0] == f"{name}: has 0 free now"
    done(deck.run(plan))
    after = seen(lab, name)
    assert (after.live, after.config.count(_PORT)) == (before.live, ROOT_PORTS + 32)
    assert free_of(lab, name) == 0
    lab.virsh("destroy", name)
    lab.virsh("start", name)
    lab.wait_ready(name)
    assert free_of(lab, name) == free + 32
    count, _said = plug_all(lab, name)
    assert count == free + 32
    with lab.console(name) as console:
        wait_until(
            lambda: console.run("ls -d /sys/block/vd* | wc -l")[1].strip() == str(count), "all disks", timeout=60
        )


def test_they_are_taken_away_again_and_nothing_else_is(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, machine="q35")
    before = seen(lab, name)
    job = done(deck.run(deck.plan("domain.ports", name)))
    lab.virsh("desc", name, "--config", "--title", "theirs")
    undo = Plan("undo", "undo", deck.entry(job).undo)
    done(deck.run(undo, job.entry.id))
    assert "<title>theirs</title>" in seen(lab, name).config
    lab.virsh("desc", name, "--config", "--title", "")
    assert seen(lab, name) == before


def test_a_port_that_is_used_since_is_not_taken_away(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, machine="q35")
    job = done(deck.run(deck.plan("domain.ports", name, count="2")))
    with lab.connect() as connection:
        for count in range(ROOT_PORTS + 1):
            connection.lookupByName(name).attachDeviceFlags(disk(lab, name, count), _CONFIG)
    before = seen(lab, name)
    refused = deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id)
    assert refused.status is Status.FAILED
    assert f"a device is in root port {ROOT_PORTS + 1}" in refused.results[0].message
    assert seen(lab, name) == before


def test_libvirt_fills_a_gap_so_ports_below_others_are_not_taken_away(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, machine="q35")
    first = done(deck.run(deck.plan("domain.ports", name, count="1")))
    second = done(deck.run(deck.plan("domain.ports", name, count="1")))
    refused = deck.run(Plan("undo", "undo", deck.entry(first).undo), first.entry.id)
    assert refused.status is Status.FAILED
    assert f"PCI controller {ROOT_PORTS + 2} was added after them" in refused.results[0].message
    for job in (second, first):
        done(deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id))
    assert seen(lab, name).config.count(_PORT) == ROOT_PORTS


def test_ports_that_somebody_else_adds_meanwhile_stay_his(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(name, machine="q35")
    plan = deck.plan("domain.ports", name, count="1")
    done(deck.run(deck.plan("domain.ports", name, count="1")))
    before = seen(lab, name)
    refused = deck.run(plan)
    assert refused.status is Status.FAILED
    assert "its PCI controllers are not what they were" in refused.results[0].message
    assert seen(lab, name) == before


def test_where_there_are_none_it_says_so(lab: LabHost, deck: Deck, name: str) -> None:
    lab.define_blank(f"{name}-pc")
    with pytest.raises(FieldError, match=r"its machine type pc-i440fx-\S+ has no PCIe root ports"):
        deck.plan("domain.ports", f"{name}-pc")
    lab.define_blank(name, machine="q35", start=True)
    for count in ("0", "33", "-1", "four", "", "²"):
        with pytest.raises(FieldError, match="count: must be from 1 to 32"):
            deck.plan("domain.ports", name, count=count)
    lab.virsh("undefine", name)
    with pytest.raises(FieldError, match="it is transient: it has no next boot"):
        deck.plan("domain.ports", name)
