"""What libvirt would have let ruin an image, or refused halfway, is refused before anything is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tests.lab.actions import Deck
from tests.lab.disk_words import StorageDeck, boot, content, done, expect_sectors, holds, seen, virtual_size
from tests.lab.domain import Shape, disk_xml, guest_xml, text
from tests.lab.guest import guest_image
from tests.lab.host import LabHost
from tests.lab.namespaces import run, wait_until
from tui.actions.base import FieldError
from tui.model.journal import Status
from tui.model.plan import Plan

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_MIB = 1024 * 1024


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


def test_an_image_that_somebody_writes_to_is_not_attached(lab: LabHost, deck: Deck, name: str) -> None:
    image = lab.create_image(f"{name}.qcow2")
    other = f"{name}-other"
    lab.define_blank(other)
    lab.define_blank(name)
    with lab.connect() as connection:
        for each in (name, other):
            connection.lookupByName(each).attachDeviceFlags(text(disk_xml(image, "vda")), 2)
    assert all(holds(lab, each, image)[1] for each in (name, other)), "libvirt lets two write to one image"
    lab.virsh("detach-disk", other, "vda", "--config")
    link = lab.images / f"{name}-link"
    link.symlink_to(image)
    before = seen(lab, other)
    for path in (image, link):
        for values in ({}, {"read_only": "yes"}):
            with pytest.raises(FieldError, match=f"source: {name} uses it as vda when it runs; two that write"):
                deck.plan("domain.disk-attach", other, source=str(path), **values)
    overlay = lab.images / f"{name}-overlay.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", "qcow2", str(overlay)])
    with pytest.raises(FieldError, match=f"it lies on {image}, which {name} writes to as vda"):
        deck.plan("domain.disk-attach", other, source=str(overlay))
    assert seen(lab, other) == before


def test_what_lies_below_the_image_of_another_is_not_written_to(lab: LabHost, deck: Deck, name: str) -> None:
    """No lock guards it while that other domain is off."""
    base, overlay, other = lab.images / f"{name}-base", lab.images / f"{name}-overlay", f"{name}-other"
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(base), "1M"])
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base.name, "-F", "qcow2", str(overlay)])
    lab.define_blank(other)
    lab.virsh("attach-disk", other, str(overlay), "vda", "--subdriver", "qcow2", "--config")
    boot(lab, name, "pc")
    with pytest.raises(FieldError, match=f"source: {other} uses it below its vda when it runs; two that write"):
        deck.plan("domain.disk-attach", name, source=str(base))
    before = content(overlay)
    with lab.connect() as connection:
        connection.lookupByName(name).attachDeviceFlags(text(disk_xml(base, "vda")), _LIVE)
    with lab.console(name) as console:
        expect_sectors(console, "vda", 2048)
        assert console.run("yes | dd of=/dev/vda bs=512 count=8; sync")[0] == 0
    lab.virsh("destroy", name)
    assert content(overlay) != before, "libvirt let one guest change what the other's image lies on"


def test_undo_does_not_attach_what_somebody_took_since(lab: LabHost, deck: Deck, name: str) -> None:
    image, other = lab.create_image(f"{name}.qcow2"), f"{name}-other"
    lab.define_blank(name)
    lab.define_blank(other)
    done(deck.run(deck.plan("domain.disk-attach", name, source=str(image))))
    late = deck.plan("domain.disk-detach", name, device="vda")
    job = done(deck.run(late))
    done(deck.run(deck.plan("domain.disk-attach", other, source=str(image))))
    back = deck.run(Plan("undo", "undo", deck.entry(job).undo), job.entry.id)
    assert back.status is Status.FAILED
    assert f"{other} uses {image} as vda" in back.results[0].message
    assert (holds(lab, name, image)[1], holds(lab, other, image)[1]) == (False, True)


def test_two_may_share_an_image_that_both_say_is_shareable(lab: LabHost, deck: Deck, name: str) -> None:
    image = lab.create_image(f"{name}.raw", kind="raw")
    for each in (name, f"{name}-other"):
        lab.define_blank(each)
        done(deck.run(deck.plan("domain.disk-attach", each, source=str(image), shareable="yes")))
    lab.define_blank(f"{name}-third")
    with pytest.raises(FieldError, match="uses it as vda when it runs"):
        deck.plan("domain.disk-attach", f"{name}-third", source=str(image))


def test_a_qcow2_is_not_attached_as_raw(lab: LabHost, deck: Deck, name: str) -> None:
    image = lab.create_image(f"{name}.qcow2")
    boot(lab, name, "pc")
    with lab.connect() as connection:
        connection.lookupByName(name).attachDeviceFlags(text(disk_xml(image, "vdz", kind="raw")), _LIVE)
    with lab.console(name) as console:
        wait_until(lambda: console.run("ls /dev/vda")[0] == 0, "the guest to see the disk", timeout=20)
        assert console.run("dd if=/dev/zero of=/dev/vda bs=512 count=8; sync")[0] == 0
    assert b"QFI" not in image.read_bytes()[:4], "libvirt let the guest write over the header of the image"
    lab.virsh("detach-disk", name, "vdz", "--live")
    whole, header = (lab.create_image(f"{name}-{what}.qcow2") for what in ("whole", "header"))
    before = seen(lab, name).live
    with pytest.raises(FieldError, match="format: its header says qcow2; as raw the guest would ruin it"):
        deck.plan("domain.disk-attach", name, source=str(whole), format="raw")
    other = f"{name}-other"
    lab.define_blank(other)
    with lab.connect() as connection:
        connection.lookupByName(other).attachDeviceFlags(text(disk_xml(header, "vda", kind="raw")), 2)
    with pytest.raises(FieldError, match=f"format: its header says qcow2, but {other} reads it as raw"):
        deck.plan("domain.disk-attach", name, source=str(header), read_only="yes")
    assert seen(lab, name).live == before


def test_a_disk_is_not_shrunk(lab: LabHost, deck: Deck, name: str) -> None:
    image = lab.create_image(f"{name}.qcow2", size_mib=16)
    boot(lab, name, "pc", disk_xml(image, "vda"))
    with lab.connect() as connection:
        connection.lookupByName(name).blockResize("vda", 8 * _MIB, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    assert virtual_size(image) == 8 * _MIB, "libvirt cuts off half of a disk without a word"
    for size in ("4M", "8M", "-1M", "0"):
        with pytest.raises(FieldError, match=r"vda has 8\.0M already, and shrinking would cut off"):
            deck.plan("domain.disk-resize", name, device="vda", size=size)
    late = deck.plan("domain.disk-resize", name, device="vda", size="12M")
    lab.virsh("blockresize", name, "vda", "20M")
    job = deck.run(late)
    assert job.status is Status.FAILED
    assert "it has 20971520 bytes by now, which is more" in job.results[0].message
    assert virtual_size(image) == 20 * _MIB


def test_without_a_free_port_it_is_said_before(lab: LabHost, deck: Deck, name: str) -> None:
    images = [lab.create_image(f"{name}-{number}.qcow2", size_mib=1) for number in range(9)]
    shape = Shape(name=name, memory_mib=96, machine="q35")
    root = guest_xml(shape, guest_image(), lab.emulator, lab.root / "console" / f"{name}.log")
    lab.define(root, start=True)
    for image in images[:-1]:
        try:
            plan = deck.plan("domain.disk-attach", name, source=str(image), where="live")
        except FieldError as error:
            said = str(error)
            break
        done(deck.run(plan))
    assert said == "where: now: no free PCIe root port; X adds some for the next boot, or where: persistent"
    with lab.connect() as connection:
        found = connection.lookupByName(name)
        with pytest.raises(libvirt.libvirtError, match="No more available PCI slots"):
            found.attachDeviceFlags(text(disk_xml(images[-1], "vdz")), _LIVE)
    done(deck.run(deck.plan("domain.disk-attach", name, source=str(images[-1]), where="persistent")))


WRONG = (
    ({"bus": "sata"}, "bus: no sata disk goes into a running domain; choose virtio, or where: persistent"),
    ({"bus": "ide", "where": "persistent", "read_only": "yes"}, "read_only: there are no read-only ide disks"),
    ({"target": "sda"}, "target: on virtio it is called vda, vdb and so on"),
    ({"target": "vda"}, "target: now .* has a vda already"),
    ({"io": "native"}, "io: native goes with cache none or directsync"),
    ({"iothread": "1"}, "iothread: now .* has: none"),
    ({"shareable": "yes"}, "shareable: several can write to raw images alone; this is qcow2"),
    ({"serial": "a/b"}, "serial: must be letters, digits"),
    ({"source": "/nowhere/x"}, "source: /nowhere/x: No such file or directory"),
    ({"source": "/tmp"}, "source: /tmp is neither a file nor a block device"),
    ({"source": "nopool/x"}, "source: no pool nopool"),
    ({"source": ""}, "source: give a path, or POOL/VOLUME"),
)


def test_what_cannot_be_attached_or_detached_is_refused_and_changes_nothing(
    lab: LabHost, deck: Deck, name: str
) -> None:
    image, new = (lab.create_image(f"{name}{end}.qcow2") for end in ("", "-new"))
    fixed = lab.create_image(f"{name}-fixed.qcow2")
    boot(lab, name, "pc", disk_xml(image, "vda"), disk_xml(fixed, "sda", bus="sata"))
    before = seen(lab, name)
    for values, said in WRONG:
        with pytest.raises(FieldError, match=said):
            deck.plan("domain.disk-attach", name, **{"source": str(new), **values})
    with pytest.raises(FieldError, match="no sata disk leaves a running domain"):
        deck.plan("domain.disk-detach", name, device="sda")
    with pytest.raises(FieldError, match="device: no vdq there; it has: vda, sda"):
        deck.plan("domain.disk-detach", name, device="vdq")
    with pytest.raises(FieldError, match="it has no CD-ROM or floppy drive"):
        deck.plan("domain.media", name)
    assert seen(lab, name) == before
