"""Network namespaces of the lab as the program's readers take them, seen from outside of it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tui.model.link import Links, Netns, NetnsKind

_NEWNSID, _REQUEST_ACK = 88, 5
_NSID, _FD = 1, 3


def lab_netns(lab: LabHost) -> Netns:
    """The lab's own network namespace, which libvirtd and its networks are in."""
    pid = lab.namespaces.pid
    return Netns(_key(f"/proc/{pid}/ns/net"), "lab", "lab", NetnsKind.PROCESS, pid=pid)


@contextmanager
def made_netns(lab: LabHost, name: str) -> Iterator[Netns]:
    """A new namespace of the lab by its name; `lab.run(["ip", "-n", name, ...])` works in it."""
    lab.run(["ip", "netns", "add", name])
    path = f"/proc/{lab.namespaces.pid}/root/run/netns/{name}"
    lab.run(["ip", "-n", name, "link", "set", "lo", "up"])
    try:
        yield Netns(_key(path), name, name, NetnsKind.NAMED, paths=(path,))
    finally:
        lab.run(["ip", "netns", "delete", name], check=False)


def in_netns(lab: LabHost, netns: Netns, argv: Sequence[str]) -> str:
    """What a program says in a namespace of the lab."""
    prefix = ["ip", "netns", "exec", netns.raw_name] if netns.kind is NetnsKind.NAMED else []
    return lab.run([*prefix, *argv]).stdout


def links_of(*namespaces: Netns) -> Links:
    """Links that name these namespaces, and no link."""
    return Links({netns.key: netns for netns in namespaces}, {}, 0)


def number(netns: Netns) -> None:
    """Give a namespace a number in our own (RTM_NEWNSID), as the reader of links does: without it nothing is heard."""
    path = netns.paths[0] if netns.paths else f"/proc/{netns.pid}/ns/net"
    descriptor = os.open(path, os.O_RDONLY)
    body = bytes(4) + struct.pack("=HHiHHi", 8, _NSID, -1, 8, _FD, descriptor)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(struct.pack("=IHHII", 16 + len(body), _NEWNSID, _REQUEST_ACK, 1, 0) + body)
        (code,) = struct.unpack_from("=i", route.recv(4096), 16)
    os.close(descriptor)
    assert code in (0, -17), os.strerror(-code)


def _key(path: str) -> str:
    wait_until(Path(path).exists, path)
    return str(os.stat(path).st_ino)
