"""What a QEMU argument list says of its guest: name, vCPUs, memory, images, NICs, monitors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tui.model.qemu_drives import parse_drives
from tui.model.qemu_nics import NicArgument, parse_nics
from tui.model.qemu_options import Options, is_on, nested, parse_number, parse_options, parse_size, split_arguments
from tui.model.text import clean

if TYPE_CHECKING:
    from tui.model.process import QemuDrive

DEFAULT_MEMORY_KIB = 128 << 10
"""QEMU's own default of -m, for all but a few boards."""

_TOPOLOGY = ("drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads")
_MAX_VCPUS = 1 << 16
_PASSWORD = re.compile(r"(?<![\w-])(password|data)=(?:[^,]|,,)*")
_DISPLAYS = ("display", "vnc", "spice", "nographic", "curses", "sdl")

_Arguments = Sequence[tuple[str | None, str]]


class QmpSocket(NamedTuple):
    """A unix socket on which QEMU serves QMP."""

    path: str
    """As given, uncleaned; relative to the directory in which QEMU was started."""
    holds_start: bool
    """QEMU waits for the first client before it runs the guest, so that connecting would start it."""


@dataclass(frozen=True, slots=True)
class QemuArgs:
    """The facts of an argument list, cleaned for showing except for the paths of sockets and raw_path of drives."""

    name: str | None
    libvirt_name: str | None
    """The guest= part of -name when it is spelled out, as libvirt does."""
    uuid: str | None
    machine: str | None
    cpu_model: str | None
    accelerators: tuple[str, ...]
    """In the order in which QEMU tries them; its default where none is given."""
    vcpus: int
    vcpus_max: int
    memory_kib: int
    drives: tuple[QemuDrive, ...]
    nics: tuple[NicArgument, ...]
    qmp_sockets: tuple[QmpSocket, ...]
    displays: tuple[str, ...]
    pidfile: str | None
    daemonized: bool


def parse_qemu_args(args: Sequence[str]) -> QemuArgs:
    """Return what `args` (the program's name first) say; what cannot be understood is left out, nothing is raised.
    Files named by -readconfig are not read."""
    arguments = tuple(split_arguments(args[1:]))
    machine = _merged(arguments, ("machine", "M"), "type")
    name = _merged(arguments, ("name",), "guest")
    explicit = any(parse_options(text).get("guest") for option, text in arguments if option == "name")
    vcpus, vcpus_max = _vcpus(nested(machine, "smp") | _merged(arguments, ("smp",), "cpus"))
    return QemuArgs(
        name=_shown(name.get("guest") or name.get("process")),
        libvirt_name=_shown(name.get("guest")) if explicit else None,
        uuid=_shown(_last(arguments, "uuid")),
        machine=_shown(machine.get("type")),
        cpu_model=_shown(_last(arguments, "cpu")),
        accelerators=_accelerators(arguments, machine, args[0] if args else ""),
        vcpus=vcpus,
        vcpus_max=vcpus_max,
        memory_kib=_memory_kib(arguments, machine),
        drives=parse_drives(arguments),
        nics=parse_nics(arguments),
        qmp_sockets=_qmp_sockets(arguments),
        displays=_displays(arguments),
        pidfile=_shown(_last(arguments, "pidfile")),
        daemonized=any(option == "daemonize" for option, _ in arguments),
    )


def show_args(args: Iterable[str]) -> tuple[str, ...]:
    """Return an argument list cleaned for showing, with the passwords of -spice and -object secret blanked."""
    shown: list[str] = []
    for arg in args:
        secret = bool(shown) and (shown[-1].lstrip("-") == "spice" or arg.startswith("secret,"))
        shown.append(clean(_PASSWORD.sub(r"\1=…", arg) if secret else arg))
    return tuple(shown)


def _shown(text: str | None) -> str | None:
    return clean(text) if text else None


def _last(arguments: _Arguments, option: str) -> str | None:
    return next((text for name, text in reversed(arguments) if name == option), None)


