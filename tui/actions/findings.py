"""Muting a finding with a reason, and telling of it again."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values
from tui.model.finding import Finding
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.text import clean
from tui.ops.findings import MuteFinding

_LONGEST = 200


def _as_finding(target: Target) -> Finding:
    assert isinstance(target, Finding), "the action is for findings"
    return target


def _command(context: Context, action: str, finding: Finding, reason: str) -> tuple[str, ...]:
    given = ("--set", f"reason={reason}") if reason else ()
    return ("virtdeck", "-c", context.uri, "do", action, finding.id, *given, "--yes")


def _step(context: Context, finding: Finding, reason: str, undo: tuple[Step, ...] = ()) -> Step:
    words, action = ("mute", "finding.mute") if reason else ("unmute", "finding.unmute")
    request = MuteFinding(str(context.muted_file), context.uri, finding.id, reason)
    command = _command(context, action, finding, reason)
    return Step(f"{words} {finding.name}", command, request, finding.id, undo)


def _mute(context: Context, target: Target, values: Values) -> Sequence[Step]:
    finding, reason = _as_finding(target), clean(values["reason"].strip())
    if not reason:
        raise FieldError("reason", "say why, for whoever looks here next")
    if len(reason) > _LONGEST:
        raise FieldError("reason", f"at most {_LONGEST} characters")
    return [_step(context, finding, reason, (_step(context, finding, finding.muted or ""),))]


def _unmute(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    finding = _as_finding(target)
    return [_step(context, finding, "", (_step(context, finding, finding.muted or ""),))]


def _needs_muted(_context: Context, target: Target) -> Reason:
    return "it is not muted" if _as_finding(target).muted is None else None


def _reason_now(_context: Context, targets: Sequence[Target]) -> str:
    return next((target.muted or "" for target in targets if isinstance(target, Finding)), "")


ACTIONS: tuple[Action, ...] = (
    Action(
        "finding.mute", "Mute", "mute", "m", Kind.FINDING,
        "Do not tell of it any more, and say why; the host is not changed.", _mute,
        fields=(Field("reason", "Why", FieldKind.TEXT, _reason_now, help="for whoever looks here next"),), rank=20,
    ),
    Action(
        "finding.unmute", "Unmute", "unmute", "M", Kind.FINDING, "Tell of it again.", _unmute, _needs_muted, rank=21,
    ),
)  # fmt: skip
"""What can be done with a finding itself; what mends it are actions on other things."""
