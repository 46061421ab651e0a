"""What an image lies on: another one put below it, or what it holds brought down into the one below (qemu-img)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.holders import Holder, besides, held_words
from tui.model.image_header import backing_of, read_header
from tui.model.image_info import ImageInfo
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops import qemu_img
from tui.ops.base import CancelledError, OpContext, OpError, Outcome
from tui.ops.errors import doing
from tui.ops.image_check import as_planned, running
from tui.ops.volume_guard import (
    UNCHANGED,
    held_at,
    held_by,
    refuse_held,
    refuse_misread,
    running_writer,
    unless_gone,
    volume_of,
)

_QCOW2, _JSON = "qcow2", "json:"
_MOST_LAYERS = 200
_LEAKS = "A check may find leaked clusters."
SAFELY = ("-t", "writethrough")
"""How a rebase that copies must write: qemu-img changes the header before it has written its tables (img_rebase), and
killed in between it loses all that it copied. So they are written with each piece."""


@dataclass(frozen=True, slots=True)
class RebaseImage(Request):
    """Have a qcow2 image that nobody has open lie on another image, or on none (`qemu-img rebase`): what a guest reads
    of it stays, unless `unsafe`, which changes the name in its header alone. Refused when it does not lie on `before`
    any more."""

    pool: str
    name: str
    backing: str
    """The image to lie on, "" for none."""
    backing_format: str
    before: str
    """The image that it lies on as QEMU opens it, "" for none."""
    unsafe: bool = False


@dataclass(frozen=True, slots=True)
class CommitImage(Request):
    """Write what a qcow2 image holds into the image below it (`qemu-img commit`), which nobody else may use; then it is
    empty, unless `keep`. Refused when it does not lie on `base` any more."""

    pool: str
    name: str
    base: str
    keep: bool = False


@dataclass(frozen=True, slots=True)
class _Top:
    """The image to be changed, and who has it."""

    name: str
    path: str
    info: ImageInfo
    found: tuple[Holder, ...]


def _top(volume: Any, request: RebaseImage | CommitImage, before: str, context: OpContext, what: str) -> _Top:
    """Look at the image right before it is changed; raises OpError for one that must not be."""
    name = clean(request.name)
    as_planned(volume, request.pool, _QCOW2, what)
    path = qemu_img.image_of(volume, what)
    info = qemu_img.look(context, path, _QCOW2, what, name)[0]
    if not same_image(info.raw_backing, before):
        text = f"it lies on {clean(info.raw_backing) or 'nothing'} by now, not on {clean(before) or 'nothing'}"
        raise OpError(what, name, text, advice=UNCHANGED)
    if info.corrupt:
        raise OpError(what, name, "QEMU marked it as corrupt", advice=f"{UNCHANGED} Check and repair it first.")
    found = held_by(volume, what)
    refuse_held(found, what, name, running)
    refuse_misread(found, _QCOW2, what, name)
    return _Top(name, path, info, found)


def _refuse_snapshots(top: _Top, what: str) -> None:
    """Raise OpError when the image has snapshots inside: qemu-img sees to what it holds now and to nothing else, and
    where a snapshot holds nothing itself it reads what lies below by then."""
    if top.info.snapshots:
        names = ", ".join(snapshot.name for snapshot in top.info.snapshots)
        text = f"the snapshots inside it would read something else then: {names}"
        raise OpError(what, top.name, text, advice=f"{UNCHANGED} Delete them first, or convert it to a new volume.")


def same_image(one: str, other: str) -> bool:
    """Whether two names of images lead to the same file of this machine; what is no path is compared by its words."""
    if one.startswith("/") and other.startswith("/"):
        return os.path.realpath(one) == os.path.realpath(other)
    if one.startswith(_JSON) and other.startswith(_JSON):
        with suppress(ValueError):
            return bool(json.loads(one.removeprefix(_JSON)) == json.loads(other.removeprefix(_JSON)))
    return one == other


def _rebase(request: RebaseImage, context: OpContext) -> Outcome:
    what = "rebase"
    with volume_of(context, request.pool, request.name, what) as volume:
        top = _top(volume, request, request.before, context, what)
        if not request.unsafe:
            _refuse_snapshots(top, what)
        if fixed := [holder for holder in top.found if holder.fixed]:
            text = f"the XML of {held_words(fixed)} itself names what lies below it"
            raise OpError(what, top.name, text, advice=f"{UNCHANGED} Take <backingStore> out of that XML first.")
        if request.backing:
            with doing(what, top.name):
                connection = volume.connect()
            _check_backing(connection, request, top, what)
    below = [*(["-F", request.backing_format] if request.backing else []), top.path]
    how = ["-u"] if request.unsafe else SAFELY
    words = ["rebase", "-p", "-f", _QCOW2, *how, "-b", request.backing, *below]
    try:
        ended = qemu_img.run(context, words, what, top.name, top.info.virtual_bytes)
    except CancelledError as error:
        error.advice = _after_rebase(top)
        raise
    if ended.code:
        raise OpError(what, top.name, clean(ended.why()), advice=_after_rebase(top))
    return Outcome(f"lies on {clean(request.backing)}" if request.backing else "lies on no other image")


def _check_backing(connection: Any, request: RebaseImage, top: _Top, what: str) -> None:
    """Raise OpError when the image must not lie on that one."""
    below = request.backing
    if not below.startswith("/"):
        raise OpError(what, top.name, f"{clean(below)} is no path of this machine", advice=UNCHANGED)
    if any(same_image(path, top.path) for path in _chain_of(below)):
        text = f"{clean(below)} is that image, or lies on it: the chain would be a circle"
        raise OpError(what, top.name, text, advice=UNCHANGED)
    found = held_at(connection, below, what, request.name)
    if writers := [holder for holder in found if running_writer(holder)]:
        text = f"{clean(below)} is written to by {held_words(writers)}: what lies on it would break"
        raise OpError(what, top.name, text, advice=UNCHANGED)
    refuse_misread(found, request.backing_format, what, below)
    try:
        told = read_header(below).form
    except OSError as error:
        if request.unsafe:
            return
        raise OpError(what, top.name, f"{clean(below)}: {error.strerror}", advice=UNCHANGED) from error
    if told != request.backing_format and _QCOW2 in (told, request.backing_format):
        text = f"the header of {clean(below)} says {told}, not {clean(request.backing_format)}"
        raise OpError(what, top.name, text, advice=UNCHANGED)


def _chain_of(path: str) -> Iterator[str]:
    """An image and those below it, by their headers."""
    seen: set[str] = set()
    while path and path not in seen and len(seen) < _MOST_LAYERS:
        yield path
        seen.add(path)
        path = backing_of(path)


def _after_rebase(top: _Top) -> str:
    """What a rebase that ended early left: the name in the header is written last, and what was copied up until then
    is what the old chain says as well."""
    now, before = backing_of(top.path), top.info.raw_backing
    if same_image(now, before) or before.startswith(_JSON):
        where = f"It lies on {clean(before) or 'no other image'} as before"
    else:
        where = f"It lies on {clean(now) or 'no other image'} by now: refresh its pool"
    return f"{where}. It holds what it held, and may have grown. {_LEAKS}"


def _commit(request: CommitImage, context: OpContext) -> Outcome:
    what, base = "commit", clean(request.base)
    with volume_of(context, request.pool, request.name, what) as volume:
        top = _top(volume, request, request.base, context, what)
        _refuse_snapshots(top, what)
        with doing(what, top.name):
            connection = volume.connect()
        _check_base(connection, request, top, what)
    words = ["commit", "-p", "-f", _QCOW2, *(["-d"] if request.keep else []), top.path]
    left = f"{base} may have a part of it; {top.name} is whole and reads as before: commit it again. {_LEAKS}"
    try:
        ended = qemu_img.run(context, words, what, top.name, top.info.virtual_bytes)
    except CancelledError as error:
        error.advice = left
        raise
    if ended.code:
        raise OpError(what, top.name, clean(ended.why()), advice=left)
    return Outcome(f"committed to {base}{'' if request.keep else '; it is empty now, and lies on it'}")


def _check_base(connection: Any, request: CommitImage, top: _Top, what: str) -> None:
    """Raise OpError when the image below must not be changed."""
    base = clean(request.base)
    if not request.base.startswith("/"):
        raise OpError(what, top.name, f"{base or 'nothing'} below it is no file of this machine", advice=UNCHANGED)
    if not top.info.backing_form:
        text = f"its header does not say as what {base} is read, and QEMU would guess"
        raise OpError(what, top.name, text, advice=f"{UNCHANGED} An unsafe rebase to the same image says it.")
    found = held_at(connection, request.base, what, request.name)
    if others := besides(found, top.found, lambda path: same_image(path, top.path)):
        text = f"{base} is used by {held_words(others)} too, which would see what {top.name} holds"
        raise OpError(what, top.name, text, advice=UNCHANGED)
    if names := _snapshots_of(connection, request.base, what):
        raise OpError(what, top.name, f"{base} is what {', '.join(names)} goes back to", advice=UNCHANGED)
    try:
        told = read_header(request.base).form
    except OSError as error:
        raise OpError(what, top.name, f"{base}: {error.strerror}", advice=UNCHANGED) from error
    if told != top.info.backing_form and _QCOW2 in (told, top.info.backing_form):
        text = f"the header of {base} says {told}, but {top.name} reads it as {top.info.backing_form}"
        raise OpError(what, top.name, text, advice=UNCHANGED)
    if not os.access(request.base, os.W_OK):
        raise OpError(what, top.name, f"{base} cannot be written to", advice=UNCHANGED)


def _snapshots_of(connection: Any, path: str, what: str) -> list[str]:
    """The snapshots of domains whose disk was that image when they were taken."""
    found: list[str] = []
    with doing(what, path):
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT):
            with unless_gone():
                for snapshot in domain.listAllSnapshots(0):
                    root = ET.fromstring(snapshot.getXMLDesc(0))
                    files = {source.get("file", "") for source in root.iterfind("domain/devices/disk/source")}
                    external = root.find("disks/disk[@snapshot='external']") is not None
                    if external and any(same_image(file, path) for file in files):
                        found.append(f"snapshot {clean(snapshot.getName())} of {clean(domain.name())}")
    return found


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {RebaseImage: _rebase, CommitImage: _commit}
