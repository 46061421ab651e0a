"""Twin domains, and the cases that tests/lab/test_twins.py carries out on them: one for every action and value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree as ET

import libvirt

from tests.lab.actions import Seen, look
from tests.lab.domain import Shape, blank_xml, disk_xml, element, text
from tests.lab.host import LabHost
from tests.lab.namespaces import run

RUNNING, PAUSED, OFF = 1, 3, 5


@dataclass(frozen=True, slots=True)
class Twin:
    """One of two domains that differ in name and UUID alone; `uuid` is "" where libvirt makes it up."""

    lab: LabHost
    name: str
    uuid: str
    folder: Path

    def seen(self) -> Seen:
        """What there is of it now."""
        return look(self.lab, self.name, self.uuid, self.folder)

    def seen_with(self, also: Callable[[Twin], str]) -> Seen:
        """What there is of it now, and what `also` tells."""
        return replace(self.seen(), also=also(self))

    def virsh(self, verb: str, *words: str) -> None:
        """Have the real virsh do something to it."""
        self.lab.virsh(verb, self.name, *words)

    def xml(self) -> ET.Element:
        """A domain with nothing to boot, under its name and UUID."""
        root = blank_xml(Shape(name=self.name, memory_mib=16, machine="pc"), self.lab.emulator)
        uuid = root.find("uuid")
        assert uuid is not None
        if self.uuid:
            uuid.text = self.uuid
        else:
            root.remove(uuid)
        return root

    def file(self, root: ET.Element | None = None) -> str:
        """The path of a file with that XML, or with another."""
        path = self.folder / "domain.xml"
        path.write_text(text(self.xml() if root is None else root))
        return str(path)

    @property
    def saved(self) -> str:
        """Where its state is saved to."""
        return str(self.folder / "state.save")

    @property
    def nvram(self) -> Path:
        """Where its UEFI variables are."""
        return self.folder / "nvram.fd"


Make = Callable[[Twin], None]
Fields = Callable[[Twin], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Case:
    """What is there before, what is done, and what both twins must have come to."""

    action: str
    what: str
    make: Make
    reached: Callable[[Seen], bool]
    values: Mapping[str, str] = field(default_factory=dict)
    paths: Fields = lambda _twin: {}
    """Field values that differ between the twins."""
    undo: bool = False
    """Whether it can be undone; what was before is then there again, apart from what `forgiven` makes alike."""
    forgiven: Callable[[Seen], Seen] = lambda seen: seen
    named: bool = True
    """Whether the domain's UUID is known beforehand."""
    taken_back: bool = True
    """Whether the undo can be tried here: no emulated guest gives back what it was plugged."""
    also: Callable[[Twin], str] = lambda _twin: ""
    """What else is compared, of that which no XML tells: `Seen.also`."""

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.action.partition('.')[2]}-{self.what}"


# What is there before


def off(twin: Twin) -> None:
    """A persistent domain that is off."""
    twin.lab.define(twin.xml())


def running(twin: Twin) -> None:
    """A persistent domain that runs."""
    twin.lab.define(twin.xml(), start=True)


def paused(twin: Twin) -> None:
    """A persistent domain that somebody paused."""
    running(twin)
    twin.virsh("suspend")


def autostarted(twin: Twin) -> None:
    """A domain that starts with the host."""
    twin.lab.define(twin.xml(), autostart=True)


def transient(twin: Twin) -> None:
    """A running domain without persistent configuration."""
    with twin.lab.connect() as connection:
        connection.createXML(text(twin.xml()), 0)


def managed(before: Make) -> Make:
    """The domain with a managed save."""

    def make(twin: Twin) -> None:
        before(twin)
        twin.virsh("managedsave")

    return make


def saved(before: Make) -> Make:
    """The domain saved to its file."""

    def make(twin: Twin) -> None:
        before(twin)
        twin.virsh("save", twin.saved)

    return make


