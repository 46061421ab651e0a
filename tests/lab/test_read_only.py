"""--read-only refuses every change in one place: no action makes a plan, no request is carried out, and libvirt itself
would refuse what got past both."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.lab.actions import Deck, Seen, look_at_all, virtdeck
from tests.lab.domain import Shape, blank_xml, disk_xml, element, text
from tests.lab.host import LabHost
from tests.lab.namespaces import is_alive, run, wait_until
from tests.lab.twin_cases.memory_devices import DIMM, VIRTIO
from tests.lab.twins import Twin
from tui import cli, ops
from tui.actions import ACTIONS
from tui.actions.base import Action, FieldError
from tui.model.kind import Kind
from tui.model.plan import Request
from tui.model.snapshot import HostSnapshot
from tui.ops import (
    block_jobs,
    block_scheduler,
    define,
    disk_moves,
    disk_snapshots,
    disks,
    findings,
    image_chain,
    image_check,
    image_convert,
    lifecycle,
    memory,
    memory_devices,
    monitor,
    networks,
    nics,
    pins,
    pools,
    ports,
    process,
    tuning,
    vcpu_layout,
    vcpus,
    volume_streams,
    volumes,
)
from tui.ops.base import OpError, ReadOnlyError
from tui.reports import read_open

Build = Callable[[Twin, str, str], Request]
"""Makes a request of a domain of one's own file, the key of a running domain, the key of a process."""


_numbers = itertools.count()
_MAC, _SPARE = "52:54:00:00:00:99", "52:54:00:00:00:96"


def _nic(mac: str, network: str = "") -> str:
    """A NIC in a network, or in QEMU's own."""
    source = f"<source network='{network}'/>" if network else ""
    return f"<interface type='{'network' if network else 'user'}'><mac address='{mac}'/>{source}</interface>"


def _file(new: Twin) -> str:
    """Where an op writes what it hands to libvirt, before libvirt is asked: another file each time."""
    return str(new.folder.parent / "handed" / f"{next(_numbers)}.xml")


