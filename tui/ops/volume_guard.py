"""A volume as an op finds it, and who holds it, asked of libvirt right before it is changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import libvirt

from tui.model.domain_xml import parse_domain_xml
from tui.model.holders import Holder, Sides, held_words, index_of, misread_words, others_of, without_disk
from tui.model.image_header import backing_of
from tui.model.storage import Pool, PoolState, Storage, Volume
from tui.model.storage_xml import parse_pool, parse_volume
from tui.model.text import clean
from tui.ops.base import OpContext, OpError
from tui.ops.errors import doing

_GONE = frozenset({libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL})
UNCHANGED = "Nothing was changed."
_STATES = tuple(PoolState)


@contextmanager
def pool_of(context: OpContext, key: str, what: str) -> Iterator[Any]:
    """Give the virStoragePool of a UUID on a connection of its own: what is behind it may take its time."""
    connection = context.long()
    try:
        with doing(what, key):
            handle = connection.storagePoolLookupByUUIDString(key)
        try:
            yield handle
        finally:
            del handle
    finally:
        context.release(connection)


@contextmanager
def volume_of(context: OpContext, pool: str, name: str, what: str) -> Iterator[Any]:
    """Give the virStorageVol of that name on a connection of its own."""
    with pool_of(context, pool, what) as handle:
        with doing(what, name):
            volume = handle.storageVolLookupByName(name)
        try:
            yield volume
        finally:
            del volume


def description(volume: Any, pool: str, what: str) -> Volume:
    """Return what libvirt tells of a volume now; raises OpError."""
    with doing(what, volume.name()):
        return parse_volume(volume.XMLDesc(0), pool)


def held_by(volume: Any, what: str) -> tuple[Holder, ...]:
    """Return who holds a volume by the newest XML of all domains, live and persistent, and of all volumes. Raises
    OpError when that cannot be read: what is not known to be free is not touched."""
    with doing(what, volume.name()):
        path = volume.path()
    return held_at(volume.connect(), path, what, volume.name())


def held_at(connection: Any, path: str, what: str, subject: str) -> tuple[Holder, ...]:
    """Return who holds the image at a path of the host, as held_by does."""
    with doing(what, subject):
        return held_images(connection, (path,))


def held_images(
    connection: Any, paths: Sequence[str], own: tuple[str, str] | None = None, chain: Sequence[str] = ()
) -> tuple[Holder, ...]:
    """Return who holds any of these images of the host, but for the disk `own` (UUID of its domain, target) and for
    the images of its own chain, which lie on each other. Raises libvirtError."""
    local = is_local(connection)
    sides = [(name, without_disk(found, own, key)) for key, name, found in _domains(connection)]
    storage, real = _storage(connection), os.path.realpath if local else str
    return others_of(index_of(sides, storage, real, _headers(sides, storage) if local else {}), paths, chain, real)


def refuse(volume: Any, what: str, forbidden: Callable[[Holder], bool]) -> None:
    """Raise OpError when somebody holds the volume in a way that is forbidden."""
    refuse_held(held_by(volume, what), what, volume.name(), forbidden)


def refuse_held(found: Iterable[Holder], what: str, subject: str, forbidden: Callable[[Holder], bool]) -> None:
    """Raise OpError when one of these holders is forbidden."""
    if grave := [holder for holder in found if forbidden(holder)]:
        raise OpError(what, clean(subject), f"it is used by {held_words(grave)}", advice=UNCHANGED)


def refuse_misread(found: Iterable[Holder], form: str, what: str, subject: str) -> None:
    """Raise OpError when a domain reads an image as another format than its header says."""
    if text := misread_words(found, form):
        raise OpError(what, clean(subject), clean(text), advice=UNCHANGED)


def removed(connection: Any, pool: str, name: str, what: str) -> str:
    """Delete a volume that was made for work that came to nothing, unless somebody has it by now; says what became of
    it, and raises nothing."""
    said = clean(name)
    try:
        volume = connection.storagePoolLookupByUUIDString(pool).storageVolLookupByName(name)
        said = clean(volume.path())
        if found := held_by(volume, what):
            return f"{said} is left: it is used by {held_words(found)}"
        volume.delete(0)
    except (OpError, libvirt.libvirtError) as error:
        return f"{said} is left, a part of the copy: {clean(str(error))}"
    return f"{said} is removed"


def running_writer(holder: Holder) -> bool:
    """Who writes to it now."""
    return holder.running and holder.writes


def _headers(domains: Iterable[tuple[str, Sides]], storage: Storage) -> dict[str, str]:
    """What lies below the images of domains that are in no active pool, by their own headers."""
    known = {volume.raw_path for volume in storage.volumes.values()}
    found: dict[str, str] = {}
    for _name, sides in domains:
        for _running, config in sides:
            for disk in config.disks:
                path = disk.raw_source
                while path.startswith("/") and path not in known and path not in found:
                    path = found.setdefault(path, backing_of(path))
    return found


def is_local(connection: Any) -> bool:
    """Whether the files of the host are those of this machine."""
    return not urlsplit(connection.getURI()).hostname


def _domains(connection: Any) -> Iterator[tuple[str, str, Sides]]:
    """UUID, name and configurations of all domains."""
    for domain in connection.listAllDomains(0):
        with unless_gone():
            sides = [(True, parse_domain_xml(domain.XMLDesc(0)))] if domain.isActive() else []
            if domain.isPersistent():
                sides.append((False, parse_domain_xml(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))))
            yield domain.UUIDString(), clean(domain.name()), sides


def _storage(connection: Any) -> Storage:
    """The volumes of all active pools, for backing chains and for disks that name a volume."""
    pools: dict[str, Pool] = {}
    volumes: dict[str, Volume] = {}
    for handle in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        with unless_gone():
            state = _STATES[handle.info()[0]]
            pool = parse_pool(handle.XMLDesc(0), state, autostart=False, persistent=True)
            pools[pool.key] = pool
            for found in handle.listAllVolumes(0):
                with unless_gone(), _unless_unreadable():
                    volume = parse_volume(found.XMLDesc(0), pool.key)
                    volumes[volume.key] = volume
    return Storage(pools, volumes, 0)


@contextmanager
def unless_gone() -> Iterator[None]:
    """Pass over what went away meanwhile: it holds nothing any more."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _GONE:
            raise


@contextmanager
def _unless_unreadable() -> Iterator[None]:
    """Pass over a volume whose file was removed underneath, which lies on nothing."""
    try:
        yield
    except (libvirt.libvirtError, ET.ParseError) as error:
        lost = isinstance(error, libvirt.libvirtError) and error.get_error_code() in (
            libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_INVALID_CONN,
        )  # fmt: skip
        if lost:
            raise
