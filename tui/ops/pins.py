"""Which host CPUs the threads of domains run on, of either side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import libvirt

from tui.model.cpuset import format_cpus
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.errors import control_domain, doing
from tui.ops.process import same_process

_PIN = "pin"
_NOT_TOLD = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class PinThread(Request):
    """Bind a thread of a domain to host CPUs, as it runs or from its next boot on (virDomainPinVcpuFlags,
    virDomainPinEmulator, virDomainPinIOThread); all of it, or nothing."""

    key: str
    thread: str
    """`vcpu N`, `emulator` or `iothread N`."""
    cpus: tuple[int, ...]
    """(): all that the host has; libvirt has no way to take a pin out of the XML."""
    live: bool
    plain: bool = False
    """Pin a vCPU by virDomainPinVcpu, for drivers that know of no sides; of a running domain."""
    process: str = ""
    """`pid:START` of its QEMU when that was seen on this machine, so that the emulator's CPUs can be read back."""
    back: bool = False
    """Whether it puts a pin back: of a running thread what is online of it."""


@dataclass(frozen=True, slots=True)
class _Host:
    """What the host has."""

    count: int
    online: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Thread:
    """One thread of one side, with the calls that are for its kind."""

    handle: Any
    request: PinThread

    @property
    def role(self) -> str:
        return self.request.thread.partition(" ")[0]

    @property
    def number(self) -> int:
        return int(self.request.thread.partition(" ")[2] or 0)

    @property
    def flags(self) -> int:
        return int(libvirt.VIR_DOMAIN_AFFECT_LIVE if self.request.live else libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def pin(self, host: _Host, cpus: Iterable[int]) -> None:
        """Have libvirt bind it; raises libvirtError."""
        wanted = frozenset(cpus)
        mask = tuple(cpu in wanted for cpu in range(host.count))
        if self.role == "emulator":
            self.handle.pinEmulator(mask, self.flags)
        elif self.role == "iothread":
            self.handle.pinIOThread(self.number, mask, self.flags)
        elif self.request.plain:
            self.handle.pinVcpu(self.number, mask)
        else:
            self.handle.pinVcpuFlags(self.number, mask, self.flags)

    def told(self) -> frozenset[int] | None:
        """What libvirt says that it is bound to, None when it does not say; raises libvirtError."""
        if self.role == "emulator":
            return _set_of(self.handle.emulatorPinInfo(self.flags))
        if self.role == "iothread":
            return self._iothread()
        pins: Sequence[Sequence[bool]] = self.handle.vcpuPinInfo(self.flags)
        # vCPUs that are not plugged are not told of.
        return _set_of(pins[self.number]) if self.number < len(pins) else None

    def real(self) -> frozenset[int] | None:
        """Where the kernel lets it run, None when that cannot be seen from here; raises libvirtError."""
        if self.role == "emulator":
            return _main_thread(self.request.process)
        return self._iothread() if self.role == "iothread" else self._vcpu()

    def _iothread(self) -> frozenset[int] | None:
        # Of a running domain this is sched_getaffinity(2), else the configuration.
        found: dict[int, list[bool]] = dict(self.handle.ioThreadInfo(self.flags))
        return _set_of(found[self.number]) if self.number in found else None

    def _vcpu(self) -> frozenset[int] | None:
        try:
            vcpus, affinities = self.handle.vcpus()
        except libvirt.libvirtError as error:
            if error.get_error_code() in _NOT_TOLD:
                return None
            raise
        found = {vcpu[0]: cpus for vcpu, cpus in zip(vcpus, affinities, strict=False)}
        return _set_of(found[self.number]) if self.number in found else None


def _set_of(mask: Iterable[bool]) -> frozenset[int]:
    return frozenset(cpu for cpu, allowed in enumerate(mask) if allowed)


def _main_thread(process: str) -> frozenset[int] | None:
    if not process or not same_process(process):
        return None
    try:
        return frozenset(os.sched_getaffinity(int(process.partition(":")[0])))
    except (ProcessLookupError, PermissionError):
        return None


def _host(connection: Any, request: PinThread, subject: str) -> _Host:
    """What the host has; raises OpError when it lacks a CPU that is asked for, or has it offline when it is for now;
    where a pin is put back, when it has all of them offline."""
    with doing("read the CPUs of", "the host"):
        count, online, _number = connection.getCPUMap(0)
        playing = connection.getType() == "TEST"
    # The CPU map of libvirt's test driver is that of one host, whichever it plays; masks are cut to its length.
    host = _Host(count, frozenset(range(count)) if playing else _set_of(online))
    lacks = f"libvirt's test driver keeps pins to CPUs 0-{count - 1} alone, not" if playing else "the host has no CPU"
    offline = [cpu for cpu in request.cpus if request.live and cpu not in host.online]
    for words, missing in (
        (lacks, [cpu for cpu in request.cpus if cpu >= host.count]),
        ("offline: CPU", [] if request.back and len(offline) < len(request.cpus) else offline),
    ):
        if missing:
            raise OpError(_PIN, subject, f"{words} {format_cpus(missing)}")
    return host


def pin_thread(request: PinThread, context: OpContext) -> Outcome:
    """Bind the thread and read back what libvirt and, where it runs, the kernel made of it; what they did not make of
    it as asked is put back. Raises OpError."""
    handle = control_domain(context, request.key, _PIN)
    subject = f"{request.thread} of {clean(handle.name())}"
    thread, host = _Thread(handle, request), _host(context.control(), request, subject)
    asked = frozenset(request.cpus or range(host.count))
    if request.back and request.live and request.cpus:
        asked &= host.online
    with doing(_PIN, subject):
        before = thread.told()
        thread.pin(host, asked)
        told, real = thread.told(), thread.real() if request.live else None
    # Without a pin a thread runs wherever its cpuset lets it.
    if request.cpus:
        for who, made in (("libvirt kept", told), ("the kernel lets it run on", real)):
            if made is not None and made != asked:
                text = f"asked for CPUs {format_cpus(asked)}, {who} {format_cpus(made)}"
                _refuse(thread, subject, host, before, text)
    return Outcome(_done(request, asked))


def _refuse(thread: _Thread, subject: str, host: _Host, before: frozenset[int] | None, text: str) -> None:
    """Put the pin back that was there before, and raise OpError."""
    advice = "A cpuset of the host may be in the way."
    if before:
        with doing("put back the pin of", subject):
            thread.pin(host, before)
        advice += f" It is back on CPUs {format_cpus(before)}."
    raise OpError(_PIN, subject, text, advice=advice)


def _done(request: PinThread, asked: frozenset[int]) -> str:
    when = "now" if request.live else "from the next boot on"
    if not request.cpus:
        return f"{request.thread} may run on all CPUs {when}"
    left = set(request.cpus) - asked
    without = f", without CPU {format_cpus(left)}, which is offline" if left else ""
    return f"{request.thread} runs on CPUs {format_cpus(asked)} {when}{without}"


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {PinThread: pin_thread}
