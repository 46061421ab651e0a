"""Starting, stopping, pausing and saving domains."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from tui.model.plan import Request
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.errors import control_domain, doing, domain, long_domain, op_error

SHUTDOWN_PATIENCE_S = 15.0
REBOOT_PATIENCE_S = 15.0
_AGENT_GONE_S = 3.0
# libvirt gives QEMU 10 s to end by SIGTERM and up to 20 s by SIGKILL (virProcessKillPainfullyDelay).
_FORCE_OFF_S = 40.0
_SHUTDOWN_FLAGS = {
    "default": libvirt.VIR_DOMAIN_SHUTDOWN_DEFAULT,
    "acpi": libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
    "agent": libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
}
_REBOOT_FLAGS = {
    "default": libvirt.VIR_DOMAIN_REBOOT_DEFAULT,
    "acpi": libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN,
    "agent": libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT,
}


@dataclass(frozen=True, slots=True)
class Start(Request):
    """Start an inactive domain (virDomainCreateWithFlags)."""

    key: str
    paused: bool = False
    force_boot: bool = False


@dataclass(frozen=True, slots=True)
class Shutdown(Request):
    """Ask the guest to shut down (virDomainShutdownFlags); `mode`: default, acpi or agent."""

    key: str
    mode: str = "default"


@dataclass(frozen=True, slots=True)
class Reboot(Request):
    """Ask the guest to reboot (virDomainReboot); `mode`: default, acpi or agent."""

    key: str
    mode: str = "default"


@dataclass(frozen=True, slots=True)
class Reset(Request):
    """Press the reset button (virDomainReset)."""

    key: str


@dataclass(frozen=True, slots=True)
class Destroy(Request):
    """Power off (virDomainDestroyFlags); graceful: QEMU may flush its caches, never SIGKILL."""

    key: str
    graceful: bool = False


@dataclass(frozen=True, slots=True)
class Suspend(Request):
    """Stop the vCPUs, keep the memory (virDomainSuspend)."""

    key: str


@dataclass(frozen=True, slots=True)
class Resume(Request):
    """Let the vCPUs run again (virDomainResume)."""

    key: str


@dataclass(frozen=True, slots=True)
class Save(Request):
    """Write memory and state to a file on the host and stop (virDomainSaveFlags)."""

    key: str
    path: str


@dataclass(frozen=True, slots=True)
class Restore(Request):
    """Start a domain from a file that Save wrote (virDomainRestoreFlags)."""

    path: str
    paused: bool = False


@dataclass(frozen=True, slots=True)
class ManagedSave(Request):
    """Save to libvirt's own place; the next start continues there (virDomainManagedSave)."""

    key: str


@dataclass(frozen=True, slots=True)
class RemoveManagedSave(Request):
    """Throw the managed save away; the next start boots (virDomainManagedSaveRemove)."""

    key: str


@dataclass(frozen=True, slots=True)
class SetAutostart(Request):
    """Start the domain with the host, or not (virDomainSetAutostart)."""

    key: str
    on: bool


def _state(context: OpContext, key: str) -> int | None:
    """The virDomainState number, None when the domain is gone; never asks the monitor."""
    try:
        return int(context.control().lookupByUUIDString(key).state()[0])
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise op_error("look at", key, error) from error


_OFF = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED, None)
_RUNNING = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED)


def _watch_state(
    context: OpContext, key: str, *wanted: int | None, lost: tuple[int | None, ...] = ()
) -> Callable[[], Progress]:
    """Ask anew each time, so that a connection that broke meanwhile does not end the watch; `lost` are the states
    from which none of the wanted ones is reached any more."""

    def look() -> Progress:
        state = _state(context, key)
        if state in wanted:
            return Progress.CONFIRMED
        return Progress.FAILED if state in lost else Progress.PENDING

    return look


def _start(request: Start, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "start")
    flags = libvirt.VIR_DOMAIN_START_PAUSED if request.paused else 0
    flags |= libvirt.VIR_DOMAIN_START_FORCE_BOOT if request.force_boot else 0
    with doing("start", handle.name()):
        handle.createWithFlags(flags)
        # What was saved while it was paused continues paused, whatever was asked for.
        paused = handle.state()[0] == libvirt.VIR_DOMAIN_PAUSED
    if paused and not request.paused:
        return Outcome("started; it is paused")
    wanted = (libvirt.VIR_DOMAIN_PAUSED,) if request.paused else _RUNNING
    message = "started paused" if request.paused else "started"
    return Outcome(message, _watch_state(context, request.key, *wanted, lost=_OFF))