REQUESTS: dict[type[Request], Build] = {
    lifecycle.Start: lambda new, on, qemu: lifecycle.Start(new.uuid),
    lifecycle.Shutdown: lambda new, on, qemu: lifecycle.Shutdown(on),
    lifecycle.Reboot: lambda new, on, qemu: lifecycle.Reboot(on),
    lifecycle.Reset: lambda new, on, qemu: lifecycle.Reset(on),
    lifecycle.Destroy: lambda new, on, qemu: lifecycle.Destroy(on),
    lifecycle.Suspend: lambda new, on, qemu: lifecycle.Suspend(on),
    lifecycle.Resume: lambda new, on, qemu: lifecycle.Resume(on),
    lifecycle.Save: lambda new, on, qemu: lifecycle.Save(on, new.saved),
    lifecycle.Restore: lambda new, on, qemu: lifecycle.Restore(new.saved),
    lifecycle.ManagedSave: lambda new, on, qemu: lifecycle.ManagedSave(on),
    lifecycle.RemoveManagedSave: lambda new, on, qemu: lifecycle.RemoveManagedSave(new.uuid),
    lifecycle.SetAutostart: lambda new, on, qemu: lifecycle.SetAutostart(on, True),
    define.Define: lambda new, on, qemu: define.Define(new.file()),
    define.Create: lambda new, on, qemu: define.Create(new.file()),
    define.Undefine: lambda new, on, qemu: define.Undefine(on, str(new.folder / "kept" / "on.xml")),
    define.Rename: lambda new, on, qemu: define.Rename(new.uuid, "other"),
    define.Describe: lambda new, on, qemu: define.Describe(on, "title", "other", True, True),
    vcpus.SetVcpus: lambda new, on, qemu: vcpus.SetVcpus(on, 2, live=False),
    vcpus.SetVcpu: lambda new, on, qemu: vcpus.SetVcpu(on, "1", on=True, live=False, count=2),
    vcpus.SetGuestVcpus: lambda new, on, qemu: vcpus.SetGuestVcpus(on, 1),
    vcpu_layout.SetVcpusMax: lambda new, on, qemu: vcpu_layout.SetVcpusMax(on, 2),
    vcpu_layout.ReshapeVcpus: lambda new, on, qemu: vcpu_layout.ReshapeVcpus(
        on, 2, 1, (2, 1, 1, 1, 1), str(new.folder / "kept" / "on.xml")
    ),
    pins.PinThread: lambda new, on, qemu: pins.PinThread(on, "vcpu 0", (0,), False),
    memory.SetMemory: lambda new, on, qemu: memory.SetMemory(on, 8192, False),
    memory.SetMaxMemory: lambda new, on, qemu: memory.SetMaxMemory(on, 32768),
    memory.SetStatsPeriod: lambda new, on, qemu: memory.SetStatsPeriod(on, 7, False),
    memory_devices.AttachMemory: lambda new, on, qemu: memory_devices.AttachMemory(new.uuid, False, DIMM, _file(new)),
    memory_devices.DetachMemory: lambda new, on, qemu: memory_devices.DetachMemory(new.uuid, False, "ua-dimm0"),
    memory_devices.ResizeMemory: lambda new, on, qemu: memory_devices.ResizeMemory(new.uuid, False, 0, "ua-virtiomem0"),
    memory_devices.SetMemorySlots: lambda new, on, qemu: memory_devices.SetMemorySlots(
        on, 1 << 20, 4, _file(new), _file(new)
    ),
    tuning.SetScheduler: lambda new, on, qemu: tuning.SetScheduler(new.uuid, False, (("cpu_shares", 512),)),
    tuning.SetMemoryLimits: lambda new, on, qemu: tuning.SetMemoryLimits(on, False, 1 << 20),
    tuning.AddIOThread: lambda new, on, qemu: tuning.AddIOThread(on, False, 1),
    tuning.DeleteIOThread: lambda new, on, qemu: tuning.DeleteIOThread(on, False, 1),
    monitor.MonitorCommand: lambda new, on, qemu: monitor.MonitorCommand(on, "stop"),
    findings.MuteFinding: lambda new, on, qemu: findings.MuteFinding(_file(new), "uri", "a:b", "known"),
    process.TerminateProcess: lambda new, on, qemu: process.TerminateProcess(qemu),
    process.KillProcess: lambda new, on, qemu: process.KillProcess(qemu),
    process.SetAffinity: lambda new, on, qemu: process.SetAffinity(qemu, ((int(qemu.partition(":")[0]), (0,)),)),
}


