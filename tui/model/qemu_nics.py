"""NIC backends in QEMU's arguments: -netdev, -nic, -net and the devices that use them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tui.model.process import QemuNic
from tui.model.qemu_options import Options, parse_number, parse_options
from tui.model.text import clean

DEFAULT_BRIDGE = "br0"
"""The bridge that qemu-bridge-helper is asked for when none is named."""

TAP_KINDS = frozenset({"tap", "bridge"})
"""Backends that hold a tap of the host."""


@dataclass(frozen=True, slots=True)
class NicArgument:
    """A NIC and the file descriptors that QEMU was given for its tap."""

    nic: QemuNic
    fds: tuple[int, ...]


def parse_nics(arguments: Sequence[tuple[str | None, str]]) -> tuple[NicArgument, ...]:
    """Return the backends that the arguments name, in their order, with model and MAC of the device that uses each.
    QEMU's default NIC and default MACs are not in the arguments, hence not here."""
    found: list[NicArgument] = []
    devices = _devices(arguments)
    legacy = [options for kind, options in _legacy(arguments) if kind == "nic" and "netdev" not in options]
    for option, text in arguments:
        options = parse_options(text, "type")
        kind = options.get("type", "")
        if option == "netdev" and kind:
            found.append(_nic(kind, options, devices.get(options.get("id", ""), {})))
        elif option == "nic" and kind not in ("", "none"):
            found.append(_nic(kind, options, options))
        elif option == "net" and kind not in ("", "none", "nic"):
            found.append(_nic(kind, options, legacy.pop(0) if legacy else {}))
    return tuple(found)


def join_taps(nics: Sequence[NicArgument], taps: Mapping[int, str]) -> tuple[QemuNic, ...]:
    """Return the NICs with the tap names that open files prove (`taps`: descriptor → name). A tap goes to the
    NIC that was given its descriptor, else to the NIC that asked for its name or pattern (`vnet%d`); when as many
    NICs as taps are left they pair up in the order of QEMU's arguments and descriptors. Taps of no NIC come last."""
    free = list(dict.fromkeys(taps[fd] for fd in sorted(taps)))
    names: list[str | None] = []
    for item in nics:
        name = _proven_name(item, taps, free)
        names.append(name)
        if name in free:
            free.remove(name)
    open_nics = [index for index, item in enumerate(nics) if names[index] is None and item.nic.kind in TAP_KINDS]
    if len(open_nics) == len(free):
        for index in open_nics:
            names[index] = free.pop(0)
    pairs = zip(nics, names, strict=True)
    joined = [replace(item.nic, ifname=clean(name) if name else item.nic.ifname) for item, name in pairs]
    return (*joined, *(QemuNic(None, "tap", clean(name), None, None, None) for name in free))


def _proven_name(item: NicArgument, taps: Mapping[int, str], free: Sequence[str]) -> str | None:
    by_descriptor = next((taps[fd] for fd in item.fds if fd in taps), None)
    wanted = item.nic.ifname
    if by_descriptor is not None or wanted is None:
        return by_descriptor
    pattern = re.compile(r"[0-9]+".join(re.escape(part) for part in wanted.split("%d")))
    return next((name for name in free if pattern.fullmatch(clean(name))), None)


def _nic(kind: str, options: Options, device: Options) -> NicArgument:
    bridge = options.get("br")
    if bridge is None and (kind == "bridge" or "helper" in options):
        bridge = DEFAULT_BRIDGE
    mac = device.get("mac") or device.get("macaddr")
    model = device.get("driver") or device.get("model")
    texts = (options.get("id"), kind, options.get("ifname"), bridge, mac and mac.lower(), model)
    nic_id, nic_kind, *rest = (clean(text) if text else None for text in texts)
    return NicArgument(QemuNic(nic_id, nic_kind or "", *rest), _descriptors(options))


def _descriptors(options: Options) -> tuple[int, ...]:
    listed = f"{options.get('fd', '')}:{options.get('fds', '')}".split(":")
    return tuple(number for text in listed if (number := parse_number(text)) is not None)


def _legacy(arguments: Sequence[tuple[str | None, str]]) -> list[tuple[str, Options]]:
    parsed = [parse_options(text, "type") for option, text in arguments if option == "net"]
    return [(options.get("type", ""), options) for options in parsed]


def _devices(arguments: Sequence[tuple[str | None, str]]) -> dict[str, Options]:
    """Return the -device (or -net nic) that uses each netdev id."""
    devices: dict[str, Options] = {}
    for option, text in arguments:
        options = parse_options(text, "driver" if option == "device" else "type")
        if option in ("device", "net") and (netdev := options.get("netdev")):
            devices[netdev] = options
    return devices
