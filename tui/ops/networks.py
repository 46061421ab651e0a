"""libvirt's networks: defined, created, started, stopped, removed, and changed while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.network_edit import edited
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.errors import doing, op_error
from tui.ops.kept import keep, read_xml

LARGEST_XML_BYTES = 1024 * 1024
"""No network XML is larger than this."""

SECTIONS = {
    "ip-dhcp-host": libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
    "dns-host": libvirt.VIR_NETWORK_SECTION_DNS_HOST,
}
"""What of a network can be changed while it runs, by virsh's words for it."""

_COMMANDS = {
    "add-last": libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
    "delete": libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE,
}
_GONE = "It is gone: somebody else removed it."
_NOTHING = "Nothing was changed."


@dataclass(frozen=True, slots=True)
class StartNetwork(Request):
    """Start an inactive network (virNetworkCreate)."""

    key: str


@dataclass(frozen=True, slots=True)
class DestroyNetwork(Request):
    """Stop a network (virNetworkDestroy); `key` is its name where libvirt made up the UUID."""

    key: str
    unused: bool = True
    """Refuse when a running guest is plugged into it; libvirt itself would not."""


@dataclass(frozen=True, slots=True)
class SetNetworkAutostart(Request):
    """Start a network with the host, or not (virNetworkSetAutostart)."""

    key: str
    on: bool


@dataclass(frozen=True, slots=True)
class DefineNetwork(Request):
    """Define a network from an XML file of this machine (virNetworkDefineXMLFlags); with `xml` the file is written
    first."""

    path: str
    xml: str = ""
    validate: bool = True
    """Check against the schema; kept XML goes back as libvirt gave it."""
    backup_key: str = ""
    """The UUID of a network that this replaces: its persistent XML goes to `backup` first."""
    backup: str = ""


@dataclass(frozen=True, slots=True)
class EditNetwork(Request):
    """Change the persistent XML of a network (virNetworkDefineXMLFlags) by these settings, as model.network_edit has
    them: the old XML goes to `backup`, the new one to `file`."""

    key: str
    settings: tuple[tuple[str, str], ...]
    file: str
    backup: str

    def edited(self, xml: str) -> str:
        """Return the persistent XML as it is to be; raises ParseError, and ValueError when it cannot be so."""
        return edited(xml, dict(self.settings))


@dataclass(frozen=True, slots=True)
class CreateNetwork(Request):
    """Start a transient network from an XML file of this machine (virNetworkCreateXMLFlags); with `xml` the file is
    written first."""

    path: str
    xml: str = ""


@dataclass(frozen=True, slots=True)
class UndefineNetwork(Request):
    """Remove the configuration of a network (virNetworkUndefine); its XML goes to `backup` first."""

    key: str
    backup: str


@dataclass(frozen=True, slots=True)
class UpdateNetwork(Request):
    """Add or take away one element of a network, as it runs or persistently (virNetworkUpdate); `command` and
    `section` are virsh's words, `index` says which `<ip>` it belongs to, -1: to none."""

    key: str
    live: bool
    command: str
    section: str
    index: int
    xml: str


@contextmanager
def network_doing(what: str, subject: str) -> Iterator[None]:
    """As `doing`; a network that is not there any more says so."""
    try:
        yield
    except libvirt.libvirtError as error:
        found = op_error(what, subject, error)
        if found.code == libvirt.VIR_ERR_NO_NETWORK:
            found.advice = _GONE
        raise found from error


def _lookup(connection: Any, key: str, what: str) -> Any:
    """The virNetwork of a UUID, of a name where libvirt made the UUID up."""
    with network_doing(what, key):
        try:
            return connection.networkLookupByUUIDString(key)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
                raise
        return connection.networkLookupByName(key)


def _control(context: OpContext, key: str, what: str) -> Any:
    return _lookup(context.control(), key, what)


def _start(request: StartNetwork, context: OpContext) -> Outcome:
    handle = _control(context, request.key, "start")
    with network_doing("start", handle.name()):
        handle.create()
    return Outcome("started")


def _destroy(request: DestroyNetwork, context: OpContext) -> Outcome:
    handle = _control(context, request.key, "stop")
    if request.unused:
        _check_unused(handle)
    with network_doing("stop", handle.name()):
        handle.destroy()
    return Outcome("stopped")


