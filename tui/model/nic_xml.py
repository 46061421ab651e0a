"""The XML of NICs, built and edited (https://libvirt.org/formatdomain.html#network-interfaces)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Container
from dataclasses import dataclass
from xml.etree import ElementTree as ET

PLUGS = ("network", "bridge", "ovs", "macvtap", "user")
"""What a NIC can be plugged into: a libvirt network, a Linux bridge, an Open vSwitch bridge, a macvtap on a link of
the host, QEMU's own user mode network."""

LIMITS = ("average", "peak", "burst")
"""The limits of one direction: KiB/s, KiB/s, KiB."""

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_KVM_PREFIX = "52:54:00"
# What says where a NIC is plugged in; all else of it stays when that changes.
_PLUG_PARTS = ("source", "vlan", "virtualport")


@dataclass(frozen=True, slots=True)
class Plug:
    """Where a NIC is plugged in: `to` is one of PLUGS, `source` the name of what it is plugged into."""

    to: str
    source: str = ""
    portgroup: str = ""
    vlans: tuple[int, ...] = ()
    mode: str = "bridge"
    """Of a macvtap."""
    switched: bool = False
    """Whether the network is one of Open vSwitch, and this is for a running NIC: libvirt changes its VLAN only when its
    port is said to be the same, and to that of the NIC alone, not to that of a portgroup."""

    def xml(self) -> str:
        """Return an `<interface>` that says this and nothing else."""
        return ET.tostring(self.element(), encoding="unicode")

    def element(self) -> ET.Element:
        """Return it as an element."""
        nic = ET.Element("interface", type={"ovs": "bridge", "macvtap": "direct"}.get(self.to, self.to))
        if self.to == "macvtap":
            ET.SubElement(nic, "source", dev=self.source, mode=self.mode)
        elif self.to != "user":
            source = ET.SubElement(nic, "source", {"bridge" if self.to == "ovs" else self.to: self.source})
            if self.portgroup:
                source.set("portgroup", self.portgroup)
        if self.vlans:
            nic.append(vlan_element(self.vlans))
        if self.to == "ovs" or self.switched:
            ET.SubElement(nic, "virtualport", type="openvswitch")
        return nic


@dataclass(frozen=True, slots=True)
class NewNic:
    """A NIC that is to be attached."""

    plug: Plug
    model: str
    mac: str

    def xml(self) -> str:
        """Return its `<interface>`."""
        nic = self.plug.element()
        nic.insert(0, ET.Element("mac", address=self.mac))
        ET.SubElement(nic, "model", type=self.model)
        return ET.tostring(nic, encoding="unicode")


def vlan_element(vlans: tuple[int, ...]) -> ET.Element:
    """Return the `<vlan>` of these numbers; several make a trunk."""
    vlan = ET.Element("vlan")
    if len(vlans) > 1:
        vlan.set("trunk", "yes")
    for number in vlans:
        ET.SubElement(vlan, "tag", id=str(number))
    return vlan


def is_mac(text: str) -> bool:
    """Whether a text in lower case is the MAC of one NIC: not of a group, not all zeros."""
    return bool(_MAC.fullmatch(text)) and int(text[:2], 16) & 1 == 0 and text != "00:00:00:00:00:00"


def free_mac(taken: Container[str]) -> str:
    """Return a MAC under QEMU's prefix that is not taken, made up at random."""
    while True:
        random = secrets.token_bytes(3)
        mac = ":".join([_KVM_PREFIX, *(f"{byte:02x}" for byte in random)])
        if mac not in taken:
            return mac


def find_nics(root: ET.Element, mac: str) -> list[ET.Element]:
    """Return the `<interface>`s of a MAC in a `<domain>`."""
    return [nic for nic in root.iterfind("devices/interface") if mac_of(nic) == mac.lower()]


def mac_of(nic: ET.Element) -> str:
    """Return the MAC of an `<interface>` in lower case."""
    found = nic.find("mac")
    return "" if found is None else found.get("address", "").lower()


