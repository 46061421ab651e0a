"""Storage pools: defined, built, started, refreshed, stopped, removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.errors import doing, op_error
from tui.ops.kept import keep_pool, read_xml
from tui.ops.pool_users import running_users

LARGEST_XML_BYTES = 1024 * 1024
"""No pool XML is larger than this."""

BUILD_FLAGS = {
    "default": libvirt.VIR_STORAGE_POOL_BUILD_NEW,
    "no-overwrite": libvirt.VIR_STORAGE_POOL_BUILD_NO_OVERWRITE,
    "overwrite": libvirt.VIR_STORAGE_POOL_BUILD_OVERWRITE,
}
"""What a build does to what is on the source already."""

DIRECTORIES = frozenset({"dir", "fs", "netfs", "vstorage"})
"""Types whose delete is an rmdir (virStorageBackendDeleteLocal)."""

_GONE = "It is gone: somebody else removed it."
_PATH = "Look at its path on the host: it is not there, is no directory, or may not be read."
_BUILD = "The host forbids it, or something else is at that path."
_STOPPED = "libvirt stops a pool that it cannot read: it is inactive now; mend its path, then start it."
_NOT_EMPTY = "Nothing was deleted: libvirt removes only what is empty."
_PARTLY = "A part of it may be deleted: look at its source on the host."
_SYSTEM, _INTERNAL = libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INTERNAL_ERROR


@dataclass(frozen=True, slots=True)
class StartPool(Request):
    """Start an inactive pool (virStoragePoolCreate)."""

    key: str


@dataclass(frozen=True, slots=True)
class DestroyPool(Request):
    """Stop a pool; what is in it stays (virStoragePoolDestroy)."""

    key: str
    unused: bool = True
    """Refuse when a running domain uses a volume of it; libvirt itself would not."""


@dataclass(frozen=True, slots=True)
class RefreshPool(Request):
    """Look anew at what is in a pool (virStoragePoolRefresh)."""

    key: str


@dataclass(frozen=True, slots=True)
class SetPoolAutostart(Request):
    """Start a pool with the host, or not (virStoragePoolSetAutostart)."""

    key: str
    on: bool


@dataclass(frozen=True, slots=True)
class BuildPool(Request):
    """Make the storage behind an inactive pool (virStoragePoolBuild); `overwrite` is a key of BUILD_FLAGS."""

    key: str
    overwrite: str = "default"


@dataclass(frozen=True, slots=True)
class DeletePool(Request):
    """Delete the storage behind an inactive pool (virStoragePoolDelete); refused when a running domain has an image by
    its name or below its path."""

    key: str


@dataclass(frozen=True, slots=True)
class DefinePool(Request):
    """Define a pool from an XML file of this machine (virStoragePoolDefineXML)."""

    path: str
    validate: bool = True
    """Check against the schema; kept XML goes back as libvirt gave it."""
    backup_key: str = ""
    """The UUID of a pool that this replaces: its persistent XML goes to `backup` first."""
    backup: str = ""


@dataclass(frozen=True, slots=True)
class DefinePoolAs(Request):
    """Define a new pool of this XML, which holds its UUID (virStoragePoolDefineXML)."""

    key: str
    name: str
    xml: str


@dataclass(frozen=True, slots=True)
class CreatePoolAs(Request):
    """Start a transient pool of this XML, which holds its UUID (virStoragePoolCreateXML)."""

    key: str
    name: str
    xml: str
    build: bool = False


@dataclass(frozen=True, slots=True)
class UndefinePool(Request):
    """Remove the configuration of an inactive pool (virStoragePoolUndefine); its XML goes to `backup` first."""

    key: str
    backup: str


@contextmanager
def _doing(what: str, subject: str, advice: str = "") -> Iterator[None]:
    """As `doing`, with advice where the host's own error says no more than what it is."""
    try:
        yield
    except libvirt.libvirtError as error:
        found = op_error(what, subject, error)
        if found.code == libvirt.VIR_ERR_NO_STORAGE_POOL:
            found.advice = _GONE
        elif found.code in (_SYSTEM, _INTERNAL) and advice:
            found.advice = advice
        raise found from error


def _lookup(connection: Any, key: str, what: str) -> Any:
    """The virStoragePool of a UUID, of a name where libvirt made the UUID up."""
    with _doing(what, key):
        try:
            return connection.storagePoolLookupByUUIDString(key)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
                raise
        return connection.storagePoolLookupByName(key)


