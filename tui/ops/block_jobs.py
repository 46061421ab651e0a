"""Block jobs on the disks of running domains: commit, pull, copy, and the end of one that is under way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from tui.model.disk_xml import copy_target_xml
from tui.model.domain_config import Disk
from tui.model.holders import held_words
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.block_follow import UNCHANGED, End, Job, image_path
from tui.ops.errors import long_domain, op_error
from tui.ops.volume_guard import held_images, is_local, removed

# A copy that is held back ends after the piece that it is at.
_END_S = 60.0


@dataclass(frozen=True, slots=True)
class CommitDisk(Request):
    """Write what the images from `top` down to above `base` hold into `base` (virDomainBlockCommit). Where `top` is
    the disk's own image the disk pivots to `base` then. Refused when somebody else has one of these images, or when
    the disk is not of `source` any more; `limit` in bytes/s, 0: none."""

    key: str
    target: str
    source: str
    top: str
    base: str
    limit: int = 0


@dataclass(frozen=True, slots=True)
class PullDisk(Request):
    """Write into a disk's image what those below hold, down to above `base`, on which it then lies; "" for all
    (virDomainBlockRebase, virDomainBlockPull); `limit` in bytes/s, 0: none."""

    key: str
    target: str
    source: str
    base: str = ""
    limit: int = 0


@dataclass(frozen=True, slots=True)
class CopyDisk(Request):
    """Copy a disk to another image (virDomainBlockCopy) and, when all is there, pivot to it or leave it as the disk
    was at that moment. What had come of it is removed when it comes to nothing."""

    key: str
    target: str
    source: str
    path: str
    block: bool
    format: str
    shallow: bool
    """Whether it is to lie on the images below, and only what is above them is copied."""
    pivot: bool
    reuse: bool
    """Whether the image is there already, to be written over."""
    pool: str = ""
    volume: str = ""
    """UUID of the pool and name of the volume that was made for it; "" when none was."""
    limit: int = 0
    """Bytes/s; 0: none."""


@dataclass(frozen=True, slots=True)
class EndBlockJob(Request):
    """Pivot, or abort, the block job of a disk, whoever began it (virDomainBlockJobAbort); refused when it is not of
    `kind` any more (virDomainBlockJobType)."""

    key: str
    target: str
    kind: int
    pivot: bool


def _commit(request: CommitDisk, context: OpContext) -> Outcome:
    with long_domain(context, request.key, what := f"commit {request.target} of") as handle:
        job = Job(context, handle, request.target, what)
        disk = job.expect(request.source)
        images = [request.source, *disk.raw_backing]
        if request.top not in images or request.base not in images[images.index(request.top) + 1 :]:
            raise job.error(f"{clean(request.base)} is not below {clean(request.top)} any more")
        chain = images[images.index(request.top) : images.index(request.base) + 1]
        _refuse_others(job, disk, chain)
        active = request.top == request.source
        flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE if active else 0
        top = None if active else request.top
        flags |= libvirt.VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES
        handle.blockCommit(request.target, request.base, top, request.limit, flags)
        end = job.follow()
        if end is End.READY:
            job.pivot()
        return _committed(job, request, chain, end)


def _refuse_others(job: Job, disk: Disk, chain: list[str]) -> None:
    """Raise OpError when what is committed is below the disk of somebody else."""
    connection = job.handle.connect()
    own = [image_path(connection, disk), *disk.raw_backing]
    paths = [own[0] if path == disk.raw_source else path for path in chain]
    if found := held_images(connection, paths, (job.handle.UUIDString(), job.target), own):
        raise job.error(f"what is committed would break {held_words(found)}")


def _committed(job: Job, request: CommitDisk, chain: list[str], end: End) -> Outcome:
    """What came of it, by what the disk is now."""
    stays = f"{clean(request.base)} holds a part of it, and {clean(request.top)} all: the disk is as it was"
    if end is End.CANCELLED:
        raise job.cancelled(stays)
    if not job.is_active():
        raise job.error(job.why_gone(request.base), stays)
    disk = job.disk()
    if request.top in (disk.raw_source, *disk.raw_backing):
        raise job.error(job.why_gone(request.base), stays)
    left = ", ".join(clean(path) for path in chain[:-1])
    over = f"; {request.target} is {disk.source} now{job.next_boot_words(disk.raw_source)}"
    return Outcome(f"committed{over if request.top == request.source else ''}; left behind: {left}")


def _pull(request: PullDisk, context: OpContext) -> Outcome:
    what = f"pull {request.target} of"
    with context.leave_images(request.key), long_domain(context, request.key, what) as handle:
        job = Job(context, handle, request.target, what)
        disk = job.expect(request.source)
        below = list(disk.raw_backing)
        if not below or (request.base and request.base not in below[1:]):
            raise job.error(f"what lies below its {request.target} is another chain by now")
        flags = libvirt.VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES
        if request.base:
            handle.blockRebase(request.target, request.base, request.limit, flags)
        else:
            handle.blockPull(request.target, request.limit, flags)
        end = job.follow()
        stays = "the disk lies on the same images as before, and is as it was"
        if end is End.CANCELLED:
            raise job.cancelled(stays)
        if not job.is_active() or job.disk().raw_backing[:1] != ((request.base,) if request.base else ()):
            raise job.error(job.why_gone(request.source), stays)
    pulled = below[: below.index(request.base)] if request.base else below
    return Outcome(f"pulled; {request.target} does not need {', '.join(map(clean, pulled))} any more")


def _copy(request: CopyDisk, context: OpContext) -> Outcome:
    left = f"{clean(request.path)} is left, an image that nothing was copied to." if request.volume else ""
    with long_domain(context, request.key, what := f"copy {request.target} of", left=left) as handle:
        job = Job(context, handle, request.target, what, f"{clean(request.path)} is left, a part of the copy.")
        try:
            _begin_copy(job, request)
        except (OpError, libvirt.libvirtError) as error:
            raise _not_begun(job, request, error) from error
        end = job.follow()
        if end is End.READY:
            _conclude(job, request)
        return _copied(job, request, end)


def _begin_copy(job: Job, request: CopyDisk) -> None:
    handle = job.handle
    job.expect(request.source)
    if found := held_images(handle.connect(), (request.path,), (request.key, request.target)):
        raise job.error(f"{clean(request.path)} is used by {held_words(found)}")
    # Without the last flag libvirt refuses it for a domain with a persistent configuration: no QEMU takes up a copy
    # anew after a restart.
    flags = libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    flags |= libvirt.VIR_DOMAIN_BLOCK_COPY_SHALLOW if request.shallow else 0
    flags |= libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT if request.reuse else 0
    limit = {libvirt.VIR_DOMAIN_BLOCK_COPY_BANDWIDTH: request.limit} if request.limit else {}
    handle.blockCopy(request.target, copy_target_xml(request.path, request.format, block=request.block), limit, flags)


def _not_begun(job: Job, request: CopyDisk, error: OpError | libvirt.libvirtError) -> OpError:
    """The error of a copy that was refused, without the volume that was made for it. A file that libvirt makes itself
    it removes itself."""
    advice = ""
    if isinstance(error, libvirt.libvirtError):
        if job.is_lost():
            return job.lost(error)
        error = op_error(job.what, job.name, error)
        advice = error.advice
    stays = f"The disk is as it was{_clear(job, request) if request.volume else ''}."
    return job.error(error.text, f"{advice} {stays}".strip(), error.code)


def _conclude(job: Job, request: CopyDisk) -> None:
    """Pivot, or end the copy as the disk is now."""
    if request.pivot:
        job.pivot()
        return
    try:
        job.handle.blockJobAbort(job.target, 0)
    except libvirt.libvirtError as error:
        raise job.lost(error) from error


def _copied(job: Job, request: CopyDisk, end: End) -> Outcome:
    """What came of it, by what the disk is now."""
    path = clean(request.path)
    if end is End.CANCELLED:
        raise job.cancelled(f"{job.target} is {clean(request.source)} as before{_clear(job, request)}")
    now = job.disk().raw_source if job.is_active() else ""
    if request.pivot and now == request.path:
        left = f"; {clean(request.source)} is left as it was at that moment"
        return Outcome(f"{job.target} is {path} now{job.next_boot_words(request.path)}{left}")
    if not request.pivot and end is End.READY:
        return Outcome(f"{path} is {job.target} as it was at that moment")
    why = job.why_gone(request.path)
    raise job.error(why, f"{job.target} is {clean(request.source)} as before{_clear(job, request)}.")


def _clear(job: Job, request: CopyDisk) -> str:
    """Remove what had come of a copy; says what became of it. Nothing that somebody has by now is removed."""
    path, connection = clean(request.path), job.handle.connect()
    if request.volume:
        return f"; {removed(connection, request.pool, request.volume, job.what)}"
    try:
        # An image that was there before is nobody's to delete.
        if request.reuse or not is_local(connection) or held_images(connection, (request.path,)):
            return f"; {path} is left, a part of the copy"
        os.unlink(request.path)
    except (OSError, libvirt.libvirtError) as error:
        return f"; {path} is left, a part of the copy: {clean(str(error))}"
    return f"; {path} is removed"


def _end(request: EndBlockJob, context: OpContext) -> Outcome:
    what = f"{'pivot' if request.pivot else 'abort'} the block job of {request.target} of"
    with long_domain(context, request.key, what, _END_S) as handle:
        job = Job(context, handle, request.target, what)
        info = handle.blockJobInfo(request.target, 0)
        if not info or info["type"] != request.kind:
            raise job.error("it is not under way any more")
        if request.pivot:
            job.pivot()
        else:
            handle.blockJobAbort(request.target, 0)
        if not handle.isActive():
            raise job.error("the domain stopped meanwhile", UNCHANGED)
        disk = job.disk()
        over = job.next_boot_words(disk.raw_source) if request.pivot else ""
    return Outcome(f"{request.target} is {disk.source} {'now' if request.pivot else 'as before'}{over}")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    CommitDisk: _commit,
    PullDisk: _pull,
    CopyDisk: _copy,
    EndBlockJob: _end,
}