class Prey:
    """A host with something that every action could change: a domain that runs, one that is off with saved state,
    files of a domain and of a state, a QEMU started by hand."""

    def __init__(self, lab: LabHost, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        shape = Shape("on", memory_mib=16, vcpus=2, vcpus_max=3, machine="pc")
        on_xml = _with_disk(blank_xml(shape, lab.emulator), _image(folder / "on.raw"))
        self.overlay = _layers(on_xml, folder)
        self.on = lab.define(on_xml, start=True)
        lab.virsh("blockcopy", "on", "vdc", "--dest", str(folder / "mirror.raw"), "--transient-job", "--wait")
        off = lab.define_blank("off", start=True)
        lab.virsh("managedsave", "off")
        self.new = Twin(lab, "off", off.uuid, folder)
        rich = self.rich = lab.define(_rich_xml(lab, _image(folder / "rich.raw")))
        paused = lab.define_blank("saved", paused=True)
        lab.virsh("save", "saved", self.new.saved)
        self.new.file()
        self.pid = lab.spawn_unmanaged("by-hand", arguments=["-S"])
        self.domains = (self.on.name, off.name, rich.name, paused.name)
        self.process = key_of(self.pid)
        self.spare = _image(folder / "spare.raw")
        self.disk_xml = text(disk_xml(self.spare, "vdx"))
        self.pool, self.idle = (
            lab.define_pool("stock", folder / "stock"),
            lab.define_pool("idle", folder / "idle", start=False),
        )
        lab.virsh("vol-create-as", "stock", "one.raw", "1M")
        self.network, self.quiet = self._networks()
        self.network_file = folder / "network.xml"
        self.network_file.write_text("<network><name>other</name><bridge name='brother'/></network>")
        lab.virsh("vol-create-as", "stock", "low.qcow2", "1M", "--format", "qcow2")
        below = ("--backing-vol", "low.qcow2", "--backing-vol-format", "qcow2")
        lab.virsh("vol-create-as", "stock", "top.qcow2", "1M", "--format", "qcow2", *below)
        self.low = str(folder / "stock" / "low.qcow2")
        self.pool_file = folder / "pool.xml"
        self.pool_file.write_text(lab.virsh("pool-dumpxml", "stock").stdout)

    def _networks(self) -> tuple[str, str]:
        """The UUIDs of a network with a static host, a name and an orphaned tap, and of one that is inactive."""
        lab, both = self.lab, ("--live", "--config")
        subnet = f"10.77.{lab.define_network('office', bridge='br-office')}"
        lab.define_network("quiet", bridge="br-quiet")
        lab.virsh("net-destroy", "quiet")
        self.address = f"{subnet}.6"
        host = f"<host mac='52:54:00:00:00:98' ip='{subnet}.5'/>"
        lab.virsh("net-update", "office", "add", "ip-dhcp-host", host, *both)
        name = "<host ip='10.9.9.9'><hostname>printer</hostname></host>"
        lab.virsh("net-update", "office", "add", "dns-host", name, *both)
        path = self.folder / "nic.xml"
        path.write_text(_nic(_MAC, "office"))
        lab.virsh("attach-device", "on", str(path), *both)
        lab.virsh("net-destroy", "office")
        lab.virsh("net-start", "office")
        uuids = [lab.virsh("net-uuid", name).stdout.strip() for name in ("office", "quiet")]
        return uuids[0], uuids[1]

    def request(self, kind: type[Request]) -> Request:
        """A request of that type that would change something here."""
        if kind in OF_PREY:
            return OF_PREY[kind](self)
        return REQUESTS[kind](self.new, self.on.uuid, self.process)

    def seen(self) -> tuple[Mapping[str, Seen], list[str], bool, set[int]]:
        """All that could have changed."""
        files = sorted(f"{path} {path.stat().st_size}" for path in self.folder.rglob("*") if path.is_file())
        return look_at_all(self.lab), files, is_alive(self.pid), os.sched_getaffinity(self.pid)


OF_PREY: dict[type[Request], Callable[[Prey], Request]] = {
    disks.AttachDisk: lambda prey: disks.AttachDisk(prey.rich.uuid, False, "vdx", prey.disk_xml, _file(prey.new)),
    disks.DetachDisk: lambda prey: disks.DetachDisk(prey.rich.uuid, False, "vda", ""),
    disks.ChangeMedium: lambda prey: disks.ChangeMedium(prey.rich.uuid, False, "sda", str(prey.spare)),
    disks.GrowDisk: lambda prey: disks.GrowDisk(prey.on.uuid, "vda", 1 << 20),
    disks.TuneDisk: lambda prey: disks.TuneDisk(prey.rich.uuid, False, "vda", (("total_iops_sec", 100),)),
    block_jobs.CommitDisk: lambda prey: block_jobs.CommitDisk(
        prey.on.uuid, "vdb", prey.overlay, prey.overlay, prey.overlay.replace("over", "under")
    ),
    block_jobs.PullDisk: lambda prey: block_jobs.PullDisk(prey.on.uuid, "vdb", prey.overlay),
    block_jobs.CopyDisk: lambda prey: block_jobs.CopyDisk(
        prey.on.uuid,
        "vda",
        str(prey.folder / "on.raw"),
        f"{prey.overlay}-copy",
        False,
        "raw",
        False,
        False,
        reuse=False,
    ),
    disk_snapshots.SnapshotDisks: lambda prey: disk_snapshots.SnapshotDisks(
        prey.on.uuid, "then", (("vdb", prey.overlay, f"{prey.overlay}.then"),), ("vda", "vdc")
    ),
    disk_moves.CopyVolume: lambda prey: disk_moves.CopyVolume(
        prey.pool, "one.raw", prey.pool, "new.raw", _VOLUME, _file(prey.new)
    ),
    disk_moves.ChangeSource: lambda prey: disk_moves.ChangeSource(
        prey.rich.uuid,
        "vda",
        str(prey.folder / "rich.raw"),
        prey.disk_xml.replace("vdx", "vda"),
        _file(prey.new),
        prey.pool,
        "none-such",
    ),
    block_jobs.EndBlockJob: lambda prey: block_jobs.EndBlockJob(prey.on.uuid, "vdc", 2, pivot=False),
    ports.SetRootPorts: lambda prey: ports.SetRootPorts(prey.rich.uuid, (77,), _file(prey.new), _file(prey.new)),
    pools.StartPool: lambda prey: pools.StartPool(prey.idle),
    pools.DestroyPool: lambda prey: pools.DestroyPool(prey.pool, unused=False),
    pools.RefreshPool: lambda prey: pools.RefreshPool(prey.pool),
    pools.SetPoolAutostart: lambda prey: pools.SetPoolAutostart(prey.pool, True),
    pools.BuildPool: lambda prey: pools.BuildPool(prey.idle),
    pools.DeletePool: lambda prey: pools.DeletePool(prey.idle),
    pools.DefinePool: lambda prey: pools.DefinePool(str(prey.pool_file)),
    pools.DefinePoolAs: lambda prey: pools.DefinePoolAs(prey.pool, "other", prey.pool_file.read_text()),
    pools.CreatePoolAs: lambda prey: pools.CreatePoolAs(prey.pool, "other", prey.pool_file.read_text()),
    pools.UndefinePool: lambda prey: pools.UndefinePool(prey.idle, _file(prey.new)),
    volumes.CreateVolume: lambda prey: volumes.CreateVolume(prey.pool, "new.raw", _VOLUME),
    volumes.CloneVolume: lambda prey: volumes.CloneVolume(prey.pool, "one.raw", "two.raw"),
    volumes.ResizeVolume: lambda prey: volumes.ResizeVolume(prey.pool, "one.raw", 1 << 24, 1 << 20),
    volumes.WipeVolume: lambda prey: volumes.WipeVolume(prey.pool, "one.raw", "raw"),
    volumes.DeleteVolume: lambda prey: volumes.DeleteVolume(prey.pool, "one.raw"),
    volume_streams.UploadVolume: lambda prey: volume_streams.UploadVolume(prey.pool, "one.raw", str(prey.pool_file)),
    volume_streams.DownloadVolume: lambda prey: volume_streams.DownloadVolume(prey.pool, "one.raw", _file(prey.new)),
    nics.AttachNic: lambda prey: nics.AttachNic(prey.rich.uuid, False, _SPARE, _nic(_SPARE), _file(prey.new)),
    nics.DetachNic: lambda prey: nics.DetachNic(prey.on.uuid, False, _MAC),
    nics.PlugNic: lambda prey: nics.PlugNic(prey.on.uuid, False, _MAC, _PLUG, "", _file(prey.new)),
    nics.ReplugNic: lambda prey: nics.ReplugNic(prey.on.uuid, _MAC, _PLUG, "", _file(prey.new)),
    nics.SetNicLink: lambda prey: nics.SetNicLink(prey.on.uuid, False, _MAC, False),
    nics.SetNicLimits: lambda prey: nics.SetNicLimits(prey.on.uuid, False, _MAC, (("inbound.average", 100),)),
    networks.StartNetwork: lambda prey: networks.StartNetwork(prey.quiet),
    networks.DestroyNetwork: lambda prey: networks.DestroyNetwork(prey.network, unused=False),
    networks.SetNetworkAutostart: lambda prey: networks.SetNetworkAutostart(prey.network, True),
    networks.DefineNetwork: lambda prey: networks.DefineNetwork(str(prey.network_file)),
    networks.CreateNetwork: lambda prey: networks.CreateNetwork(str(prey.network_file)),
    networks.EditNetwork: lambda prey: networks.EditNetwork(
        prey.network, (("mtu", "1400"),), _file(prey.new), _file(prey.new)
    ),
    networks.UndefineNetwork: lambda prey: networks.UndefineNetwork(prey.network, _file(prey.new)),
    networks.UpdateNetwork: lambda prey: networks.UpdateNetwork(
        prey.network, False, "add-last", "dns-host", -1, "<host ip='10.9.9.8'><hostname>x</hostname></host>"
    ),
    image_check.ReadImage: lambda prey: image_check.ReadImage(prey.pool, "top.qcow2", "qcow2"),
    image_check.CheckImage: lambda prey: image_check.CheckImage(prey.pool, "top.qcow2", "qcow2", "all"),
    image_convert.ConvertVolume: lambda prey: image_convert.ConvertVolume(
        prey.pool, "one.raw", "raw", prey.pool, "new.raw", _VOLUME, _file(prey.new)
    ),
    image_convert.CompressVolume: lambda prey: image_convert.CompressVolume(
        prey.pool, "one.raw", "raw", str(prey.folder / "stock" / "new.qcow2")
    ),
    image_chain.RebaseImage: lambda prey: image_chain.RebaseImage(prey.pool, "top.qcow2", "", "", prey.low),
    image_chain.CommitImage: lambda prey: image_chain.CommitImage(prey.pool, "top.qcow2", prey.low),
    block_scheduler.SetIoScheduler: lambda _prey: block_scheduler.SetIoScheduler("none-such", "none"),
}
_PLUG = "<interface type='bridge'><source bridge='br9'/></interface>"
_VOLUME = "<volume><name>new.raw</name><capacity>1024</capacity><target><format type='raw'/></target></volume>"
# Written by the kernel or qemu-img, or only read: a connection of libvirt's does not refuse them.
_WITHOUT_LIBVIRT = (
    *process.OPS, *findings.OPS, block_scheduler.SetIoScheduler, volume_streams.DownloadVolume, *image_check.OPS,
    *image_chain.OPS,
    image_convert.CompressVolume,
)  # fmt: skip
OF_LIBVIRT = [kind for kind in (*REQUESTS, *OF_PREY) if kind not in _WITHOUT_LIBVIRT]


def _image(path: Path) -> Path:
    """An empty image of 1 MiB."""
    path.write_bytes(bytes(1 << 20))
    return path


def _layers(root: ET.Element, folder: Path) -> str:
    """Give a domain a disk vdb that lies on another image, whose path is returned, and vdc to be copied."""
    under, over = folder / "under.qcow2", folder / "over.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(under), "1M"])
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(under), "-F", "qcow2", str(over)])
    devices = root.find("devices")
    assert devices is not None
    devices.extend([disk_xml(over, "vdb"), disk_xml(_image(folder / "copied.raw"), "vdc", kind="raw")])
    return str(over)


