"""Domains defined, created, undefined, renamed and described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from tui.model.plan import Request
from tui.ops.base import OpContext, Outcome
from tui.ops.errors import control_domain, doing
from tui.ops.kept import keep_domain, read_xml

LARGEST_XML_BYTES = 4 * 1024 * 1024
"""No domain XML is larger than this."""


@dataclass(frozen=True, slots=True)
class Define(Request):
    """Define a persistent domain from an XML file of this machine (virDomainDefineXMLFlags)."""

    path: str
    validate: bool = True
    """Check against the schema, so that misspelt elements are refused; kept XML goes back as libvirt gave it."""
    backup_key: str = ""
    """The UUID of a domain that this replaces: its persistent XML goes to `backup` first."""
    backup: str = ""


@dataclass(frozen=True, slots=True)
class Create(Request):
    """Start a transient domain from an XML file of this machine (virDomainCreateXML, validated)."""

    path: str
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Undefine(Request):
    """Remove the persistent configuration (virDomainUndefineFlags); its XML goes to the file `backup` first."""

    key: str
    backup: str
    managed_save: bool = False
    snapshots: bool = False
    checkpoints: bool = False
    nvram: str = ""
    """What happens to the UEFI variables: "" (there are none), "remove" or "keep"."""
    tpm: str = ""


@dataclass(frozen=True, slots=True)
class Rename(Request):
    """Give an inactive domain another name (virDomainRename)."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Describe(Request):
    """Set title or description (virDomainSetMetadata), live, persistent or both; "" removes it."""

    key: str
    what: str
    text: str
    live: bool
    persistent: bool


def _define(request: Define, context: OpContext) -> Outcome:
    xml = read_xml(request.path, "define", "domain", LARGEST_XML_BYTES)
    connection = context.control()
    if request.backup_key:
        keep_domain(control_domain(context, request.backup_key, "define"), request.backup)
    with doing("define", request.path):
        handle = connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE if request.validate else 0)
    return Outcome(f"defined {handle.name()}")


def _create(request: Create, context: OpContext) -> Outcome:
    xml = read_xml(request.path, "create", "domain", LARGEST_XML_BYTES)
    flags = libvirt.VIR_DOMAIN_START_VALIDATE
    flags |= libvirt.VIR_DOMAIN_START_PAUSED if request.paused else 0
    with doing("create", request.path):
        handle = context.control().createXML(xml, flags)
    return Outcome(f"created {handle.name()}")


def _undefine(request: Undefine, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "undefine")
    keep_domain(handle, request.backup)
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE if request.managed_save else 0
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA if request.snapshots else 0
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA if request.checkpoints else 0
    flags |= {
        "remove": libvirt.VIR_DOMAIN_UNDEFINE_NVRAM,
        "keep": libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM,
    }.get(request.nvram, 0)
    flags |= {
        "remove": libvirt.VIR_DOMAIN_UNDEFINE_TPM,
        "keep": libvirt.VIR_DOMAIN_UNDEFINE_KEEP_TPM,
    }.get(request.tpm, 0)
    with doing("undefine", handle.name()):
        handle.undefineFlags(flags)
    return Outcome(f"undefined; its XML is kept in {request.backup}")


def _rename(request: Rename, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "rename")
    with doing("rename", handle.name()):
        handle.rename(request.name, 0)
    return Outcome(f"renamed to {request.name}")


def _describe(request: Describe, context: OpContext) -> Outcome:
    kinds = {
        "title": libvirt.VIR_DOMAIN_METADATA_TITLE,
        "description": libvirt.VIR_DOMAIN_METADATA_DESCRIPTION,
    }
    handle = control_domain(context, request.key, f"set the {request.what} of")
    flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if request.live else 0
    flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG if request.persistent else 0
    with doing(f"set the {request.what} of", handle.name()):
        handle.setMetadata(kinds[request.what], request.text or None, None, None, flags)
    return Outcome(f"{request.what} set")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    Define: _define,
    Create: _create,
    Undefine: _undefine,
    Rename: _rename,
    Describe: _describe,
}
