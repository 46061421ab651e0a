"""A block job of a running disk followed to its end: how far it is, cancelled when the user wants, and what was seen
to come of it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import libvirt

from tui.model import units
from tui.model.domain_config import Disk
from tui.model.domain_xml import parse_domain_xml
from tui.model.text import clean
from tui.ops.base import CancelledError, OpContext, OpError
from tui.ops.volume_guard import is_local

_LOOK_S = 0.2
_READY_S = 5.0
UNCHANGED = "Nothing was changed."
_GOES_ON = "The job goes on in QEMU: the disks of the domain show it, and domain.disk-job pivots or ends it."


class End(Enum):
    """How following a job ended."""

    READY = "ready"
    """All is written and kept the same: it can pivot."""
    GONE = "gone"
    """There is no job any more: it came to its end, failed, or somebody else ended it."""
    CANCELLED = "cancelled"
    """The user wanted it, and it was aborted."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job on a disk of a domain; `handle` is on a connection of its own."""

    context: OpContext
    handle: Any
    target: str
    what: str
    """What is being done, as in `pull vda of`."""
    left: str = ""
    """What is left where it stands when nobody can look after it any more."""

    @property
    def name(self) -> str:
        """The domain's, cleaned."""
        return clean(self.handle.name())

    def error(self, text: str, advice: str = UNCHANGED, code: int | None = None) -> OpError:
        """Return the typed error of this job."""
        return OpError(self.what, self.name, text, code, advice)

    def disk(self, advice: str = "") -> Disk:
        """Return the disk as it runs; raises OpError, with that advice, when it does not, libvirtError."""
        if not self.handle.isActive():
            raise self.error("it does not run", advice)
        return self._find(self.handle.XMLDesc(0), advice)

    def disk_at_next_boot(self) -> Disk | None:
        """Return the disk of the persistent configuration; None where there is no such. Raises libvirtError."""
        if not self.handle.isPersistent():
            return None
        with suppress(OpError):
            return self._find(self.handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), "")
        return None

    def _find(self, xml: str, advice: str) -> Disk:
        found = next((disk for disk in parse_domain_xml(xml).disks if disk.target == self.target), None)
        if found is None:
            raise self.error(f"it has no disk {self.target}", advice)
        return found

    def expect(self, source: str) -> Disk:
        """Return the disk as it runs, which must be the image that the plan was made for; raises OpError."""
        disk = self.disk(UNCHANGED)
        if disk.raw_source != source:
            raise self.error(f"its {self.target} is {disk.source} by now")
        return disk

    def follow(self) -> End:
        """Tell how far the job is until it ends, is ready or is cancelled. Raises OpError when the connection is lost:
        the job goes on without it."""
        try:
            while info := self._info():
                done, total = int(info["cur"]), int(info["end"])
                # libvirt says one less than all until a copy or an active commit is ready.
                if info["type"] in _PIVOTS and 0 < total == done:
                    return End.READY
                self.context.progress(done, total or None)
                if self.context.cancelled and self._abort():
                    return End.CANCELLED
                time.sleep(_LOOK_S)
        except libvirt.libvirtError as error:
            raise self.lost(error) from error
        return End.GONE

    def _info(self) -> dict[str, Any]:
        """libvirt's figures; {} when there is no job, nor a QEMU that could have one."""
        try:
            return dict(self.handle.blockJobInfo(self.target, 0))
        except libvirt.libvirtError as error:
            if self.is_lost():
                raise
            if error.get_error_code() in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
                return {}
            raise

    def _abort(self) -> bool:
        """Whether it was aborted: a job that ended by itself in between was not."""
        try:
            self.handle.blockJobAbort(self.target, 0)
        except libvirt.libvirtError:
            if self._info():
                raise
            return False
        return True

    def pivot(self) -> None:
        """Have the disk change over; raises OpError when QEMU does not, which leaves the job ready. libvirt says that
        all is written a moment before it takes the job for ready, and refuses until then."""
        end = time.monotonic() + _READY_S
        while True:
            try:
                self.handle.blockJobAbort(self.target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
                return
            except libvirt.libvirtError as error:
                too_early = error.get_error_code() == libvirt.VIR_ERR_BLOCK_COPY_ACTIVE
                if not too_early or time.monotonic() > end:
                    raise self.lost(error) from error
            time.sleep(_LOOK_S)

    def is_lost(self) -> bool:
        """Whether the connection is not there any more."""
        try:
            return not self.handle.connect().isAlive()
        except libvirt.libvirtError:
            return True

    def lost(self, error: libvirt.libvirtError) -> OpError:
        """Return the error for a job that cannot be looked after any more."""
        text = clean(error.get_error_message() or str(error))
        return self.error(text, f"{_GOES_ON} {self.left}".strip(), error.get_error_code())

    def why_gone(self, path: str) -> str:
        """Return why a job may have come to nothing, as far as it can be told: libvirt passes on no reason."""
        if not self.is_active():
            return "the domain stopped meanwhile"
        free = free_bytes(self.handle.connect(), path)
        room = f"; {units.byte_size(free)} free where {clean(path)} lies" if free is not None else ""
        return f"QEMU broke it off, and libvirt does not say why{room}"

    def is_active(self) -> bool:
        """Whether the domain runs; a transient one that stopped is gone."""
        try:
            return bool(self.handle.isActive())
        except libvirt.libvirtError:
            return False

    def cancelled(self, text: str) -> CancelledError:
        """Return what a job that the user ended comes to."""
        return CancelledError(self.what, self.name, f"cancelled; {text}")

    def next_boot_words(self, path: str) -> str:
        """Return what is to be said of the persistent configuration once the disk runs with `path`, which libvirt
        changes too where it named the same image before."""
        later = self.disk_at_next_boot()
        if later is None:
            return ""
        if later.raw_source == path:
            return ", at the next boot too"
        return f"; the next boot has {later.source or 'no image'} as before"


_PIVOTS = (libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY, libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT)


def image_path(connection: Any, disk: Disk) -> str:
    """Return where a disk's image is on the host, of a volume by its pool; its source where that does not tell."""
    pool, _, name = disk.raw_source.partition("/")
    if disk.source_kind == "volume":
        with suppress(libvirt.libvirtError):
            return str(connection.storagePoolLookupByName(pool).storageVolLookupByName(name).path())
    return disk.raw_source


def free_bytes(connection: Any, path: str) -> int | None:
    """Return the free bytes of the pool that has an image, looked at anew, or of the filesystem where the host is this
    machine; None where neither tells."""
    with suppress(libvirt.libvirtError):
        pool = connection.storageVolLookupByPath(path).storagePoolLookupByVolume()
        pool.refresh(0)
        return int(pool.info()[3])
    if not is_local(connection):
        return None
    with suppress(OSError):
        found = os.statvfs(os.path.dirname(path))
        return found.f_bavail * found.f_frsize
    return None
