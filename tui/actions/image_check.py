"""What qemu-img tells of a volume's image, and whether its tables are sound."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions.base import Action, Context, FieldError, Reason, Target, TargetError, Values, choice
from tui.actions.image_steps import image_reason
from tui.actions.volume_steps import READS, as_volume, holders_of, unread, used_reason
from tui.model.holders import misread_words
from tui.model.image_info import form_of
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.ops import image_check as ops

_UNCHECKED = frozenset({"raw", "iso"})


def _info_reason(context: Context, target: Target) -> Reason:
    return image_reason(context, as_volume(target))


def _info(_context: Context, target: Target, _values: Values) -> Sequence[Step]:
    volume = as_volume(target)
    form = form_of(volume.format)
    command = ("qemu-img", "info", "--output=json", "-U", "--backing-chain", "-f", form, volume.raw_path)
    request = ops.ReadImage(volume.pool, volume.raw_name, volume.format)
    return [Step(f"read the image {volume.name}", command, request, volume.key)]


def _check_reason(context: Context, target: Target) -> Reason:
    volume = as_volume(target)
    if reason := image_reason(context, volume):
        return reason
    if volume.format in _UNCHECKED:
        return f"{volume.format} images have no tables that could be checked"
    found = holders_of(context.snapshot, volume.raw_path)
    writers = [holder for holder in found if holder.running and holder.writes]
    written = used_reason(writers, ": of an image that is being written to a check says nothing")
    return unread(context.snapshot) or written or misread_words(found, form_of(volume.format)) or None


def _check(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume, repair = as_volume(target), values["repair"]
    form = form_of(volume.format)
    if repair != "none":
        if form != "qcow2":
            raise FieldError("repair", f"{volume.name} is {form}; only qcow2 is repaired here")
        running = [holder for holder in holders_of(context.snapshot, volume.raw_path) if holder.running]
        if reason := used_reason(running):
            raise TargetError("repair", reason)
    words = ["--output=json", "-f", form, *(["-r", repair] if repair != "none" else []), volume.raw_path]
    request = ops.CheckImage(volume.pool, volume.raw_name, volume.format, repair)
    title = f"check {volume.name}" + (f" and repair {repair}" if repair != "none" else "")
    whole = repair == "all"
    loses = f"what of {volume.name} can be reached by no table any more" if whole else None
    return [Step(title, ("qemu-img", "check", *words), request, volume.key, loses=loses, typed=whole)]


def _check_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    volume = as_volume(target)
    if values["repair"] != "all":
        return ()
    return (f"{volume.name}: a repair cannot be taken back; copy {volume.path} first",)


ACTIONS: tuple[Action, ...] = (
    Action(
        "volume.info", "Read the image", "image", "i", Kind.VOLUME,
        "Tell all that qemu-img says of the volume's image and of those below it; the tab Image shows it as well.",
        _info, _info_reason, rank=75,
    ),
    Action(
        "volume.check", "Check", "check", "V", Kind.VOLUME,
        "Check the tables of the image: corruptions, leaked clusters, how it is laid out; repair them where asked.",
        _check, _check_reason,
        (choice("repair", "Repair", ("none", "leaks", "all"), "leaks: give back room; all: mend what can be mended"),),
        notes=_check_notes, rank=65, reads=READS,
    ),
)  # fmt: skip
