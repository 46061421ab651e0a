"""The life of a disk in real guests of both machine types: made, attached, written to, grown, committed, moved while
it is in use, detached; and the media of a drive beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.actions import Deck
from tests.lab.console import Console
from tests.lab.disk_words import StorageDeck, boot, done, expect_sectors, seen
from tests.lab.domain import disk_xml, element
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until

_WRITTEN_MIB = 12


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


def checksum(console: Console) -> str:
    """The checksum of what the guest has written to its second disk, read anew from it."""
    forget = "sync; echo 3 > /proc/sys/vm/drop_caches"
    status, output = console.run(f"{forget}; dd if=/dev/vdb bs=1M count={_WRITTEN_MIB} 2>/dev/null | md5sum")
    found = re.search(r"^([0-9a-f]{32})  -", output, re.MULTILINE)
    assert status == 0, output
    assert found, output
    return found[1]


def write(console: Console, mib: int, skip: int = 0) -> None:
    """Have the guest write random bytes to its second disk."""
    words = f"dd if=/dev/urandom of=/dev/vdb bs=1M count={mib} seek={skip} 2>/dev/null && sync"
    assert console.run(words)[0] == 0


def medium(console: Console) -> str:
    """The first bytes of what the guest finds in its drive; "" for none."""
    output = console.run("echo found $(dd if=/dev/sr0 bs=8 count=1 2>/dev/null) there")[1]
    found = re.search(r"^found ?(\w*) there$", output, re.MULTILINE)
    return found[1] if found else ""


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_the_life_of_a_disk(lab: LabHost, deck: Deck, name: str, machine: str) -> None:
    for pool in ("old", "new"):
        lab.define_pool(pool, lab.images / f"{name}-{pool}")
    media = [lab.images / f"{name}-{word}.iso" for word in ("one", "two")]
    for path, word in zip(media, (b"firstone", b"othertwo"), strict=True):
        path.write_bytes(word.ljust(1 << 20, b"\0"))
    drive = disk_xml(media[0], "sda", bus="scsi", kind="raw")
    drive.set("device", "cdrom")
    root = disk_xml(lab.create_image(f"{name}.qcow2", size_mib=8), "vda")
    boot(lab, name, machine, element("controller", type="scsi", model="virtio-scsi"), root, drive)
    with lab.console(name) as console:
        done(deck.run(deck.plan("domain.disk-attach", name, source="old/data", capacity="16M")))
        expect_sectors(console, "vdb", 16 * 2048)
        write(console, 8)
        done(deck.run(deck.plan("domain.disk-resize", name, device="vdb", size="+16M")))
        expect_sectors(console, "vdb", 32 * 2048)

        overlay = lab.images / f"{name}-old" / "overlay"
        snapshot_of(lab, name, overlay)
        write(console, 4, skip=8)
        before = checksum(console)
        job = done(deck.run(deck.plan("domain.disk-commit", name, device="vdb")))
        assert "vdb is" in job.results[0].message
        assert checksum(console) == before
        assert str(overlay) not in seen(lab, name).live + seen(lab, name).config

        done(deck.run(deck.plan("domain.disk-move", name, device="vdb", pool="new")))
        there = seen(lab, name)
        for side in (there.live, there.config):
            assert (side.count("-new/data'"), side.count("-old/data'")) == (1, 0)
        assert checksum(console) == before
        write(console, 1, skip=31)

        wait_until(lambda: medium(console) == "firstone", "the guest to read its drive", timeout=20)
        done(deck.run(deck.plan("domain.media", name, device="sda", source=str(media[1]))))
        wait_until(lambda: medium(console) == "othertwo", "the guest to read the other medium", timeout=20)

        done(deck.run(deck.plan("domain.disk-detach", name, device="vdb")))
        expect_sectors(console, "vdb", 0)
        assert "vdb" not in seen(lab, name).live + seen(lab, name).config


def snapshot_of(lab: LabHost, name: str, overlay: Path) -> None:
    """An external snapshot of vdb alone."""
    words = ("--disk-only", "--atomic", "--no-metadata", "--diskspec", f"vdb,file={overlay}")
    lab.virsh("snapshot-create-as", name, *words, "--diskspec", "vda,snapshot=no")
