"""Makes Textual's SVG screenshots small and self-contained: no fonts from elsewhere, no clipping, no empty shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree as ET

from tui.model.text import cells

_SVG = "http://www.w3.org/2000/svg"
_FONT_FACES = re.compile(r"@font-face\s*\{[^}]*\}\s*")
_FONT = '"DejaVu Sans Mono", Menlo, Consolas, ui-monospace, monospace'
# What a rounding of the exporter's numbers may leave between two shapes that touch.
_TOUCH = 0.2


def slim(svg: str) -> str:
    """Return a screenshot as Rich's console exports it, looking the same; raises ParseError for anything else."""
    unique = re.search(r'class="([\w-]+)-matrix"', svg)
    if unique is not None:
        svg = svg.replace(f"{unique[1]}-", "")
    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)
    for style in root.iter(f"{{{_SVG}}}style"):
        style.text = _slim_styles(style.text or "")
    defs = root.find(f"{{{_SVG}}}defs")
    if defs is not None:
        for clip in [clip for clip in defs if clip.get("id", "").startswith("line-")]:
            defs.remove(clip)
    for text in root.iter(f"{{{_SVG}}}text"):
        _slim_text(text)
    for group in root.iter(f"{{{_SVG}}}g"):
        _merge_grounds(group)
    return ET.tostring(root, encoding="unicode") + "\n"


def _slim_styles(css: str) -> str:
    css = (
        _FONT_FACES.sub("", css)
        .replace("Fira Code, monospace", _FONT)
        .replace("font-family: arial", "font-family: sans-serif")
    )
    return re.sub(r"\s+", " ", css).strip()


def _slim_text(text: ET.Element) -> None:
    """Give a text the room of its cells: the exporter counts characters, and squeezes wide ones."""
    text.attrib.pop("clip-path", None)
    length = float(text.get("textLength", 0))
    words = text.text or ""
    if length and words:
        text.set("textLength", f"{length / len(words) * cells(words):g}")


def _merge_grounds(group: ET.Element) -> None:
    """Draw neighbours of one colour on one line as one rectangle."""
    grounds = [child for child in group if child.tag == f"{{{_SVG}}}rect"]
    for left, right in _touching(grounds):
        right.set("x", left.get("x", "0"))
        right.set("width", f"{float(left.get('width', 0)) + float(right.get('width', 0)):g}")
        group.remove(left)


def _touching(grounds: list[ET.Element]) -> Iterator[tuple[ET.Element, ET.Element]]:
    for left, right in pairwise(grounds):
        end = float(left.get("x", 0)) + float(left.get("width", 0))
        same = all(left.get(name) == right.get(name) for name in ("fill", "y"))
        if same and abs(end - float(right.get("x", 0))) < _TOUCH:
            yield left, right