def _with_disk(root: ET.Element, image: Path) -> ET.Element:
    devices = root.find("devices")
    assert devices is not None
    devices.append(disk_xml(image, "vda", kind="raw"))
    return root


def _rich_xml(lab: LabHost, image: Path) -> ET.Element:
    """A domain with one of each that can be taken from it: an I/O thread, memory devices, a balloon, disk and drive."""
    root = _with_disk(blank_xml(Shape("rich", memory_mib=128, max_memory_mib=1024), lab.emulator), image)
    root.extend([element("iothreads", text="1"), element("currentMemory", text="96", unit="MiB")])
    devices = root.find("devices")
    assert devices is not None
    for balloon in devices.findall("memballoon"):
        balloon.set("model", "virtio")
    drive = element("disk", element("target", dev="sda", bus="sata"), element("readonly"), type="file", device="cdrom")
    devices.append(ET.fromstring(_nic("52:54:00:00:00:97")))
    devices.extend([ET.fromstring(DIMM), ET.fromstring(VIRTIO), drive])
    return root


def key_of(pid: int) -> str:
    """The key of a process: its pid, and its start in ticks since the machine booted (proc(5))."""
    return f"{pid}:{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"


@pytest.fixture
def prey(lab: LabHost, tmp_path: Path) -> Iterator[Prey]:
    """The host; a test must leave it as it was."""
    folder = tmp_path / "files"
    folder.mkdir()
    made = Prey(lab, folder)
    before = made.seen()
    yield made
    assert made.seen() == before


