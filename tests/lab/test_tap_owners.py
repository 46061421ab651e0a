"""Who holds a tap open, in which namespace it is, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.link_words import Watching, link_of, read_once
from tests.lab.own_net import OwnNet, knows_kind
from tui.sources.taps import read_tap_owners

_HOLD = """
import fcntl, os, struct, sys, time
name, queues = sys.argv[1].encode(), int(sys.argv[2])
flags = 0x0002 | 0x1000 | (0x0100 if queues > 1 else 0)
held = []
for _ in range(queues):
    held.append(os.open("/dev/net/tun", os.O_RDWR))
    fcntl.ioctl(held[-1], 0x400454CA, struct.pack("16sH", name, flags))
print("ready", flush=True)
time.sleep(600)
"""
_OPEN = "import os, sys, time; os.open(sys.argv[1], os.O_RDWR); print('ready', flush=True); time.sleep(600)"


@contextmanager
def holding(script: str, *arguments: str, netns: str = "") -> Iterator[int]:
    """Run a script until it says "ready"; its process id."""
    inside = ["ip", "netns", "exec", netns] if netns else []
    process = subprocess.Popen([*inside, sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def owners_at(net: OwnNet, name: str, netns: str = "") -> list[tuple[int, int]]:
    """Process ids and queues of who holds a tap."""
    links = read_once()
    found = read_tap_owners(links.links.values(), net.key())
    return [(owner.pid, owner.queues) for owner in found.get(link_of(links, name, net.key(netns)).key, ())]


def test_the_process_that_holds_a_tap(net: OwnNet) -> None:
    with holding(_HOLD, "tap0", "1") as pid:
        assert owners_at(net, "tap0") == [(pid, 1)]


def test_queues_are_counted(net: OwnNet) -> None:
    with holding(_HOLD, "tap0", "3") as pid:
        assert owners_at(net, "tap0") == [(pid, 3)]


def test_taps_of_one_name_in_several_namespaces(net: OwnNet) -> None:
    net.add_netns("a", "b")
    with holding(_HOLD, "tap0", "1", netns="a") as first, holding(_HOLD, "tap0", "1", netns="b") as second:
        assert owners_at(net, "tap0", "a") == [(first, 1)]
        assert owners_at(net, "tap0", "b") == [(second, 1)]


def test_a_tap_that_was_moved_to_another_namespace(net: OwnNet) -> None:
    net.add_netns("a", "b")
    with holding(_HOLD, "tap0", "1", netns="a") as pid, holding(_HOLD, "tap0", "1") as other:
        net.ip("link", "set", "tap0", "netns", "b", netns="a")
        assert owners_at(net, "tap0", "b") == [(pid, 1)]
        assert owners_at(net, "tap0") == [(other, 1)]


def test_a_macvtap_and_its_device_file(net: OwnNet) -> None:
    if not knows_kind("macvtap"):
        pytest.skip("kernel lacks macvtap")
    net.ip("link", "add", "low", "type", "veth", "peer", "name", "low-peer")
    net.ip("link", "add", "mt0", "link", "low", "type", "macvtap", "mode", "bridge")
    index = link_of(read_once(), "mt0", net.key()).index
    path = f"/dev/tap{index}"
    if not os.path.exists(path):
        pytest.skip("kernel lacks devtmpfs: no device file for a macvtap")
    with holding(_OPEN, path) as pid:
        assert owners_at(net, "mt0") == [(pid, 1)]


def test_owners_are_followed(net: OwnNet) -> None:
    with Watching() as watching:
        with holding(_HOLD, "tap0", "1") as pid:
            key = watching.link("tap0", net.key()).key
            links = watching.until(lambda links: key in links.owners, "the owner")
            (owner,) = links.owners[key]
            assert (owner.pid, owner.queues) == (pid, 1)
            assert owner.name.startswith("python")
        watching.until(lambda links: key not in links.owners, "the end of the owner")


def test_a_tap_is_handed_to_another_process(net: OwnNet) -> None:
    """As libvirt does with QEMU: it is made by the one and held by the other, and no event tells when."""
    net.ip("tuntap", "add", "tap0", "mode", "tap")
    with Watching() as watching:
        key = watching.link("tap0", net.key()).key
        assert key not in watching.links.owners
        with holding(_HOLD, "tap0", "1") as pid:
            links = watching.until(lambda links: key in links.owners, "the owner")
            assert [owner.pid for owner in links.owners[key]] == [pid]