def _merged(arguments: _Arguments, options: tuple[str, ...], implied: str) -> Options:
    """Return the keys of an option that QEMU merges when it is given more than once."""
    merged: Options = {}
    for option, text in arguments:
        if option in options:
            merged |= parse_options(text, implied)
    return merged


def _vcpus(smp: Options) -> tuple[int, int]:
    """Return (vCPUs, maximum) by QEMU's rules: without cpus= and maxcpus= the product of the topology, else the
    one stands in for the other."""
    counts = {key: number for key, text in smp.items() if (number := parse_number(text))}
    cpus, maximum = counts.get("cpus", 0), counts.get("maxcpus", 0)
    if not cpus and not maximum:
        cpus = prod(counts.get(key, 1) for key in _TOPOLOGY)
    maximum = min(maximum or cpus, _MAX_VCPUS)
    return min(cpus or maximum, maximum), maximum


def _memory_kib(arguments: _Arguments, machine: Options) -> int:
    """Return the guest's memory in KiB: -m, else the machine's memory backend, else the default; plus its DIMMs."""
    objects = [parse_options(text, "qom-type") for option, text in arguments if option == "object"]
    backends = {item.get("id", ""): parse_size(item.get("size")) or 0 for item in objects if "size" in item}
    given = nested(machine, "memory") | _merged(arguments, ("m",), "size")
    base = parse_size(given.get("size"), "m") or backends.get(machine.get("memory-backend", ""), 0)
    dimms = sum(backends.get(dimm, 0) for dimm in _dimms(arguments))
    return (base >> 10 or DEFAULT_MEMORY_KIB) + (dimms >> 10)


def _dimms(arguments: _Arguments) -> list[str]:
    devices = [parse_options(text, "driver") for option, text in arguments if option == "device"]
    return [item.get("memdev", "") for item in devices if item.get("driver") == "pc-dimm"]


def _accelerators(arguments: _Arguments, machine: Options, program: str) -> tuple[str, ...]:
    found = [parse_options(text, "accel").get("accel", "") for option, text in arguments if option == "accel"]
    found += machine.get("accel", "").split(":")
    if any(option == "enable-kvm" for option, _ in arguments):
        found.append("kvm")
    given = tuple(dict.fromkeys(clean(name) for name in found if name))
    return given or (("kvm", "tcg") if program.endswith("kvm") else ("tcg",))


def _qmp_sockets(arguments: _Arguments) -> tuple[QmpSocket, ...]:
    chardevs: dict[str, Options] = {}
    for option, text in arguments:
        if option == "chardev":
            options = parse_options(text, "backend")
            chardevs[options.get("id", "")] = options
    found: list[QmpSocket | None] = []
    for option, text in arguments:
        if option in ("qmp", "qmp-pretty"):
            found.append(_unix_server(text, chardevs))
        elif option == "mon" and (monitor := parse_options(text, "chardev")).get("mode") == "control":
            found.append(_socket(chardevs.get(monitor.get("chardev", ""), {})))
    return tuple(dict.fromkeys(socket for socket in found if socket is not None))


def _unix_server(text: str, chardevs: dict[str, Options]) -> QmpSocket | None:
    """Return the socket of `unix:PATH,server,nowait` or `chardev:ID`."""
    kind, _, rest = text.partition(":")
    if kind == "chardev":
        return _socket(chardevs.get(rest, {}))
    return _socket({"backend": "socket"} | parse_options(rest, "path")) if kind == "unix" else None


def _socket(chardev: Options) -> QmpSocket | None:
    if chardev.get("backend") != "socket" or not chardev.get("path"):
        return None
    if not is_on(chardev.get("server")) or is_on(chardev.get("abstract")):
        return None
    return QmpSocket(chardev["path"], holds_start=chardev.get("wait", "on") != "off")


def _displays(arguments: _Arguments) -> tuple[str, ...]:
    shown: list[str] = []
    for option, text in arguments:
        if option == "display":
            shown.append(text)
        elif option in _DISPLAYS:
            shown.append(f"{option} {show_args(['-' + option, text])[1]}".rstrip())
    return tuple(clean(text) for text in shown)