def values_of(action: Action, prey: Prey) -> dict[str, str]:
    """Values with which the action would change something."""
    given = {
        "domain.define": {"path": prey.new.file()},
        "domain.create": {"path": prey.new.file()},
        "domain.restore": {"path": prey.new.saved},
        "domain.rename": {"name": "other"},
        "domain.describe": {"title": "other"},
        "domain.vcpus": {"count": "3"},
        "domain.vcpus-max": {"maximum": "6"},
        "domain.save": {"path": str(prey.folder / "other.save")},
        "domain.pin": {"pins": "vcpu 0=0"},
        "domain.memory": {"amount": "12M"},
        "domain.memory-max": {"maximum": "512M"},
        "domain.memory-stats": {"period": "7"},
        "domain.memory-attach": {"size": "128M"},
        "domain.memory-resize": {"size": "64M"},
        "domain.scheduler": {"shares": "512"},
        "domain.memtune": {"hard": "512M"},
        "domain.iothread-del": {"number": "1"},
        "domain.monitor": {"command": "stop"},
        "domain.disk-attach": {"source": str(prey.spare), "format": "raw"},
        "domain.disk-detach": {"device": "vda"},
        "domain.disk-move": {"device": "vda", "pool": "stock"},
        "domain.disk-copy": {"device": "vda", "to": "stock/copy.raw"},
        "domain.disk-commit": {"device": "vdb"},
        "domain.disk-pull": {"device": "vdb"},
        "domain.snapshot-disk": {"device": "vdb", "name": "then"},
        "domain.disk-job": {"device": "vdc"},
        "domain.disk-resize": {"device": "vda", "size": "8M"},
        "domain.disk-tune": {"device": "vda", "total_iops": "100"},
        "domain.media": {"device": "sda", "source": str(prey.spare)},
        "domain.nic-attach": {"source": "office"},
        "domain.nic-detach": {"nic": _MAC},
        "domain.nic-link": {"nic": _MAC},
        "domain.nic-plug": {"nic": _MAC, "to": "bridge", "source": "br-office", "where": "persistent"},
        "domain.nic-limits": {"nic": _MAC, "inbound_average": "1M"},
        "network.define": {"name": "other", "address": "10.91.0.1/24"},
        "network.create": {"name": "other", "address": "10.91.0.1/24"},
        "network.edit": {"mtu": "1400"},
        "network.host-add": {"client": _MAC, "address": prey.address},
        "network.host-remove": {"host": "52:54:00:00:00:98"},
        "network.dns-remove": {"name": "printer"},
        "network.dns-add": {"address": "10.9.9.8", "names": "x"},
        "pool.define": {"name": "other", "target": str(prey.folder / "other")},
        "pool.create": {"name": "another", "target": str(prey.folder / "another")},
        "pool.scheduler": {"scheduler": "none"},
        "volume.create": {"name": "new.raw", "capacity": "1M"},
        "volume.clone": {"name": "two.raw"},
        "volume.convert": {"name": "new.raw", "format": "raw"},
        "volume.rebase": {"backing": ""},
        "volume.resize": {"capacity": "2M"},
        "volume.upload": {"file": str(prey.pool_file)},
        "volume.download": {"file": str(prey.folder / "down.raw")},
        "process.affinity": {"cpus": "0"},
        "finding.mute": {"reason": "known"},
        "process.pin": {"pins": "emulator=0"},
    }
    return given.get(action.id, {})


