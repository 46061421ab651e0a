"""Images looked at by qemu-img: all that it tells of one, and whether its tables are sound; repaired where asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tui.model import units
from tui.model.holders import Holder
from tui.model.image_info import ImageCheck, described, form_of, parse_check
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops import qemu_img
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.volume_guard import (
    UNCHANGED,
    description,
    held_by,
    refuse_held,
    refuse_misread,
    running_writer,
    volume_of,
)

# Exit codes of `qemu-img check` (docs/tools/qemu-img.rst); 1: it could not be checked to its end.
_SOUND, _CORRUPT, _LEAKS, _NO_CHECKS = 0, 2, 3, 63


@dataclass(frozen=True, slots=True)
class ReadImage(Request):
    """Tell all that qemu-img says of a volume's image and of those below it; nothing is changed."""

    pool: str
    name: str
    format: str


@dataclass(frozen=True, slots=True)
class CheckImage(Request):
    """Check the tables of a volume's image (`qemu-img check`) that no running domain writes to; `repair` none, leaks
    or all: what is repaired nobody may have open."""

    pool: str
    name: str
    format: str
    repair: str = "none"


def running(holder: Holder) -> bool:
    """Who has it open."""
    return holder.running


def as_planned(volume: Any, pool: str, form: str, what: str) -> str:
    """Return QEMU's word for the format of a volume, which must be the one that was planned with; raises OpError."""
    found = description(volume, pool, what).format
    if found != form or not form_of(found):
        text = f"it is {found or 'of no known format'} by now, not {form or 'of no known format'}"
        raise OpError(what, clean(volume.name()), text, advice=UNCHANGED)
    return form_of(found)


def _read(request: ReadImage, context: OpContext) -> Outcome:
    what, name = "read the image", clean(request.name)
    with volume_of(context, request.pool, request.name, what) as volume:
        form = as_planned(volume, request.pool, request.format, what)
        path = qemu_img.image_of(volume, what)
    chain = qemu_img.look(context, path, form, what, name, chain=True)
    top = chain[0]
    words = [f"{top.form} of {units.byte_size(top.virtual_bytes)}, {units.byte_size(top.actual_bytes)} on disk"]
    words += [f"{len(chain) - 1} below it"] if len(chain) > 1 else []
    return Outcome(", ".join(words), output=described(chain))


def _check(request: CheckImage, context: OpContext) -> Outcome:
    what, name = "check", clean(request.name)
    repair = request.repair != "none"
    with volume_of(context, request.pool, request.name, what) as volume:
        form = as_planned(volume, request.pool, request.format, what)
        path = qemu_img.image_of(volume, what)
        found = held_by(volume, what)
    refuse_held(found, what, name, running if repair else running_writer)
    refuse_misread(found, form, what, name)
    words = ["check", "--output=json", "-f", form, *(["-r", request.repair] if repair else []), path]
    if not repair:
        # It says nothing of how far it is, but it can be ended early; in the middle of a repair that would do harm.
        context.progress(0, None)
    ended = qemu_img.run(context, words, what, name, stoppable=not repair)
    return Outcome(_sound_words(_result(ended, what, name, repair=repair)))


def _result(ended: qemu_img.Ended, what: str, name: str, *, repair: bool) -> ImageCheck:
    """What was found, when nothing is wrong with it any more; raises OpError for all else, as the exit code says."""
    if ended.code == _NO_CHECKS:
        raise OpError(what, name, "images of this format cannot be checked", advice=UNCHANGED)
    try:
        check = parse_check(ended.output) if ended.code in (_SOUND, _CORRUPT, _LEAKS) else None
    except ValueError:
        check = None
    if check is None:
        advice = "What was repaired until then stays repaired." if repair else UNCHANGED
        raise OpError(what, name, f"it could not be checked to its end: {clean(ended.why())}", advice=advice)
    if ended.code == _SOUND:
        return check
    fixed = f"; repaired: {check.fixed()}" if check.fixed() else ""
    raise OpError(what, name, f"it has {check.found() or 'errors'}{fixed}", advice=_advice(ended.code, repair=repair))


def _advice(code: int, *, repair: bool) -> str:
    if code == _LEAKS:
        return "Leaked clusters take room and harm nothing; repair: leaks gives it back."
    if repair:
        return "What is left cannot be repaired: take what can be read from it, or a backup."
    return "Copy the file before you repair it: repair: all may give up what a guest wrote."


def _sound_words(check: ImageCheck) -> str:
    said = f"repaired: {check.fixed()}; sound now" if check.fixed() else "sound"
    return "; ".join(filter(None, (said, check.layout())))


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {ReadImage: _read, CheckImage: _check}
