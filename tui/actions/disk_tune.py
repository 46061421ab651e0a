"""Limit the bytes and requests a second of a disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.disk_choice import Chosen, any_disk, chosen, device_field, has
from tui.actions.lifecycle import as_domain, step
from tui.actions.sides import WHERE
from tui.model.amount import parse_amount
from tui.model.disk_xml import IOTUNE_KINDS
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.virsh import domain_word
from tui.ops import disks as ops

_KIB = 1024
# VIR_DOMAIN_BLOCK_IOTUNE_MAX of libvirt.
_MOST = 1_000_000_000_000_000

Limits = Mapping[str, int]


def _reason(_context: Context, target: Target) -> Reason:
    return has(target, any_disk, "it has no disks")


def _given(values: Values) -> dict[str, int]:
    """The limits that were given, by kind; raises FieldError."""
    found = {}
    for kind in IOTUNE_KINDS:
        text = values[kind].strip()
        if text:
            found[kind] = _bytes(kind, text) if kind.endswith("bytes") else _number(kind, text)
        if found.get(kind, 0) > _MOST:
            raise FieldError(kind, f"must be {_MOST} at most")
    if not found:
        raise FieldError(IOTUNE_KINDS[0], "give a limit; 0 is for none")
    return found


def _bytes(kind: str, text: str) -> int:
    if text == "0":
        return 0
    try:
        size = parse_amount(text) * _KIB
    except ValueError as error:
        raise FieldError(kind, f"{text!r} is no amount a second such as 10M or 512K") from error
    if size <= 0:
        raise FieldError(kind, "must be 1K at least; 0 is for no limit")
    return size


def _number(kind: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise FieldError(kind, "must be a whole number of requests a second; 0 is for no limit")
    return int(text)


def _tune(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, given = as_domain(target), _given(values)
    steps = []
    for one in chosen(domain, values, any_disk):
        before = dict(one.disk.iotune)
        after = _after(before, given)
        if after != _all(before):
            back = _step(context, domain, one, _all(before))
            steps.append(replace(_step(context, domain, one, after), undo=(back,)))
    if not steps:
        raise TargetError(IOTUNE_KINDS[0], "it has these limits already")
    return steps


def _all(limits: Limits) -> dict[str, int]:
    """All limits by libvirt's names, 0 for none; those of bursts that are not there are left out."""
    found = {f"{kind}_sec": limits.get(f"{kind}_sec", 0) for kind in IOTUNE_KINDS}
    bursts = {f"{kind}_sec_max": limits.get(f"{kind}_sec_max", 0) for kind in IOTUNE_KINDS}
    return {**found, **{name: value for name, value in bursts.items() if value}}


def _after(before: Limits, given: Limits) -> dict[str, int]:
    """What the limits come to: libvirt sets those of bytes together, and those of requests; raises FieldError."""
    limits = _all(before)
    for kind, value in given.items():
        limits[f"{kind}_sec"] = value
        burst = limits.get(f"{kind}_sec_max", 0)
        if burst and not value:
            limits[f"{kind}_sec_max"] = 0
        elif burst and burst < value:
            raise FieldError(kind, f"must not be above the {burst} a second that bursts are allowed")
    for what in ("bytes", "iops"):
        parts = [kind for kind in (f"read_{what}", f"write_{what}") if limits[f"{kind}_sec"]]
        if limits[f"total_{what}_sec"] and parts:
            raise FieldError(
                f"total_{what}", f"libvirt takes a total or {' and '.join(parts)}, not both; set the other to 0"
            )
    return limits


def _step(context: Context, domain: Domain, one: Chosen, limits: Limits) -> Step:
    target, side = one.disk.target, one.side
    words = ["blkdeviotune", domain_word(domain), target]
    for name, value in limits.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    request = ops.TuneDisk(domain.key, side.live, target, tuple(limits.items()))
    return step(context, domain, _title(domain, one, limits), [*words, side.option], request)


def _title(domain: Domain, one: Chosen, limits: Limits) -> str:
    said = ", ".join(f"{name} {value}" for name, value in limits.items() if value)
    words = f"limit {one.disk.target} of {domain.name} to {said}" if said else ""
    return f"{words or f'lift the limits of {one.disk.target} of {domain.name}'} {one.side.words}"


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    groups = {one.disk.iotune_group for one in chosen(domain, values, any_disk) if one.side.live}
    disks = domain.config.disks if domain.config is not None else ()
    return [
        f"{domain.name}: holds for all its disks of the group {group}"
        for group in groups
        if group and sum(disk.iotune_group == group for disk in disks) > 1
    ]


_LABELS = {"total": "All", "read": "Reading", "write": "Writing", "bytes": "bytes/s", "iops": "requests/s"}


def _field(kind: str) -> Field:
    way, _, what = kind.partition("_")
    help = "such as 10M" if what == "bytes" else "a number"
    label = f"{_LABELS[way]} {_LABELS[what]}"
    return Field(kind, label, FieldKind.TEXT, help=f"{help}; 0: no limit; empty: as it is", optional=True)


ACTION = Action(
    "domain.disk-tune", "Limit a disk of", "disk limits", "Q", Kind.DOMAIN,
    "Set how many bytes and requests a second a disk may have, live and persistent.", _tune, _reason,
    (device_field(any_disk), *(_field(kind) for kind in IOTUNE_KINDS), WHERE), bulk=False, notes=_notes,
)  # fmt: skip
"""The action; it is one of the family disks."""
