"""PCIe root ports of domains, for the next boot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.pcie import with_ports, without_ports
from tui.model.plan import Request
from tui.ops.base import OpContext, OpError, Outcome
from tui.ops.errors import control_domain, doing
from tui.ops.kept import keep

_PERSISTENT = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
_WHAT = "change the PCIe root ports of"


@dataclass(frozen=True, slots=True)
class SetRootPorts(Request):
    """Give a domain PCIe root ports of these controller numbers from its next boot on, or with `remove` take them away
    (virDomainDefineXMLFlags): its persistent XML goes to `backup`, the new one to `file`. Nothing else of it is
    changed, not by undo either."""

    key: str
    numbers: tuple[int, ...]
    file: str
    backup: str
    remove: bool = False

    def edited(self, xml: str) -> str:
        """Return the persistent XML as it is to be; raises ParseError, and ValueError when its ports are not what they
        were."""
        return (without_ports if self.remove else with_ports)(xml, self.numbers)


def _set(request: SetRootPorts, context: OpContext) -> Outcome:
    """libvirt has no lock around an edit: what somebody else changed meanwhile is not overwritten."""
    connection = context.control()
    handle = control_domain(context, request.key, _WHAT)
    name = handle.name()
    with doing("read the XML of", name):
        before = handle.XMLDesc(_PERSISTENT)
    try:
        wanted = request.edited(before)
    except (ET.ParseError, ValueError) as error:
        raise OpError(_WHAT, name, str(error), advice="Nothing was changed.") from error
    keep(request.backup, before)
    keep(request.file, wanted)
    with doing(_WHAT, name):
        if handle.XMLDesc(_PERSISTENT) != before:
            raise OpError(_WHAT, name, "somebody else changes it just now", advice="Nothing was changed; try again.")
        connection.defineXMLFlags(wanted, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    words = f"{len(request.numbers)} root port{'s' if len(request.numbers) > 1 else ''}"
    return Outcome(f"{words} {'fewer' if request.remove else 'more'} from the next boot on")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {SetRootPorts: _set}
