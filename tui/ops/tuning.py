"""Scheduler, limits and I/O threads of domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import libvirt

from tui.model.plan import Request
from tui.model.tuning import UNLIMITED_KIB
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.errors import control_domain, doing, op_error

if TYPE_CHECKING:
    from collections.abc import Iterator

UNLIMITED = -1
"""No limit, in SetMemoryLimits; virsh memtune says it so as well."""

_NO_CPU = "libvirt has no CPU control group for it; shut it down and set it for the next boot."
_NO_MEMORY = "libvirt has no memory control group for it; choose persistent."
_SPLIT = "With cgroup v1 no part may have a larger share of a CPU than the global quota leaves; set them one by one."


@dataclass(frozen=True, slots=True)
class SetScheduler(Request):
    """Set CPU shares, periods and quotas, live or from the next boot on (virDomainSetSchedulerParametersFlags); all of
    it, or nothing."""

    key: str
    live: bool
    parameters: tuple[tuple[str, int], ...]
    """By libvirt's names, in the order of model.tuning.PARAMETERS; times in µs. -1 is no limit; of the next boot 0
    takes a period or quota out of the XML."""


@dataclass(frozen=True, slots=True)
class SetMemoryLimits(Request):
    """Set limits of the memory that QEMU may use, in KiB, live or from the next boot on (virDomainSetMemoryParameters);
    None leaves one as it is, UNLIMITED takes it away."""

    key: str
    live: bool
    hard_kib: int | None = None
    soft_kib: int | None = None
    swap_hard_kib: int | None = None


@dataclass(frozen=True, slots=True)
class AddIOThread(Request):
    """Give the domain an I/O thread, live or from the next boot on (virDomainAddIOThread)."""

    key: str
    live: bool
    number: int


@dataclass(frozen=True, slots=True)
class DeleteIOThread(Request):
    """Take an I/O thread that no device uses away, live or from the next boot on (virDomainDelIOThread)."""

    key: str
    live: bool
    number: int


def _side(live: bool) -> int:
    return int(libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _when(live: bool) -> str:
    return "" if live else " from the next boot on"


@contextmanager
def _limiting(what: str, name: str, advice: str) -> Iterator[None]:
    """As `doing`; advises what to do where libvirt has no control group (code 55)."""
    try:
        yield
    except libvirt.libvirtError as error:
        found = op_error(what, name, error)
        without = error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID and "controller" in found.text
        raise OpError(what, found.subject, found.text, found.code, advice if without else found.advice) from error


def _set_scheduler(request: SetScheduler, context: OpContext) -> Outcome:
    what, side = "set the scheduler of", _side(request.live)
    handle = control_domain(context, request.key, what)
    with _limiting(what, handle.name(), _NO_CPU):
        try:
            _all_or_nothing(
                lambda: dict(handle.schedulerParametersFlags(side)),
                lambda values: handle.setSchedulerParametersFlags(values, side),
                dict(request.parameters),
            )
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_SYSTEM_ERROR:
                raise
            found = op_error(what, handle.name(), error)
            raise OpError(what, found.subject, found.text, found.code, _SPLIT) from error
    return Outcome(f"scheduler set{_when(request.live)}")


def _all_or_nothing(
    read: Callable[[], Mapping[str, int]], write: Callable[[dict[str, int]], object], wanted: dict[str, int]
) -> None:
    """Set parameters; libvirt sets one after the other and leaves what it came to when one is refused: that is set to
    what it was. What never was set stays in the XML with the value that it had. Raises libvirtError."""
    before = read()
    try:
        write(wanted)
    except libvirt.libvirtError:
        with suppress(libvirt.libvirtError):
            now = read()
            changed = {name: before[name] for name in wanted if name in before and before[name] != now.get(name)}
            if changed:
                write(changed)
        raise


_MEMORY_NAMES = (("hard_limit", "hard_kib"), ("soft_limit", "soft_kib"), ("swap_hard_limit", "swap_hard_kib"))


def _set_memory_limits(request: SetMemoryLimits, context: OpContext) -> Outcome:
    what, side = "limit the memory of", _side(request.live)
    handle = control_domain(context, request.key, what)
    given = {name: getattr(request, field) for name, field in _MEMORY_NAMES if getattr(request, field) is not None}
    limits = {n: UNLIMITED_KIB if kib == UNLIMITED else kib for n, kib in given.items()}
    with _limiting(what, handle.name(), _NO_MEMORY):
        _all_or_nothing(
            lambda: dict(handle.memoryParameters(side)), lambda values: handle.setMemoryParameters(values, side), limits
        )
    return Outcome(f"memory limits set{_when(request.live)}")


def _add_iothread(request: AddIOThread, context: OpContext) -> Outcome:
    what = f"add I/O thread {request.number} to"
    handle = control_domain(context, request.key, what)
    with doing(what, handle.name()):
        handle.addIOThread(request.number, _side(request.live))
    return Outcome(f"I/O thread {request.number} added{_when(request.live)}")


def _delete_iothread(request: DeleteIOThread, context: OpContext) -> Outcome:
    what = f"delete I/O thread {request.number} of"
    handle = control_domain(context, request.key, what)
    with doing(what, handle.name()):
        handle.delIOThread(request.number, _side(request.live))
    return Outcome(f"I/O thread {request.number} deleted{_when(request.live)}")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    SetScheduler: _set_scheduler,
    SetMemoryLimits: _set_memory_limits,
    AddIOThread: _add_iothread,
    DeleteIOThread: _delete_iothread,
}
