"""The dnsmasq processes of this machine, in whichever namespaces they run, and the leases that they gave."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterable, Iterator

from tui.model.dnsmasq import Dnsmasq, Lease
from tui.model.text import clean
from tui.sources.dnsmasq_config import DnsmasqConfig, parse_config
from tui.sources.qemu_proc import executable_of, list_pids, read_file, read_stat

_PROGRAM = "dnsmasq"
_LARGEST = 1 << 20
_LIBVIRT_FOLDER = "/libvirt/dnsmasq"


def read_dnsmasqs() -> tuple[Dnsmasq, ...]:
    """Return every dnsmasq that runs, by pid; what may not be read of it is unknown. The helper that it forks to run
    scripts is left out."""
    found = {pid: argv for pid in list_pids() if (argv := _arguments(pid)) is not None}
    made = (_dnsmasq(pid, argv, found) for pid, argv in sorted(found.items()))
    return tuple(dnsmasq for dnsmasq in made if dnsmasq is not None)


def _arguments(pid: int) -> list[str] | None:
    """Return the arguments of a dnsmasq; None for other processes and what is gone."""
    executable = executable_of(pid)
    if executable is None or os.path.basename(executable) != _PROGRAM:
        return None
    words = (read_file(f"/proc/{pid}/cmdline") or b"").rstrip(b"\0").split(b"\0")
    return [os.fsdecode(word) for word in words[1:]]


def _dnsmasq(pid: int, argv: list[str], others: dict[int, list[str]]) -> Dnsmasq | None:
    figures = read_stat(f"/proc/{pid}")
    if figures is None or others.get(figures.parent) == argv:
        return None
    config = parse_config(argv, lambda path: _read(pid, path), lambda path: _names(pid, path))
    network, status_path = _libvirt(config)
    lease_path = status_path or config.lease_path
    return Dnsmasq(
        key=f"{pid}:{figures.start_ticks}",
        pid=pid,
        netns=_netns(pid),
        interfaces=tuple(dict.fromkeys(config.interfaces)),
        addresses=tuple(dict.fromkeys(map(clean, config.addresses))),
        ranges=tuple(dict.fromkeys(config.ranges)),
        leases=_leases(pid, lease_path) if config.serves_dhcp and lease_path else None if config.serves_dhcp else (),
        network=clean(network),
        config_path=clean(config.config_path),
        lease_path=clean(lease_path),
    )


def _libvirt(config: DnsmasqConfig) -> tuple[str, str]:
    """Return the name of libvirt's network and the file that its lease helper keeps; "" for others."""
    folder, name = os.path.split(config.config_path)
    if not folder.endswith(_LIBVIRT_FOLDER) or not name.endswith(".conf"):
        return "", ""
    link = config.interfaces[0] if config.interfaces else ""
    return name.removesuffix(".conf"), os.path.join(folder, f"{link}.status") if link and config.script else ""


def _netns(pid: int) -> str:
    try:
        return str(os.stat(f"/proc/{pid}/ns/net").st_ino)
    except OSError:
        return ""


def _read(pid: int, path: str) -> str | None:
    """Return a file as the process sees it, up to 1 MiB; None for what is no plain file or may not be read."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(_outside(pid, path), flags)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, _LARGEST).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _names(pid: int, folder: str) -> list[str]:
    try:
        return os.listdir(_outside(pid, folder))
    except (OSError, ValueError):
        return []


def _outside(pid: int, path: str) -> str:
    """Return where we find what the process finds at `path`: its root may be another, and it may have begun
    elsewhere."""
    if path.startswith("/"):
        return f"/proc/{pid}/root{path}"
    return f"/proc/{pid}/cwd/{path}"


def _leases(pid: int, path: str) -> tuple[Lease, ...] | None:
    """Return the leases of a lease file, which is not there before the first of them; None where it cannot be read."""
    text = _read(pid, path)
    if text is None:
        return () if _is_missing(pid, path) else None
    now_s = time.time()
    found = parse_status(text) if path.endswith(".status") else parse_leases(text)
    if found is None:
        return None
    return tuple(lease for lease in found if lease.expires_s is None or lease.expires_s > now_s)


def _is_missing(pid: int, path: str) -> bool:
    try:
        os.stat(_outside(pid, path))
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


def parse_leases(text: str) -> Iterator[Lease]:
    """Yield the leases of dnsmasq's own file: expiry, MAC, address, host, client id; of DHCPv6 an IAID stands in
    place of the MAC. Lines that are none are left out."""
    for line in text.split("\n"):
        words = line.split(" ")
        if len(words) < 4 or not words[0].isdigit():
            continue
        mac = words[1] if ":" in words[1] else ""
        host = "" if words[3] == "*" else words[3]
        yield Lease(clean(words[2]), clean(mac), clean(host), int(words[0]) or None)


def parse_status(text: str) -> Iterable[Lease] | None:
    """Return the leases that libvirt's helper keeps of a network, in JSON; None while it is being written, and of a
    file that is longer than what is read."""
    try:
        entries = json.loads(text or "[]")
    except ValueError:
        return None
    if not isinstance(entries, list):
        return None
    return [
        Lease(
            clean(str(entry.get("ip-address", ""))),
            clean(str(entry.get("mac-address", ""))),
            clean(str(entry.get("hostname", ""))),
            _expiry(entry.get("expiry-time")),
        )
        for entry in entries
        if isinstance(entry, dict)
    ]


def _expiry(value: object) -> int | None:
    return value or None if isinstance(value, int) else None
