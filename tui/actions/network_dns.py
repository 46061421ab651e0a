"""Names that a network's DNS answers: added and taken away while it runs, and for its next start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from tui.actions import network_steps as steps
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.network_dhcp import own_bridge, update_step
from tui.actions.network_form import domain_name
from tui.actions.network_steps import WHERE, Side, address_of, as_network, sides
from tui.model.kind import Kind
from tui.model.network import DnsHost, Network
from tui.model.plan import Step

_SECTION = "dns-host"


def _add_reason(_context: Context, target: Target) -> Reason:
    return own_bridge(target)


def _remove_reason(_context: Context, target: Target) -> Reason:
    network = as_network(target)
    there = any(side.config.dns_hosts for side in sides(network, {"where": "both"}))
    return own_bridge(target) or (None if there else "it has no names of its own")


def _xml(address: str, names: Sequence[str]) -> str:
    host = ET.Element("host", ip=address)
    for name in names:
        ET.SubElement(host, "hostname").text = name
    return ET.tostring(host, encoding="unicode")


def _add(context: Context, target: Target, values: Values) -> Sequence[Step]:
    network = as_network(target)
    address = str(address_of("address", values["address"].strip()))
    names = [domain_name("names", name.strip()) for name in values["names"].split(",") if name.strip()]
    if not names:
        raise FieldError("names", "give a name, or several with commas between them")
    found: list[Step] = []
    for side in sides(network, values):
        old = next((host for host in side.config.dns_hosts if host.address == address), None)
        _refuse_elsewhere(side, address, names)
        new = [name for name in names if old is None or name not in old.names]
        if new:
            found += _replace(context, network, side, old, _xml(address, [*(old.names if old else ()), *new]))
    if not found:
        raise TargetError("names", f"{address} has these names already")
    return found


def _refuse_elsewhere(side: Side, address: str, names: Sequence[str]) -> None:
    for host in side.config.dns_hosts:
        for name in names:
            if host.address != address and name in host.names and (":" in host.address) is (":" in address):
                raise FieldError("names", f"{name} is {host.address} {side.words} already")


def _replace(context: Context, network: Network, side: Side, old: DnsHost | None, xml: str) -> list[Step]:
    """Put `xml` in the place of what its address had; libvirt takes one element for an address, and does not change
    it. Cancelled in between, the address would be left without the names that it keeps."""
    found = [] if old is None else [_step(context, network, side, "delete", old.xml)]
    new = [_step(context, network, side, "add-last", xml)] if xml else []
    return [*found, *(replace(step, finishes=old is not None) for step in new)]


def _step(context: Context, network: Network, side: Side, command: str, xml: str) -> Step:
    other = "delete" if command == "add-last" else "add-last"
    back = update_step(context, network, side, (other, _SECTION, -1), xml, _words(xml))
    return replace(update_step(context, network, side, (command, _SECTION, -1), xml, _words(xml)), undo=(back,))


def _words(xml: str) -> str:
    host = ET.fromstring(xml)
    names = ", ".join((name.text or "").strip() for name in host.iterfind("hostname"))
    return f"the name {names} of {host.get('ip', '?')}"


def _remove(context: Context, target: Target, values: Values) -> Sequence[Step]:
    network, word = as_network(target), values["name"].strip()
    wanted, found = sides(network, values), []
    for side in wanted:
        for host in side.config.dns_hosts:
            if word and word == host.address:
                found += _replace(context, network, side, host, "")
            elif word and word in host.names:
                left = [name for name in host.names if name != word]
                found += _replace(context, network, side, host, _xml(host.address, left) if left else "")
    if not found:
        there = dict.fromkeys(name for side in wanted for host in side.config.dns_hosts for name in host.names)
        raise FieldError("name", f"no {word or 'name'} there; it has: {', '.join(there) or 'none'}")
    return found


def _proposed(_context: Context, targets: Sequence[Target]) -> str:
    if len(targets) != 1 or targets[0] is None:
        return ""
    both = sides(as_network(targets[0]), {"where": "both"})
    return next((name for side in both for host in side.config.dns_hosts for name in host.names), "")


ADD = Action(
    "network.dns-add", "Add a DNS name to", "DNS name", "w", Kind.NETWORK,
    "Have the network's DNS answer names with an address, live and persistent.", _add, _add_reason,
    (
        Field("address", "Address", FieldKind.TEXT),
        Field("names", "Names", FieldKind.TEXT, help="several with commas between them"),
        WHERE,
    ),
    bulk=False, reads=steps.READS,
)  # fmt: skip
"""The action; it is one of the family networks."""

REMOVE = Action(
    "network.dns-remove", "Take a DNS name from", "remove name", "W", Kind.NETWORK,
    "Have the network's DNS no longer answer a name, live and persistent.", _remove, _remove_reason,
    (Field("name", "Name", FieldKind.TEXT, _proposed, help="or an address, with all its names"), WHERE),
    bulk=False, reads=steps.READS,
)  # fmt: skip
"""The action; it is one of the family networks."""
