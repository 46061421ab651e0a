"""Memory of domains: balloon, maximum, statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from tui.model import units
from tui.model.balloon import tolerance_kib
from tui.model.plan import Request
from tui.ops.base import OpContext, Outcome, Progress
from tui.ops.errors import control_domain, doing, op_error

BALLOON_PATIENCE_S = 15.0
_OFF = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED)


@dataclass(frozen=True, slots=True)
class SetMemory(Request):
    """Ask the running guest to come to `kib` by its balloon, or let it come to that after its next boot
    (virDomainSetMemoryFlags)."""

    key: str
    kib: int
    live: bool


@dataclass(frozen=True, slots=True)
class SetMaxMemory(Request):
    """Set the maximum from the next boot on (virDomainSetMemoryFlags with VIR_DOMAIN_MEM_MAXIMUM)."""

    key: str
    kib: int


@dataclass(frozen=True, slots=True)
class SetStatsPeriod(Request):
    """Have the guest's balloon driver report every so many seconds, 0 for never, now or from the next boot on
    (virDomainSetMemoryStatsPeriod)."""

    key: str
    seconds: int
    live: bool


def _side(live: bool) -> int:
    return int(libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _set_memory(request: SetMemory, context: OpContext) -> Outcome:
    """libvirt returns when QEMU was told; the guest comes to it later, or never."""
    handle = control_domain(context, request.key, "set the memory of")
    with doing("set the memory of", handle.name()):
        run, now = handle.ID(), int(handle.info()[2])
        handle.setMemoryFlags(request.kib, _side(request.live))
    if not request.live:
        return Outcome(f"{units.size(request.kib)} from the next boot on")
    return balloon_outcome(Balloon(context, request.key, request.kib, run, now))


class Balloon:
    """How far a guest that was asked to come to `kib` is on its way; libvirt knows it by event (BALLOON_CHANGE), so
    that no monitor is asked. `run` is the domain's id and `now_kib` what the guest had before it was asked."""

    def __init__(self, context: OpContext, key: str, kib: int, run: int, now_kib: int) -> None:
        self.kib = kib
        self._context = context
        self._key = key
        self._run = run
        self._now = now_kib
        self._grows = kib > now_kib
        self._near = tolerance_kib(kib, abs(kib - now_kib))
        self._off = False

    def look(self) -> Progress:
        """Ask libvirt; another run of the domain, or none, will never tell. Raises OpError."""
        try:
            handle = self._context.control().lookupByUUIDString(self._key)
            state, _maximum, now, *_ = handle.info()
            self._off = state in _OFF or handle.ID() != self._run
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise op_error("look at the balloon of", self._key, error) from error
            self._off = True
        if self._off:
            return Progress.FAILED
        self._now = int(now)
        return Progress.CONFIRMED if abs(self._now - self.kib) <= self._near else Progress.PENDING

    def words(self) -> str:
        """What to say of it as long as it has not arrived."""
        if self._off:
            return "it stopped before the guest did it"
        gap = f"it has {units.size(self._now)}, not {units.size(self.kib)}"
        if self._grows:
            return f"the guest did not take it: {gap}; its balloon driver does not answer"
        return f"the guest did not give it: {gap}; no balloon driver, or nothing to spare"


def balloon_outcome(balloon: Balloon, output: str = "") -> Outcome:
    """Return the outcome of having asked a guest: done once it is there."""
    message = f"the guest has {units.size(balloon.kib)}"
    return Outcome(message, balloon.look, BALLOON_PATIENCE_S, told=balloon.words, output=output)


def _set_max_memory(request: SetMaxMemory, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "set the maximum memory of")
    with doing("set the maximum memory of", handle.name()):
        handle.setMemoryFlags(request.kib, libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_MEM_MAXIMUM)
    return Outcome(f"at most {units.size(request.kib)} from the next boot on")


def _set_period(request: SetStatsPeriod, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "set the memory statistics of")
    with doing("set the memory statistics of", handle.name()):
        handle.setMemoryStatsPeriod(request.seconds, _side(request.live))
    often = f"every {request.seconds} s" if request.seconds else "off"
    return Outcome(f"{often}{'' if request.live else ' from the next boot on'}")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    SetMemory: _set_memory,
    SetMaxMemory: _set_max_memory,
    SetStatsPeriod: _set_period,
}