@contextmanager
def _pool(context: OpContext, key: str, what: str) -> Iterator[Any]:
    """Give the pool on a connection of its own: what is behind it may be a server that takes its time."""
    connection = context.long()
    try:
        handle = _lookup(connection, key, what)
        try:
            yield handle
        finally:
            del handle
    finally:
        context.release(connection)


def _start(request: StartPool, context: OpContext) -> Outcome:
    with _pool(context, request.key, "start") as handle, _doing("start", handle.name(), _PATH):
        handle.create(0)
    return Outcome("started")


def _destroy(request: DestroyPool, context: OpContext) -> Outcome:
    with _pool(context, request.key, "stop") as handle:
        if request.unused:
            _check_unused(handle, "stop")
        with _doing("stop", handle.name()):
            handle.destroy()
    return Outcome("stopped")


def _check_unused(handle: Any, what: str) -> None:
    """Raise OpError when a running domain uses a volume of the pool."""
    with _doing("look at who uses", handle.name()):
        users = running_users(handle)
    if users:
        text = f"running domains use its volumes: {', '.join(clean(name) for name in users)}"
        raise OpError(what, clean(handle.name()), text, advice="Nothing was changed.")


def _refresh(request: RefreshPool, context: OpContext) -> Outcome:
    with _pool(context, request.key, "refresh") as handle:
        name = handle.name()
        try:
            with _doing("refresh", name):
                handle.refresh(0)
        except OpError as error:
            if not error.advice or error.code == libvirt.VIR_ERR_NO_CONNECT:
                error.advice = _refresh_advice(handle) or error.advice
            raise
        with _doing("count the volumes of", name):
            count = handle.numOfVolumes()
    return Outcome(f"refreshed: {count} volumes")


def _refresh_advice(handle: Any) -> str:
    """What became of a pool that could not be refreshed."""
    try:
        return "" if handle.isActive() else _STOPPED
    except libvirt.libvirtError as error:
        # A transient pool is forgotten when it stops.
        return _STOPPED if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL else ""


def _set_autostart(request: SetPoolAutostart, context: OpContext) -> Outcome:
    handle = _lookup(context.control(), request.key, "set autostart of")
    with doing("set autostart of", handle.name()):
        handle.setAutostart(int(request.on))
    return Outcome(f"autostart {'on' if request.on else 'off'}")


def _build(request: BuildPool, context: OpContext) -> Outcome:
    with _pool(context, request.key, "build") as handle, _doing("build", handle.name(), _BUILD):
        handle.build(BUILD_FLAGS[request.overwrite])
    return Outcome("built")


def _delete(request: DeletePool, context: OpContext) -> Outcome:
    with _pool(context, request.key, "delete") as handle:
        _check_unused(handle, "delete")
        with _doing("delete", handle.name()):
            kind = ET.fromstring(handle.XMLDesc(0)).get("type")
        with _doing("delete", handle.name(), _NOT_EMPTY if kind in DIRECTORIES else _PARTLY):
            handle.delete(0)
    return Outcome("deleted")


def _define(request: DefinePool, context: OpContext) -> Outcome:
    xml = read_xml(request.path, "define", "pool", LARGEST_XML_BYTES)
    connection = context.control()
    if request.backup_key:
        keep_pool(_lookup(connection, request.backup_key, "define"), request.backup)
    with doing("define", request.path):
        made = connection.storagePoolDefineXML(xml, libvirt.VIR_STORAGE_POOL_DEFINE_VALIDATE if request.validate else 0)
    return Outcome(f"defined {clean(made.name())}")


def _define_as(request: DefinePoolAs, context: OpContext) -> Outcome:
    with doing("define", request.name):
        context.control().storagePoolDefineXML(request.xml, 0)
    return Outcome("defined")


def _create_as(request: CreatePoolAs, context: OpContext) -> Outcome:
    flags = libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD if request.build else 0
    connection = context.long()
    try:
        with _doing("create", request.name, _PATH):
            connection.storagePoolCreateXML(request.xml, flags)
    finally:
        context.release(connection)
    return Outcome("created")


def _undefine(request: UndefinePool, context: OpContext) -> Outcome:
    handle = _lookup(context.control(), request.key, "undefine")
    keep_pool(handle, request.backup)
    with _doing("undefine", handle.name()):
        handle.undefine()
    return Outcome(f"undefined; its XML is kept in {request.backup}")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    StartPool: _start,
    DestroyPool: _destroy,
    RefreshPool: _refresh,
    SetPoolAutostart: _set_autostart,
    BuildPool: _build,
    DeletePool: _delete,
    DefinePool: _define,
    DefinePoolAs: _define_as,
    CreatePoolAs: _create_as,
    UndefinePool: _undefine,
}
