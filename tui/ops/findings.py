"""Muting findings: a file of virtdeck's own, nothing of the host."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.model.mutes import format_mutes, parse_mutes
from tui.model.plan import Request
from tui.ops.base import OpContext, OpError, Outcome


@dataclass(frozen=True, slots=True)
class MuteFinding(Request):
    """Do not tell of a finding any more; `reason` "" tells of it again."""

    path: str
    """The file of the mutes."""
    uri: str
    finding: str
    """The finding's id."""
    reason: str


def _mute(request: MuteFinding, _context: OpContext) -> Outcome:
    try:
        folder = os.path.dirname(request.path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Two virtdecks may mute at the same time.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _rewrite(request)
        finally:
            os.close(lock)
    except (OSError, ValueError) as error:
        raise OpError("keep in", request.path, str(error), advice="Nothing was changed.") from error
    return Outcome("muted" if request.reason else "no longer muted")


def _rewrite(request: MuteFinding) -> None:
    path = Path(request.path)
    mutes = parse_mutes(path.read_text(encoding="utf-8") if path.exists() else "")
    own = mutes.setdefault(request.uri, {})
    own.pop(request.finding, None)
    if request.reason:
        own[request.finding] = request.reason
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(format_mutes(mutes))
    os.replace(fresh, path)


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {MuteFinding: _mute}
