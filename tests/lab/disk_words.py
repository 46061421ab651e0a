"""What tests of disks in real guests say: what the guest sees, what libvirt has, what an image holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.lab.actions import Deck, Seen, look
from tests.lab.console import Console
from tests.lab.domain import Shape, guest_xml
from tests.lab.guest import guest_image
from tests.lab.host import LabHost
from tests.lab.namespaces import run, wait_until
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.model.snapshot import HostSnapshot
from tui.runtime.jobs import Job


class StorageDeck(Deck):
    """A deck whose readings have the pools and volumes too."""

    def read(self, *parts: str, processes: bool = False) -> HostSnapshot:
        """The host with its storage."""
        return super().read("storage", *parts, processes=processes)


def seen(lab: LabHost, name: str) -> Seen:
    """What there is of a domain."""
    with lab.connect() as connection:
        uuid = connection.lookupByName(name).UUIDString()
    return look(lab, name, uuid)


def holds(lab: LabHost, name: str, path: Path) -> tuple[bool, bool]:
    """Whether the running domain and its next boot have a path in their XML."""
    sides: tuple[tuple[str, ...], ...] = ((), ("--inactive",))
    live, config = (str(path) in lab.virsh("dumpxml", name, *words).stdout for words in sides)
    return live, config


def done(job: Job) -> Job:
    """The job, which must have come to its end."""
    assert job.status is Status.DONE, job.results
    return job


def undo(deck: Deck, job: Job) -> Job:
    """Take it back as a later session does."""
    return done(deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id))


def sectors(console: Console, device: str) -> int:
    """The size of a disk as the guest's kernel has it, in sectors of 512 bytes; 0 when there is none."""
    status, output = console.run(f"echo size $(cat /sys/block/{device}/size) sectors")
    found = re.search(r"^size (\d+) sectors$", output, re.MULTILINE)
    return int(found[1]) if status == 0 and found else 0


def expect_sectors(console: Console, device: str, count: int) -> None:
    """Wait until the guest has a disk of that size; 0: until it has none."""
    wait_until(lambda: sectors(console, device) == count, f"the guest to see {count} sectors of {device}", timeout=20)


def boot(lab: LabHost, name: str, machine: str, *devices: ET.Element) -> None:
    """A guest of a machine type, booted."""
    log = lab.root / "console" / f"{name}.log"
    shape = Shape(name=name, machine=machine, devices=devices)
    lab.define(guest_xml(shape, guest_image(), lab.emulator, log), start=True)
    lab.wait_ready(name)


def virtual_size(path: Path) -> int:
    """The size in bytes that the header of an image says."""
    told = json.loads(run(["qemu-img", "info", "-U", "--output=json", str(path)]).stdout)
    return int(told["virtual-size"])


def content(path: Path) -> bytes:
    """The first bytes that a guest reads of an image."""
    run(["qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=4096", "count=1", f"if={path}", f"of={path}.raw"])
    return Path(f"{path}.raw").read_bytes()
