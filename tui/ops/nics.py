"""NICs of domains: attached, detached, plugged in elsewhere, unplugged and limited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.nic_xml import bandwidth_of, find_nics, plug_of, same_plug, with_plug
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.errors import control_domain, doing, long_domain, op_error
from tui.ops.kept import keep

DETACH_PATIENCE_S = 10.0
_NOTHING = "Nothing was changed."
_AWAY = "Its NIC is in an empty network now: plug it in elsewhere by hand (domain.nic-plug)."


@dataclass(frozen=True, slots=True)
class AttachNic(Request):
    """Attach a NIC, live or from the next boot on (virDomainAttachDeviceFlags); refused when another domain has its
    MAC by now."""

    key: str
    live: bool
    mac: str
    xml: str
    file: str
    """Where `xml` is kept, for the equivalent command."""


@dataclass(frozen=True, slots=True)
class DetachNic(Request):
    """Take a NIC away, live or from the next boot on (virDomainDetachDeviceFlags)."""

    key: str
    live: bool
    mac: str


@dataclass(frozen=True, slots=True)
class PlugNic(Request):
    """Plug a NIC in elsewhere (virDomainUpdateDeviceFlags): `plug` and `was` are as nic_xml.plug_of has them; refused
    when it is plugged in elsewhere than `was` by then, "" for wherever it is."""

    key: str
    live: bool
    mac: str
    plug: str
    was: str
    file: str
    """Where the NIC's new XML is kept, for the equivalent command."""

    def edited(self, xml: str) -> str:
        """Return the new `<interface>` of that of a domain XML; raises ParseError, and ValueError when the domain does
        not have it, or it is plugged in elsewhere."""
        nic = _only(ET.fromstring(xml), self.mac)
        if self.was and not same_plug(plug_of(ET.tostring(nic, encoding="unicode")), self.was):
            raise ValueError(f"its NIC {self.mac} is plugged in elsewhere by now")
        return with_plug(nic, self.plug)


@dataclass(frozen=True, slots=True)
class ReplugNic(Request):
    """As PlugNic for the NIC of a running domain, as a step of its network's; a domain that is off by then has nothing
    to be plugged in."""

    domain: str
    mac: str
    plug: str
    was: str
    file: str

    @property
    def there(self) -> PlugNic:
        """The same of the domain itself."""
        return PlugNic(self.domain, True, self.mac, self.plug, self.was, self.file)

    def edited(self, xml: str) -> str:
        """As that of PlugNic."""
        return self.there.edited(xml)


@dataclass(frozen=True, slots=True)
class SetNicLink(Request):
    """Plug the cable of a NIC in or out (virDomainUpdateDeviceFlags with `<link state>`)."""

    key: str
    live: bool
    mac: str
    up: bool
    file: str = ""
    """Where the NIC's new XML is kept, where `virsh update-device` is the equivalent command."""

    def edited(self, xml: str) -> str:
        """Return the new `<interface>` of that of a domain XML; raises ParseError, and ValueError when the domain does
        not have it. One of a network on a bridge of the host is said to be of its network: by the XML that libvirt
        tells of it, as `virsh domif-setlink` gives it back, it would leave the network."""
        nic = _only(ET.fromstring(xml), self.mac)
        made = ET.fromstring(with_plug(nic, plug_of(ET.tostring(nic, encoding="unicode"))))
        link = made.find("link")
        if link is None:
            link = ET.SubElement(made, "link")
        link.set("state", "up" if self.up else "down")
        return ET.tostring(made, encoding="unicode")


@dataclass(frozen=True, slots=True)
class SetNicLimits(Request):
    """Set limits of a NIC by libvirt's names, as ("inbound.average", 1000), 0 for none
    (virDomainSetInterfaceParameters)."""

    key: str
    live: bool
    mac: str
    limits: tuple[tuple[str, int], ...]


