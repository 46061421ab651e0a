"""What the host has under a pool: how it is read, shown, and what can be set of it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, make_plan
from tui.model.host import Connection, ConnectionState, Host
from tui.model.pool_host import BlockDevice, PoolHost
from tui.model.snapshot import HostSnapshot
from tui.model.storage import Pool, PoolState, Storage
from tui.panes.pool_host import host_lines
from tui.panes.spec import View
from tui.runtime.board import Board
from tui.runtime.pool_hosts import PoolHostReader
from tui.sources import filesystems
from tui.sources.filesystems import read_pool_host

GIB = 1 << 30
ALL = ("none", "mq-deadline", "kyber")


def pool(key: str = "p1", kind: str = "dir", path: str = "/srv", source: str = "", active: bool = True) -> Pool:
    """A pool of that kind."""
    state = PoolState.RUNNING if active else PoolState.INACTIVE
    return Pool(key, key, key, kind, state, False, True, None, None, None, path, path, source)


def disk(name: str, scheduler: str = "mq-deadline", *, bottom: bool = True, writable: bool = True) -> BlockDevice:
    """A device with three schedulers, one without any when its own is ""."""
    return BlockDevice(name, scheduler, ALL if scheduler else (), writable, bottom)


def snapshot(host: PoolHost | None, *, local: bool = True) -> HostSnapshot:
    """A host with one pool."""
    connection = Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False)
    here = Host("here", "QEMU", "9", "7", "x86_64", 1, 1, 1, local=local)
    storage = Storage({"p1": pool()}, {}, 0)
    hosts = {"p1": host} if host is not None else None
    return HostSnapshot(0, 0, connection, here, storage=storage, pool_hosts=hosts)


def shown(host: PoolHost | None) -> list[str]:
    """The lines of the detail."""
    view = View(snapshot(host), lambda _key, _length: ())
    return ["".join(span.text for span in line) for line in host_lines(view, pool())]


def test_what_is_shown() -> None:
    raid = (disk("md0", "", bottom=False), disk("sda"), disk("sdb", "none"))
    host = PoolHost("ext4", False, 10 * GIB, GIB // 4, 1000, 500, raid)
    assert shown(host) == [
        "", "On the host",
        "Filesystem   ext4",
        "Free space   256M of 10.0G",
        "Free inodes  500 of 1,000",
        "Device       md0",
        "  scheduler  none to choose",
        "Disk         sda",
        "  scheduler  mq-deadline  none kyber",
        "Disk         sdb",
        "  scheduler  none  mq-deadline kyber",
    ]  # fmt: skip
    view = View(snapshot(host), lambda _key, _length: ())
    assert [line[1].style for line in host_lines(view, pool())[3:5]] == ["bad", ""]
    assert shown(None) == []
    assert shown(PoolHost()) == []
    assert shown(PoolHost("tmpfs", True))[2:] == ["Filesystem   tmpfs, read-only", "on no disk of this machine"]
    assert shown(PoolHost(problem="No such file or directory: /srv")) == [
        "", "On the host", "No such file or directory: /srv",
    ]  # fmt: skip


def test_all_disks_at_the_bottom_are_set_and_undone_each_to_its_own(tmp_path: Path) -> None:
    host = PoolHost("xfs", devices=(disk("md0", "", bottom=False), disk("sda"), disk("sdb", "none"), disk("sdc")))
    context = Context(snapshot(host), tmp_path)
    plan = make_plan(BY_ID["pool.scheduler"], context, [pool()], {"scheduler": "none"})
    assert [step.command for step in plan.steps] == [
        ("awk", 'BEGIN { print "none" > "/sys/block/sda/queue/scheduler" }'),
        ("awk", 'BEGIN { print "none" > "/sys/block/sdc/queue/scheduler" }'),
    ]
    assert [step.title for step in plan.undo_steps()] == [
        "use I/O scheduler mq-deadline on sdc", "use I/O scheduler mq-deadline on sda",
    ]  # fmt: skip
    assert plan.notes[0] == "all that is on sda, sdb, sdc is served by it, not this pool alone"


@pytest.mark.parametrize(
    ("host", "local", "said"),
    [
        (PoolHost("ext4", devices=(disk("sda"),)), False, "the host is not this machine"),
        (None, True, "its disk is not read yet"),
        (PoolHost(problem="gone"), True, "its disk cannot be read: gone"),
        (PoolHost("nfs4"), True, r"it is on no disk of this machine \(nfs4\)"),
        (PoolHost("ext4", devices=(disk("dm-0", ""),)), True, "dm-0 has no I/O scheduler to choose"),
        (PoolHost("ext4", devices=(disk("sda", writable=False),)), True, "only root may set it"),
    ],
)
def test_why_it_cannot_be_set(tmp_path: Path, host: PoolHost | None, local: bool, said: str) -> None:
    with pytest.raises(FieldError, match=said):
        make_plan(BY_ID["pool.scheduler"], Context(snapshot(host, local=local), tmp_path), [pool()], {})


# Reading


@pytest.fixture
def sys_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /sys with partition sda1 of sda, and dm-0 on sda1 and sdb, as the kernel lays it out."""
    devices, numbers = tmp_path / "devices", tmp_path / "dev" / "block"
    numbers.mkdir(parents=True)
    for name, scheduler in (("sda", "[mq-deadline] none\n"), ("sdb", "none [bfq]\n"), ("dm-0", "none\n")):
        (devices / name / "queue").mkdir(parents=True)
        (devices / name / "queue" / "scheduler").write_text(scheduler)
        (devices / name / "slaves").mkdir()
    (devices / "sda" / "sda1").mkdir()
    (devices / "sda" / "sda1" / "partition").write_text("1\n")
    (devices / "dm-0" / "slaves" / "sda1").symlink_to(devices / "sda" / "sda1")
    (devices / "dm-0" / "slaves" / "sdb").symlink_to(devices / "sdb")
    for number, folder in (("8:0", "sda"), ("8:1", "sda/sda1"), ("8:16", "sdb"), ("253:0", "dm-0")):
        (numbers / number).symlink_to(devices / folder)
    monkeypatch.setattr(filesystems, "_SYS", tmp_path)
    return tmp_path


