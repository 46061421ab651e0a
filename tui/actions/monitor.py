"""Questions to a domain's QEMU monitor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, choice
from tui.actions.lifecycle import as_domain, needs_active
from tui.model import balloon, qemu_monitor
from tui.model.domain import Domain
from tui.model.domain_config import DomainConfig
from tui.model.kind import Kind
from tui.model.plan import Confirm, Step
from tui.model.text import clean
from tui.model.virsh import domain_word, virsh
from tui.ops.monitor import MonitorCommand

T = TypeVar("T")
_UNSAVED = "what the guest has not written to disk"
_LOSES = {
    "quit": f"{_UNSAVED}: its QEMU ends at once",
    "q": f"{_UNSAVED}: its QEMU ends at once",
    "system_reset": _UNSAVED,
    "loadvm": "the guest's state as it is now",
}


def _unavailable(context: Context, target: Target) -> Reason:
    host = context.snapshot.host
    if host is None:
        return "the host is not read yet"
    if host.driver != "QEMU":
        return f"libvirt's {host.driver} driver has no QEMU monitor"
    return needs_active(context, target)


def _steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, protocol = as_domain(target), values["protocol"]
    command = _command(values)
    wanted = _valid(lambda: qemu_monitor.balloon_kib(command, protocol))
    if wanted is None:
        return [_step(context, domain, command, protocol)]
    before = _balloon_now(context, _with_balloon(domain, wanted), domain)
    back = qemu_monitor.balloon_command(before, protocol)
    undo = _balloon_step(context, domain, back, protocol, before, wanted)
    return [replace(_balloon_step(context, domain, command, protocol, wanted, before), undo=(undo,))]


def _command(values: Values) -> str:
    take = qemu_monitor.qmp_command if values["protocol"] == "qmp" else qemu_monitor.one_line
    return _valid(lambda: take(values["command"]))


def _valid(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise FieldError("command", clean(str(error))) from error


def _step(context: Context, domain: Domain, command: str, protocol: str, balloon_kib: int | None = None) -> Step:
    words = ["qemu-monitor-command", domain_word(domain), *(["--hmp"] if protocol == "hmp" else []), command]
    loses = _LOSES.get(qemu_monitor.name_of_command(command, protocol))
    request = MonitorCommand(domain.key, command, protocol, balloon_kib)
    title = f"monitor {domain.name}: {clean(command)}"
    return Step(title, virsh(context.uri, *words), request, domain.key, loses=loses)


def _balloon_step(context: Context, domain: Domain, command: str, protocol: str, kib: int, before: int) -> Step:
    """Bring the balloon from a size to another; the name is typed for what domain.memory wants it typed for."""
    config, usage = domain.config, context.snapshot.usage.get(domain.key)
    made = _step(context, domain, command, protocol, kib)
    if config is None or kib >= min(balloon.floor_kib(config, usage), before):
        return made
    return replace(made, loses=balloon.loss(config, usage, domain.name, kib), typed=True)


def _with_balloon(domain: Domain, wanted_kib: int) -> DomainConfig:
    """The configuration of a domain whose balloon can come to a size; raises FieldError."""
    config = domain.config
    if config is None:
        raise FieldError("command", "its configuration is not read yet")
    if config.balloon in ("", "none"):
        raise FieldError("command", f"{domain.name} has no balloon device")
    if wanted_kib > config.memory_max_kib:
        maximum = f"{config.memory_max_kib // 1024} MiB"
        raise FieldError("command", f"{wanted_kib // 1024} MiB is more than its maximum of {maximum}")
    return config


def _balloon_now(context: Context, config: DomainConfig, domain: Domain) -> int:
    usage = context.snapshot.usage.get(domain.key)
    known = None if usage is None else usage.balloon_current_kib
    return config.memory_kib if known is None else known


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain, command = as_domain(target), _command(values)
    taints = f"libvirt marks {domain.name} as tainted (custom-monitor) until it is off: in its log and in virsh dominfo"
    if qemu_monitor.reads_only(command, values["protocol"]):
        return (taints,)
    return (taints, "libvirt is not told of what this changes: what it shows and does later may not fit")


ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.monitor", "QEMU monitor", "monitor", "!", Kind.DOMAIN,
        "Ask the domain's QEMU itself, by its own commands; libvirt marks the domain as tainted.",
        _steps, _unavailable,
        (
            Field("command", "Command", FieldKind.TEXT, help="as in: info balloon"),
            choice("protocol", "Protocol", qemu_monitor.PROTOCOLS,
                   "hmp: the human monitor; qmp: JSON, or a command's name such as query-status"),
        ),
        bulk=False, confirm=Confirm.ASK, notes=_notes, editor="monitor", reads=("usage",),
    ),
)  # fmt: skip
