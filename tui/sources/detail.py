"""What only the domain that is open on the screen needs: its XML, snapshots, and where its vCPUs run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

import libvirt

from tui.model.domain_detail import DomainDetail, DomainSnapshot, Enforced, VcpuPlacement
from tui.model.text import clean
from tui.model.tuning import PARAMETERS, UNLIMITED_KIB, CpuTune, MemTune
from tui.sources.errors import is_gone, is_lost

T = TypeVar("T")
# The test driver refuses flags that it does not know (8).
_NOT_THERE = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED, libvirt.VIR_ERR_INVALID_ARG)
_INVALID = "Requested operation is not valid: "
_LIMITS = ("hard_limit", "soft_limit", "swap_hard_limit")
_VCPU_STATES = ("offline", "running", "blocked")


def read_detail(handle: Any, *, active: bool, persistent: bool, host_cpus: int | None = None) -> DomainDetail:
    """Return the detail of one domain; no call here asks its QEMU monitor. Raises libvirtError only when the domain
    or the connection is gone (virDomainGetXMLDesc, virDomainListAllSnapshots, virDomainGetVcpus). Affinities that tell
    of fewer CPUs than `host_cpus` are not known."""
    problems: list[str] = []

    def part(call: Callable[[], T]) -> T | None:
        try:
            return call()
        except libvirt.libvirtError as error:
            if is_gone(error) or is_lost(error):
                raise
            problems.append(clean(error.get_error_message() or str(error)))
            return None

    return DomainDetail(
        key=handle.UUIDString(),
        xml_live=part(lambda: str(handle.XMLDesc(0))) if active else None,
        xml_persistent=part(lambda: str(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))) if persistent else None,
        snapshots=part(lambda: _snapshots(handle)),
        placements=part(lambda: _placements(handle, host_cpus or 0)) if active else (),
        problem="; ".join(dict.fromkeys(problems)),
        read_ns=time.time_ns(),
        enforced=_enforced(handle) if active else None,
    )


def _enforced(handle: Any) -> Enforced:
    """What libvirt reads from the control groups; where it has none, every live change of these fails as well (code
    55, virDomainGetSchedulerParametersFlags and virDomainGetMemoryParameters)."""
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    cpu, no_cpu = _asked(lambda: handle.schedulerParametersFlags(live))
    memory, no_memory = _asked(lambda: handle.memoryParameters(live))
    return Enforced(
        None if cpu is None else CpuTune(**{field: cpu[name] for name, field in PARAMETERS if name in cpu}),
        None if memory is None else MemTune(*(_limit(memory.get(name)) for name in _LIMITS)),
        no_cpu,
        no_memory,
    )


def _asked(call: Callable[[], dict[str, int]]) -> tuple[dict[str, int] | None, str]:
    try:
        return call(), ""
    except libvirt.libvirtError as error:
        if is_gone(error) or is_lost(error):
            raise
        if error.get_error_code() in _NOT_THERE:
            return None, "this driver has no such limits"
        return None, clean(error.get_error_message() or str(error)).removeprefix(_INVALID)


def _limit(kib: int | None) -> int | None:
    return None if kib is None or kib >= UNLIMITED_KIB else kib


def _snapshots(handle: Any) -> tuple[DomainSnapshot, ...]:
    found = [_snapshot(snapshot) for snapshot in handle.listAllSnapshots(0)]
    return tuple(sorted(found, key=lambda snapshot: snapshot.created_s))


def _snapshot(snapshot: Any) -> DomainSnapshot:
    root = ET.fromstring(snapshot.getXMLDesc(0))
    memory = root.find("memory")
    disks = root.findall("disks/disk")
    return DomainSnapshot(
        name=clean(snapshot.getName()),
        parent=clean(root.findtext("parent/name") or ""),
        state=clean(root.findtext("state") or "?"),
        created_s=int(root.findtext("creationTime") or 0),
        current=bool(snapshot.isCurrent()),
        external=any(disk.get("snapshot") == "external" for disk in disks)
        or (memory is not None and memory.get("snapshot") == "external"),
    )


def _placements(handle: Any, host_cpus: int) -> tuple[VcpuPlacement, ...]:
    """libvirt's test driver tells of 8 CPUs, whichever host it plays: no thread is bound by that."""
    vcpus, affinities = handle.vcpus()
    return tuple(
        VcpuPlacement(
            number=number,
            state=_VCPU_STATES[state] if 0 <= state < len(_VCPU_STATES) else "?",
            cpu_time_ns=cpu_time,
            host_cpu=host_cpu if host_cpu >= 0 else None,
            affinity=tuple(cpu for cpu, allowed in enumerate(affinity) if allowed)
            if len(affinity) >= host_cpus
            else None,
        )
        for (number, state, cpu_time, host_cpu), affinity in zip(vcpus, affinities, strict=False)
    )


def _allowed(affinity: Sequence[bool]) -> tuple[int, ...]:
    return tuple(cpu for cpu, allowed in enumerate(affinity) if allowed)