def _came_true(error: libvirt.libvirtError, mode: str, done: Callable[[], bool]) -> bool:
    """Whether the guest obeyed its agent although libvirt calls it an internal error: one that is gone before libvirt
    has read the agent's answer leaves an end of file in its place."""
    if mode == "acpi" or error.get_error_code() != libvirt.VIR_ERR_INTERNAL_ERROR:
        return False
    end = time.monotonic() + _AGENT_GONE_S
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _shutdown(request: Shutdown, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "shut down")
    try:
        handle.shutdownFlags(_SHUTDOWN_FLAGS[request.mode])
    except libvirt.libvirtError as error:
        if not _came_true(error, request.mode, lambda: _state(context, request.key) in _OFF):
            raise op_error("shut down", handle.name(), error) from error
    return Outcome(
        "shut down",
        _watch_state(context, request.key, *_OFF),
        patience_s=SHUTDOWN_PATIENCE_S,
        hint="the guest has not shut down; force it off, or wait",
    )


def _reboot(request: Reboot, context: OpContext) -> Outcome:
    connection = context.control()
    handle = domain(connection, request.key, "reboot")
    seen = _RebootSeen(connection, handle)
    try:
        handle.reboot(_REBOOT_FLAGS[request.mode])
    except libvirt.libvirtError as error:
        if not _came_true(error, request.mode, lambda: seen.rebooted):
            seen.close()
            raise op_error("reboot", handle.name(), error) from error
    if not seen.registered:
        return Outcome("rebooted")
    still_on = _watch_state(context, request.key, lost=_OFF)
    return Outcome(
        "rebooted",
        lambda: Progress.CONFIRMED if seen.rebooted else still_on(),
        patience_s=REBOOT_PATIENCE_S,
        hint="the guest has not rebooted; reset it, or wait",
        close=seen.close,
    )


class _RebootSeen:
    """Whether the domain reported a reboot; drivers that never report one are taken at their word."""

    def __init__(self, connection: Any, handle: Any) -> None:
        self._connection = connection
        self.rebooted = False
        self._id: int | None = None
        if connection.getType() == "QEMU":
            event = libvirt.VIR_DOMAIN_EVENT_ID_REBOOT
            with doing("listen for the reboot of", handle.name()):
                self._id = connection.domainEventRegisterAny(handle, event, self._on_event, None)

    @property
    def registered(self) -> bool:
        return self._id is not None

    def _on_event(self, *_args: object) -> None:
        self.rebooted = True

    def close(self) -> None:
        if self._id is not None:
            try:
                self._connection.domainEventDeregisterAny(self._id)
            except libvirt.libvirtError:
                # The connection went away and took the registration with it.
                return
            finally:
                self._id = None


def _reset(request: Reset, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "reset")
    with doing("reset", handle.name()):
        handle.reset(0)
    return Outcome("reset")


def _destroy(request: Destroy, context: OpContext) -> Outcome:
    with long_domain(context, request.key, "force off", _FORCE_OFF_S) as handle:
        handle.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_GRACEFUL if request.graceful else 0)
    return Outcome("forced off")


def _suspend(request: Suspend, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "suspend")
    with doing("suspend", handle.name()):
        handle.suspend()
    return Outcome("suspended", _watch_state(context, request.key, libvirt.VIR_DOMAIN_PAUSED, lost=_OFF))


def _resume(request: Resume, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "resume")
    name = handle.name()
    try:
        if handle.state()[0] == libvirt.VIR_DOMAIN_PMSUSPENDED:
            handle.pMWakeup(0)
        else:
            handle.resume()
    except libvirt.libvirtError as error:
        raise op_error("resume", name, error) from error
    return Outcome("resumed", _watch_state(context, request.key, *_RUNNING, lost=_OFF))


def _save(request: Save, context: OpContext) -> Outcome:
    with long_domain(context, request.key, "save") as handle:
        handle.saveFlags(request.path, None, 0)
    return Outcome(f"saved to {request.path}")


def _restore(request: Restore, context: OpContext) -> Outcome:
    connection = context.long()
    flags = libvirt.VIR_DOMAIN_SAVE_PAUSED if request.paused else 0
    try:
        with doing("restore", request.path):
            connection.restoreFlags(request.path, None, flags)
    finally:
        context.release(connection)
    return Outcome("restored")


def _managed_save(request: ManagedSave, context: OpContext) -> Outcome:
    with long_domain(context, request.key, "save") as handle:
        handle.managedSave(0)
    return Outcome("saved; the next start continues from here")


def _remove_managed_save(request: RemoveManagedSave, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "remove the saved state of")
    with doing("remove the saved state of", handle.name()):
        handle.managedSaveRemove(0)
    return Outcome("removed its saved state")


def _set_autostart(request: SetAutostart, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "set autostart of")
    with doing("set autostart of", handle.name()):
        handle.setAutostart(int(request.on))
        if bool(handle.autostart()) is not request.on:
            raise OpError("set autostart of", request.key, "libvirt accepted it but did not keep it")
    return Outcome("starts with the host" if request.on else "does not start with the host")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    Start: _start,
    Shutdown: _shutdown,
    Reboot: _reboot,
    Reset: _reset,
    Destroy: _destroy,
    Suspend: _suspend,
    Resume: _resume,
    Save: _save,
    Restore: _restore,
    ManagedSave: _managed_save,
    RemoveManagedSave: _remove_managed_save,
    SetAutostart: _set_autostart,
}
