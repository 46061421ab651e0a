"""Questions to a domain's QEMU monitor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt
import libvirt_qemu

from tui.model import units
from tui.model.plan import Request
from tui.model.qemu_monitor import failure
from tui.model.text import clean, clean_lines
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.errors import control_domain, doing, long_domain

BALLOON_PATIENCE_S = 15.0
_FLAGS = {
    "hmp": libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP,
    "qmp": libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT,
}
_NEAR_KIB = 1024
_UNKNOWN = "unknown command"


@dataclass(frozen=True, slots=True)
class MonitorCommand(Request):
    """Give a running domain's QEMU one command (virDomainQemuMonitorCommand), which libvirt marks the domain for."""

    key: str
    command: str
    protocol: str = "hmp"
    """hmp, or qmp for a command in JSON."""
    balloon_kib: int | None = None
    """What the guest is asked to come to, when the command is one for its balloon."""


def _command(request: MonitorCommand, context: OpContext) -> Outcome:
    """A monitor may not answer, or only after long: the call has a connection of its own."""
    with long_domain(context, request.key, "monitor") as handle:
        name = handle.name()
        answer: str = libvirt_qemu.qemuMonitorCommand(handle, request.command, _FLAGS[request.protocol])
    if (why := failure(request.command, request.protocol, answer)) is not None:
        advice = "help lists the commands." if request.protocol == "hmp" and why.startswith(_UNKNOWN) else ""
        text = "; ".join(clean_lines(why))
        raise OpError("monitor", f"{clean(name)}: {clean(request.command)}", text, advice=advice)
    if request.balloon_kib is None:
        return Outcome("answered" if answer.strip() else "done", output=answer)
    return Outcome(
        f"the guest has {units.size(request.balloon_kib)}",
        _watch_balloon(context, request.key, request.balloon_kib),
        patience_s=BALLOON_PATIENCE_S,
        hint="the guest did not give or take it all; look at its balloon",
        output=answer,
    )


def _watch_balloon(context: OpContext, key: str, wanted_kib: int) -> Callable[[], Progress]:
    """What QEMU last reported of the balloon; libvirt knows it by event, so that no monitor is asked."""

    def look() -> Progress:
        handle = control_domain(context, key, "look at the balloon of")
        with doing("look at the balloon of", key):
            state, _maximum, current_kib, *_ = handle.info()
        if state in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED):
            return Progress.FAILED
        return Progress.CONFIRMED if abs(current_kib - wanted_kib) < _NEAR_KIB else Progress.PENDING

    return look


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {MonitorCommand: _command}
