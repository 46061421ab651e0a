"""Which disk of a domain a word means, on each of its sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui.actions.base import Context, Field, FieldError, FieldKind, Reason, Target, Values
from tui.actions.lifecycle import as_domain
from tui.actions.sides import Side, sides
from tui.model.domain import Domain
from tui.model.domain_config import Disk, DomainConfig

UNREAD = "its configuration is not read yet"
REMOVABLE = ("cdrom", "floppy")

Fits = Callable[[Disk], bool]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A disk on one side."""

    side: Side
    disk: Disk


def known_sides(domain: Domain) -> list[DomainConfig]:
    """Return the live configuration, where it runs, and the persistent one, where it has one, as far as read."""
    live = domain.config if domain.active else None
    persistent = domain.persistent_config if domain.persistent is not False else None
    return [side for side in (live, persistent) if side is not None]


def is_drive(disk: Disk) -> bool:
    """Whether media go in and out of it."""
    return disk.device in REMOVABLE


def is_disk(disk: Disk) -> bool:
    """Whether it is no drive for media."""
    return not is_drive(disk)


def any_disk(_disk: Disk) -> bool:
    """Whether it is a disk or drive of any kind."""
    return True


def chosen(domain: Domain, values: Values, fits: Fits) -> list[Chosen]:
    """Return the disk that the field `device` names, on each wanted side that has it; raises FieldError when none
    has."""
    wanted, word = sides(domain, values), values["device"].strip()
    found = [Chosen(side, disk) for side in wanted for disk in side.config.disks if disk.target == word and fits(disk)]
    if not found:
        there = dict.fromkeys(disk.target for side in wanted for disk in side.config.disks if fits(disk))
        raise FieldError("device", f"no {word or 'disk'} there; it has: {', '.join(there) or 'none'}")
    return found


def device_field(fits: Fits, *, live: bool = False) -> Field:
    """Return the field that asks for a disk by its target; the last one that fits is proposed."""

    def default(_context: Context, targets: Sequence[Target]) -> str:
        if len(targets) != 1 or targets[0] is None:
            return ""
        there = known_sides(as_domain(targets[0]))[: 1 if live else None]
        return next((disk.target for side in there for disk in reversed(side.disks) if fits(disk)), "")

    return Field("device", "Disk", FieldKind.TEXT, default, help="its target, as vdb")


def has(target: Target, fits: Fits, none: str) -> Reason:
    """Return why there is nothing to choose from; None when there is."""
    there = known_sides(as_domain(target))
    if not there:
        return UNREAD
    return None if any(fits(disk) for side in there for disk in side.disks) else none
