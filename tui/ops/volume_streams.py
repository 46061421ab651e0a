"""Bytes of a local file into a volume, and of a volume into a local file, over a stream on a connection of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import libvirt

from tui.model import units
from tui.model.image_header import read_header
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import CancelledError, OpContext, OpError, Outcome
from tui.ops.errors import doing, op_error
from tui.ops.part_file import open_part, put_part, remove_part
from tui.ops.volume_guard import description, refuse, volume_of

# The most that one message of libvirt's protocol carries (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX), as virsh sends it.
_PIECE = 262120
_SPARSE = libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM
_UNCHANGED = "Nothing was changed."


@dataclass(frozen=True, slots=True)
class UploadVolume(Request):
    """Write a local file over the beginning of a volume (virStorageVolUpload)."""

    pool: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class DownloadVolume(Request):
    """Write a volume to a local file (virStorageVolDownload): to PATH.part until all of it is there."""

    pool: str
    name: str
    path: str
    overwrite: bool = False
    sparse: bool = False
    """Leave holes of the volume holes in the file (VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)."""


def misfit(path: str, capacity: int | None, form: str) -> str:
    """Return why a local file does not fit a volume, "" when it does: libvirt would write beyond a volume's capacity,
    and one format over another. Raises OSError."""
    header = read_header(path)
    if header.form != form and ("qcow2" in (header.form, form)):
        return f"{clean(path)} is {header.form}, the volume is {form or 'of no known format'}"
    if capacity is not None and header.capacity > capacity:
        return (
            f"{clean(path)} holds {units.byte_size(header.capacity)} ({header.capacity} bytes), "
            f"the volume's capacity is {units.byte_size(capacity)} ({capacity} bytes)"
        )
    return ""


def _upload(request: UploadVolume, context: OpContext) -> Outcome:
    what, name = "upload to", clean(request.name)
    with volume_of(context, request.pool, request.name, what) as volume:
        refuse(volume, what, lambda holder: holder.running or not holder.target)
        found = description(volume, request.pool, what)
        try:
            if why := misfit(request.path, found.capacity_bytes, found.format):
                raise OpError(what, name, why, advice=_UNCHANGED)
            with open(request.path, "rb", buffering=0) as file, _stream(volume) as stream:
                size = os.fstat(file.fileno()).st_size
                with doing(what, name):
                    volume.upload(stream, 0, size, 0)
                _send(context, stream, file, size, name)
        except OSError as error:
            raise OpError(what, name, f"{clean(request.path)}: {error.strerror}") from error
    return Outcome(f"uploaded {units.byte_size(size)}")


def _send(context: OpContext, stream: Any, file: IO[bytes], size: int, name: str) -> None:
    sent = 0
    try:
        while not context.cancelled and (piece := file.read(min(_PIECE, size - sent))):
            _send_piece(stream, piece)
            sent += len(piece)
            context.progress(sent, size)
        if not context.cancelled:
            if sent < size:
                raise OpError("upload to", name, "the file became shorter meanwhile", advice=_left(sent))
            stream.finish()
            return
    except libvirt.libvirtError as error:
        found = op_error("upload to", name, error)
        found.advice = " ".join(filter(None, (_left(sent), found.advice)))
        raise found from error
    raise CancelledError("upload to", name, f"cancelled at {_of(sent, size)}", advice=_left(sent))


def _send_piece(stream: Any, piece: bytes) -> None:
    """Send all of it: libvirt may take less at a time."""
    sent = stream.send(piece)
    while sent < len(piece):
        sent += stream.send(piece[sent:])


def _left(sent: int) -> str:
    if not sent:
        return "Nothing was sent."
    return f"Up to {units.byte_size(sent)} from its beginning are overwritten, the rest is as before; upload it again."


def _of(done: int, total: int) -> str:
    return f"{units.byte_size(done)} of {units.byte_size(total)}"


@contextmanager
def _stream(volume: Any) -> Iterator[Any]:
    """Give a stream; one that was not finished is aborted, which libvirt's daemon must be told."""
    with doing("open a stream for", volume.name()):
        stream = volume.connect().newStream(0)
    try:
        yield stream
    except BaseException:
        # What ended it is told already; a stream that libvirt closed itself cannot be aborted.
        with suppress(libvirt.libvirtError):
            stream.abort()
        raise
    finally:
        del stream


def _download(request: DownloadVolume, context: OpContext) -> Outcome:
    what, name = "download", clean(request.name)
    with volume_of(context, request.pool, request.name, what) as volume:
        with doing(what, name):
            total = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2]
        if not request.overwrite and os.path.lexists(request.path):
            raise OpError(what, name, f"{clean(request.path)} is there already", advice=_UNCHANGED)
        try:
            descriptor = open_part(request.path)
        except OSError as error:
            raise OpError(what, name, f"{clean(request.path)}.part: {error.strerror}", advice=_UNCHANGED) from error
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file, _stream(volume) as stream:
                with doing(what, name):
                    volume.download(stream, 0, 0, _SPARSE if request.sparse else 0)
                size = _receive(context, stream, file, total, name)
            put_part(request.path, overwrite=request.overwrite)
        except OSError as error:
            remove_part(request.path)
            text = f"{clean(request.path)}: {error.strerror}"
            raise OpError(what, name, text, advice="What had come of it is removed.") from error
        except BaseException:
            remove_part(request.path)
            raise
    return Outcome(f"downloaded {units.byte_size(size)}")


def _receive(context: OpContext, stream: Any, file: IO[bytes], total: int, name: str) -> int:
    got = 0
    with doing("download", name):
        # At a hole -3 comes in the place of bytes, where holes were asked for.
        while piece := stream.recvFlags(_PIECE, libvirt.VIR_STREAM_RECV_STOP_AT_HOLE):
            got += _skip(file, stream.recvHole()) if isinstance(piece, int) else _write(file, piece)
            if context.cancelled:
                text = f"cancelled at {_of(got, total)}; what had come of it is removed"
                raise CancelledError("download", name, text)
            context.progress(got, total)
        stream.finish()
    return got


def _write(file: IO[bytes], piece: bytes) -> int:
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]
    return len(piece)


def _skip(file: IO[bytes], length: int) -> int:
    """Leave a hole; it is part of the file even where nothing follows it."""
    file.truncate(file.seek(length, os.SEEK_CUR))
    return length


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {UploadVolume: _upload, DownloadVolume: _download}
