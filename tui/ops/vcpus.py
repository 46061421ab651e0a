"""vCPUs: how many, which, and how many there can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from tui.model.journal import Asked
from tui.model.plan import Request
from tui.model.unsettled import WAY_OUT
from tui.ops import vcpu_layout
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.errors import control_domain, doing, domain, op_error

_LOCK_WORDS = "state change lock"
_HINT = f"the guest has not given it up; plug none now, it may kill QEMU; {WAY_OUT}"


@dataclass(frozen=True, slots=True)
class SetVcpus(Request):
    """Have so many vCPUs, live or persistent (virDomainSetVcpusFlags). `less`: of a running domain some are to go;
    `run`: the id of the run that this was planned for, -1 for the persistent side."""

    key: str
    count: int
    live: bool
    less: bool = False
    run: int = -1


@dataclass(frozen=True, slots=True)
class SetVcpu(Request):
    """Plug or unplug these vCPUs (virDomainSetVcpu), one alone where `live`; `count`: how many there are then."""

    key: str
    vcpus: str
    on: bool
    live: bool
    count: int
    run: int = -1


@dataclass(frozen=True, slots=True)
class SetGuestVcpus(Request):
    """Have the guest's agent set vCPUs online or offline until so many are online (VIR_DOMAIN_VCPU_GUEST)."""

    key: str
    count: int


def asked_of(request: Request) -> Asked | None:
    """Return what a request leaves open until it is confirmed, and settles then: an unplug from a running domain; a
    plug settles what was asked before, and is given as settled. None: it has nothing to do with that."""
    if isinstance(request, SetVcpus) and request.live:
        return Asked(request.key, request.run, request.count, settled=not request.less)
    if isinstance(request, SetVcpu) and request.live:
        return Asked(request.key, request.run, request.count, settled=request.on)
    return None


def plugs(request: Request) -> bool:
    """Whether a request plugs vCPUs into a running domain."""
    asked = asked_of(request)
    return asked is not None and asked.settled


def _side(live: bool) -> int:
    return int(libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _counted(handle: Any, live: bool) -> int:
    """How many libvirt counts; never asks the monitor."""
    return int(handle.vcpusFlags(_side(live)))


def _set_vcpus(request: SetVcpus, context: OpContext) -> Outcome:
    def change(handle: Any) -> None:
        handle.setVcpusFlags(request.count, _side(request.live))

    if request.live and request.less:
        return _unplug(request, context, change)
    handle = control_domain(context, request.key, "set the vCPUs of")
    if request.live:
        _refuse_blind_plug(handle)
    with doing("set the vCPUs of", handle.name()):
        change(handle)
        count = _counted(handle, request.live)
    return Outcome(f"{count} vCPUs")


def _set_vcpu(request: SetVcpu, context: OpContext) -> Outcome:
    def change(handle: Any) -> None:
        handle.setVcpu(request.vcpus, int(request.on), _side(request.live))

    if request.live and not request.on:
        return _unplug(request, context, change)
    handle = control_domain(context, request.key, "set the vCPUs of")
    if request.live:
        _refuse_blind_plug(handle)
    with doing(f"set vCPU {request.vcpus} of", handle.name()):
        change(handle)
    return Outcome(f"vCPU {request.vcpus} {'on' if request.on else 'off'}")


def _refuse_blind_plug(handle: Any) -> None:
    """Where QEMU has given up a vCPU that libvirt still counts, to plug one kills QEMU. libvirt asks the kernel for
    the affinity of every vCPU thread that it counts, and fails where one is gone (virDomainGetVcpus, code 38)."""
    try:
        handle.vcpus()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_SYSTEM_ERROR:
            # The test driver has no threads, and a domain that is off none either: the change itself says so.
            return
        text = "QEMU has given up a vCPU that libvirt still counts; to plug one would kill it"
        raise OpError("plug vCPUs into", handle.name(), text, error.get_error_code(), f"{WAY_OUT}.") from error


def _unplug(request: SetVcpus | SetVcpu, context: OpContext, change: Callable[[Any], None]) -> Outcome:
    """libvirt waits 5 s for the guest to give up a vCPU, then fails with code 68; the guest may still do so."""
    connection = context.control()
    handle = domain(connection, request.key, "unplug vCPUs of")
    name, run = handle.name(), handle.ID()
    try:
        change(handle)
    except libvirt.libvirtError as error:
        if not _may_come(error, connection):
            raise op_error("unplug vCPUs of", name, error) from error
        return Outcome(f"{request.count} vCPUs", _watch(context, request, run), patience_s=0.0, hint=_HINT)
    return Outcome(f"{request.count} vCPUs")


def _may_come(error: libvirt.libvirtError, connection: Any) -> bool:
    """Whether the guest was asked all the same: libvirt did not wait longer, or went away while it waited. The same
    code says that another job held the domain all the time, and then it was not."""
    if error.get_error_code() == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        return _LOCK_WORDS not in (error.get_error_message() or "")
    try:
        return not connection.isAlive()
    except libvirt.libvirtError:
        return True


def _watch(context: OpContext, request: SetVcpus | SetVcpu, run: int) -> Callable[[], Progress]:
    """Whether libvirt counts no more than was asked for; another run of the domain, or none, will never tell."""

    def look() -> Progress:
        with doing("look at", request.key):
            try:
                handle = context.control().lookupByUUIDString(request.key)
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return Progress.FAILED
                raise
            if handle.ID() != run:
                return Progress.FAILED
            return Progress.CONFIRMED if _counted(handle, live=True) <= request.count else Progress.PENDING

    return look


def _set_guest_vcpus(request: SetGuestVcpus, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "set the vCPUs inside")
    with doing("set the vCPUs inside", handle.name()):
        handle.setVcpusFlags(request.count, libvirt.VIR_DOMAIN_VCPU_GUEST | libvirt.VIR_DOMAIN_AFFECT_LIVE)
    return Outcome(f"{request.count} vCPUs online in the guest")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    SetVcpus: _set_vcpus,
    SetVcpu: _set_vcpu,
    SetGuestVcpus: _set_guest_vcpus,
    **vcpu_layout.OPS,
}
