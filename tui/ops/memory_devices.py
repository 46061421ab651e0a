"""Memory devices of domains: DIMMs and virtio-mem, and the slots that they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.memory_xml import with_requested, with_slots, without_slots
from tui.model.plan import Request
from tui.model.tuning import MemoryDevice
from tui.model.tuning_xml import parse_tuning
from tui.ops.base import OpContext, OpError, Outcome, Progress
from tui.ops.errors import control_domain, doing, op_error
from tui.ops.kept import keep, keep_beside

DETACH_PATIENCE_S = 15.0
RESIZE_PATIENCE_S = 15.0
_PERSISTENT = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


@dataclass(frozen=True, slots=True)
class AttachMemory(Request):
    """Plug a memory device, live or from the next boot on (virDomainAttachDeviceFlags)."""

    key: str
    live: bool
    xml: str
    file: str
    """Where `xml` is kept, for the equivalent command."""


@dataclass(frozen=True, slots=True)
class DetachMemory(Request):
    """Unplug a memory device, by alias (virDomainDetachDeviceAlias), or by its XML where it has none
    (virDomainDetachDeviceFlags)."""

    key: str
    live: bool
    alias: str = ""
    xml: str = ""
    file: str = ""
    """Where `xml` is kept, for the equivalent command."""


@dataclass(frozen=True, slots=True)
class ResizeMemory(Request):
    """Ask the guest to take `requested_kib` of a virtio-mem device (virDomainUpdateDeviceFlags); one without an alias
    is given by `xml`, with the size in it."""

    key: str
    live: bool
    requested_kib: int
    alias: str = ""
    xml: str = ""
    file: str = ""
    """Where `xml` is kept, for the equivalent command."""


@dataclass(frozen=True, slots=True)
class SetMemorySlots(Request):
    """Give a domain slots for memory devices from its next boot on, or take them away (virDomainDefineXMLFlags): its
    persistent XML goes to `backup`, the new one to `file`. Nothing else of it is changed, not by undo either."""

    key: str
    ceiling_kib: int
    slots: int
    """0: none, and no maximum."""
    file: str
    backup: str
    drop_cell: bool = False
    """Whether the guest NUMA cell that came with the slots goes with them."""

    def edited(self, xml: str) -> str:
        """Return the persistent XML as it is to be; raises ParseError."""
        if self.slots:
            return with_slots(xml, self.ceiling_kib, self.slots)
        return without_slots(xml, cell=self.drop_cell)


def _side(live: bool) -> int:
    return int(libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _when(live: bool) -> str:
    return "" if live else " from the next boot on"


def _is_of(key: str, xml: str) -> bool:
    """Whether this is the XML of the domain with this UUID."""
    try:
        root = ET.fromstring(xml)
    except ET.ParseError:
        return False
    return root.tag == "domain" and (root.findtext("uuid") or "").strip().lower() == key


def _attach(request: AttachMemory, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "plug memory into")
    keep(request.file, request.xml)
    with doing("plug memory into", handle.name()):
        handle.attachDeviceFlags(request.xml, _side(request.live))
    return Outcome(f"plugged{_when(request.live)}")


def _live_devices(context: OpContext, key: str) -> dict[str, MemoryDevice] | None:
    """The memory devices of the running domain by alias; None when it does not run. Never asks the monitor."""
    try:
        handle = context.control().lookupByUUIDString(key)
        if not handle.isActive():
            return None
        root = ET.fromstring(handle.XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise op_error("look at", key, error) from error
    return {device.alias: device for device in parse_tuning(root).memory_devices}


class _Refusal:
    """Whether the guest refused to give a device up: QEMU then reports DEVICE_REMOVAL_FAILED, at once."""

    def __init__(self, connection: Any, handle: Any, alias: str) -> None:
        self._connection = connection
        self._alias = alias
        self.seen = False
        event = libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED
        with doing("listen for the memory of", handle.name()):
            self._id: int | None = connection.domainEventRegisterAny(handle, event, self._on_event, None)

    def _on_event(self, _connection: object, _domain: object, alias: str, _opaque: object) -> None:
        self.seen = self.seen or alias == self._alias

    def close(self) -> None:
        """Listen no longer."""
        if self._id is not None:
            try:
                self._connection.domainEventDeregisterAny(self._id)
            except libvirt.libvirtError:
                # The connection went away and took the registration with it.
                return
            finally:
                self._id = None


def _detach(request: DetachMemory, context: OpContext) -> Outcome:
    if request.live:
        return _detach_live(request, context)
    handle = control_domain(context, request.key, "unplug memory of")
    if not request.alias:
        keep(request.file, request.xml)
    with doing("unplug memory of", handle.name()):
        if request.alias:
            handle.detachDeviceAlias(request.alias, _side(False))
        else:
            handle.detachDeviceFlags(request.xml, _side(False))
    return Outcome("unplugged from the next boot on")


def _detach_live(request: DetachMemory, context: OpContext) -> Outcome:
    """The call only asks the guest; it is done when the device has left the live XML."""
    connection = context.control()
    handle = control_domain(context, request.key, "unplug memory of")
    refusal = _Refusal(connection, handle, request.alias)
    try:
        handle.detachDeviceAlias(request.alias, _side(True))
    except libvirt.libvirtError as error:
        refusal.close()
        raise _detach_error(handle.name(), error) from error

    def look() -> Progress:
        devices = _live_devices(context, request.key)
        if devices is None:
            return Progress.FAILED
        if request.alias not in devices:
            return Progress.CONFIRMED
        return Progress.FAILED if refusal.seen else Progress.PENDING

    return Outcome(
        "unplugged",
        look,
        patience_s=DETACH_PATIENCE_S,
        hint="the guest has not given the memory up: it still uses it, or it does not run",
        close=refusal.close,
    )


def _detach_error(name: str, error: libvirt.libvirtError) -> OpError:
    made = op_error("unplug memory of", name, error)
    # QEMU's own words, for which libvirt has no code.
    if "cannot be unplugged" not in made.text:
        return made
    advice = (
        "This QEMU cannot unplug virtio-mem while it runs; at size 0 it costs nothing. "
        "Where: persistent takes it away from the next boot on."
    )
    return OpError(made.what, made.subject, made.text, made.code, advice)


def _resize(request: ResizeMemory, context: OpContext) -> Outcome:
    handle = control_domain(context, request.key, "resize memory of")
    xml = request.xml or _device_of(handle, request)
    if request.file:
        keep(request.file, xml)
    with doing("resize memory of", handle.name()):
        handle.updateDeviceFlags(xml, _side(request.live))
    if not request.live:
        return Outcome("resized from the next boot on")

    def look() -> Progress:
        devices = _live_devices(context, request.key)
        device = None if devices is None else devices.get(request.alias)
        if device is None:
            return Progress.FAILED
        return Progress.CONFIRMED if device.current_kib == request.requested_kib else Progress.PENDING

    return Outcome(
        "resized",
        look,
        patience_s=RESIZE_PATIENCE_S,
        hint="the guest has not followed: it has no virtio_mem driver, it still uses the memory, or it does not run",
    )


def _device_of(handle: Any, request: ResizeMemory) -> str:
    """The XML of the device by its alias, with the size asked for."""
    with doing("read the XML of", handle.name()):
        root = ET.fromstring(handle.XMLDesc(0 if request.live else _PERSISTENT))
    for device in parse_tuning(root).memory_devices:
        if device.alias == request.alias:
            return with_requested(device.xml, request.requested_kib)
    raise OpError("resize memory of", handle.name(), f"it has no device {request.alias}", advice="It is gone.")


def _set_slots(request: SetMemorySlots, context: OpContext) -> Outcome:
    """libvirt has no lock around an edit: what somebody else changed meanwhile is not overwritten."""
    connection = context.control()
    handle = control_domain(context, request.key, "set the memory slots of")
    name = handle.name()
    with doing("read the XML of", name):
        before = handle.XMLDesc(_PERSISTENT)
    try:
        wanted = request.edited(before)
    except ET.ParseError as error:
        raise OpError("read the XML of", name, str(error), advice="Nothing was changed.") from error
    # An earlier try of the same request left both files, and the domain may have been changed since.
    keep_beside(request.backup, before)
    keep(request.file, wanted, partial(_is_of, request.key))
    with doing("set the memory slots of", name):
        if handle.XMLDesc(_PERSISTENT) != before:
            advice = "Nothing was changed; try again."
            raise OpError("set the memory slots of", name, "somebody else changes it just now", advice=advice)
        connection.defineXMLFlags(wanted, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    return Outcome(f"{request.slots or 'no'} memory slots from the next boot on")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    AttachMemory: _attach,
    DetachMemory: _detach,
    ResizeMemory: _resize,
    SetMemorySlots: _set_slots,
}
