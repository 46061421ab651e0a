"""XML that is kept in a file, for undo and for the commands that show what was done."""

from __future__ import annotations

import os
from pathlib import Path

from tui.ops.base import OpError


def keep(path: str, xml: str) -> None:
    """Write XML, which may hold secrets, to a file that only its owner can read; one that is there with the same XML
    stays. Raises OpError when it cannot be written, or another XML is there."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if Path(path).read_text(encoding="utf-8") == xml:
                return
            raise
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(xml)
    except (OSError, UnicodeError) as error:
        raise OpError("keep the XML in", path, str(error), advice="Nothing was changed.") from error
