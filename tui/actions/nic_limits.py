"""Limit the bytes a second of a NIC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.lifecycle import as_domain, step
from tui.actions.nic_choice import NIC, Chosen, chosen, has_nic
from tui.actions.sides import WHERE
from tui.model.amount import parse_amount
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.nic_xml import LIMITS
from tui.model.plan import Step
from tui.model.virsh import domain_word
from tui.ops.nics import SetNicLimits

_WAYS = ("inbound", "outbound")
# VIR_DOMAIN_BANDWIDTH_* are unsigned ints of KiB/s and KiB.
_MOST = 2**32 - 1
_NAMES = {f"{way}_{limit}": f"{way}.{limit}" for way in _WAYS for limit in LIMITS}


def _reason(context: Context, target: Target) -> Reason:
    return has_nic(context, target)


def _given(values: Values) -> dict[str, int]:
    """The limits that were given, by libvirt's names; raises FieldError."""
    found = {}
    for field, name in _NAMES.items():
        text = values[field].strip()
        if text:
            found[name] = _kib(field, text)
    if not found:
        raise FieldError("inbound_average", "give a limit; 0 is for none")
    return found


def _kib(field: str, text: str) -> int:
    if text == "0":
        return 0
    try:
        size = parse_amount(text)
    except ValueError as error:
        raise FieldError(field, f"{text!r} is no amount such as 10M or 512K") from error
    if not 0 < size <= _MOST:
        raise FieldError(field, f"must be from 1K to {_MOST}K; 0 is for no limit")
    return size


def _limit(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, given = as_domain(target), _given(values)
    steps = []
    for one in chosen(domain, values):
        before = _all(dict(one.nic.bandwidth))
        after = _after(before, given)
        if after != before:
            back = _step(context, domain, one, before)
            steps.append(replace(_step(context, domain, one, after), undo=(back,)))
    if not steps:
        raise TargetError("inbound_average", "it has these limits already")
    return steps


def _all(limits: Mapping[str, int]) -> dict[str, int]:
    return {name: limits.get(name, 0) for name in _NAMES.values()}


def _after(before: Mapping[str, int], given: Mapping[str, int]) -> dict[str, int]:
    """What the limits come to: those of a way together; raises FieldError."""
    after = {**before, **given}
    for way in _WAYS:
        average, peak = after[f"{way}.average"], after[f"{way}.peak"]
        if not average:
            if any(given.get(f"{way}.{limit}") for limit in ("peak", "burst")):
                raise FieldError(f"{way}_average", "peak and burst need an average")
            after |= {f"{way}.{limit}": 0 for limit in LIMITS}
        elif peak and peak < average:
            raise FieldError(f"{way}_peak", f"must not be below the average of {average}K a second")
    return after


def _step(context: Context, domain: Domain, one: Chosen, limits: Mapping[str, int]) -> Step:
    words = ["domiftune", domain_word(domain), one.mac]
    for way in _WAYS:
        words += [f"--{way}", ",".join(str(limits[f"{way}.{limit}"]) for limit in LIMITS)]
    request = SetNicLimits(domain.key, one.side.live, one.mac, tuple(limits.items()))
    said = ", ".join(f"{name} {value}K" for name, value in limits.items() if value)
    what = f"limit NIC {one.mac} of {domain.name} to {said}" if said else ""
    title = f"{what or f'lift the limits of NIC {one.mac} of {domain.name}'} {one.side.words}"
    return step(context, domain, title, [*words, one.side.option], request)


_LABELS = {"inbound": "To the guest", "outbound": "From the guest"}


def _field(name: str) -> Field:
    way, _, limit = name.partition("_")
    unit = "bytes" if limit == "burst" else "bytes/s"
    help = "such as 10M; 0: no limit; empty: as it is"
    return Field(name, f"{_LABELS[way]}, {limit} {unit}", FieldKind.TEXT, help=help, optional=True)


ACTION = Action(
    "domain.nic-limits", "Limit a NIC of", "NIC limits", "", Kind.DOMAIN,
    "Set how many bytes a second a NIC may carry each way, live and persistent.", _limit, _reason,
    (NIC, *(_field(name) for name in _NAMES), WHERE), bulk=False,
)  # fmt: skip
"""The action; it is one of the family nics."""
