"""Start, stop, pause and save domains."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, choice, flag, is_on
from tui.model.domain import Domain, DomainState
from tui.model.kind import Kind
from tui.model.plan import Request, Step
from tui.model.text import clean
from tui.model.virsh import domain_word, virsh
from tui.ops import lifecycle as ops

_MODES = ("default", "acpi", "agent")
_UNSAVED = "what the guest has not written to disk"


def as_domain(target: Target) -> Domain:
    """Return `target` as the domain that a domain action is only ever called with; raises TypeError otherwise."""
    if not isinstance(target, Domain):
        raise TypeError(f"not a domain: {target!r}")
    return target


def step(
    context: Context, domain: Domain, title: str, words: Sequence[str], request: Request, *, loses: str | None = None
) -> Step:
    """Return a step whose command is `virsh` with `words`."""
    return Step(title, virsh(context.uri, *words), request, domain.key, loses=loses)


def needs_active(_context: Context, target: Target) -> Reason:
    """Return why the domain cannot be stopped, paused or saved; None when it runs."""
    domain = as_domain(target)
    return None if domain.active else f"it is {domain.state.value}"


def _needs_inactive(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if domain.active and domain.state is DomainState.CRASHED:
        return "it crashed and its QEMU is still there; force it off first"
    return f"it is {domain.state.value} already" if domain.active else None


def _needs_running(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    return None if domain.state in (DomainState.RUNNING, DomainState.BLOCKED) else f"it is {domain.state.value}"


def _needs_paused(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    paused = domain.state in (DomainState.PAUSED, DomainState.PMSUSPENDED)
    return None if paused else f"it is {domain.state.value}, not paused"


def _needs_persistent(context: Context, target: Target) -> Reason:
    if reason := needs_active(context, target):
        return reason
    return "it is transient: libvirt would forget it" if as_domain(target).persistent is False else None


def _needs_managed_save(_context: Context, target: Target) -> Reason:
    return None if as_domain(target).managed_save else "it has no saved state"


def _start(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    paused, forced = is_on(values, "paused"), is_on(values, "force_boot")
    words = ["start", domain_word(domain)]
    words += ["--paused"] if paused else []
    words += ["--force-boot"] if forced else []
    loses = "the saved state" if forced and domain.managed_save else None
    return [step(context, domain, f"start {domain.name}", words, ops.Start(domain.key, paused, forced), loses=loses)]


def _with_mode(words: list[str], mode: str) -> list[str]:
    return words if mode == "default" else [*words, "--mode", mode]


def _shutdown(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, mode = as_domain(target), values["mode"]
    words = _with_mode(["shutdown", domain_word(domain)], mode)
    return [step(context, domain, f"shut down {domain.name}", words, ops.Shutdown(domain.key, mode))]


def _reboot(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, mode = as_domain(target), values["mode"]
    words = _with_mode(["reboot", domain_word(domain)], mode)
    return [step(context, domain, f"reboot {domain.name}", words, ops.Reboot(domain.key, mode))]


def _reset(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    words = ["reset", domain_word(domain)]
    return [step(context, domain, f"reset {domain.name}", words, ops.Reset(domain.key), loses=_UNSAVED)]


def _destroy(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, mode = as_domain(target), values["mode"]
    loses = _UNSAVED + ("" if domain.persistent is not False else ", and the transient domain itself")
    soft = Step(
        f"force off {domain.name} gracefully",
        virsh(context.uri, "destroy", domain_word(domain), "--graceful"),
        ops.Destroy(domain.key, graceful=True),
        domain.key,
        loses=loses,
    )
    hard = Step(
        f"force off {domain.name}",
        virsh(context.uri, "destroy", domain_word(domain)),
        ops.Destroy(domain.key),
        domain.key,
        loses=loses,
        only_if_failed=mode == "graceful, then force",
    )
    return {"graceful, then force": [soft, hard], "graceful": [soft], "force": [hard]}[mode]


def _suspend(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    return [_suspend_step(context, domain, (_resume_step(context, domain),))]


def _resume(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    # A domain that was woken from guest suspend cannot be put back by pausing it.
    undo = (_suspend_step(context, domain),) if domain.state is DomainState.PAUSED else ()
    return [_resume_step(context, domain, undo)]


def _suspend_step(context: Context, domain: Domain, undo: tuple[Step, ...] = ()) -> Step:
    command = virsh(context.uri, "suspend", domain_word(domain))
    return Step(f"suspend {domain.name}", command, ops.Suspend(domain.key), domain.key, undo)


def _resume_step(context: Context, domain: Domain, undo: tuple[Step, ...] = ()) -> Step:
    verb = "dompmwakeup" if domain.state is DomainState.PMSUSPENDED else "resume"
    command = virsh(context.uri, verb, domain_word(domain))
    return Step(f"resume {domain.name}", command, ops.Resume(domain.key), domain.key, undo)


def _absolute(values: Values, name: str) -> str:
    path = values[name].strip()
    if not path.startswith("/"):
        raise FieldError(name, "must be an absolute path on the host")
    return path


def _save(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    path = _absolute(values, "path")
    restore = Step(f"restore {domain.name}", virsh(context.uri, "restore", path), ops.Restore(path), domain.key)
    words = ("save", domain_word(domain), path)
    return [
        Step(
            f"save {domain.name}",
            virsh(context.uri, *words),
            ops.Save(domain.key, path),
            domain.key,
            (restore,),
            loses=f"what is in the file {clean(path)}" if _is_there(context, path) else None,
        )
    ]


def _is_there(context: Context, path: str) -> bool | None:
    """Whether there is such a file on the host; None where it cannot be seen from here."""
    host = context.snapshot.host
    if host is None or not host.local:
        return None
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return None
    return True


def _save_notes(context: Context, _target: Target, values: Values) -> Sequence[str]:
    path = _absolute(values, "path")
    return (f"should {clean(path)} be there already, it is overwritten",) if _is_there(context, path) is None else ()


def _save_path(_context: Context, targets: Sequence[Target]) -> str:
    name = as_domain(targets[0]).raw_name if targets and targets[0] is not None else "domain"
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80]
    return f"/var/lib/libvirt/qemu/save/{safe}.{time.strftime('%Y%m%dT%H%M%S')}.virtdeck.save"


def _restore(context: Context, _target: Target, values: Values) -> Sequence[Step]:
    path, paused = _absolute(values, "path"), is_on(values, "paused")
    words = ["restore", path, *(["--paused"] if paused else [])]
    return [Step(f"restore {path}", virsh(context.uri, *words), ops.Restore(path, paused), path)]


def _managed_save(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    word = domain_word(domain)
    # libvirt restores a domain to the state it was saved in; a paused one comes back paused.
    start = Step(f"start {domain.name}", virsh(context.uri, "start", word), ops.Start(domain.key), domain.key)
    return [
        Step(
            f"save {domain.name}",
            virsh(context.uri, "managedsave", word),
            ops.ManagedSave(domain.key),
            domain.key,
            (start,),
        )
    ]


def _remove_save(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    words = ["managedsave-remove", domain_word(domain)]
    request = ops.RemoveManagedSave(domain.key)
    return [step(context, domain, f"remove the saved state of {domain.name}", words, request, loses="the saved state")]


def _autostart_reason(_context: Context, target: Target) -> Reason:
    return "it is transient" if as_domain(target).persistent is False else None


def _autostart(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    on = values["on"] == "on" if values["on"] != "toggle" else not domain.autostart
    undo = () if domain.autostart is None else (_autostart_step(context, domain, bool(domain.autostart)),)
    return [_autostart_step(context, domain, on, undo)]


def _autostart_step(context: Context, domain: Domain, on: bool, undo: tuple[Step, ...] = ()) -> Step:
    words = ["autostart", domain_word(domain), *([] if on else ["--disable"])]
    title = f"autostart {domain.name} {'on' if on else 'off'}"
    return Step(title, virsh(context.uri, *words), ops.SetAutostart(domain.key, on), domain.key, undo)


_MODE = choice("mode", "How", _MODES, "acpi presses the power button, agent asks qemu-guest-agent, default tries both")

ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.start", "Start", "start", "s", Kind.DOMAIN, "Start the domain; a saved state is continued.",
        _start, _needs_inactive,
        (
            flag("paused", "Paused", "start with the vCPUs stopped"),
            flag("force_boot", "Force boot", "boot afresh and throw a saved state away"),
        ), rank=10,
    ),
    Action(
        "domain.shutdown", "Shut down", "shutdown", "d", Kind.DOMAIN,
        "Ask the guest to shut down; watched until it has.", _shutdown, _needs_running, (_MODE,), rank=11,
    ),
    Action(
        "domain.reboot", "Reboot", "reboot", "r", Kind.DOMAIN, "Ask the guest to reboot; watched until it has.",
        _reboot, _needs_running, (_MODE,), rank=30,
    ),
    Action(
        "domain.destroy", "Force off", "force off", "x", Kind.DOMAIN,
        "Power off at once, like pulling the plug.", _destroy, needs_active,
        (choice("mode", "How", ("graceful, then force", "graceful", "force"),
                "graceful lets QEMU flush its caches and never kills it"),), rank=12,
    ),
    Action(
        "domain.suspend", "Suspend", "pause", "p", Kind.DOMAIN, "Stop the vCPUs; memory stays.", _suspend,
        _needs_running, rank=13,
    ),
    Action(
        "domain.resume", "Resume", "resume", "p", Kind.DOMAIN, "Let the vCPUs run again.", _resume, _needs_paused,
        rank=13,
    ),
    Action(
        "domain.managedsave", "Save", "save", "m", Kind.DOMAIN,
        "Save memory and state to libvirt's own place; the next start continues there.", _managed_save,
        _needs_persistent, rank=31,
    ),
    Action(
        "domain.managedsave-remove", "Remove saved state", "drop save", "M", Kind.DOMAIN,
        "Throw the saved state away; the next start boots.", _remove_save, _needs_managed_save,
    ),
    Action(
        "domain.save", "Save to file", "save to", "w", Kind.DOMAIN,
        "Save memory and state to a file on the host and stop.", _save, needs_active,
        (Field("path", "File on the host", FieldKind.PATH, _save_path),), bulk=False, notes=_save_notes,
    ),
    Action(
        "domain.restore", "Restore from file", "restore", "W", Kind.HOST,
        "Start a domain from a file that save wrote.", _restore,
        fields=(Field("path", "File on the host", FieldKind.PATH), flag("paused", "Paused")),
    ),
    Action(
        "domain.autostart", "Autostart", "autostart", "a", Kind.DOMAIN,
        "Start the domain with the host, or not.", _autostart, _autostart_reason,
        (choice("on", "Autostart", ("toggle", "on", "off")),),
    ),
    Action(
        "domain.reset", "Reset", "reset", "R", Kind.DOMAIN, "Press the reset button.", _reset, needs_active,
    ),
)  # fmt: skip