def _check_unused(handle: Any) -> None:
    """Raise OpError when a running domain is plugged into the network."""
    name = handle.name()
    with network_doing("look at who uses", name):
        users = [found.name() for found in _running(handle.connect()) if _is_in(found, name)]
    if users:
        text = f"running domains are plugged into it: {', '.join(clean(user) for user in users)}"
        raise OpError("stop", clean(name), text, advice=_NOTHING)


def _running(connection: Any) -> list[Any]:
    return list(connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE))


def _is_in(domain: Any, network: str) -> bool:
    try:
        root = ET.fromstring(domain.XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return any(source.get("network") == network for source in root.iterfind("devices/interface/source"))


def _set_autostart(request: SetNetworkAutostart, context: OpContext) -> Outcome:
    handle = _control(context, request.key, "set autostart of")
    with network_doing("set autostart of", handle.name()):
        handle.setAutostart(int(request.on))
    return Outcome(f"autostart {'on' if request.on else 'off'}")


def _given(path: str, xml: str, what: str) -> str:
    """The XML of the file, which is written first where the XML is given."""
    if not xml:
        return read_xml(path, what, "network", LARGEST_XML_BYTES)
    keep(path, xml)
    return xml


def _persistent(handle: Any) -> str:
    """The persistent XML; a driver that has one side alone does not know the flag."""
    with network_doing("read the XML of", handle.name()):
        try:
            return str(handle.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
                raise
        return str(handle.XMLDesc(0))


def _define_xml(connection: Any, xml: str, *, validate: bool) -> Any:
    """Define it; libvirts before 7.7 cannot check it against the schema."""
    if validate:
        return connection.networkDefineXMLFlags(xml, libvirt.VIR_NETWORK_DEFINE_VALIDATE)
    return connection.networkDefineXML(xml)


def _define(request: DefineNetwork, context: OpContext) -> Outcome:
    xml = _given(request.path, request.xml, "define")
    connection = context.control()
    if request.backup_key:
        keep(request.backup, _persistent(_lookup(connection, request.backup_key, "define")))
    with doing("define", request.path):
        made = _define_xml(connection, xml, validate=request.validate)
    return Outcome(f"defined {clean(made.name())}")


def _edit(request: EditNetwork, context: OpContext) -> Outcome:
    """libvirt has no lock around an edit: what somebody else changed meanwhile is not overwritten."""
    connection = context.control()
    handle = _lookup(connection, request.key, "change")
    name, before = handle.name(), _persistent(handle)
    try:
        wanted = request.edited(before)
    except (ET.ParseError, ValueError) as error:
        raise OpError("change", clean(name), str(error), advice=_NOTHING) from error
    keep(request.backup, before)
    keep(request.file, wanted)
    with network_doing("change", name):
        if _persistent(handle) != before:
            raise OpError("change", clean(name), "somebody else changes it just now", advice=f"{_NOTHING} Try again.")
        _define_xml(connection, wanted, validate=True)
    later = " from its next start on" if handle.isActive() else ""
    return Outcome(f"changed{later}")


def _create(request: CreateNetwork, context: OpContext) -> Outcome:
    xml = _given(request.path, request.xml, "create")
    with doing("create", request.path):
        made = context.control().networkCreateXMLFlags(xml, libvirt.VIR_NETWORK_CREATE_VALIDATE)
    return Outcome(f"created {clean(made.name())}")


def _undefine(request: UndefineNetwork, context: OpContext) -> Outcome:
    handle = _control(context, request.key, "undefine")
    keep(request.backup, _persistent(handle))
    with network_doing("undefine", handle.name()):
        handle.undefine()
    return Outcome(f"undefined; its XML is kept in {request.backup}")


def _update(request: UpdateNetwork, context: OpContext) -> Outcome:
    handle = _control(context, request.key, "change")
    side = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE if request.live else libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
    command, section = _COMMANDS[request.command], SECTIONS[request.section]
    with network_doing("change", handle.name()):
        if request.live and not handle.isActive():
            text = "it is inactive: what was changed while it ran ended with that"
            raise OpError("change", clean(handle.name()), text, advice=_NOTHING)
        handle.update(command, section, request.index, request.xml, side)
    return Outcome("changed" if request.live else "changed from its next start on")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    StartNetwork: _start,
    DestroyNetwork: _destroy,
    SetNetworkAutostart: _set_autostart,
    DefineNetwork: _define,
    EditNetwork: _edit,
    CreateNetwork: _create,
    UndefineNetwork: _undefine,
    UpdateNetwork: _update,
}
