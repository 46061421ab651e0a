"""Disks that a server on the network exports (NBD): seen by a real guest, and guarded as images of the host are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.actions import Deck
from tests.lab.block_words import failed
from tests.lab.disk_words import StorageDeck, boot, done, expect_sectors, seen, undo
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tui.actions.base import FieldError


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[Deck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path) as made:
        yield made


def export(lab: LabHost, image: Path, *words: str) -> None:
    """Have a server inside of the lab export an image under the name `vol`."""
    lab.spawn(["qemu-nbd", "-t", "-e", "4", "-f", "raw", "-x", "vol", *words, str(image)])


def export_on_socket(lab: LabHost, image: Path) -> str:
    """The URL of an image that is exported on a unix socket."""
    socket = Path(f"{image}.sock")
    export(lab, image, "-k", str(socket))
    wait_until(socket.exists, "the server's socket")
    return f"nbd+unix:///vol?socket={socket}"


def test_a_guest_writes_to_an_export(lab: LabHost, deck: Deck, name: str) -> None:
    image = lab.create_image(f"{name}.raw", size_mib=4, kind="raw")
    url = export_on_socket(lab, image)
    boot(lab, name, "pc")
    lab.define_blank(f"{name}-other")
    with lab.console(name) as console:
        job = done(deck.run(deck.plan("domain.disk-attach", name, source=url, where="live")))
        expect_sectors(console, "vda", 4 * 2048)
        assert console.run("yes | dd of=/dev/vda bs=512 count=8; sync")[0] == 0
        with pytest.raises(FieldError, match=f"{name} uses it as vda; two that write would ruin it"):
            deck.plan("domain.disk-attach", f"{name}-other", source=url)
        with pytest.raises(FieldError, match="it has no disk that can be copied"):
            deck.plan("domain.disk-copy", name, device="vda", to=f"{lab.images}/{name}-copy")
        undo(deck, job)
        expect_sectors(console, "vda", 0)
    assert image.read_bytes()[:4] == b"y\ny\n"


def test_what_an_export_holds_is_looked_at(lab: LabHost, deck: Deck, name: str) -> None:
    """A qcow2 image in it, given to a guest as raw, would be ruined."""
    image = lab.create_image(f"{name}.qcow2", size_mib=4)
    url = export_on_socket(lab, image)
    lab.define_blank(name)
    with pytest.raises(FieldError, match="its header says qcow2; as raw the guest would ruin it"):
        deck.plan("domain.disk-attach", name, source=url, format="raw")
    done(deck.run(deck.plan("domain.disk-attach", name, source=url)))
    assert "<driver name='qemu' type='qcow2'/>" in seen(lab, name).config


def test_over_tcp_and_with_nobody_there(lab: LabHost, deck: Deck, name: str) -> None:
    """The lab has a loopback of its own, so that nobody outside can read the header."""
    export(lab, lab.create_image(f"{name}.raw", size_mib=4, kind="raw"), "-b", "127.0.0.1", "-p", "10810")
    lab.define_blank(name, start=True)
    with pytest.raises(FieldError, match="its header cannot be read from here; say whether it is raw or qcow2"):
        deck.plan("domain.disk-attach", name, source="nbd://127.0.0.1:10810/vol")
    values = {"format": "raw", "where": "live"}
    wait_until(lambda: "10810" in lab.run(["ss", "-ltn"]).stdout, "the server to listen")
    done(deck.run(deck.plan("domain.disk-attach", name, source="nbd://127.0.0.1:10810/vol", **values)))
    assert "<host name='127.0.0.1' port='10810'/>" in seen(lab, name).live
    before = seen(lab, name)
    text = failed(deck.run(deck.plan("domain.disk-attach", name, source="nbd://127.0.0.1:10811/vol", **values)))
    assert "Connection refused" in text
    assert seen(lab, name) == before
