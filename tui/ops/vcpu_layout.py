"""How many vCPUs a domain can have from its next boot on, and how they are laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.cpuset import format_cpus, parse_cpus
from tui.model.plan import Request
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.errors import control_domain, doing
from tui.ops.kept import keep_domain

_WHAT = "set the maximum of vCPUs of"
_TOPOLOGY = ("sockets", "dies", "clusters", "cores", "threads")


@dataclass(frozen=True, slots=True)
class SetVcpusMax(Request):
    """Set the persistent maximum (virDomainSetVcpusFlags with MAXIMUM): for domains without topology and NUMA cells,
    which libvirt would not fit to it."""

    key: str
    maximum: int


@dataclass(frozen=True, slots=True)
class ReshapeVcpus(Request):
    """Set the persistent maximum and all that has to fit to it, by a new definition (virDomainDefineXMLFlags); the XML
    as it was goes to the file `backup` first. `topology`: sockets, dies, clusters, cores, threads; () for none."""

    key: str
    maximum: int
    count: int
    topology: tuple[int, ...]
    backup: str


def _set_max(request: SetVcpusMax, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, _WHAT)
    with doing(_WHAT, handle.name()):
        handle.setVcpusFlags(request.maximum, libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
    return Outcome(f"up to {request.maximum} vCPUs from the next boot on")


def _reshape(request: ReshapeVcpus, context: OpContext) -> Outcome:
    """libvirt has no lock around an edit: what somebody else changed meanwhile is not overwritten."""
    handle = control_domain(context, request.key, _WHAT)
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    with doing(_WHAT, handle.name()):
        before = handle.XMLDesc(flags)
        root = ET.fromstring(before)
        reshape(root, request)
    keep_domain(handle, request.backup)
    with doing(_WHAT, handle.name()):
        if handle.XMLDesc(flags) != before:
            advice = "Nothing was changed; try again."
            raise OpError(_WHAT, handle.name(), "somebody else changes it just now", advice=advice)
        handle.connect().defineXMLFlags(ET.tostring(root, encoding="unicode"), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    return Outcome(f"up to {request.maximum} vCPUs from the next boot on")


def reshape(root: ET.Element, request: ReshapeVcpus) -> None:
    """Change a persistent domain XML as `request` says; raises OpError where it has no `<vcpu>`."""
    vcpu = root.find("vcpu")
    if vcpu is None:
        raise OpError(_WHAT, request.key, "its XML has no <vcpu>")
    vcpu.text = str(request.maximum)
    vcpu.set("current", str(request.count))
    for slots in root.findall("vcpus"):
        for slot in [slot for slot in slots if int(slot.get("id", "0")) >= request.maximum]:
            slots.remove(slot)
    for cell in root.iterfind("cpu/numa/cell"):
        _cut(cell, request.maximum)
    _set_topology(root, request.topology)


def _cut(cell: ET.Element, maximum: int) -> None:
    if (cpus := cell.get("cpus")) is not None:
        cell.set("cpus", format_cpus(cpu for cpu in parse_cpus(cpus) if cpu < maximum))
        if not cell.get("cpus"):
            del cell.attrib["cpus"]


def _set_topology(root: ET.Element, topology: tuple[int, ...]) -> None:
    cpu = root.find("cpu")
    if cpu is None:
        if not topology:
            return
        cpu = ET.SubElement(root, "cpu")
    old = cpu.find("topology")
    if old is not None:
        cpu.remove(old)
    if topology:
        given = zip(_TOPOLOGY, topology, strict=True)
        cpu.append(ET.Element("topology", {name: str(n) for name, n in given if name != "clusters" or n != 1}))


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    SetVcpusMax: _set_max,
    ReshapeVcpus: _reshape,
}
