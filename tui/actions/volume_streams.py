"""Local files into volumes, and volumes into local files."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, flag, is_on
from tui.actions.volume_steps import (
    READS,
    as_volume,
    holders_of,
    local_path,
    pool_of,
    unread,
    used_reason,
    volume_step,
    volume_words,
)
from tui.model import units
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.storage import Volume
from tui.model.text import clean
from tui.ops import volume_streams as ops

_STREAMED = frozenset({"file", "block", "network"})


def _kind_reason(volume: Volume) -> Reason:
    return None if volume.kind in _STREAMED else f"it is a {volume.kind}; libvirt streams files and devices"


def _upload_reason(context: Context, target: Target) -> Reason:
    volume = as_volume(target)
    found = holders_of(context.snapshot, volume.raw_path)
    grave = [holder for holder in found if holder.running or not holder.target]
    return _kind_reason(volume) or unread(context.snapshot) or used_reason(grave)


def _upload(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume, path = as_volume(target), local_path(values, "file")
    if not os.path.isfile(path):
        raise FieldError("file", f"{clean(path)} is no file" if os.path.exists(path) else f"no file {clean(path)}")
    try:
        why = ops.misfit(path, volume.capacity_bytes, volume.format)
        size = os.path.getsize(path)
    except OSError as error:
        raise FieldError("file", f"{clean(path)}: {error.strerror}") from error
    if why:
        raise FieldError("file", why)
    title = f"upload {clean(path)} ({units.byte_size(size)}) to {volume.name}"
    words = volume_words("vol-upload", pool_of(context, volume), volume.raw_name, path)
    request = ops.UploadVolume(volume.pool, volume.raw_name, path)
    empty = volume.format == "raw" and volume.allocation_bytes == 0
    loses = None if empty else f"what {volume.name} holds{_whose(context, volume)}"
    return [volume_step(context, volume, title, words, request, loses=loses)]


def _whose(context: Context, volume: Volume) -> str:
    reason = used_reason(holders_of(context.snapshot, volume.raw_path))
    return f"; {reason}" if reason else ""


def _upload_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    volume = as_volume(target)
    size = os.path.getsize(local_path(values, "file"))
    if volume.format != "raw" or volume.capacity_bytes is None or size >= volume.capacity_bytes:
        return ()
    rest = units.byte_size(volume.capacity_bytes - size)
    return (f"{volume.name}: the last {rest} of it stay as they are",)


def _download_reason(_context: Context, target: Target) -> Reason:
    return _kind_reason(as_volume(target))


def _download(context: Context, target: Target, values: Values) -> Sequence[Step]:
    volume, path, overwrite = as_volume(target), local_path(values, "file"), is_on(values, "overwrite")
    if os.path.isdir(path):
        raise FieldError("file", f"{clean(path)} is a directory")
    if not os.path.isdir(os.path.dirname(path)):
        raise FieldError("file", f"no directory {clean(os.path.dirname(path))}")
    there = os.path.lexists(path)
    if there and not overwrite:
        raise FieldError("file", f"{clean(path)} is there already; say overwrite to replace it")
    if os.path.lexists(f"{path}.part"):
        raise FieldError("file", f"{clean(path)}.part is there: another download is at it, or was cut off")
    sparse = is_on(values, "sparse")
    option = ["--sparse"] if sparse else []
    words = volume_words("vol-download", pool_of(context, volume), volume.raw_name, path, *option)
    request = ops.DownloadVolume(volume.pool, volume.raw_name, path, overwrite, sparse)
    loses = f"what {clean(path)} holds now" if there else None
    return [volume_step(context, volume, f"download {volume.name} to {clean(path)}", words, request, loses=loses)]


def _download_notes(context: Context, target: Target, _values: Values) -> Sequence[str]:
    volume = as_volume(target)
    found = holders_of(context.snapshot, volume.raw_path)
    writers = used_reason([holder for holder in found if holder.running and holder.writes])
    notes = [f"{volume.name}: {writers}, so the file will be of no one moment"] if writers else []
    if volume.raw_backing_path:
        notes.append(f"{volume.name}: lies on {volume.backing_path}, which is not part of the file")
    return notes


def _proposed_file(_context: Context, targets: Sequence[Target]) -> str:
    return os.path.join(os.getcwd(), os.path.basename(as_volume(targets[0]).raw_name)) if targets else ""


UPLOAD = Action(
    "volume.upload", "Upload to", "upload", "U", Kind.VOLUME,
    "Write a local file over the volume.", _upload, _upload_reason,
    (Field("file", "Local file", FieldKind.PATH),),
    bulk=False, notes=_upload_notes, rank=40, reads=READS,
)  # fmt: skip
DOWNLOAD = Action(
    "volume.download", "Download", "download", "L", Kind.VOLUME,
    "Write the volume to a local file.", _download, _download_reason,
    (
        Field("file", "Local file", FieldKind.PATH, _proposed_file),
        flag("overwrite", "Overwrite", "replace the file if it is there"),
        flag("sparse", "Sparse", "holes of the volume stay holes in the file, in place of zeros", default="yes"),
    ),
    bulk=False, notes=_download_notes, rank=45, reads=READS,
)  # fmt: skip
