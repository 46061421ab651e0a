"""Which image a word means, what format it has, and who uses it: looked at before a disk of it is made."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tui.actions.base import Context, FieldError
from tui.model.disk_source import is_network, location_of, network_source
from tui.model.image_header import backing_of
from tui.model.text import clean
from tui.model.used_by import Use, used_by

if TYPE_CHECKING:
    from tui.model.storage import Pool, Storage, Volume

_INFO_S = 10.0
_MOST_LAYERS = 200
# What libvirt calls volumes whose bytes are the disk's, whatever is in them.
_RAW = ("raw", "iso")
_READABLE = ("raw", "qcow2", "qed", "vmdk", "vdi", "vpc", "vhdx")


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the host; `format` is QEMU's word for what its header says."""

    path: str
    block: bool
    format: str
    below: tuple[str, ...] = ()
    """The raw paths of the images below it, nearest first, as far as known."""


def is_local(context: Context) -> bool:
    """Whether the host is this machine, so that its files can be looked at."""
    host = context.snapshot.host
    return host is not None and bool(host.local)


def find_image(context: Context, field: str, word: str, given: str = "", blame: str = "format") -> Image:
    """Return the image that a path, POOL/VOLUME or NBD URL means, with the format read from its header. `given` is the
    format that the user says, "" for none: it is needed where the header cannot be read, and must agree where it can.
    Raises FieldError, for the format of the field `blame`."""
    text = word.strip()
    if not text:
        raise FieldError(field, "give a path, or POOL/VOLUME")
    if is_network(text):
        return _network(context, field, text, given, blame)
    storage = context.snapshot.storage
    volume = None
    if not text.startswith("/"):
        volume = _volume(storage, field, text)
    elif storage is not None:
        volume = storage.at(text)
    path = text if volume is None else volume.raw_path
    if not path.startswith("/") or (volume is not None and volume.kind not in ("file", "block")):
        raise FieldError(field, "only files and block devices of the host can be attached here")
    block = volume.kind == "block" if volume is not None else path.startswith("/dev/")
    below = _below(storage, path)
    if not is_local(context):
        known = "" if volume is None else _format(volume)
        return Image(path, block, _agreed(blame, known, given), below)
    block = _looked_at(field, path)
    told = str(_info(field, path).get("format", ""))
    return Image(path, block, _agreed(blame, told, given), below or _below_local(path))


def _network(context: Context, field: str, url: str, given: str, blame: str) -> Image:
    """What an NBD server exports, by the URL that libvirt's XML leads to as well."""
    try:
        url = location_of(network_source(url))
    except ValueError as error:
        raise FieldError(field, str(error)) from error
    told = str(_info(field, url).get("format", "")) if is_local(context) else ""
    return Image(url, False, _agreed(blame, told, given))


def find_pool(context: Context, field: str, text: str) -> tuple[Pool, str]:
    """Return the pool of a POOL/VOLUME and the volume's name; raises FieldError."""
    return _find_pool(context.snapshot.storage, field, text)


def _find_pool(storage: Storage | None, field: str, text: str) -> tuple[Pool, str]:
    pool, _, name = text.partition("/")
    if storage is None:
        raise FieldError(field, "the pools are not read; give a path, as /images/disk.qcow2")
    found = next((p for p in storage.pools.values() if p.raw_name == pool), None)
    if found is None:
        pools = ", ".join(p.name for p in storage.pools.values())
        raise FieldError(field, f"no pool {clean(pool)}; there are: {pools or 'none'}")
    return found, name


def _volume(storage: Storage | None, field: str, text: str) -> Volume:
    found, name = _find_pool(storage, field, text)
    assert storage is not None, "a pool was found in it"
    if not found.state.active:
        raise FieldError(field, f"the pool {found.name} is {found.state.value}; start it first")
    volume = next((v for v in storage.volumes_of(found.key) if v.raw_name == name), None)
    if volume is None:
        raise FieldError(field, f"the pool {found.name} has no volume {clean(name)}")
    return volume


def _format(volume: Volume) -> str:
    """QEMU's word for the format that libvirt read from the header; "" where it reads none (block devices)."""
    if volume.kind == "block":
        return ""
    return "raw" if volume.format in _RAW else volume.format


def _agreed(blame: str, told: str, given: str) -> str:
    """The format, when what the header says and what the user says are not at odds."""
    if told and given and told != given:
        raise FieldError(blame, f"its header says {clean(told)}; as {given} the guest would ruin it or read nonsense")
    if not told and not given:
        raise FieldError(blame, "its header cannot be read from here; say whether it is raw or qcow2")
    if told and told not in _READABLE:
        raise FieldError(blame, f"it is {clean(told)}, which is not attached here")
    return told or given


