"""A new storage pool as it is typed: its type, where its volumes come from, and where they are on the host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui.actions import pool_steps as steps
from tui.actions.base import Context, Field, FieldError, FieldKind, Values, choice
from tui.model.pool_xml import PoolSource, pool_xml
from tui.model.storage import Pool


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
    "iscsi-direct": _Type("SERVER:TARGET INITIATOR, both as iqn.2020-01.org.example:name"),
    "scsi": _Type("the adapter, as scsi_host0", "/dev/disk/by-path"),
    "mpath": _Type("", "/dev/mapper"),
    "rbd": _Type("MONITOR:POOL"),
    "gluster": _Type("SERVER:VOLUME, SERVER:VOLUME/DIRECTORY"),
    "zfs": _Type("the zpool, and a device to build it on if it is not there: ZPOOL or ZPOOL /dev/sdb"),
    "vstorage": _Type("the cluster", ""),
}
_FORMAT = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_]*")
_FORMATTED = frozenset({"fs", "netfs", "logical", "disk"})
_AUTH = {"rbd": "ceph", "iscsi": "chap", "iscsi-direct": "chap"}
"""How libvirt calls the way in which those that have one know who asks."""


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, as far as it is a pool."""

    name: str
    kind: str
    source: PoolSource
    target: str

    def words(self) -> list[str]:
        """Return what virsh's pool-define-as and pool-create-as take for it."""
        return [self.name, self.kind, *self.source.words(), *(["--target", self.target] if self.target else [])]

    def xml(self, uuid: str) -> str:
        """Return the XML of the pool with that UUID."""
        return pool_xml(self.kind, self.name, uuid, self.source, self.target)


def form_of(context: Context, values: Values) -> Form:
    """Return the pool that was typed; raises FieldError when it is none, or cannot be on this host."""
    name, kind = values["name"].strip(), values["type"]
    _check_name(context, name)
    _check_type(context, kind)
    return Form(name, kind, _source(kind, values), _path(kind, values["target"].strip()))


def pools_of(context: Context) -> Sequence[Pool]:
    """Return the pools that there are."""
    storage = context.snapshot.storage
    return () if storage is None else list(storage.pools.values())


def _check_name(context: Context, name: str) -> None:
    if not name:
        raise FieldError("name", "give the pool a name")
    if "/" in name or not steps.plain_name(name):
        raise FieldError("name", "must be printable, hold no / and not begin with -")
    if any(pool.raw_name == name for pool in pools_of(context)):
        raise FieldError("name", f"{name} exists already")


def _check_type(context: Context, kind: str) -> None:
    storage = context.snapshot.storage
    if storage is not None and storage.pool_types is not None and kind not in storage.pool_types:
        raise FieldError("type", f"this libvirt has no backend for {kind}; it has {', '.join(_offered(context))}")


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
    given, form, auth = (values[name].strip() for name in ("source", "format", "auth"))
    if form and kind not in _FORMATTED:
        raise FieldError("format", f"a pool of type {kind} has no format; leave it empty")
    if form and not _FORMAT.fullmatch(form):
        raise FieldError("format", "a format is a word such as ext4, nfs, lvm2 or gpt")
    if auth and kind not in _AUTH:
        raise FieldError("auth", f"a pool of type {kind} asks nobody who they are; leave it empty")
    needs = _TYPES[kind].source
    if not needs:
        if given:
            raise FieldError("source", f"a pool of type {kind} has no source; leave it empty")
        return PoolSource()
    wrong = FieldError("source", f"give {needs}")
    if not given or not given.isprintable() or given.startswith("-"):
        raise wrong
    return _placed(kind, given, form, _login(kind, auth), wrong)


def _login(kind: str, given: str) -> tuple[str, str, str]:
    """(way, user, secret) of USER SECRET, nothing of each where nothing is given."""
    if not given:
        return "", "", ""
    user, _, secret = (part.strip() for part in given.partition(" "))
    if not given.isprintable() or not user or not secret or " " in secret or given.startswith("-"):
        raise FieldError("auth", "give USER SECRET: the secret by its UUID or its usage, as virsh secret-list shows it")
    return _AUTH[kind], user, secret


def _placed(kind: str, given: str, form: str, login: tuple[str, str, str], wrong: FieldError) -> PoolSource:
    if kind in ("fs", "disk"):
        return PoolSource(device=_absolute(given, wrong), format=form)
    if kind == "scsi":
        return PoolSource(adapter=given)
    if kind == "vstorage":
        return PoolSource(name=given)
    if kind in ("logical", "zfs"):
        name, _, device = given.partition(" ")
        return PoolSource(name=name, device=_absolute(device.strip(), wrong) if device.strip() else "", format=form)
    host, rest = _split_host(given, wrong)
    if kind == "netfs":
        return PoolSource(host=host, path=_absolute(rest, wrong), format=form)
    way, user, secret = login
    if kind == "rbd":
        return PoolSource(host=host, name=rest, auth=way, user=user, secret=secret)
    if kind in ("iscsi", "iscsi-direct"):
        target, _, initiator = (part.strip() for part in rest.partition(" "))
        if bool(initiator) is not (kind == "iscsi-direct") or " " in initiator:
            raise wrong
        return PoolSource(host=host, device=target, initiator=initiator, auth=way, user=user, secret=secret)
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


def _offered(context: Context) -> tuple[str, ...]:
    """The types that this libvirt has a backend for, all where it does not tell."""
    storage = context.snapshot.storage
    known = storage.pool_types if storage is not None else None
    return tuple(kind for kind in _TYPES if known is None or kind in known) or tuple(_TYPES)


_SOURCES = "; ".join(f"{kind}: {needs.source}" for kind, needs in _TYPES.items() if needs.source)

FIELDS: tuple[Field, ...] = (
    Field("name", "Name", FieldKind.TEXT, optional=True),
    replace(choice("type", "Type", tuple(_TYPES)), offered=_offered),
    Field("target", "Path on the host", FieldKind.PATH, help="where its volumes are; empty for what is usual"),
    Field("source", "Source", FieldKind.TEXT, optional=True, help=_SOURCES),
    Field("format", "Source format", FieldKind.TEXT, optional=True,
          help="fs, netfs, logical, disk alone, as ext4 or gpt; empty for libvirt's own"),
    Field("auth", "User and secret", FieldKind.TEXT, optional=True,
          help="rbd, iscsi, iscsi-direct alone: USER SECRET, a libvirt secret by UUID or usage"),
)  # fmt: skip
"""What is asked for a new pool."""
