"""Questions to a domain's QEMU monitor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt_qemu

from tui.model.plan import Request
from tui.model.qemu_monitor import failure
from tui.model.text import clean, clean_lines
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.errors import control_domain, doing
from tui.ops.memory import Balloon, balloon_outcome

MOST_OUTPUT = 256 * 1024
"""How many characters of an answer are kept: its end."""
_FLAGS = {
    "hmp": libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP,
    "qmp": libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT,
}
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
    balloon = None
    handle = control_domain(context, request.key, "monitor")
    name = handle.name()
    with doing("monitor", name):
        if request.balloon_kib is not None:
            balloon = Balloon(context, request.key, request.balloon_kib, handle.ID(), int(handle.info()[2]))
        answer: str = libvirt_qemu.qemuMonitorCommand(handle, request.command, _FLAGS[request.protocol])
    if (why := failure(request.command, request.protocol, answer)) is not None:
        advice = "help lists the commands." if request.protocol == "hmp" and why.startswith(_UNKNOWN) else ""
        text = "; ".join(clean_lines(_end_of(why)))
        raise OpError("monitor", f"{clean(name)}: {clean(request.command)}", text, advice=advice)
    output = _end_of(answer)
    if balloon is not None:
        return balloon_outcome(balloon, output)
    return Outcome("answered" if answer.strip() else "done", output=output)


def _end_of(answer: str) -> str:
    """The end of an answer that is too long to be kept, behind a line that says so."""
    if len(answer) <= MOST_OUTPUT:
        return answer
    return f"[the first {len(answer) - MOST_OUTPUT} characters are left out]\n{answer[-MOST_OUTPUT:]}"


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {MonitorCommand: _command}
