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
    done_bytes: int
    total_bytes: int
    """0 while the job has not begun."""
    limit_bytes_per_s: int
    """The most that it may take; 0: no limit."""
    rate_bytes_per_s: float | None = None
    """Between the last two readings; None: not known yet."""

    @property
    def pivots(self) -> bool:
        """Whether it is of those that end with a pivot, or without one."""
        return self.kind in _PIVOTS

    @property
    def ready(self) -> bool:
        """Whether all is written and the disk can pivot; libvirt says one less than all until then."""
        return self.pivots and 0 < self.total_bytes == self.done_bytes

    @property
    def words(self) -> str:
        """Its kind, share, rate and limit in a few words: `copy 45%, 4.0M/s, at most 8.0M/s`."""
        share = "ready to pivot" if self.ready else Work(self.done_bytes, self.total_bytes).percent() or "begins"
        parts = [f"{self.kind} {share}"]
        if self.rate_bytes_per_s is not None and not self.ready:
            parts.append(f"{units.rate(self.rate_bytes_per_s)}/s")
        if self.limit_bytes_per_s:
            parts.append(f"at most {units.rate(self.limit_bytes_per_s)}/s")
        return ", ".join(parts)