def test_every_request_is_tried() -> None:
    assert {*REQUESTS, *OF_PREY} == set(ops.request_types().values())


def test_the_prey_would_change(prey: Prey, tmp_path: Path) -> None:
    """What the other tests rest upon: without --read-only these actions have plans and these requests are taken."""
    with Deck(prey.lab.uri, tmp_path) as deck:
        deck.read("storage", "networks", processes=True)
        seen = read_open(deck.collector, ("block_jobs",), [prey.on.uuid])
        refused = {action.id for action in ACTIONS if not _plans(deck, seen, action, prey)}
        # Whether the disk below a pool has a choice of schedulers is the machine's.
        nothing = {"domain.resume", "finding.unmute"}
        assert refused - {"pool.scheduler"} == nothing, "nothing is paused or muted here"


def _plans(deck: Deck, seen: HostSnapshot, action: Action, prey: Prey) -> int:
    found = 0
    for target in targets_of(action, prey):
        try:
            plan = deck.plan_of(seen, action.id, target, values_of(action, prey))
        except FieldError:
            continue
        found += len(plan.steps)
    return found


def targets_of(action: Action, prey: Prey) -> list[list[str]]:
    """Each thing that the action could be tried on."""
    if action.kind is Kind.HOST:
        return [[]]
    if action.kind is Kind.POOL:
        return [["stock"], ["idle"]]
    if action.kind is Kind.VOLUME:
        return [["stock/top.qcow2"], ["stock/one.raw"]]
    if action.kind is Kind.NETWORK:
        return [["office"], ["quiet"]]
    if action.kind is Kind.FINDING:
        return [[f"network.orphans:{prey.network}"]]
    return [[str(prey.pid)]] if action.kind is Kind.PROCESS else [[name] for name in prey.domains]


