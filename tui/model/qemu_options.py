"""The grammar of QEMU's command line: options, key=value lists, sizes (qemu(1), QEMU's util/keyval.c)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

Options = dict[str, str]

FLAGS = frozenset(
    {
        "h",
        "help",
        "version",
        "audio-help",
        "S",
        "s",
        "daemonize",
        "preconfig",
        "snapshot",
        "nographic",
        "curses",
        "sdl",
        "portrait",
        "full-screen",
        "no-frame",
        "alt-grab",
        "ctrl-grab",
        "no-quit",
        "usb",
        "win2k-hack",
        "no-fd-bootchk",
        "no-acpi",
        "no-hpet",
        "no-reboot",
        "no-shutdown",
        "no-kvm",
        "no-kvm-irqchip",
        "no-kvm-pit",
        "no-kvm-pit-reinjection",
        "enable-kvm",
        "enable-hax",
        "enable-nesting",
        "mem-prealloc",
        "singlestep",
        "one-insn-per-tb",
        "semihosting",
        "old-param",
        "only-migratable",
        "nodefaults",
        "nodefconfig",
        "no-user-config",
        "enable-fips",
        "enable-sync-profile",
        "perfmap",
        "jitdump",
        "async-teardown",
        "xen-attach",
        "xen-create",
        "xen-domid-restrict",
        "tdf",
        "rtc-td-hack",
        "localtime",
    }
)
"""Options that take no argument, in any version of QEMU since 1.0."""

_COMMA = "\0"
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,15}|[0-9]{1,18}", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([bBkKmMgGtTpPeE]?)", re.ASCII)
_UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50, "e": 1 << 60}
_JSON_DEPTH = 32


def split_arguments(args: Iterable[str]) -> Iterator[tuple[str | None, str]]:
    """Yield (option without dashes, argument) for each option, and (None, argument) for a positional disk image."""
    rest = iter(args)
    for arg in rest:
        if not arg.startswith("-") or arg == "-":
            yield None, arg
            continue
        option = arg[2:] if arg.startswith("--") else arg[1:]
        yield option, "" if option in FLAGS else next(rest, "")


def parse_options(text: str, implied: str | None = None) -> Options:
    """Return the keys of `key=value,flag,...` or of its JSON form; `,,` is a comma within a value, a first
    value without a key belongs to `implied`, a flag reads "on", and `nofoo` also sets foo to "off"."""
    if text.startswith("{"):
        return _parse_json(text)
    options: Options = {}
    for index, part in enumerate(text.replace(",,", _COMMA).split(",")):
        key, equals, value = part.replace(_COMMA, ",").partition("=")
        if equals:
            options[key] = value
        elif index == 0 and implied is not None:
            options[implied] = key
        elif key:
            options[key] = "on"
            if key.startswith("no"):
                options[key[2:]] = "off"
    return options


def nested(options: Mapping[str, str], prefix: str) -> Options:
    """Return the options below `prefix`, such as `filename` for `file.filename` with the prefix "file"."""
    start = prefix + "."
    return {key[len(start) :]: value for key, value in options.items() if key.startswith(start)}


def is_on(value: str | None) -> bool:
    """Return whether an option's value means yes."""
    return value in ("on", "yes", "true", "y")


def parse_number(text: str | None) -> int | None:
    """Return a decimal or 0x number; None for anything else."""
    if text is None or not _NUMBER.fullmatch(text):
        return None
    return int(text, 16) if text[:2] in ("0x", "0X") else int(text)


def parse_size(text: str | None, default_unit: str = "b") -> int | None:
    """Return a size such as `1.5G` in bytes, a bare number in `default_unit`; None for anything else."""
    match = _SIZE.fullmatch(text or "")
    if match is None:
        return None
    unit = _UNITS[(match[2] or default_unit).lower()]
    return int(Fraction(match[1]) * unit)


def _parse_json(text: str) -> Options:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    options: Options = {}
    _flatten(value, "", options, _JSON_DEPTH)
    return options


def _flatten(value: object, key: str, options: Options, depth: int) -> None:
    items: Iterable[tuple[object, object]]
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        options[key] = _json_text(value)
        return
    for name, item in items if depth else ():
        _flatten(item, f"{key}.{name}" if key else str(name), options, depth - 1)


def _json_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)
