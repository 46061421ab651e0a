"""What tests of block jobs say: a domain whose disk lies on others, what is written to it, what an image holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.lab.actions import Deck
from tests.lab.domain import Shape, blank_xml, disk_xml
from tests.lab.host import LabHost
from tests.lab.namespaces import run, wait_until
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.runtime.jobs import Job, Jobs, Run

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Layered:
    """A running domain with nothing to boot and a disk vda; `images` are the base and what lies on it, base first."""

    lab: LabHost
    name: str
    images: tuple[Path, ...]

    def write(self, byte: int, offset: str, length: str) -> None:
        """Write to the disk as a guest would, through QEMU."""
        words = f'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "write -P {byte} {offset} {length}"'
        said = self.lab.virsh("qemu-monitor-command", self.name, "--hmp", words).stdout
        assert "rror" not in said, said

    def holds(self, path: Path, *parts: tuple[int, str, str]) -> bool:
        """Whether an image holds these (byte, offset, length); QEMU writes its tables out when the vCPUs stop."""
        self.lab.virsh("suspend", self.name)
        self.lab.virsh("resume", self.name)
        return holds_bytes(path, *parts)

    def chain(self, *, later: bool = False) -> list[Path]:
        """The images of vda as libvirt has them now or, with `later`, at the next boot, top first."""
        root = ET.fromstring(self.lab.virsh("dumpxml", self.name, *(["--inactive"] if later else [])).stdout)
        layer: ET.Element | None = root.find("devices/disk")
        found = []
        while layer is not None and (source := layer.find("source")) is not None:
            found.append(Path(source.get("file", "")))
            layer = layer.find("backingStore")
        return found

    def job(self) -> str:
        """What virsh says of the block job of vda; "" when there is none."""
        said = self.lab.virsh("blockjob", self.name, "vda", "--info").stdout.strip()
        return "" if "No current block job" in said else said


def layered(lab: LabHost, name: str, *overlays: str, size_mib: int = 32, folder: Path | None = None) -> Layered:
    """Such a domain, whose base holds 16 MiB of 1 and each overlay, made by an external snapshot, 1 MiB of its own
    number from 2 on, one behind the other."""
    where = folder or lab.images
    base = where / f"{name}-base.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(base), f"{size_mib}M"])
    run(["qemu-io", "-f", "qcow2", "-c", "write -P 1 0 16M", str(base)])
    root = blank_xml(Shape(name, memory_mib=16, machine="pc"), lab.emulator)
    devices = root.find("devices")
    assert devices is not None
    devices.append(disk_xml(base, "vda"))
    lab.define(root, start=True)
    made, images = Layered(lab, name, (base,)), [base]
    for number, overlay in enumerate(overlays):
        images.append(where / f"{name}-{overlay}.qcow2")
        snapshot(lab, name, images[-1])
        made.write(2 + number, f"{number}M", "1M")
    return Layered(lab, name, tuple(images))


def snapshot(lab: LabHost, name: str, overlay: Path) -> None:
    """An external snapshot of vda, which goes on with the overlay."""
    words = ("--disk-only", "--atomic", "--no-metadata", "--diskspec", f"vda,file={overlay}")
    lab.virsh("snapshot-create-as", name, *words)


def holds_bytes(path: Path, *parts: tuple[int, str, str]) -> bool:
    """Whether an image holds these (byte, offset, length), read past QEMU's lock."""
    reads = [word for byte, offset, length in parts for word in ("-c", f"read -P {byte} {offset} {length}")]
    done = run(["qemu-io", "-r", "-U", "-f", "qcow2", *reads, str(path)], check=False)
    return done.returncode == 0 and "verification failed" not in done.stdout


def begin(deck: Deck, plan: Plan) -> tuple[Jobs, Run]:
    """A plan under way, and what carries it out."""
    jobs = deck.jobs()
    return jobs, jobs.run(plan)


def until(check: Callable[[], object], what: str) -> None:
    """Wait for it."""
    wait_until(lambda: bool(check()), what, timeout=30)


def failed(job: Job) -> str:
    """Why it failed, which it must have."""
    assert job.status is Status.FAILED, job.results
    return " ".join(result.entry_line for result in job.results if result.status is Status.FAILED)
