"""Disk images in QEMU's arguments: -hda, -drive, -blockdev and the devices that use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tui.model.process import QemuDrive
from tui.model.qemu_options import Options, is_on, nested, parse_options
from tui.model.text import clean

_SHORT_FORMS = {
    None: (None, "disk"),
    "hda": (None, "disk"),
    "hdb": (None, "disk"),
    "hdc": (None, "disk"),
    "hdd": (None, "disk"),
    "cdrom": (None, "cdrom"),
    "fda": ("floppy", "floppy"),
    "fdb": ("floppy", "floppy"),
    "sd": ("sd", "disk"),
    "mtdblock": ("mtd", "disk"),
    "pflash": ("pflash", "disk"),
}
"""Option → (interface, media); None as interface is the machine type's own default."""

_DEVICE_INTERFACES = {
    "virtio-blk": "virtio",
    "scsi-": "scsi",
    "ide-": "ide",
    "usb-storage": "usb",
    "nvme": "nvme",
    "floppy": "floppy",
    "sd-card": "sd",
}
_PROTOCOLS = frozenset(
    {
        "file",
        "host_device",
        "host_cdrom",
        "nbd",
        "rbd",
        "iscsi",
        "nfs",
        "ssh",
        "http",
        "https",
        "ftp",
        "ftps",
        "nvme",
        "null-co",
        "null-aio",
        "io_uring",
        "virtio-blk-vfio-pci",
        "virtio-blk-vhost-user",
        "virtio-blk-vhost-vdpa",
        "nvme-io_uring",
    }
)
_FILTERS = frozenset(
    {
        "throttle",
        "copy-on-read",
        "blkdebug",
        "blklogwrites",
        "blkverify",
        "compress",
        "preallocate",
        "snapshot-access",
    }
)
_CHILDREN = ("file", "image", "raw")
_LINKS = frozenset((*_CHILDREN, "backing", "data-file"))


def parse_drives(arguments: Sequence[tuple[str | None, str]]) -> tuple[QemuDrive, ...]:
    """Return the images that the arguments name, in their order; -blockdev chains as one drive, named by the
    image at the bottom. An interface is None where the machine type decides."""
    nodes = _block_nodes(arguments)
    roots = _roots(nodes)
    users = _users(arguments)
    drives: list[QemuDrive | None] = []
    for option, text in arguments:
        if option in _SHORT_FORMS:
            drives.append(_short(option, text))
        elif option == "drive":
            drives.append(_drive(parse_options(text), users))
        elif option == "blockdev" and (name := parse_options(text).get("node-name", "")) in roots:
            drives.append(_chain(name, nodes, users))
    return tuple(drive for drive in drives if drive is not None)


def _new(raw: str, form: str | None, interface: str | None, media: str, read_only: bool) -> QemuDrive | None:
    if not raw:
        return None
    image_format, bus = (None if value is None else clean(value) for value in (form, interface))
    return QemuDrive(clean(raw), raw, image_format, bus, clean(media), read_only)


def _short(option: str | None, raw: str) -> QemuDrive | None:
    interface, media = _SHORT_FORMS[option]
    return _new(raw, None, interface, media, media == "cdrom")


def _drive(options: Options, users: Mapping[str, Options]) -> QemuDrive | None:
    interface, media = options.get("if"), options.get("media", "disk")
    if interface == "floppy":
        media = "floppy"
    driver = options.get("driver")
    read_only = media == "cdrom" or is_on(options.get("readonly")) or is_on(options.get("read-only"))
    form = options.get("format") or (None if driver in _PROTOCOLS else driver)
    raw = options.get("file") or _location(options) or _location(nested(options, "file"))
    drive = _new(raw, form, None if interface == "none" else interface, media, read_only)
    return _used_by(drive, users.get(options.get("id", "")))


def _used_by(drive: QemuDrive | None, device: Options | None) -> QemuDrive | None:
    """Return `drive` with the interface and the medium that its device gives it."""
    driver = "" if device is None else device.get("driver", "")
    if drive is None or not driver:
        return drive
    bus = next((bus for prefix, bus in _DEVICE_INTERFACES.items() if driver.startswith(prefix)), clean(driver))
    if driver in ("scsi-cd", "ide-cd"):
        return replace(drive, interface=bus, media="cdrom", read_only=True)
    return replace(drive, interface=bus, media="floppy" if bus == "floppy" else drive.media)


def _users(arguments: Sequence[tuple[str | None, str]]) -> dict[str, Options]:
    """Return the -device (or pflash of -machine) that uses each drive id or block node."""
    users: dict[str, Options] = {}
    for option, text in arguments:
        if option == "device" and (drive := (device := parse_options(text, "driver")).get("drive")):
            users[drive] = device
        elif option in ("machine", "M"):
            options = parse_options(text, "type")
            users |= {options[key]: {"driver": "pflash"} for key in ("pflash0", "pflash1") if options.get(key)}
    return users


def _block_nodes(arguments: Sequence[tuple[str | None, str]]) -> dict[str, Options]:
    parsed = (parse_options(text) for option, text in arguments if option == "blockdev")
    return {name: options for options in parsed if (name := options.get("node-name"))}


def _roots(nodes: Mapping[str, Options]) -> set[str]:
    """Return the nodes that no other node stands on."""
    used = {value for options in nodes.values() for key, value in options.items() if _is_link(key)}
    return set(nodes) - used


def _is_link(key: str) -> bool:
    parts = key.split(".")
    return parts[-1] in _LINKS or (len(parts) > 1 and parts[-2] == "children")


def _chain(name: str, nodes: Mapping[str, Options], users: Mapping[str, Options]) -> QemuDrive | None:
    """Return the drive whose topmost block node is `name`."""
    links = _descend(nodes[name], nodes)
    drivers = [link.get("driver", "") for link in links]
    form = next((driver for driver in drivers if driver and driver not in _PROTOCOLS | _FILTERS), "raw")
    raw = next((path for link in reversed(links) if (path := _location(link))), "")
    drive = _new(raw, form, None, "disk", is_on(nodes[name].get("read-only")))
    return _used_by(drive, users.get(name))


def _descend(top: Options, nodes: Mapping[str, Options]) -> list[Options]:
    """Return the nodes from `top` down to the one that holds the image; a loop ends where it closes."""
    links = [top]
    while True:
        child = _child(links[-1], nodes)
        if not child or child in links:
            return links
        links.append(child)


def _child(node: Options, nodes: Mapping[str, Options]) -> Options:
    for key in _CHILDREN:
        below = nodes.get(node.get(key, "")) or nested(node, key)
        if below:
            return below
    return {}


def _location(node: Options) -> str:
    """Return where a protocol node's image is: a path, a URL, or `driver:server/pool/image`."""
    direct = node.get("filename") or node.get("url")
    if direct:
        return direct
    keys = ("server.path", "server.host", "host", "portal", "target", "pool", "image", "path", "export", "device")
    parts = [node[key] for key in keys if node.get(key)]
    return f"{node.get('driver', 'unknown')}:{'/'.join(parts)}" if parts else ""
