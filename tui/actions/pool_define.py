"""A new storage pool, out of a form or an XML file."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree as ET

from tui.actions import pool_steps as steps
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Target, Values, choice, flag, is_on
from tui.actions.define import kept_path
from tui.actions.pool_steps import Named, pool_step
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.pool_xml import PoolSource, pool_xml
from tui.model.storage import Pool
from tui.model.text import clean
from tui.model.virsh import virsh
from tui.ops import pools as ops


@dataclass(frozen=True, slots=True)
class _Type:
    """What a type of pool needs; `source` says what it is for the user, "" for none."""

    source: str = ""
    path: str | None = None
    """The path that is usual, "" where one must be given, None where there is none."""
    optional_path: bool = False


_TYPES = {
    "dir": _Type("", ""),
    "fs": _Type("the device, as /dev/sdb1", ""),
    "netfs": _Type("SERVER:/DIRECTORY", ""),
    "logical": _Type("the volume group, and a device to build it on if it is not there: VG or VG /dev/sdb", "", True),
    "disk": _Type("the disk, as /dev/sdb", "/dev"),
    "iscsi": _Type("SERVER:TARGET, as san1:iqn.2020-01.org.example:disks", "/dev/disk/by-path"),
    "scsi": _Type("the adapter, as scsi_host0", "/dev/disk/by-path"),
    "mpath": _Type("", "/dev/mapper"),
    "rbd": _Type("MONITOR:POOL"),
    "gluster": _Type("SERVER:VOLUME, SERVER:VOLUME/DIRECTORY"),
    "zfs": _Type("the zpool, and a device to build it on if it is not there: ZPOOL or ZPOOL /dev/sdb"),
}
_FORMAT = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_]*")
_FORMATTED = frozenset({"fs", "netfs", "logical", "disk"})


def _define(context: Context, _target: Target, values: Values) -> Sequence[Step]:
    if values["xml"].strip():
        first, pool, active = _of_file(context, values)
    else:
        first, pool, active = *_of_form(context, values), False
    later = [steps.build_step(context, pool)] if is_on(values, "build") else []
    later += [steps.start_step(context, pool)] if is_on(values, "start") else []
    if active and later:
        raise FieldError("build" if is_on(values, "build") else "start", f"{pool.name} is active; say no")
    later += [steps.autostart_step(context, pool, True)] if is_on(values, "autostart") else []
    return [first, *later]


def _of_form(context: Context, values: Values) -> tuple[Step, Named]:
    """The step that defines a pool of what was typed. Its UUID is made up here, so that undo knows it."""
    name, kind = values["name"].strip(), values["type"]
    _check_name(context, name)
    _check_type(context, kind)
    source, target = _source(kind, values), _path(kind, values["target"].strip())
    pool = Named(str(uuid4()), name, name)
    words = ["pool-define-as", name, kind, *source.words(), *(["--target", target] if target else [])]
    request = ops.DefinePoolAs(pool.key, name, pool_xml(kind, name, pool.key, source, target))
    return pool_step(context, pool, f"define {name}", words, request, (steps.undefine_step(context, pool),)), pool


def _check_name(context: Context, name: str) -> None:
    if not name:
        raise FieldError("name", "give the pool a name")
    if "/" in name or not steps.plain_name(name):
        raise FieldError("name", "must be printable, hold no / and not begin with -")
    if any(pool.raw_name == name for pool in _pools(context)):
        raise FieldError("name", f"{name} exists already")


def _pools(context: Context) -> Sequence[Pool]:
    storage = context.snapshot.storage
    return () if storage is None else list(storage.pools.values())


def _check_type(context: Context, kind: str) -> None:
    storage = context.snapshot.storage
    if storage is not None and storage.pool_types is not None and kind not in storage.pool_types:
        there = ", ".join(known for known in _TYPES if known in storage.pool_types)
        raise FieldError("type", f"this libvirt has no backend for {kind}; it has {there}")


def _path(kind: str, given: str) -> str:
    """Where the volumes will be; "" where libvirt knows or the type has none."""
    needs = _TYPES[kind]
    if needs.path is None:
        if given:
            raise FieldError("target", f"a pool of type {kind} has no path on the host")
        return ""
    if not given and (needs.path or needs.optional_path):
        return needs.path
    if not given.startswith("/") or not given.isprintable():
        raise FieldError("target", "must be an absolute path on the host")
    return given


def _source(kind: str, values: Values) -> PoolSource:
    """Where the volumes come from, as the type has it; raises FieldError."""
    given, form = values["source"].strip(), values["format"].strip()
    if form and kind not in _FORMATTED:
        raise FieldError("format", f"a pool of type {kind} has no format; leave it empty")
    if form and not _FORMAT.fullmatch(form):
        raise FieldError("format", "a format is a word such as ext4, nfs, lvm2 or gpt")
    needs = _TYPES[kind].source
    if not needs:
        if given:
            raise FieldError("source", f"a pool of type {kind} has no source; leave it empty")
        return PoolSource()
    wrong = FieldError("source", f"give {needs}")
    if not given or not given.isprintable() or given.startswith("-"):
        raise wrong
    if kind in ("fs", "disk"):
        return PoolSource(device=_absolute(given, wrong), format=form)
    if kind == "scsi":
        return PoolSource(adapter=given)
    if kind in ("logical", "zfs"):
        name, _, device = given.partition(" ")
        return PoolSource(name=name, device=_absolute(device.strip(), wrong) if device.strip() else "", format=form)
    host, rest = _split_host(given, wrong)
    if kind == "netfs":
        return PoolSource(host=host, path=_absolute(rest, wrong), format=form)
    if kind == "iscsi":
        return PoolSource(host=host, device=rest)
    if kind == "rbd":
        return PoolSource(host=host, name=rest)
    volume, _, directory = rest.partition("/")
    return PoolSource(host=host, name=volume, path=f"/{directory}" if directory else "")


def _absolute(path: str, wrong: FieldError) -> str:
    if not path.startswith("/"):
        raise wrong
    return path


def _split_host(text: str, wrong: FieldError) -> tuple[str, str]:
    """HOST:REST; an IPv6 address stands in brackets."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        rest = rest.removeprefix(":")
    else:
        host, _, rest = text.partition(":")
    if not host or not rest:
        raise wrong
    return host, rest