def snapshotted(twin: Twin) -> None:
    """A domain that is off, with a disk and two snapshots."""
    image, root = twin.folder / "disk.qcow2", twin.xml()
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"])
    devices = root.find("devices")
    assert devices is not None
    devices.append(disk_xml(image, "vda"))
    twin.lab.define(root)
    twin.virsh("snapshot-create-as", "one")
    twin.virsh("snapshot-create-as", "two")


def checkpointed(twin: Twin) -> None:
    """A domain that is off, with a disk and a checkpoint, which only a running one can be given."""
    image, root = twin.folder / "disk.qcow2", twin.xml()
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"])
    devices = root.find("devices")
    assert devices is not None
    devices.append(disk_xml(image, "vda"))
    twin.lab.define(root, start=True)
    twin.virsh("checkpoint-create-as", "one")
    twin.virsh("destroy")


def described(before: Make) -> Make:
    """The domain with a title and a description."""

    def make(twin: Twin) -> None:
        before(twin)
        sides = ["--config", *(["--live"] if before is running else [])]
        twin.virsh("desc", *sides, "--title", "old title")
        twin.virsh("desc", *sides, "old\ndescription")

    return make


def described_apart(twin: Twin) -> None:
    """A running domain whose title changes at its next boot."""
    running(twin)
    twin.virsh("desc", "--live", "--title", "title of now")
    twin.virsh("desc", "--config", "--title", "title of later")
    twin.virsh("desc", "--live", "now\n  in lines")
    twin.virsh("desc", "--config", "later\n  in lines")


def uefi_xml(twin: Twin) -> ET.Element:
    """A domain with UEFI variables; their file is there, the firmware is nothing that could boot."""
    code = twin.folder / "code.fd"
    code.write_bytes(bytes(1 << 12))
    twin.nvram.write_bytes(b"variables")
    root = twin.xml()
    system = root.find("os")
    assert system is not None
    system.append(element("loader", text=str(code), readonly="yes", type="pflash"))
    system.append(element("nvram", text=str(twin.nvram)))
    return root


def uefi(twin: Twin) -> None:
    """A domain that is off, with UEFI variables."""
    twin.lab.define(uefi_xml(twin))


def tpm(twin: Twin) -> None:
    """A domain that is off, with a TPM of the host."""
    root = twin.xml()
    devices = root.find("devices")
    assert devices is not None
    backend = element("backend", element("device", path="/dev/tpm0"), type="passthrough")
    devices.append(element("tpm", backend, model="tpm-tis"))
    twin.lab.define(root)


def secret(twin: Twin) -> None:
    """A domain that is off, with a password in its XML."""
    root = twin.xml()
    devices = root.find("devices")
    assert devices is not None
    devices.append(element("graphics", type="vnc", port="-1", passwd="swordfis"))
    twin.lab.define(root)


def nothing(_twin: Twin) -> None:
    """No domain at all."""


# What is given


def new_file(twin: Twin) -> Mapping[str, str]:
    """The file with the twin's XML."""
    return {"path": twin.file()}


def uefi_file(twin: Twin) -> Mapping[str, str]:
    """The file with the XML of a twin with UEFI variables."""
    return {"path": twin.file(uefi_xml(twin))}


def changed_file(twin: Twin) -> Mapping[str, str]:
    """The file with the twin's XML and twice the memory."""
    root = twin.xml()
    memory = root.find("memory")
    assert memory is not None
    memory.text = "32"
    return {"path": twin.file(root)}


def save_file(twin: Twin) -> Mapping[str, str]:
    """The file that the twin is saved to."""
    return {"path": twin.saved}


def new_name(twin: Twin) -> Mapping[str, str]:
    """A name that begins as the old one does, with what a shell or virsh would take apart."""
    return {"name": f'{twin.name} it\'s "new" --now'}


# What it comes to


def state(number: int, reason: int | None = None, *, save: bool = False) -> Callable[[Seen], bool]:
    """Whether the domain is in a state, for a reason, with or without managed save."""

    def reached(seen: Seen) -> bool:
        right = seen.state is not None and seen.state[0] == number and reason in (None, seen.state[1])
        return right and seen.managed_save is save

    return reached


