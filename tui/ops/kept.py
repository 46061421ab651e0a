"""XML in files of this machine: kept for undo and for the commands that show what was done, and read from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import libvirt

from tui.ops.base import OpError
from tui.ops.errors import doing

_MIB = 1024 * 1024
_OF_DOMAIN = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


def keep(path: str, xml: str, is_ours: Callable[[str], bool] = lambda _there: False) -> None:
    """Write XML, which may hold secrets, to a file that only its owner can read: whole, or not at all. One that is
    there stays, except with something else of which `is_ours` says that it may be replaced. Raises OpError."""
    try:
        folder = os.path.dirname(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor, made = tempfile.mkstemp(prefix=".", dir=folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(xml)
            _put(made, path, xml, is_ours)
        finally:
            Path(made).unlink(missing_ok=True)
    except (OSError, UnicodeError) as error:
        raise OpError("keep the XML in", path, str(error), advice="Nothing was changed.") from error


def _put(made: str, path: str, xml: str, is_ours: Callable[[str], bool]) -> None:
    """Give a new file its name; raises FileExistsError and what reading the other one raises."""
    try:
        os.link(made, path)
    except FileExistsError:
        there = Path(path).read_text(encoding="utf-8")
        if there == xml:
            return
        if not is_ours(there):
            raise
        os.replace(made, path)


def keep_beside(path: str, xml: str) -> None:
    """Keep XML in a file of this name, or with a number where something else is in it: what an earlier try of the same
    request kept is not lost. Raises OpError."""
    file = Path(path)
    for number in count(2):
        try:
            keep(str(file), xml)
        except OpError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            file = Path(path).with_stem(f"{Path(path).stem}-{number}")
        else:
            return


def keep_domain(handle: Any, path: str) -> None:
    """Keep the persistent XML of a domain (virDomainGetXMLDesc), secrets included. Raises OpError."""
    with doing("read the XML of", handle.name()):
        xml = handle.XMLDesc(_OF_DOMAIN)
    keep(path, xml)


def keep_pool(handle: Any, path: str) -> None:
    """Keep the persistent XML of a storage pool (virStoragePoolGetXMLDesc). Raises OpError."""
    with doing("read the XML of", handle.name()):
        # Only an active pool has two, and not every driver knows the flag.
        xml = handle.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE if handle.isActive() else 0)
    keep(path, xml)


def read_xml(path: str, what: str, kind: str, largest_bytes: int) -> str:
    """Return the XML of a `kind` (domain, pool) in a file of this machine. Raises OpError, also for files larger than
    any such XML."""
    try:
        if os.path.getsize(path) > largest_bytes:
            raise OpError(what, path, f"the file is larger than {largest_bytes // _MIB} MiB; that is no {kind} XML")
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OpError(what, path, str(error)) from error
