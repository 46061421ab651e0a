"""Which processes hold taps open: `iff:` of /proc/PID/fdinfo names the tap, the tap itself its namespace."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from tui.model.link import Link, TapOwner
from tui.model.text import clean
from tui.sources.qemu_proc import list_pids, read_link, read_name, tap_name

TAP_KINDS = frozenset({"tun", "macvtap", "ipvtap"})
"""The kinds of link that a process holds open."""
_PIDFD_GETFD = 438
_TUNGETDEVNETNS = 0x54E3
_TUN = "/net/tun"
_MACVTAP = re.compile(r"/dev/tap(\d+)$")
_libc = ctypes.CDLL(None, use_errno=True)


def read_tap_owners(links: Iterable[Link], home: str) -> dict[str, tuple[TapOwner, ...]]:
    """Return who holds the taps among these links, by link key; processes that may not be looked into are left out.
    `home`: the key of our own namespace."""
    by_name: dict[str, list[Link]] = {}
    by_index: dict[int, list[Link]] = {}
    for link in links:
        if link.kind == "tun":
            by_name.setdefault(link.raw_name, []).append(link)
        elif link.kind in TAP_KINDS:
            by_index.setdefault(link.index, []).append(link)
    if not by_name and not by_index:
        return {}
    held: dict[str, list[TapOwner]] = {}
    for pid in list_pids():
        for key, queues in _held_by(pid, by_name, by_index, home).items():
            held.setdefault(key, []).append(TapOwner(pid, clean(read_name(pid)), queues))
    return {key: tuple(sorted(owners, key=lambda owner: owner.pid)) for key, owners in held.items()}


def _held_by(
    pid: int, by_name: Mapping[str, list[Link]], by_index: Mapping[int, list[Link]], home: str
) -> Counter[str]:
    """The keys of the taps that a process holds, each with how often: once a queue."""
    found: Counter[str] = Counter()
    folder = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(folder)
    except OSError:
        return found
    for number in numbers:
        target, key = read_link(f"{folder}/{number}"), None
        if target.endswith(_TUN):
            key = _tun_key(pid, int(number), by_name)
        elif match := _MACVTAP.match(target):
            key = _macvtap_key(by_index.get(int(match[1]), []), pid, home)
        if key is not None:
            found[key] += 1
    return found


def _tun_key(pid: int, number: int, by_name: Mapping[str, list[Link]]) -> str | None:
    """The name is that in the tap's own namespace, and may be there in several: then the tap is asked."""
    links = by_name.get(tap_name(pid, number), [])
    if len(links) < 2:
        return links[0].key if links else None
    netns = _netns_of_tun(pid, number)
    return next((link.key for link in links if link.netns == netns), None)


def _netns_of_tun(pid: int, number: int) -> str | None:
    """The key of a tap's namespace: a copy of the process's own descriptor answers TUNGETDEVNETNS."""
    process = copy = netns = -1
    try:
        process = os.pidfd_open(pid)
        copy = _libc.syscall(_PIDFD_GETFD, process, number, 0)
        if copy < 0:
            return None
        netns = fcntl.ioctl(copy, _TUNGETDEVNETNS)
        return str(os.fstat(netns).st_ino)
    except OSError:
        return None
    finally:
        for one in (netns, copy, process):
            if one >= 0:
                os.close(one)


def _macvtap_key(links: list[Link], pid: int, home: str) -> str | None:
    """The device file has the ifindex in its name; where several namespaces have that, the process's own is meant, else
    our own."""
    if len(links) < 2:
        return links[0].key if links else None
    own = read_link(f"/proc/{pid}/ns/net")[5:-1]
    return next((link.key for where in (own, home) for link in links if link.netns == where), None)