def _side(live: bool) -> int:
    return int(libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _when(live: bool) -> str:
    return "" if live else " from the next boot on"


def _xml_of(handle: Any, *, live: bool) -> str:
    return str(handle.XMLDesc(0 if live else libvirt.VIR_DOMAIN_XML_INACTIVE))


def _only(root: ET.Element, mac: str) -> ET.Element:
    """The one NIC of that MAC; raises ValueError."""
    found = find_nics(root, mac)
    if len(found) != 1:
        raise ValueError(f"it has {len(found) or 'no'} NICs with the MAC {mac}")
    return found[0]


def _nic(handle: Any, mac: str, what: str, *, live: bool) -> ET.Element:
    """The `<interface>` of a MAC on one side; raises OpError when there is not exactly one."""
    try:
        return _only(ET.fromstring(_xml_of(handle, live=live)), mac)
    except ValueError as error:
        raise OpError(what, clean(handle.name()), f"{error}{_when(live)}", advice=_NOTHING) from error


def _refuse_taken(handle: Any, request: AttachNic) -> None:
    """Raise OpError when somebody has the MAC by now: two on one network cut each other off."""
    for other in handle.connect().listAllDomains(0):
        sides = (request.live,) if other.UUIDString() == request.key else (True, False)
        if any(_has(other, request.mac, live=live) for live in sides):
            text = f"{clean(other.name())} has a NIC with the MAC {request.mac}"
            raise OpError("attach a NIC to", clean(handle.name()), text, advice=_NOTHING)


def _has(handle: Any, mac: str, *, live: bool) -> bool:
    try:
        return bool(find_nics(ET.fromstring(_xml_of(handle, live=live)), mac))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise


def _attach(request: AttachNic, context: OpContext) -> Outcome:
    with long_domain(context, request.key, "attach a NIC to") as handle:
        _refuse_taken(handle, request)
        keep(request.file, request.xml)
        handle.attachDeviceFlags(request.xml, _side(request.live))
    return Outcome(f"attached {request.mac}{_when(request.live)}")


def _detach(request: DetachNic, context: OpContext) -> Outcome:
    what = "detach a NIC from"
    with long_domain(context, request.key, what) as handle:
        nic = _nic(handle, request.mac, what, live=request.live)
        handle.detachDeviceFlags(ET.tostring(nic, encoding="unicode"), _side(request.live))
    if not request.live:
        return Outcome("detached from the next boot on")
    return Outcome(
        "detached",
        lambda: _detached(context, request),
        patience_s=DETACH_PATIENCE_S,
        hint="the guest has not given the NIC up: it does not run, or has not booted yet; try again later",
    )


def _detached(context: OpContext, request: DetachNic) -> Progress:
    """Whether the NIC has left the live XML, which it does once QEMU says that the device is gone."""
    try:
        handle = context.control().lookupByUUIDString(request.key)
        if not handle.isActive():
            return Progress.CONFIRMED
        root = ET.fromstring(handle.XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return Progress.CONFIRMED
        raise op_error("look at", request.key, error) from error
    return Progress.PENDING if find_nics(root, request.mac) else Progress.CONFIRMED


def _plug(request: PlugNic, context: OpContext) -> Outcome:
    what = "plug in elsewhere a NIC of"
    with long_domain(context, request.key, what) as handle:
        try:
            xml = request.edited(_xml_of(handle, live=request.live))
        except (ET.ParseError, ValueError) as error:
            raise OpError(what, clean(handle.name()), str(error), advice=_NOTHING) from error
        keep(request.file, xml)
        handle.updateDeviceFlags(xml, _side(request.live))
    return Outcome(f"plugged in elsewhere{_when(request.live)}")


def _replug(request: ReplugNic, context: OpContext) -> Outcome:
    what = "plug in again a NIC of"
    handle = control_domain(context, request.domain, what)
    with doing(what, handle.name()):
        if not handle.isActive():
            return Outcome("it is off by now")
    del handle
    try:
        return _plug(request.there, context)
    except OpError as error:
        if request.was and error.advice != _NOTHING:
            error.advice = f"{error.advice} {_AWAY}".strip()
        raise


def _link(request: SetNicLink, context: OpContext) -> Outcome:
    what = "set the link of a NIC of"
    state = "up" if request.up else "down"
    with long_domain(context, request.key, what) as handle:
        try:
            xml = request.edited(_xml_of(handle, live=request.live))
        except (ET.ParseError, ValueError) as error:
            raise OpError(what, clean(handle.name()), str(error), advice=_NOTHING) from error
        if request.file:
            keep(request.file, xml)
        handle.updateDeviceFlags(xml, _side(request.live))
    return Outcome(f"the link is {state}{_when(request.live)}")


def _limit(request: SetNicLimits, context: OpContext) -> Outcome:
    """A kernel that lacks a part of it leaves what was set before it failed, while libvirt says that nothing is: so it
    is set back, and asked what there is."""
    what = "limit a NIC of"
    handle = control_domain(context, request.key, what)
    with doing(what, handle.name()):
        nic = _nic(handle, request.mac, what, live=request.live)
        before = dict(bandwidth_of(nic))
        try:
            handle.setInterfaceParameters(request.mac, dict(request.limits), _side(request.live))
        except libvirt.libvirtError as error:
            found = op_error(what, handle.name(), error)
            if request.live:
                found.advice = _set_back(handle, request, before, _tap(nic))
            raise found from error
    return Outcome(f"limits set{_when(request.live)}")


def _set_back(handle: Any, request: SetNicLimits, before: Mapping[str, int], tap: str) -> str:
    """Set the limits that were, which takes away what is half there; returns what to say of it."""
    old = {name: before.get(name, 0) for name, _value in request.limits}
    try:
        handle.setInterfaceParameters(request.mac, old, _side(request.live))
        now = handle.interfaceParameters(request.mac, _side(request.live))
    except libvirt.libvirtError:
        return f"Half of it may be in force: tc qdisc show dev {tap}, tc qdisc del dev {tap} root."
    if all(now.get(name, 0) == value for name, value in old.items()):
        return "What was half set was taken back: its limits are what they were."
    said = ", ".join(f"{name} {value}" for name, value in now.items() if value)
    return f"Its limits are now: {said or 'none'}."


def _tap(nic: ET.Element) -> str:
    found = nic.find("target")
    return clean(found.get("dev", "?")) if found is not None else "?"


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    AttachNic: _attach,
    DetachNic: _detach,
    PlugNic: _plug,
    ReplugNic: _replug,
    SetNicLink: _link,
    SetNicLimits: _limit,
}