def _looked_at(field: str, path: str) -> bool:
    """Whether a local path is a block device; FieldError when it is neither that nor a file."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise FieldError(field, f"{clean(path)}: {error.strerror}") from error
    except ValueError as error:
        raise FieldError(field, str(error)) from error
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise FieldError(field, f"{clean(path)} is neither a file nor a block device")
    return stat.S_ISBLK(mode)


def _info(field: str, path: str) -> dict[str, Any]:
    """What qemu-img reads of a local image, without its lock; {} where there is no qemu-img or no right to read."""
    command = ["qemu-img", "info", "--output=json", "-U", path]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_INFO_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise FieldError(field, f"{clean(path)} cannot be read within {_INFO_S:.0f} s") from error
    except OSError:
        return {}
    try:
        found = json.loads(done.stdout) if done.returncode == 0 else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def size_of(context: Context, path: str) -> int | None:
    """Return the size in bytes that a guest sees of an image; None where it is not known from here."""
    if path and is_local(context):
        size = _info("device", path).get("virtual-size")
        if isinstance(size, int):
            return size
    volume = context.snapshot.storage.at(path) if context.snapshot.storage is not None else None
    return None if volume is None else volume.capacity_bytes


def _below_local(path: str) -> tuple[str, ...]:
    found: list[str] = []
    while (path := backing_of(path)) and path not in found and len(found) < _MOST_LAYERS:
        found.append(path)
    return tuple(found)


def _below(storage: Storage | None, path: str) -> tuple[str, ...]:
    """The images below, as the headers of volumes say."""
    found: list[str] = []
    volume = storage.at(path) if storage is not None else None
    while storage is not None and volume is not None and volume.raw_backing_path and len(found) < _MOST_LAYERS:
        if volume.raw_backing_path in found:
            break
        found.append(volume.raw_backing_path)
        volume = storage.at(volume.raw_backing_path)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Wish:
    """How an image is to be used, and by which disk: what that disk has already is no conflict."""

    domain: str
    target: str
    read_only: bool
    shareable: bool = False


def refuse_used(context: Context, field: str, image: Image, wish: Wish) -> None:
    """Raise FieldError when somebody uses the image in a way that would ruin it: libvirt itself does not look, and
    QEMU's lock only when both run. Two may share it when both only read, or both say shareable."""
    uses = uses_of(context)
    for use in uses.get(real_path(context, image.path), ()):
        if use.domain == wish.domain and use.target == wish.target and use.layer == 0:
            continue
        both_share = wish.shareable and use.shareable and use.layer == 0
        if not ((wish.read_only and use.read_only) or both_share):
            raise FieldError(field, f"{_words(use)}; two that write would ruin it")
    for path in image.below:
        for use in uses.get(real_path(context, path), ()):
            if not use.read_only:
                raise FieldError(field, f"it lies on {clean(path)}, which {use.name} writes to as {use.target}")
    for process in context.snapshot.unmanaged().values():
        for drive in process.drives:
            same = real_path(context, drive.raw_path) == real_path(context, image.path)
            if same and not (drive.read_only and wish.read_only):
                raise FieldError(field, f"the QEMU process {process.pid} ({process.name}) uses it")


def _words(use: Use) -> str:
    how = f"as {use.target}" if use.layer == 0 else f"below its {use.target}"
    return f"{use.name} uses it {how}{'' if use.running else ' when it runs'}"


def uses_of(context: Context) -> dict[str, tuple[Use, ...]]:
    """Return the uses of each image by what its path leads to; of images in no pool the chain is read from their
    headers."""
    found: dict[str, tuple[Use, ...]] = {}
    index = used_by(context.snapshot.domains.values(), context.snapshot.storage)
    open_ones = [(real_path(context, path), use) for path, uses in index.items() for use in uses]
    while open_ones:
        path, use = open_ones.pop()
        there = found.get(path, ())
        if any((use.domain, use.target) == (other.domain, other.target) for other in there):
            continue
        found[path] = (*there, use)
        if is_local(context) and (below := backing_of(path)):
            open_ones.append((real_path(context, below), replace(use, read_only=True, layer=use.layer + 1)))
    return found


def real_path(context: Context, path: str) -> str:
    """Return the path without links, where the host is this machine."""
    if not path.startswith("/"):
        return path
    return os.path.realpath(path) if is_local(context) else os.path.normpath(path)


def refuse_other_format(context: Context, field: str, image: Image) -> None:
    """Raise FieldError when a domain reads the image as another format: a guest may have written that header."""
    for domain in context.snapshot.domains.values():
        for config in (domain.config, domain.persistent_config):
            for disk in config.disks if config is not None else ():
                same = disk.raw_source and real_path(context, disk.raw_source) == real_path(context, image.path)
                if same and disk.format and disk.format != image.format:
                    raise FieldError(
                        field,
                        f"its header says {image.format}, but {domain.name} reads it as {disk.format}: a guest that "
                        "writes such a header can read the host's files",
                    )


def unread(context: Context) -> Iterable[str]:
    """Return a note when it is not known of all domains which images they use."""
    count = sum(domain.config is None for domain in context.snapshot.domains.values())
    return (f"the disks of {count} domains are not read yet: they may use it",) if count else ()
