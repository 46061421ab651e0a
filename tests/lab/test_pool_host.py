"""What the host has under a pool, on loop devices with filesystems of their own; and their I/O schedulers set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.lab.actions import run_commands, virtdeck
from tests.lab.host import LabHost
from tests.lab.namespaces import run, wait_until
from tests.lab.screen_words import open_deck
from tests.lab.storage_twins import StorageDeck
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, make_plan
from tui.model.journal import Status
from tui.model.plan import Plan, Step
from tui.model.pool_host import PoolHost
from tui.model.snapshot import HostSnapshot
from tui.ops.block_scheduler import SetIoScheduler, scheduler_path

_MIB = 1 << 20


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[StorageDeck]:
    """virtdeck on the lab's host."""
    made = StorageDeck(lab.uri, tmp_path / "home")
    with made:
        yield made


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[list[tuple[Path, str]]]:
    """Two folders with a filesystem of 32 MiB each, and the names of their loop devices."""
    with ExitStack() as stack:
        yield [stack.enter_context(mounted(tmp_path / name)) for name in ("one", "two")]


@contextmanager
def mounted(folder: Path) -> Iterator[tuple[Path, str]]:
    """A filesystem of its own there, on a loop device; skipped where a container has none."""
    folder.mkdir()
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(32 * _MIB)
    run(["mkfs.ext4", "-q", str(image)])
    attached = run(["losetup", "-f", "--show", str(image)], check=False)
    if attached.returncode:
        pytest.skip(f"no loop device here: {attached.stderr.strip()}")
    device = attached.stdout.strip()
    scheduler = Path(scheduler_path(device.removeprefix("/dev/")))
    before = used(scheduler.parts[3])
    try:
        run(["mount", device, str(folder)])
        try:
            yield folder, scheduler.parts[3]
        finally:
            run(["umount", str(folder)])
    finally:
        # The device keeps it for whoever has it next.
        scheduler.write_text(before)
        run(["losetup", "-d", device])


def used(device: str) -> str:
    """The scheduler that the kernel uses for a device."""
    return Path(scheduler_path(device)).read_text().partition("[")[2].partition("]")[0]


def read(deck: StorageDeck, *keys: str) -> HostSnapshot:
    """The host with what is under these pools."""
    deck.read()
    board = deck.collector.board
    assert board.wait(lambda seen: all(key in (seen.pool_hosts or {}) for key in keys), 20)
    return board.snapshot


def host_of(seen: HostSnapshot, key: str) -> PoolHost:
    """What is under a pool."""
    assert seen.pool_hosts is not None
    return seen.pool_hosts[key]


def plan_of(deck: StorageDeck, seen: HostSnapshot, key: str, **values: str) -> Plan:
    """The plan of another scheduler."""
    assert seen.storage is not None
    return make_plan(BY_ID["pool.scheduler"], Context(seen, deck.kept), [seen.storage.pools[key]], values)


def test_filesystem_and_devices_of_a_pool_are_seen(
    lab: LabHost, deck: StorageDeck, mounts: list[tuple[Path, str]]
) -> None:
    folder, device = mounts[0]
    key = lab.define_pool("own", folder)
    before = host_of(read(deck, key), key)
    assert (before.filesystem, before.read_only, before.problem) == ("ext4", False, "")
    assert before.size_bytes is not None
    assert 16 * _MIB < before.size_bytes < 32 * _MIB
    assert before.devices[0].name == device
    assert before.devices[0].scheduler == used(device)
    assert not before.devices[0].bottom
    (folder / "image").write_bytes(bytes(8 * _MIB))
    for number in range(10):
        (folder / str(number)).touch()
    after = host_of(read(deck, key), key)
    assert after.free_bytes is not None
    assert before.free_bytes is not None
    assert before.free_bytes - after.free_bytes >= 8 * _MIB
    assert after.free_inodes is not None
    assert before.free_inodes is not None
    assert before.free_inodes - after.free_inodes == 11


def test_it_is_read_again_while_somebody_looks(lab: LabHost, deck: StorageDeck, mounts: list[tuple[Path, str]]) -> None:
    folder, _device = mounts[0]
    key = lab.define_pool("own", folder)
    free = host_of(read(deck, key), key).free_inodes
    assert free is not None
    (folder / "new").touch()
    deck.collector.nudge(set())
    wait_until(
        lambda: host_of(deck.collector.board.snapshot, key).free_inodes == free - 1, "the new figures", timeout=20
    )


