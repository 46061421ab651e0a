"""Memory devices: their XML, what stands in their way, which of them a word means, and the plans of it all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tui.actions import BY_ID
from tui.actions import memory_preflight as preflight
from tui.actions.base import Context, FieldError, make_plan
from tui.actions.memory_preflight import Named
from tui.model.domain import Domain, DomainState
from tui.model.domain_config import DomainConfig
from tui.model.domain_xml import parse_domain_xml
from tui.model.host import Connection, ConnectionState, Host
from tui.model.memory_xml import dimm_xml, virtio_mem_xml, with_requested, with_slots, without_slots
from tui.model.plan import Plan
from tui.model.snapshot import HostSnapshot
from tui.ops import execute
from tui.ops import memory_devices as ops
from tui.ops.base import OpError

_MIB = 1024
UUID = "6a9dbb1e-8a50-4bb2-9c2b-6f9f4b6f3c11"
HOST = Host("here", "QEMU", "9", "7", "x86_64", 1, 1, 1, local=True)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    connection = Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False)
    return Context(HostSnapshot(0, 0, connection, HOST), tmp_path)


def config(
    *devices: str, slots: int = 4, memory_mib: int = 1024, ceiling_mib: int = 4096, machine: str = "pc-q35-7.2"
) -> DomainConfig:
    """A configuration with these devices; without slots when there are none."""
    root = ET.Element("domain", type="kvm")
    ET.SubElement(root, "memory", unit="MiB").text = str(memory_mib)
    ET.SubElement(root, "vcpu").text = "2"
    ET.SubElement(ET.SubElement(root, "os"), "type", arch="x86_64", machine=machine).text = "hvm"
    ET.SubElement(root, "devices").extend(ET.fromstring(device) for device in devices)
    xml = ET.tostring(root, encoding="unicode")
    return parse_domain_xml(with_slots(xml, ceiling_mib * _MIB, slots) if slots else xml)


def domain(live: DomainConfig | None, persistent: DomainConfig | None) -> Domain:
    """A domain with these sides."""
    state = DomainState.RUNNING if live else DomainState.SHUTOFF
    return Domain(
        UUID, "one", "one", 1 if live else None, state, "", persistent is not None, config=live or persistent,
        persistent_config=persistent,
    )  # fmt: skip


def dimm(alias: str, slot: int | None, mib: int = 128) -> str:
    """A DIMM as libvirt tells of it."""
    device = ET.fromstring(dimm_xml(alias, mib * _MIB, 0))
    if slot is not None:
        ET.SubElement(device, "address", type="dimm", slot=str(slot))
    for found in device.findall("alias"):
        if not alias:
            device.remove(found)
    return ET.tostring(device, encoding="unicode")


def lines(plan: Plan) -> list[str]:
    """What virsh is told, step by step."""
    return [" ".join(step.command[3:]) for step in plan.steps]


def test_slots_come_with_a_cell_of_all_vcpus_and_what_is_not_plugged() -> None:
    xml = "<domain><memory unit='MiB'>512</memory><vcpu>4</vcpu><cpu mode='host-model'/><devices>{}</devices></domain>"
    root = ET.fromstring(with_slots(xml.replace("{}", dimm("", 0)), 2048 * _MIB, 8))
    ceiling, cell = root.find("maxMemory"), root.find("cpu[@mode='host-model']/numa/cell")
    assert ceiling is not None
    assert (ceiling.text, ceiling.attrib) == (str(2048 * _MIB), {"slots": "8", "unit": "KiB"})
    assert cell is not None
    assert cell.attrib == {"id": "0", "cpus": "0-3", "memory": str(384 * _MIB), "unit": "KiB"}


def test_cells_and_other_slots_that_are_there_stay() -> None:
    first = with_slots("<domain><memory>1024</memory><vcpu>1</vcpu></domain>", 4096, 2)
    again = ET.fromstring(with_slots(first.replace('memory="1024"', 'memory="1000"'), 8192, 3))
    assert [element.get("slots") for element in again.findall("maxMemory")] == ["3"]
    assert [(cell.get("cpus"), cell.get("memory")) for cell in again.iterfind("cpu/numa/cell")] == [("0", "1000")]


def test_slots_are_taken_away_with_the_cell_that_came_with_them() -> None:
    xml = with_slots("<domain><memory>1024</memory><vcpu>1</vcpu></domain>", 4096, 2)
    for cell, cells in ((True, 0), (False, 1)):
        root = ET.fromstring(without_slots(xml, cell=cell))
        assert (root.find("maxMemory"), len(root.findall("cpu/numa/cell"))) == (None, cells)
    theirs = xml.replace("<numa>", '<numa><cell id="1" cpus="1" memory="1"/>')
    assert len(ET.fromstring(without_slots(theirs, cell=True)).findall("cpu/numa/cell")) == 2


def test_undo_of_slots_knows_what_was_there(context: Context) -> None:
    def undo_of(before: DomainConfig) -> ops.SetMemorySlots:
        plan = make_plan(BY_ID["domain.memory-slots"], context, [domain(None, before)], {"max": "8G", "slots": "32"})
        (step,) = plan.undo_steps()
        assert isinstance(step.request, ops.SetMemorySlots)
        return step.request

    bare, slotted = undo_of(config(slots=0)), undo_of(config())
    assert (bare.slots, bare.drop_cell) == (0, True)
    assert (slotted.slots, slotted.ceiling_kib, slotted.drop_cell) == (4, 4096 * _MIB, False)


def test_metadata_of_other_programs_keeps_its_prefixes() -> None:
    xml = (
        "<domain><metadata><nova:instance xmlns:nova='http://openstack.org/xmlns/nova/1.1'><nova:a/></nova:instance>"
        "<ns0:b xmlns:ns0='urn:of-elementtree'/></metadata><memory>1</memory></domain>"
    )
    made = with_slots(xml, 4096, 2)
    assert "<nova:instance" in made
    prefixes = dict(found for _event, found in ET.iterparse(io.StringIO(made), events=["start-ns"]))
    assert set(prefixes.values()) == {"http://openstack.org/xmlns/nova/1.1", "urn:of-elementtree"}


def test_a_device_is_given_another_requested_size() -> None:
    made = with_requested(virtio_mem_xml("ua-v", 512 * _MIB, 1, 2 * _MIB, 0), 4 * _MIB)
    assert ET.fromstring(made).findtext("target/requested") == str(4 * _MIB)
    with pytest.raises(ValueError, match="no requested size"):
        with_requested(dimm_xml("ua-d", 512 * _MIB, 1), 0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (config(slots=0), "it has no memory slots"),
        (config(dimm("", 0), slots=1), "all 1 memory slots are taken"),
        (config(ceiling_mib=1100), "it is less than 128M below its maximum of 1.1G, and guests take no less"),
        (config(machine="microvm"), "its machine type microvm takes no memory devices"),
        (config(machine="isapc"), "its machine type isapc takes no memory devices"),
        (replace(config(), architecture="s390x"), "QEMU plugs no memory on s390x"),
        (
            replace(config(), tuning=replace(config().tuning, cells=())),
            "it has no guest NUMA cell, which a memory device belongs to",
        ),
        (config(), None),
    ],
)
def test_what_is_missing_is_said_before_the_key(context: Context, found: DomainConfig, said: str | None) -> None:
    action = BY_ID["domain.memory-attach"]
    machine = said is not None and "slots" not in said and ("QEMU" in said or "machine" in said)
    more = "" if said is None or machine else "; L adds what is missing for the next boot"
    assert action.reason(context, domain(found, found)) == (None if said is None else said + more)
    assert action.reason(context, domain(found, None)) == said
    assert BY_ID["domain.memory-slots"].reason(context, domain(found, found)) == (said if machine else None)


def test_a_side_that_takes_it_is_enough_and_the_other_is_named(context: Context) -> None:
    half = domain(config(slots=0), config())
    assert BY_ID["domain.memory-attach"].reason(context, half) is None
    with pytest.raises(FieldError, match="where: now: it has no memory slots; choose persistent"):
        make_plan(BY_ID["domain.memory-attach"], context, [half], {})
    plan = make_plan(BY_ID["domain.memory-attach"], context, [half], {"where": "persistent"})
    assert [line.split()[-1] for line in lines(plan)] == ["--config"]


@pytest.mark.parametrize("ident", ["attach", "detach", "resize", "slots"])
def test_reading_only_and_not_read_yet(context: Context, ident: str) -> None:
    action = BY_ID[f"domain.memory-{ident}"]
    assert action.reason(context, domain(None, None)) in (preflight.UNREAD, "it is transient: it has no next boot")
    unread = replace(domain(None, None), persistent=None)
    assert action.reason(context, unread) == preflight.UNREAD
    connection = replace(context.snapshot.connection, read_only=True)
    reading = replace(context, snapshot=replace(context.snapshot, connection=connection))
    assert action.reason(reading, domain(config(), config())) == "virtdeck runs with --read-only"


def test_the_new_name_is_free_on_both_sides(context: Context) -> None:
    there = domain(config(dimm("ua-dimm0", 0)), config(dimm("ua-dimm1", 0)))
    plan = make_plan(BY_ID["domain.memory-attach"], context, [there], {"size": "1G"})
    assert [step.undo[0].command[-2:] for step in plan.steps] == [("ua-dimm2", "--live"), ("ua-dimm2", "--config")]
    assert len({step.command[-2] for step in plan.steps}) == 1
    assert plan.steps[0].title == "plug DIMM ua-dimm2 (1.0G) into one now"


def test_what_is_proposed_fits(context: Context) -> None:
    action = BY_ID["domain.memory-attach"]
    tight = domain(config(ceiling_mib=1300), config())
    assert action.defaults(context, [tight])["size"] == "256M"
    huge = replace(config().tuning, hugepages_kib=(1024 * _MIB,))
    assert action.defaults(context, [domain(replace(config(), tuning=huge), None)])["block"] == "1024M"
    assert action.defaults(context, [domain(config(), config())]) == {
        "model": "dimm", "size": "1024M", "node": "0", "block": "2M", "requested": "", "where": "both",
    }  # fmt: skip


def test_large_guests_take_large_blocks(context: Context) -> None:
    large = config(memory_mib=65536, ceiling_mib=131072)
    notes = make_plan(BY_ID["domain.memory-attach"], context, [domain(large, large)], {"size": "1G"}).notes
    assert "one: a Linux guest with 64G or more may take only multiples of 2G" in notes
    more = make_plan(BY_ID["domain.memory-attach"], context, [domain(large, large)], {"size": "4G"}).notes
    assert not [note for note in more if "multiples" in note]


def test_virtio_mem_is_plugged_empty_and_filled_last(context: Context) -> None:
    both = domain(config(), config())
    values = {"model": "virtio-mem", "size": "512M", "requested": "50%"}
    plan = make_plan(BY_ID["domain.memory-attach"], context, [both], values)
    requests = [step.request for step in plan.steps]
    assert [type(request).__name__ for request in requests] == ["AttachMemory", "AttachMemory", "ResizeMemory"]
    given = [ET.fromstring(r.xml).findtext("target/requested") for r in requests if isinstance(r, ops.AttachMemory)]
    assert given == ["0", str(256 * _MIB)]
    assert "--requested-size 262144KiB" in lines(plan)[2]
    assert [step.command[-1] for step in plan.undo_steps()] == ["--config", "0KiB"]


def test_a_device_is_known_by_its_name_by_its_slot_or_as_the_last() -> None:
    devices = preflight.named(
        config(dimm("", 0), dimm("", 2), virtio_mem_xml("", 128 * _MIB, 0, 2048, 0), dimm("ua-x", 3)),
        preflight.UNPLUGGABLE,
    )
    assert [found.name for found in devices] == ["dimm0", "dimm2", "virtiomem0", "ua-x"]
    for word, name in (
        ("dimm2", "dimm2"),
        ("2", "dimm2"),
        ("3", "ua-x"),
        ("last", "ua-x"),
        ("virtiomem0", "virtiomem0"),
    ):
        found = preflight.find(devices, word)
        assert found is not None
        assert found.name == name
    assert preflight.find(devices, "1") is None
    assert preflight.find([], "last") is None


def test_other_models_are_left_alone() -> None:
    nvdimm = dimm("", 0).replace('model="dimm"', 'model="nvdimm"')
    assert preflight.named(config(nvdimm), preflight.UNPLUGGABLE) == []
    assert preflight.slots_reason(config(nvdimm, slots=1)) == "all 1 memory slots are taken"


def one(alias: str, slot: int | None, mib: int = 128) -> Named:
    (found,) = preflight.named(config(dimm(alias, slot, mib)), preflight.UNPLUGGABLE)
    return found


def test_the_same_device_on_the_other_side() -> None:
    live = one("dimm1", 1)
    same, alike, larger = one("", 1), one("", 3), one("", 1, 256)
    assert preflight.counterpart([alike, same], live) == same
    assert preflight.counterpart([larger, alike], live) == alike
    assert preflight.counterpart([larger], live) is None
    assert preflight.counterpart([one("ua-dimm0", 1)], live) is None
    ours = one("ua-dimm0", 1)
    assert preflight.counterpart([same, one("ua-dimm0", 4)], ours) == one("ua-dimm0", 4)
    assert preflight.counterpart([same], ours) is None


def test_each_side_is_unplugged_in_its_own_way(context: Context) -> None:
    both = domain(config(dimm("dimm0", 0)), config(dimm("", 0)))
    plan = make_plan(BY_ID["domain.memory-detach"], context, [both], {"device": "0"})
    assert lines(plan)[0].startswith("detach-device one /")
    assert lines(plan)[1] == "detach-device-alias one dimm0 --live"
    assert [step.undo[0].command[-1] for step in plan.steps] == ["--config", "--live"]
    assert not plan.losses()
    here = domain(config(dimm("dimm0", 0)), config())
    plan = make_plan(BY_ID["domain.memory-detach"], context, [here], {})
    assert len(plan.steps) == 1
    assert "one: its persistent configuration does not have it" in plan.notes


@pytest.mark.parametrize(("size", "said"), [("-1M", "from 0 to 512M"), ("1G", "from 0 to 512M"), ("3M", "multiple")])
def test_a_size_that_cannot_be(context: Context, size: str, said: str) -> None:
    there = config(virtio_mem_xml("ua-v", 512 * _MIB, 0, 2 * _MIB, 0))
    with pytest.raises(FieldError, match=said):
        make_plan(BY_ID["domain.memory-resize"], context, [domain(None, there)], {"size": size})


def test_the_next_boot_does_not_wait_for_the_guest(context: Context) -> None:
    there = config(virtio_mem_xml("ua-v", 512 * _MIB, 0, 2 * _MIB, 0))
    plan = make_plan(BY_ID["domain.memory-resize"], context, [domain(there, there)], {"size": "128M"})
    assert [step.command[5] for step in plan.steps] == ["--config", "--live"]


def test_a_side_that_is_to_have_it_already_is_left_alone(context: Context) -> None:
    live, persistent = (config(virtio_mem_xml("ua-v", 512 * _MIB, 0, 2 * _MIB, mib * _MIB)) for mib in (64, 128))
    plan = make_plan(BY_ID["domain.memory-resize"], context, [domain(live, persistent)], {"size": "128M"})
    assert [step.command[5] for step in plan.steps] == ["--live"]
    assert [step.undo[0].command[-1] for step in plan.steps] == [f"{64 * _MIB}KiB"]
    with pytest.raises(FieldError, match="one is to have 128M of it already"):
        make_plan(BY_ID["domain.memory-resize"], context, [domain(None, persistent)], {"size": "128M"})


class Calls:
    """What an op may use, on libvirt's in-process test driver."""

    read_only = False
    cancelled = False

    def __init__(self) -> None:
        self.connection = libvirt.open("test:///default")

    def control(self) -> Any:
        return self.connection

    def long(self, limit_s: float = 0.0) -> Any:
        return self.connection

    def leave(self) -> None:
        """Nothing to give back."""

    def release(self, connection: Any) -> None:
        """Nothing to give back."""

    def leave_images(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()

    def progress(self, done: int, total: int | None) -> None:
        """Nobody looks."""


@pytest.fixture
def calls() -> Iterator[Calls]:
    made = Calls()
    yield made
    made.connection.close()


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = calls.connection.lookupByName("test")
    request = ops.SetMemorySlots(handle.UUIDString(), 16 * 1024 * _MIB, 4, str(tmp_path / "new"), str(tmp_path / "old"))

    def meanwhile(xml: str, ceiling_kib: int, slots: int) -> str:
        handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "theirs", None, None, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        return with_slots(xml, ceiling_kib, slots)

    with monkeypatch.context() as patched:
        patched.setattr(ops, "with_slots", meanwhile)
        with pytest.raises(OpError, match=r"somebody else changes it just now\. Nothing was changed; try again"):
            execute(request, calls)
    there = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    assert "<title>theirs</title>" in there
    assert "maxMemory" not in there


def test_a_file_that_is_there_with_something_else_is_not_overwritten(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "device.xml"
    file.write_text("of somebody else")
    key = calls.connection.lookupByName("test").UUIDString()
    with pytest.raises(OpError, match="Nothing was changed"):
        execute(ops.AttachMemory(key, False, dimm_xml("ua-dimm0", 128 * _MIB, 0), str(file)), calls)
    assert file.read_text() == "of somebody else"


def test_undo_of_slots_can_be_tried_again(calls: Calls, tmp_path: Path) -> None:
    """A try that came to nothing left its files; the domain has been changed since."""
    handle = calls.connection.lookupByName("test")
    request = ops.SetMemorySlots(handle.UUIDString(), 0, 0, str(tmp_path / "new.xml"), str(tmp_path / "old.xml"))
    assert execute(request, calls).message == "no memory slots from the next boot on"
    first = (tmp_path / "old.xml").read_text()
    for title in ("once", "twice"):
        handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, title, None, None, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        assert execute(request, calls).message == "no memory slots from the next boot on"
    assert (tmp_path / "old.xml").read_text() == first
    assert "<title>once</title>" in (tmp_path / "old-2.xml").read_text()
    assert "<title>twice</title>" in (tmp_path / "old-3.xml").read_text()
    assert "<title>twice</title>" in (tmp_path / "new.xml").read_text()
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.xml", "old-2.xml", "old-3.xml", "old.xml"]


def test_slots_do_not_overwrite_what_is_not_of_the_domain(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "new.xml"
    key = calls.connection.lookupByName("test").UUIDString()
    for theirs in ("of somebody else", f"<domain><uuid>{UUID}</uuid></domain>"):
        file.write_text(theirs)
        with pytest.raises(OpError, match="Nothing was changed"):
            execute(ops.SetMemorySlots(key, 16 * 1024 * _MIB, 4, str(file), str(tmp_path / "old.xml")), calls)
        assert file.read_text() == theirs


def test_undo_of_virtio_mem_says_what_stays(context: Context) -> None:
    values = {"model": "virtio-mem", "size": "512M"}
    notes = make_plan(BY_ID["domain.memory-attach"], context, [domain(config(), config())], values).notes
    assert "one: undo empties it; the device stays until the domain is off" in notes
