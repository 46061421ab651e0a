"""Settings of a network changed in its persistent XML; all else stays as it is."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from tui.model.xml_edit import parse_for_edit

SETTINGS = ("mode", "device", "bridge", "domain", "mtu", "stp", "delay", "range", "range6")
"""What can be changed: each an empty text to take it away."""

# The order in which the schema has the children of <network>.
_ORDER = (
    "name", "uuid", "metadata", "forward", "bridge", "mac", "mtu", "domain", "dns", "virtualport", "vlan", "portgroup",
)  # fmt: skip


def edited(xml: str, settings: Mapping[str, str]) -> str:
    """Return a network XML with these settings: `mode` (nat, route, open, isolated), `device`, `bridge`, `domain`,
    `mtu`, `stp` (on, off), `delay` (s), `range` and `range6` (FIRST-LAST). Raises ParseError, and ValueError when it
    has no place for one."""
    root = parse_for_edit(xml)
    for name, value in settings.items():
        if name == "mode":
            _set_mode(root, value)
        elif name == "device":
            _set(root, "forward", "dev", value)
            _drop_links(root)
        elif name in ("bridge", "stp", "delay"):
            _set(root, "bridge", {"bridge": "name"}.get(name, name), value)
        elif name == "domain":
            _set_whole(root, "domain", "name", value)
        elif name == "mtu":
            _set_whole(root, "mtu", "size", value)
        else:
            _set_range(root, value, ipv6=name == "range6")
    return ET.tostring(root, encoding="unicode")


def _set_mode(root: ET.Element, mode: str) -> None:
    forward = root.find("forward")
    if mode == "isolated":
        if forward is not None:
            root.remove(forward)
        return
    if forward is None:
        forward = _insert(root, "forward")
    forward.set("mode", mode)
    if mode != "nat":
        for nat in forward.findall("nat"):
            forward.remove(nat)


def _drop_links(root: ET.Element) -> None:
    """libvirt lists the device once more as an interface, which must be the same."""
    forward = root.find("forward")
    if forward is not None:
        for link in forward.findall("interface"):
            forward.remove(link)


def _set(root: ET.Element, tag: str, attribute: str, value: str) -> None:
    found = root.find(tag)
    if found is None:
        if not value:
            return
        raise ValueError(f"it has no <{tag}>")
    if value:
        found.set(attribute, value)
    else:
        found.attrib.pop(attribute, None)


def _set_whole(root: ET.Element, tag: str, attribute: str, value: str) -> None:
    """Set the one attribute that an element is for; without a value the element goes."""
    found = root.find(tag)
    if value:
        (found if found is not None else _insert(root, tag)).set(attribute, value)
    elif found is not None:
        root.remove(found)


def _insert(root: ET.Element, tag: str) -> ET.Element:
    """A new child at its place."""
    before = _ORDER[: _ORDER.index(tag)]
    at = max((place + 1 for place, child in enumerate(root) if child.tag in before), default=0)
    made = ET.Element(tag)
    made.tail = "\n  "
    root.insert(at, made)
    return made


def _set_range(root: ET.Element, value: str, *, ipv6: bool) -> None:
    """One range in the first address of the family in whose subnet it lies; what was there goes."""
    ips = [ip for ip in root.iterfind("ip") if (":" in ip.get("address", "")) is ipv6]
    if not ips:
        raise ValueError(f"it has no IPv{6 if ipv6 else 4} address")
    first, _, last = value.partition("-")
    at = next((ip for ip in ips if _holds(ip, first)), ips[0]) if value else ips[0]
    dhcp = at.find("dhcp")
    if dhcp is None:
        if not value:
            return
        dhcp = ET.SubElement(at, "dhcp")
    for range_ in dhcp.findall("range"):
        dhcp.remove(range_)
    if value:
        dhcp.insert(0, ET.Element("range", start=first, end=last))
    elif not len(dhcp):
        at.remove(dhcp)


def _holds(ip: ET.Element, address: str) -> bool:
    try:
        subnet = ipaddress.ip_network(f"{ip.get('address')}/{ip.get('prefix') or ip.get('netmask')}", strict=False)
        return ipaddress.ip_address(address) in subnet
    except ValueError:
        return False
