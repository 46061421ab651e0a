"""Storage pools and their volumes (virConnectListAllStoragePools, virStoragePoolListAllVolumes)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.storage import Pool, PoolState, Storage, Volume
from tui.model.storage_xml import parse_pool, parse_pool_types, parse_volume
from tui.model.text import clean, natural
from tui.sources.connection import ConnectError, close, is_alive
from tui.sources.errors import NO_CALL, is_lost, words

_STATES = tuple(PoolState)


# How many volumes are looked at anew in one reading, besides those in view: libvirt tells of them one by one only.
_A_TURN = 100
# From so many on two threads read them, each on a connection of its own, which takes little more than half the time.
_MANY = 500

Found = tuple[dict[str, Volume], str]
"""The volumes of a pool, and what libvirt said of the first that could not be read."""


class StorageReader:
    """Reads pools and volumes of one connection on the caller's thread; what did not change stays the same object.
    Calls may take as long as the storage behind a pool does: never on the poller's thread."""

    def __init__(self, connection: Any, second: Callable[[], Any] | None = None) -> None:
        """Make a reader; `second` opens another connection to the same host, None where that costs too much. It may
        raise ConnectError."""
        self._connection = connection
        self._second = second
        self._pools: dict[str, Pool] = {}
        self._volumes: dict[str, Volume] = {}
        self._turn = 0
        self._last: Storage | None = None
        self._pool_types: frozenset[str] | None = None
        self._asked = False
        self._under_way: set[str] = set()
        self._moved_s = 0.0

    def silent(self, after_s: float) -> list[str]:
        """Return the names of the pools that are asked of just now, where nothing was answered for `after_s` seconds;
        may be called from any thread."""
        return sorted(self._under_way) if time.monotonic() - self._moved_s > after_s else []

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        self._moved_s = time.monotonic()
        self._under_way.add(name)
        try:
            yield
        finally:
            self._moved_s = time.monotonic()
            self._under_way.discard(name)

    def read(
        self,
        stop: Callable[[], bool] = lambda: False,
        *,
        anew: bool = True,
        first: Collection[str] = (),
        partly: Callable[[Storage], None] = lambda _storage: None,
    ) -> Storage | None:
        """Return all storage; the same object while nothing changed. None when `stop` became true meanwhile, and
        where the driver has no storage. Raises libvirtError when the connection is lost, and where the call for all
        pools fails: its daemon may not run.

        Without `anew` the lists are read, and of the volumes known already those of the keys in `first` and a part of
        the others in turn. `partly` is given what is there so far: the pools, then all whenever the volumes are
        four times as many."""
        try:
            handles = self._connection.listAllStoragePools(0)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in NO_CALL or _ended(error, self._connection):
                raise
            return None
        self._ask_types()
        read = []
        for handle in handles:
            with self._asking(clean(handle.name())):
                if (pool := self._pool(handle)) is not None:
                    read.append((pool, handle))
        # In the order of the screen, so that what is seen first is there first.
        read.sort(key=lambda pair: natural(pair[0].name))
        due = self._due(first, anew)
        sweep = _Sweep(
            [pool for pool, _handle in read],
            lambda pool, handle: self._listed(handle, pool, due),
            stop,
            lambda pools, volumes, unlisted: partly(self._storage(pools, volumes, unlisted)),
        )
        self._sweep(sweep, {pool.key: handle for pool, handle in read}, anew=anew)
        if stop():
            return None
        self._pools = {pool.key: self._same_pool(pool) for pool in sweep.pools()}
        self._volumes = sweep.volumes
        if self._last is None or (self._pools, self._volumes) != (self._last.pools, self._last.volumes):
            self._last = self._storage(self._pools, self._volumes)
        return self._last

    def _storage(self, pools: dict[str, Pool], volumes: dict[str, Volume], unlisted: Iterable[str] = ()) -> Storage:
        return Storage(pools, volumes, time.time_ns(), self._pool_types, frozenset(unlisted))

    def _sweep(self, sweep: _Sweep, handles: dict[str, Any], *, anew: bool) -> None:
        """Read all volumes, by two threads where there are many."""
        helper = None
        if self._second is not None and anew and _count(handles.values()) >= _MANY:
            helper = threading.Thread(target=_help, args=(sweep, self._second), name="storage helper", daemon=True)
            helper.start()
        sweep.run(self._connection, handles.__getitem__)
        if helper is not None:
            helper.join()
        error, sweep.error = sweep.error, None
        if error is not None:
            try:
                raise error
            finally:
                # A circle of references would keep the handles, and with them the connection.
                del error

    def _due(self, first: Collection[str], anew: bool) -> Callable[[str], bool]:
        """Whether the volume of a key is to be looked at in this reading."""
        keys = list(self._volumes)
        if anew or len(keys) <= _A_TURN:
            return lambda _key: True
        begin = self._turn % len(keys)
        self._turn = begin + _A_TURN
        due = {*first, *keys[begin : begin + _A_TURN], *keys[: max(begin + _A_TURN - len(keys), 0)]}
        return lambda key: key in due

    def _ask_types(self) -> None:
        """What types of pool there may be, once (virConnectGetStoragePoolCapabilities)."""
        if self._asked:
            return
        try:
            self._pool_types = parse_pool_types(self._connection.getStoragePoolCapabilities())
        except libvirt.libvirtError as error:
            if _ended(error, self._connection):
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
            if _ended(error, self._connection):
                raise
            return None
        with suppress(ET.ParseError):
            return self._same_pool(parse_pool(xml, state, autostart=autostart, persistent=persistent))
        return None

    def _same_pool(self, pool: Pool) -> Pool:
        """The object of before where it is equal."""
        old = self._pools.get(pool.key)
        return old if old is not None and old == pool else pool

    def _listed(self, handle: Any, pool: Pool, due: Callable[[str], bool]) -> Found:
        with self._asking(pool.name):
            return self._volumes_of(handle, pool, due)

    def _volumes_of(self, handle: Any, pool: Pool, due: Callable[[str], bool]) -> Found:
        """The volumes of an active pool, and what libvirt says of the first that it cannot read: one whose file was
        removed underneath must not hide the others."""
        if not pool.state.active:
            return {}, ""
        found: dict[str, Volume] = {}
        problem = ""
        try:
            handles = handle.listAllVolumes(0)
        except libvirt.libvirtError as error:
            if _ended(error, handle.connect()):
                raise
            return {}, words(error)
        for volume in handles:
            self._moved_s = time.monotonic()
            key = f"{pool.key}/{volume.name()}"
            old = self._volumes.get(key)
            if old is not None and not due(key):
                found[key] = old
                continue
            try:
                xml = volume.XMLDesc(0)
            except libvirt.libvirtError as error:
                if _ended(error, handle.connect()):
                    raise
                problem = problem or f"{clean(volume.name())}: {words(error)}"
                continue
            with suppress(ET.ParseError):
                fresh = parse_volume(xml, pool.key)
                found[key] = old if old is not None and old == fresh else fresh
        return found, problem


