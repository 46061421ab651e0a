"""Storage pools and their volumes (virConnectListAllStoragePools, virStoragePoolListAllVolumes)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.storage import Pool, PoolState, Storage, Volume
from tui.model.storage_xml import parse_pool, parse_pool_types, parse_volume
from tui.model.text import clean
from tui.sources.errors import is_lost, words

_STATES = tuple(PoolState)


class StorageReader:
    """Reads pools and volumes of one connection on the caller's thread; volumes whose XML is the same stay the same
    objects. Calls may take as long as the storage behind a pool does: never on the poller's thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._xml: dict[str, str] = {}
        self._volumes: dict[str, Volume] = {}
        self._last: Storage | None = None
        self._pool_types: frozenset[str] | None = None
        self._asked = False

    def read(self, stop: Callable[[], bool] = lambda: False) -> Storage | None:
        """Return all storage; the same object while nothing changed. None when `stop` became true meanwhile, and
        where the driver has no storage. Raises libvirtError when the connection is lost."""
        try:
            handles = self._connection.listAllStoragePools(0)
        except libvirt.libvirtError as error:
            if is_lost(error):
                raise
            return None
        self._ask_types()
        pools: dict[str, Pool] = {}
        volumes: dict[str, Volume] = {}
        for handle in handles:
            if stop():
                return None
            pool = self._pool(handle)
            if pool is None:
                continue
            found, problem = self._volumes_of(handle, pool)
            pool = replace(pool, problem=problem) if problem else pool
            pools[pool.key] = pool
            volumes |= found
        self._xml = {key: text for key, text in self._xml.items() if key in volumes}
        self._volumes = volumes
        if self._last is None or (pools, volumes) != (self._last.pools, self._last.volumes):
            self._last = Storage(pools, volumes, time.time_ns(), self._pool_types)
        return self._last

    def _ask_types(self) -> None:
        """What types of pool there may be, once (virConnectGetStoragePoolCapabilities)."""
        if self._asked:
            return
        try:
            self._pool_types = parse_pool_types(self._connection.getStoragePoolCapabilities())
        except libvirt.libvirtError as error:
            if is_lost(error):
                raise
        self._asked = True

    def _pool(self, handle: Any) -> Pool | None:
        """The pool, None when it is gone or its XML cannot be read."""
        try:
            number = int(handle.info()[0])
            state = _STATES[number] if 0 <= number < len(_STATES) else PoolState.INACTIVE
            xml = handle.XMLDesc(0)
            autostart, persistent = bool(handle.autostart()), bool(handle.isPersistent())
        except libvirt.libvirtError as error:
            if is_lost(error):
                raise
            return None
        with suppress(ET.ParseError):
            return parse_pool(xml, state, autostart=autostart, persistent=persistent)
        return None

    def _volumes_of(self, handle: Any, pool: Pool) -> tuple[dict[str, Volume], str]:
        """The volumes of an active pool, and what libvirt says of the first that it cannot read: one whose file was
        removed underneath must not hide the others."""
        if not pool.state.active:
            return {}, ""
        found: dict[str, Volume] = {}
        problem = ""
        try:
            handles = handle.listAllVolumes(0)
        except libvirt.libvirtError as error:
            if is_lost(error):
                raise
            return {}, words(error)
        for volume in handles:
            try:
                xml = volume.XMLDesc(0)
            except libvirt.libvirtError as error:
                if is_lost(error):
                    raise
                problem = problem or f"{clean(volume.name())}: {words(error)}"
                continue
            key = f"{pool.key}/{volume.name()}"
            if self._xml.get(key) == xml and key in self._volumes:
                found[key] = self._volumes[key]
                continue
            with suppress(ET.ParseError):
                found[key] = parse_volume(xml, pool.key)
                self._xml[key] = xml
        return found, problem