def test_devices_are_followed_through_partitions_and_mappings(sys_tree: Path) -> None:
    found = list(filesystems._devices([253 << 8]))
    assert [(device.name, device.scheduler, device.bottom) for device in found] == [
        ("dm-0", "", False), ("sda", "mq-deadline", True), ("sdb", "bfq", True),
    ]  # fmt: skip
    assert found[0].schedulers == ("none",)
    assert [device.name for device in filesystems._devices([8 << 8 | 1])] == ["sda"]
    assert list(filesystems._devices([99])) == []


def test_a_circle_of_devices_ends(sys_tree: Path) -> None:
    (sys_tree / "devices" / "sdb" / "slaves" / "dm-0").symlink_to(sys_tree / "devices" / "dm-0")
    assert [device.name for device in filesystems._devices([253 << 8])] == ["dm-0", "sda", "sdb"]


def test_of_mounts_at_one_place_the_last_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw",
        rf"23 22 8:2 / {tmp_path}/a\040b rw - xfs /dev/sdb rw",
        rf"24 23 0:40 / {tmp_path}/a\040b rw shared:1 - btrfs /dev/sd\040c rw",
    ]
    (tmp_path / "mounts").write_text("\n".join(lines))
    monkeypatch.setattr(filesystems, "_MOUNTS", tmp_path / "mounts")
    assert filesystems._mount_of(f"{tmp_path}/a b/deep") == filesystems._Mount("btrfs", "/dev/sd c")
    assert filesystems._mount_of(f"{tmp_path}/a bc").kind == "ext4"


def test_pools_that_are_no_folder_have_no_filesystem() -> None:
    assert read_pool_host(pool(kind="rbd", path="")) == PoolHost()
    assert read_pool_host(pool(kind="logical", path="/dev/vg", source="/dev/no-such vg")) == PoolHost()
    assert read_pool_host(pool(path="/no/such")).problem == "No such file or directory: /no/such"


def test_a_dead_server_keeps_back_only_its_own_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()
    real = filesystems.read_pool_host

    def read(asked: Pool) -> PoolHost:
        if asked.kind == "netfs":
            hung.wait(20)
        return real(asked)

    monkeypatch.setattr(filesystems, "read_pool_host", read)
    board = Board("qemu:///system", read_only=True, publish=lambda _snapshot: None)
    pools = [pool("nfs", "netfs", str(tmp_path)), pool("near", path=str(tmp_path)), pool("off", active=False)]
    board.update(storage=Storage({found.key: found for found in pools}, {}, time.time_ns()))
    reader = PoolHostReader(board, local=True)
    reader.start()
    reader.nudge()
    try:
        assert board.wait(lambda seen: seen.pool_hosts is not None, 20)
        assert set(board.snapshot.pool_hosts or {}) == {"near"}
        hung.set()
        assert board.wait(lambda seen: set(seen.pool_hosts or {}) == {"near", "nfs"}, 20)
    finally:
        hung.set()
        reader.stop()


def test_of_another_machine_nothing_is_read() -> None:
    board = Board("qemu+ssh://far/system", read_only=True, publish=lambda _snapshot: None)
    PoolHostReader(board, local=False).start()
    assert board.snapshot.pool_hosts == {}