class _Sweep:
    """One reading of the volumes of all pools, by as many threads as `run` it: each takes the next pool."""

    def __init__(
        self,
        pools: Sequence[Pool],
        read: Callable[[Pool, Any], Found],
        stop: Callable[[], bool],
        partly: Callable[[dict[str, Pool], dict[str, Volume], Collection[str]], None],
    ) -> None:
        self.volumes: dict[str, Volume] = {}
        self.error: libvirt.libvirtError | None = None
        self._pools = {pool.key: pool for pool in pools}
        self._todo = iter(pools)
        self._unlisted = {pool.key for pool in pools if pool.state.active}
        self._read = read
        self._stop = stop
        self._partly = partly
        self._lock = threading.Lock()
        self._told = -1

    def run(self, connection: Any, handle_of: Callable[[str], Any]) -> None:
        """Read pools of a connection until none is left; ends early when it is lost, which `error` says then."""
        while (pool := self._next()) is not None:
            try:
                handle = handle_of(pool.key)
                self._take(pool, self._read(pool, handle))
            except libvirt.libvirtError as error:
                if _ended(error, connection):
                    self.error = error
                    return
                self._take(pool, ({}, words(error)))

    def _next(self) -> Pool | None:
        """The next pool; whenever the volumes are four times as many, what is there is told before."""
        with self._lock:
            if self._stop() or self.error is not None:
                return None
            if self._unlisted and (self._told < 0 or len(self.volumes) > 4 * self._told):
                self._told = len(self.volumes)
                self._partly(dict(self._pools), dict(self.volumes), self._unlisted)
            return next(self._todo, None)

    def _take(self, pool: Pool, found: Found) -> None:
        with self._lock:
            volumes, problem = found
            self.volumes |= volumes
            self._unlisted.discard(pool.key)
            if problem:
                self._pools[pool.key] = replace(pool, problem=problem)

    def pools(self) -> Iterable[Pool]:
        """Return the pools, each with what went wrong with it."""
        return self._pools.values()


def _ended(error: libvirt.libvirtError, connection: Any) -> bool:
    """Whether the connection is not there any more: the call that sees it go fails by code 38, later ones by 1."""
    return is_lost(error) or not is_alive(connection)


def _count(handles: Iterable[Any]) -> int:
    """How many volumes these pools have, as far as they tell."""
    count = 0
    for handle in handles:
        # A pool that is not active has none.
        with suppress(libvirt.libvirtError):
            count += handle.numOfVolumes()
    return count


def _help(sweep: _Sweep, open_link: Callable[[], Any]) -> None:
    try:
        connection = open_link()
    except ConnectError:
        # The other thread reads it all then, and says what is wrong with the host.
        return
    try:
        sweep.run(connection, connection.storagePoolLookupByUUIDString)
    finally:
        close(connection)
