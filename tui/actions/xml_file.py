"""XML files of this machine that are given to an action, looked at before libvirt reads them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from xml.etree import ElementTree as ET

from tui.actions.base import FieldError

_MIB = 1024 * 1024


def file_path(field: str, given: str) -> str:
    """Return the whole path of a file; raises FieldError."""
    try:
        return str(Path(given).expanduser().absolute())
    except RuntimeError as error:
        raise FieldError(field, str(error)) from error


def read_root(field: str, path: str, tag: str, largest_bytes: int) -> ET.Element:
    """Return the root of an XML file, an element of that tag; raises FieldError."""
    try:
        # To open a FIFO would wait for whoever writes into it.
        if not stat.S_ISREG((found := os.stat(path)).st_mode):
            raise FieldError(field, f"{path} is not a file")
        if found.st_size > largest_bytes:
            raise FieldError(field, f"{path} is larger than {largest_bytes // _MIB} MiB; that is no {tag} XML")
        root = ET.parse(path).getroot()
    # LookupError is for an encoding that Python does not know.
    except (OSError, ValueError, LookupError) as error:
        raise FieldError(field, str(error)) from error
    except ET.ParseError as error:
        raise FieldError(field, f"not XML: {error}") from error
    if root.tag != tag:
        raise FieldError(field, f"not a {tag} but a <{root.tag}>")
    return root