def test_scheduler_twins(lab: LabHost, deck: StorageDeck, mounts: list[tuple[Path, str]]) -> None:
    """virtdeck sets that of one device, the command that of the other; and both back."""
    (ours, our_device), (theirs, their_device) = mounts
    keys = [lab.define_pool("ours", ours), lab.define_pool("theirs", theirs)]
    first = "none"
    for device in (our_device, their_device):
        Path(scheduler_path(device)).write_text(first)
    seen = read(deck, *keys)
    other = next(name for name in host_of(seen, keys[0]).devices[0].schedulers if name != first)
    plan, by_hand = (
        plan_of(deck, seen, key, scheduler=other, device=device)
        for key, device in zip(keys, (our_device, their_device), strict=True)
    )
    job = deck.run(plan)
    assert job.status is Status.DONE, job.results
    run_commands(by_hand.steps)
    assert used(our_device) == used(their_device) == other
    again = read(deck, keys[0])
    assert host_of(again, keys[0]).devices[0].scheduler == other
    with pytest.raises(FieldError, match=f"{our_device} uses {other} already"):
        plan_of(deck, again, keys[0], scheduler=other, device=our_device)
    assert deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id).status is Status.DONE
    run_commands(by_hand.undo_steps())
    assert used(our_device) == used(their_device) == first


def test_what_cannot_be_set_is_refused_and_changes_nothing(
    lab: LabHost, deck: StorageDeck, mounts: list[tuple[Path, str]]
) -> None:
    folder, device = mounts[0]
    key = lab.define_pool("own", folder)
    seen = read(deck, key)
    first = used(device)
    with pytest.raises(FieldError, match=f"scheduler: {device} has .*mq-deadline"):
        plan_of(deck, seen, key, scheduler="nosuch", device=device)
    with pytest.raises(FieldError, match=f"device: must be disks, or one of: {device}"):
        plan_of(deck, seen, key, scheduler=first, device="nosuch")
    done = deck.run(plan_with(SetIoScheduler(device, "nosuch")))
    assert done.status is Status.FAILED
    assert "Invalid argument" in done.results[0].message
    gone = deck.run(plan_with(SetIoScheduler("nosuch9", "none")))
    assert "No such file" in gone.results[0].message
    outside = deck.run(plan_with(SetIoScheduler("../../etc", "none")))
    assert "is no block device" in outside.results[0].message
    assert used(device) == first


def plan_with(request: SetIoScheduler) -> Plan:
    """A plan of a request that no action makes."""
    return Plan("pool.scheduler", "test", (Step("test", ("true",), request, "key"),))


def test_a_pool_without_a_disk_of_this_machine_says_so(lab: LabHost, deck: StorageDeck, name: str) -> None:
    folder = Path("/dev/shm") / name
    folder.mkdir()
    try:
        key = lab.define_pool("shm", folder)
        seen = read(deck, key)
        assert host_of(seen, key).devices == ()
        with pytest.raises(FieldError, match=r"it is on no disk of this machine \(tmpfs\)"):
            plan_of(deck, seen, key, scheduler="none")
    finally:
        folder.rmdir()


def test_a_pool_whose_folder_went_says_so(lab: LabHost, deck: StorageDeck) -> None:
    path = lab.images / "going"
    key = lab.define_pool("going", path)
    path.rmdir()
    host = host_of(read(deck, key), key)
    assert (host.problem, host.devices) == (f"No such file or directory: {path}", ())


def test_the_command_line_reads_it_too(lab: LabHost, tmp_path: Path, mounts: list[tuple[Path, str]]) -> None:
    folder, device = mounts[0]
    lab.define_pool("own", folder)
    other = "none" if used(device) != "none" else "mq-deadline"
    values = ("--set", f"scheduler={other}", "--set", f"device={device}")
    done = virtdeck(lab.uri, tmp_path / "home", "do", "pool.scheduler", "own", *values, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"all that is on {device} is served by it" in done.stderr
    assert used(device) == other


def test_the_screen_shows_it_and_sets_it(lab: LabHost, tmp_path: Path, mounts: list[tuple[Path, str]]) -> None:
    folder, device = mounts[0]
    lab.define_pool("own", folder)
    Path(scheduler_path(device)).write_text("none")
    with open_deck(lab, tmp_path / "home", size=(160, 50)) as deck:
        deck.press("3")
        deck.focus("own")
        deck.expect(r"On the host")
        deck.expect(r"Filesystem +ext4")
        deck.expect(rf"Device +{device}\b")
        deck.expect(r"scheduler +none +mq-deadline")
        said = deck.act("f", scheduler="mq-deadline", device=device)
        assert f"all that is on {device} is served by it" in " ".join(said.split())
        deck.expect(r"scheduler +mq-deadline +none")
    assert used(device) == "mq-deadline"