def test_no_action_makes_a_plan(prey: Prey, tmp_path: Path) -> None:
    for uri in (prey.lab.uri, prey.lab.uri_readonly):
        with Deck(uri, tmp_path, read_only=True) as deck:
            seen = deck.read("storage", "networks", processes=True)
            assert seen.connection.read_only
            assert set(prey.domains) <= {domain.raw_name for domain in seen.domains.values()}
            for action in ACTIONS:
                for target in targets_of(action, prey):
                    with pytest.raises(FieldError, match="virtdeck runs with --read-only"):
                        deck.plan_of(seen, action.id, target, values_of(action, prey))


def test_no_action_escapes_on_the_command_line(
    prey: Prey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process, which saves the half second that Python takes to start; one below is a program of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for action, how in itertools.product(ACTIONS, ("--yes", "--plan")):
        target = targets_of(action, prey)[0]
        given = [f"--set={name}={value}" for name, value in values_of(action, prey).items()]
        assert cli.run(["--read-only", "-c", prey.lab.uri, "do", action.id, *target, *given, how]) == 1
        out, err = capfd.readouterr()
        assert (out, "runs with --read-only" in err) == ("", True), action.id
    assert not (tmp_path / "state").exists(), "what was not done is not in the journal"


def test_read_only_may_stand_before_and_behind_the_command(prey: Prey, tmp_path: Path) -> None:
    for words in (["--read-only", "do", "domain.destroy", "on"], ["do", "domain.destroy", "on", "--read-only"]):
        done = virtdeck(prey.lab.uri, tmp_path, *words, "--yes")
        assert (done.returncode, done.stdout) == (1, "")
        assert "virtdeck runs with --read-only" in done.stderr


def test_no_request_is_carried_out(prey: Prey, tmp_path: Path) -> None:
    """Nor would libvirt do what got past the guard: the connections of a read-only run are read-only themselves."""
    for uri in (prey.lab.uri, prey.lab.uri_readonly):
        with Deck(uri, tmp_path, read_only=True) as deck:
            deck.read()
            for kind in (*REQUESTS, *OF_PREY):
                with pytest.raises(ReadOnlyError, match="started with --read-only"):
                    ops.execute(prey.request(kind), deck.collector)
            for kind in OF_LIBVIRT:
                with pytest.raises(OpError) as caught:
                    ops._OPS[kind](prey.request(kind), deck.collector)
                assert caught.value.code == libvirt.VIR_ERR_OPERATION_DENIED


def test_a_read_only_socket_refuses_without_the_option(prey: Prey, tmp_path: Path) -> None:
    """Somebody who may only read gets libvirt's refusal, with what to do about it."""
    with Deck(prey.lab.uri_readonly, tmp_path) as deck:
        deck.read()
        for kind in OF_LIBVIRT:
            with pytest.raises(OpError) as caught:
                ops.execute(prey.request(kind), deck.collector)
            assert caught.value.code == libvirt.VIR_ERR_OPERATION_DENIED
            assert "run as root" in caught.value.advice
        done = virtdeck(prey.lab.uri_readonly, tmp_path, "do", "domain.destroy", "on", "--yes")
        assert (done.returncode, done.stdout) == (1, "")
        assert "run as root" in done.stderr


def test_a_broken_guard_would_be_noticed(prey: Prey, tmp_path: Path) -> None:
    """Nothing but the guard saves a process, and its test fails when there is none."""
    pid = prey.lab.spawn_unmanaged("other", arguments=["-S"])
    with Deck(prey.lab.uri, tmp_path, read_only=True) as deck:
        deck.read()
        deck.collector.read_only = False
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), pytest.raises(ReadOnlyError):
            ops.execute(process.KillProcess(key_of(pid)), deck.collector)
    wait_until(lambda: not is_alive(pid), "the end of QEMU")