@dataclass(frozen=True, slots=True)
class _Head:
    """Who a pool XML is of; `uuid` is "" when libvirt has to make one up."""

    name: str
    uuid: str


def _of_file(context: Context, values: Values) -> tuple[Step, Named, bool]:
    """The step that defines the pool of an XML file, and whether that pool is active already."""
    path = _file_path(values["xml"].strip())
    head = _head(path)
    old = next((p for p in _pools(context) if p.key == head.uuid), None)
    if any(pool.raw_name == head.name and pool is not old for pool in _pools(context)):
        raise FieldError("xml", f"{clean(head.name)} exists already, with another UUID")
    name = clean(head.name)
    pool = Named(head.uuid or head.name, name, head.name if steps.plain_name(head.name) else head.uuid)
    command = virsh(context.uri, "pool-define", path, "--validate")
    if old is None or not old.persistent:
        undo = (steps.undefine_step(context, pool),) if head.uuid and old is None else ()
        active = old is not None and old.state.active
        return Step(f"define {name}", command, ops.DefinePool(path), pool.key, undo), pool, active
    backup = kept_path(context, old.raw_name)
    back = steps.define_again_step(context, steps.named(old), backup, f"define {old.name} as it was")
    request = ops.DefinePool(path, True, old.key, backup)
    return Step(f"redefine {old.name}", command, request, old.key, (back,)), steps.named(old), old.state.active


def _file_path(given: str) -> str:
    try:
        return str(Path(given).expanduser().absolute())
    except RuntimeError as error:
        raise FieldError("xml", str(error)) from error


def _head(path: str) -> _Head:
    """What is needed of a pool XML file before libvirt has read it; raises FieldError."""
    try:
        # To open a FIFO would wait for whoever writes into it.
        if not stat.S_ISREG((found := os.stat(path)).st_mode):
            raise FieldError("xml", f"{path} is not a file")
        if found.st_size > ops.LARGEST_XML_BYTES:
            raise FieldError("xml", f"{path} is larger than 1 MiB; that is no pool XML")
        root = ET.parse(path).getroot()
    # LookupError is for an encoding that Python does not know.
    except (OSError, ValueError, LookupError) as error:
        raise FieldError("xml", str(error)) from error
    except ET.ParseError as error:
        raise FieldError("xml", f"not XML: {error}") from error
    if root.tag != "pool":
        raise FieldError("xml", f"not a pool but a <{root.tag}>")
    return _Head(root.findtext("name") or "", (root.findtext("uuid") or "").strip().lower())


def _notes(context: Context, _target: Target, values: Values) -> Sequence[str]:
    if not values["xml"].strip():
        built = is_on(values, "build") or not is_on(values, "start") or values["type"] != "dir"
        return () if built else ("its directory must be there, unless it is built",)
    head = _head(_file_path(values["xml"].strip()))
    notes = ["name, type, path and source are those of the file"]
    old = next((p for p in _pools(context) if p.key == head.uuid), None)
    if old is not None and old.persistent:
        later = "; it changes when it is started again" if old.state.active else ""
        notes.append(f"{old.name} exists: its configuration is replaced{later}")
    return notes


_SOURCES = "; ".join(f"{kind}: {needs.source}" for kind, needs in _TYPES.items() if needs.source)

ACTION = Action(
    "pool.define", "Define pool", "pool", "P", Kind.HOST, "Define a storage pool, and build and start it if asked to.",
    _define,
    fields=(
        Field("name", "Name", FieldKind.TEXT, optional=True),
        choice("type", "Type", tuple(_TYPES)),
        Field("target", "Path on the host", FieldKind.PATH, help="where its volumes are; empty for what is usual"),
        Field("source", "Source", FieldKind.TEXT, optional=True, help=_SOURCES),
        Field("format", "Source format", FieldKind.TEXT, optional=True,
              help="fs, netfs, logical, disk alone, as ext4 or gpt; empty for libvirt's own"),
        flag("build", "Build", "make its directory, volume group or partition table"),
        flag("start", "Start", "start it at once", default="yes"),
        flag("autostart", "Autostart", "start it with the host"),
        Field("xml", "XML file on this machine", FieldKind.PATH, optional=True, help="in place of all of the above"),
    ),
    notes=_notes, reads=("storage",),
)  # fmt: skip
