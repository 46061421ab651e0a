"""Block jobs: work that QEMU does on the images of a running disk, as libvirt tells of it."""

from __future__ import annotations

from dataclasses import dataclass

from tui.model import units
from tui.model.work import Work

# virDomainBlockJobType of libvirt.
KINDS = ("unknown", "pull", "copy", "commit", "active commit", "backup")
"""What a job is called, by libvirt's number."""

_PIVOTS = ("copy", "active commit")


@dataclass(frozen=True, slots=True)
class BlockJob:
    """A block job as last read (virDomainGetBlockJobInfo)."""

    target: str
    """The disk, as vda."""
    kind: str
    """One of KINDS."""
    done: int
    total: int
    """QEMU's own units: bytes in most cases; 0 while the job has not begun."""
    limit: int
    """The most bytes/s that it may take; 0: no limit."""
    rate: float | None = None
    """Bytes/s between the last two readings; None: not known yet."""

    @property
    def pivots(self) -> bool:
        """Whether it is of those that end with a pivot, or without one."""
        return self.kind in _PIVOTS

    @property
    def ready(self) -> bool:
        """Whether all is written and the disk can pivot; libvirt says one less than all until then."""
        return self.pivots and 0 < self.total == self.done

    @property
    def words(self) -> str:
        """Its kind, share, rate and limit in a few words: `copy 45%, 4.0M/s, at most 8.0M/s`."""
        share = "ready to pivot" if self.ready else Work(self.done, self.total).percent() or "begins"
        parts = [f"{self.kind} {share}"]
        if self.rate is not None and not self.ready:
            parts.append(f"{units.rate(self.rate)}/s")
        if self.limit:
            parts.append(f"at most {units.rate(self.limit)}/s")
        return ", ".join(parts)
