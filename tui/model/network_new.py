"""The XML of a new network, out of the few things that its kind needs."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from tui.model.nic_xml import vlan_element

KINDS = ("nat", "route", "isolated", "open", "bridge", "ovs", "macvtap")
"""What a network can be, in the words of libvirt's documentation; `bridge` and `ovs` are bridges that are there."""

OWN_BRIDGE = frozenset({"nat", "route", "isolated", "open"})
"""Those whose bridge libvirt makes, with addresses and DHCP of its own."""


@dataclass(frozen=True, slots=True)
class NewAddress:
    """An address of the network's bridge, and the range that DHCP gives out; "" for none."""

    address: str
    prefix: int
    first: str = ""
    last: str = ""

    def element(self) -> ET.Element:
        """Return its `<ip>`."""
        made = ET.Element("ip")
        if ":" in self.address:
            made.set("family", "ipv6")
        made.set("address", self.address)
        made.set("prefix", str(self.prefix))
        if self.first:
            ET.SubElement(ET.SubElement(made, "dhcp"), "range", start=self.first, end=self.last)
        return made


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A portgroup: its VLANs, several make a trunk; the first of a network is its default."""

    name: str
    vlans: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """A network that is to be defined."""

    name: str
    uuid: str
    kind: str
    bridge: str = ""
    """"" for one that libvirt names, where it makes it."""
    device: str = ""
    addresses: tuple[NewAddress, ...] = ()
    domain: str = ""
    mtu: int | None = None
    groups: tuple[NewGroup, ...] = ()
    direct: str = "bridge"
    """The mode of a macvtap: bridge, vepa, private or passthrough."""

    def xml(self) -> str:
        """Return its `<network>` (https://libvirt.org/formatnetwork.html)."""
        root = ET.Element("network")
        ET.SubElement(root, "name").text = self.name
        if self.uuid:
            ET.SubElement(root, "uuid").text = self.uuid
        self._add_forward(root)
        if self.kind in OWN_BRIDGE:
            # A bridge that listens for 2 s first gives no lease for so long, and one of libvirt's own has no loops.
            bridge = ET.SubElement(root, "bridge", stp="off", delay="0")
            if self.bridge:
                bridge.set("name", self.bridge)
        elif self.bridge:
            ET.SubElement(root, "bridge", name=self.bridge)
        if self.mtu:
            ET.SubElement(root, "mtu", size=str(self.mtu))
        if self.domain:
            ET.SubElement(root, "domain", name=self.domain, localOnly="yes")
        if self.kind == "ovs":
            ET.SubElement(root, "virtualport", type="openvswitch")
        for number, group in enumerate(self.groups):
            self._add_group(root, group, default=number == 0)
        root.extend(address.element() for address in self.addresses)
        return ET.tostring(root, encoding="unicode")

    def _add_forward(self, root: ET.Element) -> None:
        if self.kind == "isolated":
            return
        mode = {"ovs": "bridge", "macvtap": self.direct}.get(self.kind, self.kind)
        forward = ET.SubElement(root, "forward", mode=mode)
        if self.kind == "macvtap":
            ET.SubElement(forward, "interface", dev=self.device)
        elif self.device:
            forward.set("dev", self.device)

    @staticmethod
    def _add_group(root: ET.Element, group: NewGroup, *, default: bool) -> None:
        element = ET.SubElement(root, "portgroup", name=group.name)
        if default:
            element.set("default", "yes")
        if group.vlans:
            element.append(vlan_element(group.vlans))
