"""Drawings kept as text files: what a picture must look like is read in review, and written anew on purpose only.

GOLDEN=write python -m pytest tests/unit/test_topology_drawing.py
"""

from __future__ import annotations

import os
from pathlib import Path


def same_as_kept(path: Path, text: str) -> None:
    """Compare a text with the file that keeps it; fails with both. With GOLDEN=write in the environment keep it."""
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    kept = path.read_text(encoding="utf-8")
    assert text == kept, f"{path.name} is kept as\n{kept}\nbut it is\n{text}"
