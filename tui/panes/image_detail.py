"""The image of a volume and those below it, as qemu-img tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.image_info import facts, snapshot_words
from tui.model.text import wrapped
from tui.panes.text import BLANK, heading, line, note, paragraph
from tui.widgets.lines import Span, SpanLine

if TYPE_CHECKING:
    from tui.model.image_info import ImageInfo
    from tui.panes.spec import View
    from tui.panes.storage_rows import StorageRow

_LABEL = 13


def image(view: View, row: StorageRow) -> list[SpanLine]:
    """Return what was read of the image; it is read when this page is first looked at."""
    host, found = view.snapshot.host, view.snapshot.image
    if host is not None and not host.local:
        return [note("qemu-img runs on the host itself, which is not this machine")]
    if found is None or row.volume is None or found.key != row.volume.key:
        return [note("reading…")]
    if found.problem:
        return paragraph(found.problem, "bad")
    lines: list[SpanLine] = []
    for number, layer in enumerate(found.chain):
        lines += [BLANK, heading(f"Layer {number} below")] if number else []
        lines += _layer_lines(layer, view.detail_width - _LABEL)
    return lines


def _layer_lines(layer: ImageInfo, width: int) -> list[SpanLine]:
    first, *more = wrapped(layer.path, width) or [""]
    lines = [line("Path", first), *(line("", part) for part in more)]
    for label, value, style in facts(layer):
        head, *rest = wrapped(value, width) or [""]
        lines += [line(label, head, style), *(line("", part, style) for part in rest)]
    if layer.snapshots:
        lines += [BLANK, heading("Snapshots in it")]
        lines += [[Span(snapshot_words(snapshot))] for snapshot in layer.snapshots]
    return lines
