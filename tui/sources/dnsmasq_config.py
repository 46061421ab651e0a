"""What dnsmasq(8) was told, by its arguments and its configuration files."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tui.model.dnsmasq import DhcpRange

DEFAULT_CONFIG = "/etc/dnsmasq.conf"
DEFAULT_LEASES = "/var/lib/misc/dnsmasq.leases"

Read = Callable[[str], str | None]
"""Path as the process sees it → content of the file; None when it cannot be read."""
List = Callable[[str], list[str]]
"""Path of a folder as the process sees it → the names in it."""

_LONG = {
    "C": "conf-file", "7": "conf-dir", "i": "interface", "a": "listen-address", "F": "dhcp-range",
    "l": "dhcp-leasefile", "6": "dhcp-script", "9": "leasefile-ro",
}  # fmt: skip
"""Short options that matter here; dnsmasq's own names for them."""
_SEPARATE = frozenset({"conf-dir", "interface", "listen-address", "dhcp-range", "dhcp-script"})
"""Those whose value may also be the next argument; conf-file and dhcp-leasefile want it behind an equals sign."""
_BARE = frozenset("951yZDNLERKzowefnbvhdkq")
"""Short options that take no value, which may stand together as in -kd."""
_DEEPEST = 8
_MOST_FILES = 1000
"""Files that are read for one dnsmasq: a folder in whose files it is named itself would else never come to an end."""


@dataclass(slots=True)
class DnsmasqConfig:
    """What matters of all that a dnsmasq was told; texts as they were written."""

    interfaces: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    ranges: list[DhcpRange] = field(default_factory=list)
    serves_dhcp: bool = False
    config_path: str = ""
    lease_path: str = ""
    """The lease file; "" where it keeps none (leasefile-ro)."""
    script: str = ""
    """The program that is told of each lease (dhcp-script)."""


def parse_config(arguments: Sequence[str], read: Read, names: List) -> DnsmasqConfig:
    """Return what the arguments of a dnsmasq (without its own name) and the files that they name say."""
    config = DnsmasqConfig()
    options = list(_options(arguments))
    files = [value for name, value in options if name == "conf-file"]
    if not files:
        options.insert(0, ("conf-file", DEFAULT_CONFIG))
    config.config_path = files[0] if files else DEFAULT_CONFIG
    lease_path, keeps_none = "", False
    for name, value in _expanded(options, _limited(read), names, 0):
        if name == "dhcp-leasefile":
            lease_path = value
        elif name == "leasefile-ro":
            keeps_none = True
        else:
            _take(config, name, value)
    if config.serves_dhcp and not keeps_none:
        config.lease_path = lease_path or DEFAULT_LEASES
    return config


def _limited(read: Read) -> Read:
    left = iter(range(_MOST_FILES))
    return lambda path: None if next(left, None) is None else read(path)


def _take(config: DnsmasqConfig, name: str, value: str) -> None:
    if name == "interface":
        config.interfaces += _listed(value)
    elif name == "listen-address":
        config.addresses += _listed(value)
    elif name == "dhcp-script":
        config.script = value
    elif name == "dhcp-range":
        config.serves_dhcp = True
        if (found := parse_range(value)) is not None:
            config.ranges.append(found)


def parse_range(value: str) -> DhcpRange | None:
    """Return the addresses of a dhcp-range; None where none are given out (static, proxy, router advertisements)."""
    words = [word.strip() for word in value.split(",")]
    while words and not _is_address(words[0]):
        words.pop(0)
    if not words:
        return None
    if len(words) > 1 and _is_address(words[1]) and not _is_netmask(words[1]):
        return DhcpRange(words[0], words[1])
    idle = {"static", "proxy", "ra-only", "ra-stateless", "slaac"} & set(words)
    return None if idle else DhcpRange(words[0], words[0])


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def _is_netmask(word: str) -> bool:
    return word.startswith("255.")


def _listed(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each option, as getopt_long(3) finds them; of options that do not matter here the value
    may be taken for an argument, which does no harm."""
    rest = iter(arguments)
    for word in rest:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not equals and name in _SEPARATE:
                value = next(rest, "")
            yield name, value
        elif word.startswith("-") and len(word) > 1:
            yield from _short(word[1:], rest)


def _short(letters: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    for place, letter in enumerate(letters):
        if letter in _BARE:
            if letter in _LONG:
                yield _LONG[letter], ""
            continue
        value = letters[place + 1 :] or next(rest, "")
        if letter in _LONG:
            yield _LONG[letter], value
        return


def _expanded(options: Iterable[tuple[str, str]], read: Read, names: List, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the options with those of the files and folders that they name in their places."""
    for name, value in options:
        if name == "conf-file" and depth < _DEEPEST:
            yield from _expanded(_lines(read(value) or ""), read, names, depth + 1)
        elif name == "conf-dir" and depth < _DEEPEST:
            for path in _files_of(value, names):
                yield from _expanded(_lines(read(path) or ""), read, names, depth + 1)
        else:
            yield name, value


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each line of a configuration file."""
    for line in text.split("\n"):
        line = line.split(" #")[0].strip()
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip().strip('"')


def _files_of(value: str, names: List) -> Iterator[str]:
    """Yield the files of a conf-dir, as "/etc/dnsmasq.d,*.conf" or "/etc/dnsmasq.d,.bak" says: all but those that
    end so, or only those that do."""
    folder, *endings = _listed(value)
    only = tuple(ending[1:] for ending in endings if ending.startswith("*"))
    never = tuple(ending for ending in endings if not ending.startswith("*"))
    for name in sorted(names(folder)):
        hidden = name.startswith((".", "#")) or name.endswith(("~", "#", *never))
        if not hidden and (not only or name.endswith(only)):
            yield os.path.join(folder, name)