def gone(seen: Seen) -> bool:
    """Whether libvirt does not know it."""
    return seen.state is None


def has(*words: str, live: bool = False, config: bool = False) -> Callable[[Seen], bool]:
    """Whether words are in the live XML, the persistent XML, exactly as said."""
    return lambda seen: all((word in seen.live, word in seen.config) == (live, config) for word in words)


def without_files(seen: Seen) -> Seen:
    """All but the files: a save file stays when the domain was restored from it."""
    return replace(seen, files=())


def any_reason(seen: Seen) -> Seen:
    """All but the files and the reason of the state: a domain that was restored says so."""
    return replace(seen, files=(), state=(seen.state[0], 0) if seen.state else None)


def without_save(seen: Seen) -> Seen:
    """All but what an undone undefine does not bring back: saved state and snapshots."""
    return replace(any_reason(seen), managed_save=False, snapshots=())


_RESTORED = libvirt.VIR_DOMAIN_RUNNING_RESTORED
_SAVED = libvirt.VIR_DOMAIN_SHUTOFF_SAVED
_DESTROYED = libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED
_UNPAUSED = libvirt.VIR_DOMAIN_RUNNING_UNPAUSED
_USER = libvirt.VIR_DOMAIN_PAUSED_USER

CASES: tuple[Case, ...] = (
    Case("domain.start", "plain", off, state(RUNNING, 1)),
    Case("domain.start", "paused", off, state(PAUSED), {"paused": "yes"}),
    Case("domain.start", "saved", managed(running), state(RUNNING, _RESTORED)),
    Case("domain.start", "saved-while-paused", managed(paused), state(PAUSED)),
    Case("domain.start", "saved-to-paused", managed(running), state(PAUSED), {"paused": "yes"}),
    Case("domain.start", "forced", managed(running), state(RUNNING, 1), {"force_boot": "yes"}),
    Case("domain.start", "forced-paused", managed(running), state(PAUSED), {"force_boot": "yes", "paused": "yes"}),
    Case("domain.destroy", "both", running, state(OFF, _DESTROYED)),
    Case("domain.destroy", "graceful", paused, state(OFF, _DESTROYED), {"mode": "graceful"}),
    Case("domain.destroy", "force", running, state(OFF, _DESTROYED), {"mode": "force"}),
    Case("domain.destroy", "transient", transient, gone),
    Case("domain.suspend", "running", running, state(PAUSED, _USER), undo=True, forgiven=any_reason),
    Case("domain.resume", "paused", paused, state(RUNNING, _UNPAUSED), undo=True),
    Case("domain.managedsave", "running", running, state(OFF, _SAVED, save=True), undo=True, forgiven=any_reason),
    Case("domain.managedsave", "paused", paused, state(OFF, _SAVED, save=True), undo=True, forgiven=any_reason),
    Case("domain.managedsave-remove", "off", managed(running), state(OFF)),
    Case("domain.save", "running", running, state(OFF, _SAVED), paths=save_file, undo=True, forgiven=any_reason),
    Case("domain.save", "paused", paused, state(OFF, _SAVED), paths=save_file, undo=True, forgiven=any_reason),
    Case("domain.save", "transient", transient, gone, paths=save_file, undo=True, forgiven=any_reason),
    Case("domain.restore", "running", saved(running), state(RUNNING, _RESTORED), paths=save_file),
    Case("domain.restore", "paused", saved(running), state(PAUSED), {"paused": "yes"}, save_file),
    Case("domain.restore", "was-paused", saved(paused), state(PAUSED), paths=save_file),
    Case("domain.restore", "transient", saved(transient), state(RUNNING, _RESTORED), paths=save_file),
    Case("domain.autostart", "on", off, lambda seen: seen.autostart, {"on": "on"}, undo=True),
    Case("domain.autostart", "off", autostarted, lambda seen: not seen.autostart, {"on": "off"}, undo=True),
    Case("domain.autostart", "toggle", autostarted, lambda seen: not seen.autostart, undo=True),
    Case("domain.reset", "paused", paused, state(PAUSED)),
    Case("domain.define", "new", nothing, state(OFF), paths=new_file, undo=True),
    Case("domain.define", "uefi", nothing, has("<nvram>", config=True), paths=uefi_file, undo=True),
    Case("domain.define", "unnamed", nothing, state(OFF), paths=new_file, named=False),
    Case("domain.define", "over-off", off, has(">32768<", config=True), paths=changed_file, undo=True),
    Case("domain.define", "over-running", running, has(">32768<", config=True), paths=changed_file, undo=True),
    Case("domain.define", "over-transient", transient, lambda seen: seen.persistent, paths=new_file),
    Case("domain.create", "plain", nothing, state(RUNNING, 1), paths=new_file),
    Case("domain.create", "paused", nothing, state(PAUSED), {"paused": "yes"}, new_file),
    Case("domain.create", "over-off", off, state(RUNNING, 1), paths=new_file),
    Case("domain.undefine", "off", off, gone, undo=True),
    Case("domain.undefine", "autostarted", autostarted, gone, undo=True),
    Case("domain.undefine", "running", running, lambda seen: not seen.persistent, undo=True),
    Case("domain.undefine", "saved", managed(running), gone, undo=True, forgiven=without_save),
    Case("domain.undefine", "snapshots", snapshotted, gone, undo=True, forgiven=without_save),
    Case("domain.undefine", "checkpoints", checkpointed, gone, undo=True, forgiven=any_reason),
    Case("domain.undefine", "nvram-kept", uefi, gone, {"nvram": "keep"}, undo=True),
    Case("domain.undefine", "nvram-removed", uefi, gone, {"nvram": "remove"}, undo=True, forgiven=without_files),
    Case("domain.undefine", "secret", secret, gone, undo=True),
    Case("domain.undefine", "tpm-kept", tpm, gone, {"tpm": "keep"}, undo=True),
    Case("domain.undefine", "tpm-removed", tpm, gone, {"tpm": "remove"}, undo=True),
    Case("domain.rename", "off", off, state(OFF), paths=new_name, undo=True),
    Case("domain.rename", "autostarted", autostarted, state(OFF), paths=new_name, undo=True),
    Case(
        "domain.describe", "title", off, has(">-x &apos;y&apos; &amp; &lt;z&gt;<", config=True),
        {"title": "-x 'y' & <z>"}, undo=True,
    ),
    Case("domain.describe", "title-live", running, has(">new<", live=True, config=True), {"title": "new"}, undo=True),
    Case("domain.describe", "title-off", described(running), has("<title>"), {"title": "-"}, undo=True),
    Case("domain.describe", "title-apart", described_apart, has("<title>"), {"title": "-"}, undo=True),
    Case("domain.describe", "transient", transient, has(">new<", live=True), {"title": "new"}, undo=True),
    Case(
        "domain.describe", "text", described(off), has(">two\nlines<", config=True),
        {"description": "two\nlines"}, undo=True,
    ),
    Case(
        "domain.describe", "text-off", described(running), has("<description>"),
        {"description": "-"}, undo=True,
    ),
    Case(
        "domain.describe", "both", described(running), has(">new<", ">other<", live=True, config=True),
        {"title": "new", "description": "other"}, undo=True,
    ),
    Case(
        "domain.describe", "text-apart", described_apart, has(">other<", live=True, config=True),
        {"description": "other"}, undo=True,
    ),
)  # fmt: skip


def twins(lab: LabHost, folder: Path, number: int, *, named: bool = True) -> tuple[Twin, Twin]:
    """Two of them, not made yet; the names are as long as one another."""
    made = []
    for letter in "ab":
        own = folder / letter
        own.mkdir()
        made.append(Twin(lab, f"twin{number:03}{letter}", str(uuid4()) if named else "", own))
    return made[0], made[1]
