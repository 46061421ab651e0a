"""Calls that make a volume and return only when all of it is written: how far they are, and what becomes of one that
was cancelled. libvirt has no call that interrupts them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import libvirt

from tui.model.text import clean
from tui.ops.base import CancelledError, OpContext, OpError
from tui.ops.errors import doing, op_error

_LOOK_S = 0.5


@contextmanager
def watched_growth(context: OpContext, pool: Any, name: str, total: int | None, what: str) -> Iterator[None]:
    """Report how much a new volume of `pool` (virStoragePool) has of `total` bytes while the caller's call makes it: a
    second connection asks twice a second (virStorageVolGetInfo), which libvirt allows while a volume is being built.
    Raises OpError when the name is taken; of a call that failed the error then says what is left of the volume."""
    key = _refuse_taken(pool, name, what)
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(context, key, name, total, done), name="growth", daemon=True)
    watcher.start()
    try:
        yield
    except OpError as error:
        error.advice = f"{error.advice} {_left(context, key, name)}".strip()
        raise
    finally:
        done.set()
        watcher.join(_LOOK_S)


def _refuse_taken(pool: Any, name: str, what: str) -> str:
    """Raise OpError when the pool has a volume of that name, else return its UUID: libvirt would refuse as well, by
    several codes, and what is there would then be taken for what is left of the new one."""
    with doing(what, name):
        key = str(pool.UUIDString())
        try:
            pool.storageVolLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise
            return key
    raise OpError(what, clean(name), "a volume of that name exists already", advice="Nothing was changed.")


def _left(context: OpContext, pool: str, name: str) -> str:
    """What is left of a volume that could not be made, asked anew: libvirtd may have died over it."""
    unknown = f"What there is of {clean(name)} may be half-made: look at it, and delete it."
    try:
        connection = context.long()
    except OpError:
        return unknown
    try:
        # Of what could not be removed again, libvirt may know the name although there was never a file.
        connection.storagePoolLookupByUUIDString(pool).storageVolLookupByName(name).info()
        return unknown
    except libvirt.libvirtError as error:
        return "Nothing is left of it." if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL else unknown
    finally:
        context.release(connection)


def _watch(context: OpContext, pool: str, name: str, total: int | None, done: threading.Event) -> None:
    # Most volumes are there at once: no connection is opened for those.
    if done.wait(_LOOK_S):
        return
    context.progress(0, total)
    # What cannot be looked at is made all the same.
    with suppress(OpError):
        connection = context.long()
        try:
            while not done.wait(_LOOK_S):
                with suppress(libvirt.libvirtError):
                    found = connection.storagePoolLookupByUUIDString(pool).storageVolLookupByName(name)
                    context.progress(found.info()[2], total)
                    del found
        finally:
            context.release(connection)


def delete_if_cancelled(context: OpContext, made: Any, what: str) -> None:
    """Delete what was made when the user cancelled meanwhile, and raise CancelledError; raises OpError when it could
    not be deleted, which says that it is left."""
    if not context.cancelled:
        return
    name = made.name()
    try:
        made.delete(0)
    except libvirt.libvirtError as error:
        raise op_error(f"{what} was cancelled, but {clean(name)} is there and cannot be deleted: delete", name, error) \
            from error  # fmt: skip
    raise CancelledError(what, clean(name), "cancelled; what was made of it is deleted")