def plug_of(xml: str) -> str:
    """Return an `<interface>` that says where that of `xml` is plugged in and nothing else, without what libvirt
    itself found out for a NIC of a network. Raises ParseError."""
    nic = ET.fromstring(xml)
    source = nic.find("source")
    if source is not None and "network" in source.attrib and "portid" in source.attrib:
        # Its kind, VLAN and port are what the network made of it.
        switched = nic.find("virtualport[@type='openvswitch']") is not None
        plug = Plug("network", source.get("network", ""), source.get("portgroup", ""), switched=switched).element()
        if switched:
            plug[1:1] = nic.findall("vlan")
        _strip(plug)
        return ET.tostring(plug, encoding="unicode")
    made = ET.Element("interface", type=nic.get("type", ""))
    for part in _PLUG_PARTS:
        made.extend(nic.findall(part))
    _strip(made)
    return ET.tostring(made, encoding="unicode")


def same_plug(one: str, other: str) -> bool:
    """Return whether two of what `plug_of` returns are the same place, whatever id the port of an Open vSwitch got.
    Raises ParseError."""
    return _without_ids(one) == _without_ids(other)


def _without_ids(plug: str) -> str:
    made = ET.fromstring(plug)
    if made.find("source[@network]") is not None:
        # What its port is, the network says.
        for port in made.findall("virtualport"):
            made.remove(port)
    for parameters in made.iterfind("virtualport/parameters"):
        parameters.attrib.pop("interfaceid", None)
    for port in made.iterfind("virtualport"):
        port[:] = [child for child in port if child.attrib]
    return ET.canonicalize(ET.tostring(made, encoding="unicode"), strip_text=True)


def with_plug(nic: ET.Element, plug: str) -> str:
    """Return the XML of an `<interface>` plugged in where `plug` says; in an Open vSwitch it keeps the id of its port.
    Raises ParseError."""
    made, new = ET.fromstring(ET.tostring(nic, encoding="unicode")), ET.fromstring(plug)
    ident = nic.find("virtualport[@type='openvswitch']/parameters[@interfaceid]")
    port = new.find("virtualport[@type='openvswitch']")
    if ident is not None and port is not None and port.find("parameters") is None:
        port.append(ident)
    made.set("type", new.get("type", ""))
    places = [index for index, child in enumerate(made) if child.tag in _PLUG_PARTS]
    at = places[0] if places else next((i + 1 for i, child in enumerate(made) if child.tag == "mac"), 0)
    for part in _PLUG_PARTS:
        for child in made.findall(part):
            made.remove(child)
    for offset, child in enumerate(new):
        made.insert(at + offset, child)
    _strip(made)
    return ET.tostring(made, encoding="unicode")


def plain(xml: str) -> str:
    """Return the XML of a NIC of a running domain without what libvirt finds out anew when it is attached again: its
    own alias, its tap, the port of its network; and without its place in the boot order, which libvirt takes no more
    once the last device that has one is gone. Raises ParseError."""
    nic = ET.fromstring(with_plug(ET.fromstring(xml), plug_of(xml)))
    for child in list(nic):
        alias = child.tag == "alias" and not child.get("name", "").startswith("ua-")
        tap = child.tag == "target" and child.get("dev", "").startswith(("vnet", "macvtap"))
        if alias or tap or child.tag == "boot":
            nic.remove(child)
    return ET.tostring(nic, encoding="unicode").strip()


def _strip(element: ET.Element) -> None:
    """Take the white space away that stood between the children that were."""
    for part in element.iter():
        part.tail = None
        if part.text is not None and not part.text.strip():
            part.text = None


def bandwidth_of(nic: ET.Element) -> tuple[tuple[str, int], ...]:
    """Return the limits of an `<interface>` by libvirt's names, as ("inbound.average", 1000); no zeros."""
    found = []
    for way in ("inbound", "outbound"):
        element = nic.find(f"bandwidth/{way}")
        for limit in LIMITS if element is not None else ():
            text = "" if element is None else element.get(limit, "")
            if text.isascii() and text.isdigit() and int(text):
                found.append((f"{way}.{limit}", int(text)))
    return tuple(found)
