"""External snapshots of disks: the domain goes on with new images that lie on the old ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.block_follow import Job
from tui.ops.errors import long_domain


@dataclass(frozen=True, slots=True)
class SnapshotDisks(Request):
    """Lay a new image over each of these disks, all at one moment (virDomainSnapshotCreateXML without metadata);
    refused when one is not the image any more that the plan was made for."""

    key: str
    name: str
    disks: tuple[tuple[str, str, str], ...]
    """Target, image and new image of each."""
    others: tuple[str, ...] = ()
    """The targets of the disks that are left alone."""


def snapshot_xml(request: SnapshotDisks) -> str:
    """Return the `<domainsnapshot>` of a request."""
    root = ET.Element("domainsnapshot")
    ET.SubElement(root, "name").text = request.name
    disks = ET.SubElement(root, "disks")
    for target, _source, new in request.disks:
        disk = ET.SubElement(disks, "disk", name=target, snapshot="external")
        ET.SubElement(disk, "source", file=new)
    for target in request.others:
        ET.SubElement(disks, "disk", name=target, snapshot="no")
    return ET.tostring(root, encoding="unicode")


def _snapshot(request: SnapshotDisks, context: OpContext) -> Outcome:
    with long_domain(context, request.key, what := "snapshot the disks of") as handle:
        jobs = [Job(context, handle, target, what) for target, _source, _new in request.disks]
        for job, (_target, source, _new) in zip(jobs, request.disks, strict=True):
            job.expect(source)
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
        handle.snapshotCreateXML(snapshot_xml(request), flags | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA)
        said = [_now(job, new) for job, (_target, _source, new) in zip(jobs, request.disks, strict=True)]
    return Outcome("; ".join(said))


def _now(job: Job, new: str) -> str:
    """What a disk is now. Of a domain that stopped since it cannot be asked, but the snapshot is made all the same, and
    its undo must be kept."""
    try:
        return f"{job.target} is {job.disk().source} now{job.next_boot_words(new)}"
    except (OpError, libvirt.libvirtError):
        return f"{job.target} lies on a new image, {clean(new)}; it could not be looked at after that"


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {SnapshotDisks: _snapshot}
